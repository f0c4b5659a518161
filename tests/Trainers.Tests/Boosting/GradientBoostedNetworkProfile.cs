using MlNetMlp.Boosting;
using MlNetMlp.Conformance;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Boosting;

/// <summary>What the conformance suite has to know of <see cref="GradientBoostedNetwork"/>.</summary>
public sealed class GradientBoostedNetworkProfile() : HouseProfile(nameof(GradientBoostedNetwork))
{
    // Least squares, constants and step lengths are weighted; but a row is held out or not whatever it weighs, and inputs and labels are
    // standardised by rows.
    public override Traits Traits { get; } = new() { Weights = WeightSemantics.Statistical, IsClassOrderExact = false };

    // Few iterations, as rounding grows with each.
    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (GradientBoostedNetwork.Options)defaults with { TotalUnits = 24, UnitsPerStep = 2, LearningRate = 0.5, StepIterations = 20, L2 = 0 };
}
