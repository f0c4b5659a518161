using MlNetMlp.Conformance;
using MlNetMlp.Tabular;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Tabular;

/// <summary>What the conformance suite has to know of <see cref="TabularNetwork"/>.</summary>
public sealed class TabularNetworkProfile() : HouseProfile(nameof(TabularNetwork))
{
    // Vectors of keys of unknown size are read once more, for the longest.
    public override Traits Traits { get; } = new()
    {
        AcceptsMissingValues = true, Weights = WeightSemantics.Statistical, IsClassOrderExact = false, KeyColumns = [nameof(SampleRow.Group), nameof(SampleRow.Words)], DataPasses = 3,
    };

    public override object WithColumns(object defaults) => (TabularNetwork.Options)defaults with { CategoricalColumns = [.. Traits.KeyColumns] };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (TabularNetwork.Options)defaults with { Members = 3, Folds = 3, HiddenSize = 16, HiddenLayers = 2, Frequencies = 4, Epochs = 30 };
}
