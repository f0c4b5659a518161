using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>What a linear readout is fitted to by least squares.</summary>
public static class ReadoutTargets
{
    /// <summary>The targets of rows: standardised labels for regression, −1 and 1 for binary, and 0 and 1 for each class of multiclass classification.</summary>
    /// <param name="head">The task.</param>
    /// <param name="labels">Labels as <see cref="RowBlock.Labels"/> holds them.</param>
    /// <returns>Float32 [rows, outputs]; the caller owns it.</returns>
    public static Tensor Of(TaskHead head, Tensor labels)
    {
        ArgumentNullException.ThrowIfNull(head);
        ArgumentNullException.ThrowIfNull(labels);
        using var scope = NewDisposeScope();
        var targets = head switch
        {
            BinaryHead => labels.Times(2).Plus(-1).unsqueeze(1),
            MulticlassHead several => nn.functional.one_hot(labels, several.Classes).to(ScalarType.Float32),
            _ => labels.view(labels.shape[0], head.Outputs).alias(),
        };
        return targets.MoveToOuterDisposeScope();
    }
}
