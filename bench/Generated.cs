using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Tabular;

namespace MlNetMlp.Bench;

/// <summary>Generated rows and the small network that is measured on them: 28-64-64-1.</summary>
internal static class Generated
{
    public const int Width = 28;

    public sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = new float[Width];

        public float Label { get; set; }
    }

    public static Row[] Rows(int count, int seed = 1)
    {
        var random = new Random(seed);
        var rows = new Row[count];
        for (var i = 0; i < count; i++)
        {
            rows[i] = new Row();
            Fill(rows[i], random);
        }

        return rows;
    }

    /// <summary>Rows that are never in memory together: one object for all of them, out of which ML.NET copies.</summary>
    public static IEnumerable<Row> Lazy(int count)
    {
        var (random, row) = (new Random(1), new Row());
        for (var i = 0; i < count; i++)
        {
            Fill(row, random);
            yield return row;
        }
    }

    public static ScaledMlp.Options Small => new()
    {
        Architecture = ScaledMlpArchitecture.Standard,
        Normalization = ScaledMlpNormalization.None,
        Activation = ScaledMlpActivation.Relu,
        Width = 64,
        Blocks = 2,
        StandardizeInputs = false,
        ClipInputs = false,
        Epochs = 1,
        Seed = 1,
    };

    public static NetworkPredictionTransformer<RegressionNetworkModel> Fit(MLContext ml, Row[] rows) =>
        ml.Regression.Trainers.ScaledMlp(Small).Fit(ml.Data.LoadFromEnumerable(rows));

    private static void Fill(Row row, Random random)
    {
        for (var j = 0; j < Width; j++)
            row.Features[j] = (float)((random.NextDouble() * 2) - 1);
        row.Label = row.Features[0] + (row.Features[1] * row.Features[2]);
    }
}
