using MlNetMlp.Conformance;
using MlNetMlp.ScalableKernels;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.ScalableKernels;

/// <summary>What the conformance suite has to know of <see cref="ScalableKernelNetwork"/>.</summary>
public sealed class ScalableKernelNetworkProfile() : HouseProfile(nameof(ScalableKernelNetwork))
{
    // The options are those of gradients, too, but the mode is closed form unless they say otherwise.
    public override Traits Traits { get; } = new() { IsGradientTrained = false };

    // Cross-validation counts rows: with a penalty that is given, weights are repeated rows.
    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (ScalableKernelNetwork.Options)defaults with { FeatureCount = 40, L2 = 1e-4, ValidationFraction = 0 };
}
