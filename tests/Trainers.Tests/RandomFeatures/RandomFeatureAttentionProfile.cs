using MlNetMlp.Conformance;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.RandomFeatures;

/// <summary>What the conformance suite has to know of <see cref="RandomFeatureAttention"/>: its rows are sets of one key.</summary>
public sealed class RandomFeatureAttentionProfile() : HouseProfile(nameof(RandomFeatureAttention))
{
    // Rows held out are left out of weights that stand for repeated rows, and penalties that are searched for count rows.
    public override object SmallOptions(EstimatorTask task, object defaults) => (RandomFeatureAttention.Options)defaults with
    {
        Heads = 40, L2 = 1e-4, ValidationFraction = 0, Normalize = AttentionNormalization.None, Solver = RandomFeatureNetworkSolver.NormalEquations,
    };
}
