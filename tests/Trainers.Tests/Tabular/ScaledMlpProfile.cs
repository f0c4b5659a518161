using MlNetMlp.Conformance;
using MlNetMlp.Tabular;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Tabular;

/// <summary>What the conformance suite has to know of <see cref="ScaledMlp"/>.</summary>
public sealed class ScaledMlpProfile() : HouseProfile(nameof(ScaledMlp))
{
    public override Traits Traits { get; } = new() { Weights = WeightSemantics.Statistical, IsClassOrderExact = false };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (ScaledMlp.Options)defaults with { Width = 16, Blocks = 1, Epochs = 40, BatchSize = 16, LearningRate = 5e-3 };
}
