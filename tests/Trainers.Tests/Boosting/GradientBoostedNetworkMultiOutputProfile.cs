using MlNetMlp.Boosting;
using MlNetMlp.Conformance;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Boosting;

/// <summary>What the conformance suite has to know of <see cref="GradientBoostedNetworkMultiOutput"/>.</summary>
public sealed class GradientBoostedNetworkMultiOutputProfile() : HouseProfile(nameof(GradientBoostedNetworkMultiOutput))
{
    public override Traits Traits { get; } = new() { Tolerance = GradientBoostedNetworkProfile.Tolerance };

    // All rows in each step and none held out, so that weights are repeated rows; two sums, as the method for one number has one.
    public override object SmallOptions(EstimatorTask task, object defaults) => (GradientBoostedNetwork.Options)defaults with
    {
        TotalUnits = 8, UnitsPerStep = 4, Restarts = 2, LearningRate = 0.8, StepIterations = 6, L2 = 0, ValidationFraction = 0,
    };
}
