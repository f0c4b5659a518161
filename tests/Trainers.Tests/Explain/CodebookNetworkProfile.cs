using MlNetMlp.Conformance;
using MlNetMlp.Explain;
using MlNetMlp.Layers;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Explain;

/// <summary>What the conformance suite has to know of <see cref="CodebookNetwork"/>.</summary>
public sealed class CodebookNetworkProfile() : HouseProfile(nameof(CodebookNetwork))
{
    public override Traits Traits { get; } = new() { Weights = WeightSemantics.Statistical, IsClassOrderExact = false };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        // The auto-encoding part follows activations that move, and may rise while the task is learned: the loss of the task alone has to fall.
        (CodebookNetwork.Options)defaults with { Loss = CodebookLoss.Task, HiddenUnits = 48, NumCodes = 64, K = 16, CodebookLayers = [1], Epochs = 60, BatchSize = 16, LearningRate = 1e-2 };
}
