using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Runtime;
using MlNetMlp.Tabular;

namespace MlNetMlp.Bench;

/// <summary>How long <see cref="TabularNetwork"/> takes beside LightGBM: fits of generated tables of 30 numbers, rows in batches, and single rows.</summary>
internal static class TabularTime
{
    private const int Width = 30;
    private const int ScoredRows = 100_000;
    private const int SingleRows = 20_000;
    private static readonly string[] Names = ["TabularNetwork", "Fast", "LightGBM"];

    private sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = [];

        public float Label { get; set; }
    }

    private sealed class Prediction
    {
        public float Score { get; set; }
    }

    public static void Run()
    {
        var ml = new MLContext(1);
        var rows = Rows(ScoredRows);
        var network = ml.Regression.Trainers.TabularNetwork();
        var fast = ml.Regression.Trainers.TabularNetwork(TabularNetwork.Options.Fast);
        var trees = ml.Regression.Trainers.LightGbm();
        network.Fit(View(200));
        trees.Fit(View(200));
        foreach (var count in new[] { 500, 2000, 20_000 })
        {
            var view = View(count);
            var (own, quick, peer) = (Seconds(() => network.Fit(view)), Seconds(() => fast.Fit(view)), Seconds(() => trees.Fit(view)));
            Console.WriteLine($"tabulartime: {count} x {Width}: fit {own:F2} s, Fast {quick:F2} s, LightGBM {peer:F2} s");
        }

        var all = ml.Data.Cache(View(ScoredRows));
        Read(all, "Label");
        var models = new ITransformer[] { network.Fit(View(2000)), fast.Fit(View(2000)), trees.Fit(View(2000)) };
        var batched = Clock.Medians(3, [.. models.Select(model => (Action)(() => Read(model.Transform(all), "Score")))]);
        Console.WriteLine($"tabulartime: {ScoredRows} rows scored: {PerRow(batched[0]):F2} µs a row, Fast {PerRow(batched[1]):F2} µs, LightGBM {PerRow(batched[2]):F2} µs");
        for (var m = 0; m < models.Length; m++)
        {
            using var engine = ml.Model.CreatePredictionEngine<Row, Prediction>(models[m]);
            var result = new Prediction();
            var ticks = new long[SingleRows];
            for (var i = -SingleRows; i < SingleRows; i++)
            {
                var start = Stopwatch.GetTimestamp();
                engine.Predict(rows[Math.Abs(i) % rows.Length], ref result);
                ticks[Math.Max(i, 0)] = Stopwatch.GetTimestamp() - start;
            }

            Array.Sort(ticks);
            Console.WriteLine($"tabulartime: single rows, {Names[m]}: median {ticks[SingleRows / 2] * 1e6 / Stopwatch.Frequency:F1} µs");
        }

        static void Read(IDataView view, string column)
        {
            foreach (var _ in view.GetColumn<float>(column))
            {
                // Reading is what is wanted.
            }
        }

        static double PerRow(double seconds) => seconds * 1e6 / ScoredRows;

        static double Seconds(Action fit)
        {
            var start = Stopwatch.GetTimestamp();
            fit();
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        IDataView View(int count) => ml.Data.LoadFromEnumerable(rows[..count]);
    }

    private static Row[] Rows(int count)
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, count).Select(_ =>
        {
            var x = Enumerable.Range(0, Width).Select(_ => (float)random.NextNormal()).ToArray();
            return new Row { Features = x, Label = (float)(Math.Sin(2 * x[0]) + (x[1] * x[2]) + Math.Abs(x[3]) + (0.3 * random.NextNormal())) };
        })];
    }
}
