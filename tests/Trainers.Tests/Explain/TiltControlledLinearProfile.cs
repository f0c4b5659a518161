using MlNetMlp.Conformance;
using MlNetMlp.Explain;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Explain;

/// <summary>What the conformance suite has to know of <see cref="TiltControlledLinear"/>.</summary>
public sealed class TiltControlledLinearProfile() : HouseProfile(nameof(TiltControlledLinear))
{
    public override Traits Traits { get; } = new() { IsRandom = false, Tolerance = 1e-4 };

    public override object SmallOptions(EstimatorTask task, object defaults) => defaults;
}
