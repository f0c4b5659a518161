using MlNetMlp.Boosting;
using MlNetMlp.Conformance;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Boosting;

/// <summary>What the conformance suite has to know of <see cref="GradientBoostedNetwork"/>.</summary>
public sealed class GradientBoostedNetworkProfile() : HouseProfile(nameof(GradientBoostedNetwork))
{
    // Each iteration of L-BFGS on a function that is not convex, and each step on what the earlier ones leave over, multiplies rounding errors.
    internal const double Tolerance = 1e-3;

    public override Traits Traits { get; } = new() { IsClassOrderExact = false, Tolerance = Tolerance };

    // All rows in each step and none held out, so that weights are repeated rows. Several classes take many small steps of several sums, so that random starts
    // matter little and classes that come in another order are told apart alike.
    public override object SmallOptions(EstimatorTask task, object defaults)
    {
        var options = (GradientBoostedNetwork.Options)defaults with { Restarts = 1, L2 = 0, ValidationFraction = 0 };
        return task == EstimatorTask.Multiclass
            ? options with { Restarts = 4, TotalUnits = 60, UnitsPerStep = 2, LearningRate = 0.4, StepIterations = 6 }
            : options with { TotalUnits = 8, UnitsPerStep = 4, LearningRate = 0.8, StepIterations = 6 };
    }
}
