using MlNetMlp.Data;
using MlNetMlp.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>Rows of a batch mixed with others of it (Zhang and others, "mixup: Beyond Empirical Risk Minimization", 2018).</summary>
public static class MixedRows
{
    /// <summary>
    /// λ·loss by the rows' own labels + (1−λ)·loss by their partners'. For squared errors it has the gradient of the loss by mixed labels, so one form serves all tasks.
    /// </summary>
    /// <param name="head">The task.</param>
    /// <param name="outputs">Raw outputs of the mixed rows.</param>
    /// <param name="batch">The rows before they were mixed.</param>
    /// <param name="order">Index of the partner of each row.</param>
    /// <param name="share">λ, a tensor of one value.</param>
    /// <param name="labelSmoothing">Share of the target spread over the classes.</param>
    /// <returns>A scalar.</returns>
    public static Tensor Loss(TaskHead head, Tensor outputs, RowBlock batch, Tensor order, Tensor share, double labelSmoothing)
    {
        ArgumentNullException.ThrowIfNull(head);
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(share);
        var own = head.Loss(outputs, batch.Labels, batch.Weights, labelSmoothing);
        var other = head.Loss(outputs, batch.Labels.index_select(0, order), batch.Weights?.index_select(0, order), labelSmoothing);
        return lerp(other, own, share.squeeze());
    }
}
