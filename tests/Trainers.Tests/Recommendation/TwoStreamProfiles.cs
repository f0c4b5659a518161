using MlNetMlp.Conformance;
using MlNetMlp.Recommendation;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Recommendation;

/// <summary>What the conformance suite has to know of <see cref="FinalMlp"/>.</summary>
public sealed class FinalMlpProfile() : HouseProfile(nameof(FinalMlp))
{
    // Vectors of unknown size are read once more, for the longest.
    internal static readonly Traits Columns = new() { Weights = WeightSemantics.Statistical, KeyColumns = [nameof(SampleRow.Group), nameof(SampleRow.Words)], DataPasses = 3 };

    public override Traits Traits => Columns;

    public override object WithColumns(object defaults) =>
        (FinalMlp.Options)defaults with { CategoricalColumns = [.. Columns.KeyColumns], FeatureColumnName = nameof(SampleRow.Features) };

    public override object SmallOptions(EstimatorTask task, object defaults) => (FinalMlp.Options)defaults with
    {
        EmbeddingDim = 4, Mlp1HiddenUnits = [16], Mlp2HiddenUnits = [8], Mlp1Dropout = 0, GateHiddenUnits = [8], Gate1Context = [nameof(SampleRow.Group)], Epochs = 40, BatchSize = 16,
        LearningRate = 1e-2, Patience = 20, PlateauFactor = 1, EmbeddingL2 = 0.1,
    };
}

/// <summary>What the conformance suite has to know of <see cref="DualMlp"/>.</summary>
public sealed class DualMlpProfile() : HouseProfile(nameof(DualMlp))
{
    public override Traits Traits => FinalMlpProfile.Columns;

    public override object WithColumns(object defaults) =>
        (DualMlp.Options)defaults with { CategoricalColumns = [.. Traits.KeyColumns], FeatureColumnName = nameof(SampleRow.Features) };

    public override object SmallOptions(EstimatorTask task, object defaults) => (DualMlp.Options)defaults with
    {
        EmbeddingDim = 4, Mlp1HiddenUnits = [16, 8], Mlp2HiddenUnits = [8], Epochs = 40, BatchSize = 16, LearningRate = 1e-2, Patience = 20, PlateauFactor = 1, BatchNorm = false,
        MinCategoryCount = 5,
    };
}
