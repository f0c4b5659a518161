using MlNetMlp.Conformance;
using MlNetMlp.Convex;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Convex;

/// <summary>What the conformance suite has to know of <see cref="ConvexRelu"/>.</summary>
public sealed class ConvexReluProfile() : HouseProfile(nameof(ConvexRelu))
{
    public override Traits Traits { get; } = new() { Tolerance = 1e-4 };

    // All rows in each step and none held out, so that weights are repeated rows.
    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (ConvexRelu.Options)defaults with { SampledPatterns = 16, MaxIterations = 30, ValidationFraction = 0 };
}

/// <summary>What the conformance suite has to know of <see cref="SampledConvexRelu"/>.</summary>
public sealed class SampledConvexReluProfile() : HouseProfile(nameof(SampledConvexRelu))
{
    public override Traits Traits { get; } = new() { Tolerance = 1e-3 };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (SampledConvexRelu.Options)defaults with { HiddenUnits = 60, MaxIterations = 100, ValidationFraction = 0 };
}

/// <summary>What the conformance suite has to know of <see cref="RobustConvexRelu"/>.</summary>
public sealed class RobustConvexReluProfile() : HouseProfile(nameof(RobustConvexRelu))
{
    public override Traits Traits { get; } = new() { Tolerance = 1e-3 };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (RobustConvexRelu.Options)defaults with { SampledPatterns = 12, MaxIterations = 40, Epsilon = 0.02, ValidationFraction = 0 };
}
