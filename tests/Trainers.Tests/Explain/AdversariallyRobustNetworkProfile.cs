using MlNetMlp.Conformance;
using MlNetMlp.Explain;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Explain;

/// <summary>What the conformance suite has to know of <see cref="AdversariallyRobustNetwork"/>.</summary>
public sealed class AdversariallyRobustNetworkProfile() : HouseProfile(nameof(AdversariallyRobustNetwork))
{
    public override Traits Traits { get; } = new() { Weights = WeightSemantics.Statistical, IsClassOrderExact = false };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (AdversariallyRobustNetwork.Options)defaults with { HiddenUnits = 24, HiddenLayers = 1, Epochs = 40, BatchSize = 16, LearningRate = 1e-2, Epsilon = 0.05, AttackSteps = 2 };
}
