using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Training;

namespace MlNetMlp.Recommendation;

/// <summary>The fit of a network of two streams.</summary>
internal static class TwoStreamFit
{
    private const double LeastRate = 1e-6;

    /// <summary>The columns that a method of two streams reads.</summary>
    public static IReadOnlyList<InputColumn> Columns(TwoStreamOptions options) => [.. options.CategoricalColumns.Select(name => new InputColumn(name))];

    /// <summary>The network that options ask for, without gates and bilinear form.</summary>
    public static FinalMlpDefinition Define(TwoStreamOptions options, TrainingSet data, TaskHead head) => new()
    {
        Inputs = data.FeatureCount,
        Outputs = head.Outputs,
        Layout = data.Layout,
        EmbeddingDim = options.EmbeddingDim,
        Stream1 = options.Mlp1HiddenUnits,
        Stream2 = options.Mlp2HiddenUnits,
        Dropout1 = options.Mlp1Dropout,
        Dropout2 = options.Mlp2Dropout,
        BatchNorm = options.BatchNorm,
        Heads = 0,
        HasRare = options.MinCategoryCount > 1,
    };

    /// <summary>Trains.</summary>
    public static Network Run(TwoStreamOptions options, FinalMlpDefinition definition, TrainingSet data, TaskHead head, TrainingRun run)
    {
        var network = (FinalMlpNetwork)run.Create(definition);
        if (!run.IsContinued)
            network.Prepare(data, options.MinCategoryCount);
        network.Noise = run.Random.Training;

        // NOTE[DIFF]: the best epoch is that of the least validation loss, where the original takes the greatest area under the ROC curve; and the penalty is on
        // the vectors of the batch, where the original's is on all of them in each step, which reads and changes the whole table for a few thousand rows.
        run.Minimize(network, data, head, options.ToSettings(data.RowCount) with
        {
            PlateauFactor = options.PlateauFactor,
            PlateauFloor = LeastRate,
            RowTableDecay = options.EmbeddingL2,
        });
        network.Noise = null;
        return network;
    }
}
