using System.Diagnostics;
using Microsoft.ML;

namespace MlNetMlp.Bench;

/// <summary>One row at a time through ML.NET's prediction engine, beside LightGBM's.</summary>
internal static class SingleRow
{
    private const int Calls = 200_000;
    private const int WarmUp = 300_000;

    private sealed class Prediction
    {
        public float Score { get; set; }
    }

    public static void Run()
    {
        var ml = new MLContext(1);
        var rows = Generated.Rows(10_000);
        using var ours = ml.Model.CreatePredictionEngine<Generated.Row, Prediction>(Generated.Fit(ml, rows));
        using var trees = ml.Model.CreatePredictionEngine<Generated.Row, Prediction>(
            ml.Regression.Trainers.LightGbm().Fit(ml.Data.LoadFromEnumerable(rows)));

        foreach (var (name, engine) in new[] { ("ScaledMlp 28-64-64-1", ours), ("LightGBM, 100 trees", trees) })
        {
            var result = new Prediction();
            for (var i = 0; i < WarmUp; i++)
                engine.Predict(rows[i % rows.Length], ref result);
            Thread.Sleep(500);
            for (var i = 0; i < WarmUp; i++)
                engine.Predict(rows[i % rows.Length], ref result);
            var ticks = new long[Calls];
            for (var i = 0; i < Calls; i++)
            {
                var start = Stopwatch.GetTimestamp();
                engine.Predict(rows[i % rows.Length], ref result);
                ticks[i] = Stopwatch.GetTimestamp() - start;
            }

            Array.Sort(ticks);
            var overall = Stopwatch.StartNew();
            for (var i = 0; i < Calls; i++)
                engine.Predict(rows[i % rows.Length], ref result);
            Console.WriteLine($"engine: {name}: median {Micros(ticks[Calls / 2]):F2} µs, p99 {Micros(ticks[Calls * 99 / 100]):F2} µs, mean of an untimed run {overall.Elapsed.TotalMicroseconds / Calls:F2} µs");
        }

        static double Micros(long ticks) => ticks * 1e6 / Stopwatch.Frequency;
    }
}
