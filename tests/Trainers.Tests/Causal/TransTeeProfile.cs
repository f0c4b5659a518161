using MlNetMlp.Causal;
using MlNetMlp.Conformance;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Causal;

/// <summary>What the conformance suite has to know of <see cref="TransTee"/>.</summary>
public sealed class TransTeeProfile() : HouseProfile(nameof(TransTee))
{
    public override Traits Traits { get; } = new() { Weights = WeightSemantics.Statistical };

    public override object SmallOptions(EstimatorTask task, object defaults) => ((TransTee.Options)defaults) with
    {
        EmbedDim = 8, FeedForwardDim = 16, Epochs = 25, BatchSize = 20, LearningRate = 1e-2, Dropout = 0,
    };
}
