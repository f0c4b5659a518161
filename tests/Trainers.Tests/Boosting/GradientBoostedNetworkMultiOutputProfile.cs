using MlNetMlp.Boosting;
using MlNetMlp.Conformance;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Boosting;

/// <summary>What the conformance suite has to know of <see cref="GradientBoostedNetworkMultiOutput"/>.</summary>
public sealed class GradientBoostedNetworkMultiOutputProfile() : HouseProfile(nameof(GradientBoostedNetworkMultiOutput))
{
    // As with one output.
    public override Traits Traits { get; } = new() { Weights = WeightSemantics.Statistical };

    // Few iterations, as rounding grows with each.
    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (GradientBoostedNetwork.Options)defaults with { TotalUnits = 24, UnitsPerStep = 2, LearningRate = 0.5, StepIterations = 20, L2 = 0 };
}
