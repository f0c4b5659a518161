using System.Buffers;
using System.Diagnostics;
using System.Text.Json;
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

        var data = ml.Data.LoadFromEnumerable(rows);
        var scorer = Generated.Fit(ml, rows).CreateRowScorer(data.Schema, ["Score"]);
        byte[][] json = [.. rows.Select(row => JsonSerializer.SerializeToUtf8Bytes(new { row.Features }))];
        Dictionary<string, object?>[] dictionaries = [.. rows.Select(row => new Dictionary<string, object?> { ["Features"] = row.Features })];
        var (result, score, output) = (new Prediction(), new float[1], new ArrayBufferWriter<byte>(256));
        Measure("engine: ScaledMlp 28-64-64-1", i => ours.Predict(rows[i], ref result));
        Measure("engine: LightGBM, 100 trees", i => trees.Predict(rows[i], ref result));
        Measure("row scorer: ScaledMlp 28-64-64-1, spans", i => scorer.Score(rows[i].Features, score));
        Measure("row scorer: the same, dictionaries", i => scorer.Score(dictionaries[i]));
        Measure("row scorer: the same, JSON", i =>
        {
            output.ResetWrittenCount();
            scorer.ScoreJson(json[i], output);
        });

        void Measure(string name, Action<int> call)
        {
            for (var i = 0; i < WarmUp; i++)
                call(i % rows.Length);
            Thread.Sleep(500);
            for (var i = 0; i < WarmUp; i++)
                call(i % rows.Length);
            var ticks = new long[Calls];
            for (var i = 0; i < Calls; i++)
            {
                var start = Stopwatch.GetTimestamp();
                call(i % rows.Length);
                ticks[i] = Stopwatch.GetTimestamp() - start;
            }

            Array.Sort(ticks);
            var allocated = GC.GetAllocatedBytesForCurrentThread();
            var overall = Stopwatch.StartNew();
            for (var i = 0; i < Calls; i++)
                call(i % rows.Length);
            Console.WriteLine(
                $"{name}: median {Micros(ticks[Calls / 2]):F2} µs, p99 {Micros(ticks[Calls * 99 / 100]):F2} µs, mean of an untimed run {overall.Elapsed.TotalMicroseconds / Calls:F2} µs, " +
                $"{(GC.GetAllocatedBytesForCurrentThread() - allocated) / Calls} bytes allocated for each");
        }

        static double Micros(long ticks) => ticks * 1e6 / Stopwatch.Frequency;
    }
}
