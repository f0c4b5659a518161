using MlNetMlp.Conformance;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.RandomFeatures;

/// <summary>What the conformance suite has to know of <see cref="RandomFeatureNetwork"/>.</summary>
public sealed class RandomFeatureNetworkProfile() : HouseProfile(nameof(RandomFeatureNetwork))
{
    // Generalised cross-validation counts rows, and a search holds some of them out: with a scale and a penalty that are given, weights are
    // repeated rows.
    public override object SmallOptions(EstimatorTask task, object defaults) => Small(defaults);

    internal static RandomFeatureNetwork.Options Small(object defaults) =>
        (RandomFeatureNetwork.Options)defaults with { HiddenUnits = 40, WeightScale = 1, L2 = 1e-4, ValidationFraction = 0, Diagnose = false };
}

/// <summary>What the conformance suite has to know of <see cref="RandomFeatureNetworkMultiOutput"/>.</summary>
public sealed class RandomFeatureNetworkMultiOutputProfile() : HouseProfile(nameof(RandomFeatureNetworkMultiOutput))
{
    public override object SmallOptions(EstimatorTask task, object defaults) => RandomFeatureNetworkProfile.Small(defaults);
}
