using System.ComponentModel.DataAnnotations;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>No task: what the network puts out is features, as they are. There are no labels to judge it by, hence no loss but that of the method.</summary>
public sealed record FeatureHead : TaskHead
{
    private const string NoLoss = "Features are not judged by labels: what learns them brings a loss of its own.";

    /// <summary>Number of features.</summary>
    [Range(1, 1 << 24)]
    public required int Width { get; init; }

    /// <inheritdoc/>
    public override int Outputs => Width;

    /// <inheritdoc/>
    public override string MetricName => "loss";

    /// <inheritdoc/>
    public override double MetricSum(Tensor outputs, Tensor labels) => throw new NotSupportedException(NoLoss);

    /// <inheritdoc/>
    public override void Finish(Span<float> outputs)
    {
        // The activations are the features.
    }

    /// <inheritdoc/>
    protected override Tensor RowLosses(Tensor outputs, Tensor labels, double labelSmoothing) => throw new NotSupportedException(NoLoss);

    /// <inheritdoc/>
    protected override Tensor MeanLoss(Tensor outputs, Tensor labels, double labelSmoothing) => throw new NotSupportedException(NoLoss);
}
