using MlNetMlp.Boosting;
using MlNetMlp.Conformance;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Boosting;

/// <summary>What the conformance suite has to know of <see cref="GradientBoostedNetwork"/>.</summary>
public sealed class GradientBoostedNetworkProfile() : HouseProfile(nameof(GradientBoostedNetwork))
{
    public override Traits Traits { get; } = new() { IsClassOrderExact = false };

    // All rows in each step and none held out, so that weights are repeated rows; few steps, as rounding grows with each. Several classes
    // need more of them to agree on a class when they come in another order.
    public override object SmallOptions(EstimatorTask task, object defaults)
    {
        var options = (GradientBoostedNetwork.Options)defaults with { UnitsPerStep = 2, L2 = 0, ValidationFraction = 0 };
        return task == EstimatorTask.Multiclass
            ? options with { TotalUnits = 40, LearningRate = 0.5, StepIterations = 4 }
            : options with { TotalUnits = 8, LearningRate = 0.8, StepIterations = 6 };
    }
}
