using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.RandomFeatures;

namespace RandomFeatures;

/// <summary>Rows that are made when they are read and never kept, fitted in one pass, in parts that come one after the other, and from a file.</summary>
internal static class GeneratedRows
{
    private const int Width = 10;
    private const long Budget = 50_000_000;

    public sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = new float[Width];

        public float Label { get; set; }
    }

    public static void Run(MLContext ml, int count)
    {
        var test = ml.Data.LoadFromEnumerable(Rows(count, 5000).Select(row => new Row { Features = [.. row.Features], Label = row.Label }).ToArray());
        var options = new RandomFeatureNetwork.Options { HiddenUnits = 500, ValidationFraction = 0, MemoryBudget = Budget };
        var trainer = ml.Regression.Trainers.RandomFeatureNetwork(options);

        // Half of the rows now, the rest when they come; what has been seen is in the model file as sums.
        var clock = Stopwatch.StartNew();
        var model = trainer.Fit(ml.Data.LoadFromEnumerable(Rows(0, count / 2)));
        Say($"{count / 2:N0} rows", model);

        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            ModelFile.Save(ml, model, null, path);
            Console.WriteLine($"saved with its sums: {new FileInfo(path).Length / 1e6:F1} MB");
            var loaded = (ISingleFeaturePredictionTransformer<RegressionNetworkModel>)ModelFile.Load(ml, path, out _);
            clock.Restart();
            model = trainer.Fit(ml.Data.LoadFromEnumerable(Rows(count / 2, count - (count / 2))), loaded.Model);
            Say($"{count - (count / 2):N0} more rows after loading", model);
        }
        finally
        {
            File.Delete(path);
        }

        void Say(string what, NetworkPredictionTransformer<RegressionNetworkModel> fitted)
        {
            var error = ml.Regression.Evaluate(fitted.Transform(test)).RSquared;
            using var process = Process.GetCurrentProcess();
            Console.WriteLine($"{what,-36} R² {error:F4} on 5,000 others, {clock.Elapsed.TotalSeconds:F1} s, {process.PeakWorkingSet64 / (1 << 20)} MiB at most");
        }
    }

    // Row i is the same whenever it is asked for, so that the data can be read again. One object serves all rows, as ML.NET copies out of it.
    private static IEnumerable<Row> Rows(int first, int count)
    {
        var row = new Row();
        for (var i = first; i < first + count; i++)
        {
            var random = new Random(i);
            for (var j = 0; j < Width; j++)
                row.Features[j] = (float)((random.NextDouble() * 2) - 1);
            var x = row.Features;
            row.Label = MathF.Sin(3 * x[0]) + (x[1] * x[2]) + (0.5f * MathF.Abs(x[3])) + (0.1f * (float)(random.NextDouble() - 0.5));
            yield return row;
        }
    }
}
