using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Tabular;

namespace MlNetMlp.Bench;

/// <summary>Explaining 100,000 rows of 100 features as a data view does, against scoring them, and what it takes in memory for few and many rows.</summary>
internal static class Explain
{
    private const int Width = 100;
    private const int Count = 100_000;

    private sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = new float[Width];

        public float Label { get; set; }
    }

    public static void Run()
    {
        var ml = new MLContext(1);
        var random = new Random(1);
        var rows = Enumerable.Range(0, Count).Select(_ =>
        {
            var row = new Row();
            for (var i = 0; i < Width; i++)
                row.Features[i] = (float)((2 * random.NextDouble()) - 1);
            row.Label = row.Features[0] + (row.Features[1] * row.Features[2]);
            return row;
        }).ToArray();
        var data = ml.Data.LoadFromEnumerable(rows);
        var model = ml.Regression.Trainers.ScaledMlp(Generated.Small).Fit(ml.Data.LoadFromEnumerable(rows[..2000]));
        var scored = model.Transform(data);
        var gradient = Explained(new() { Method = ExplanationMethod.Gradient });
        var integrated = Explained(new());

        var seconds = Clock.Medians(5, () => Read<float>(scored, "Score"), () => Read<VBuffer<float>>(gradient, "FeatureContributions"));
        var path = Clock.Medians(1, () => Read<VBuffer<float>>(integrated, "FeatureContributions"))[0];
        Console.WriteLine($"explain: {Count} x {Width}, 100-64-64-1: scores {seconds[0] * 1e3:F0} ms; gradients {seconds[1] * 1e3:F0} ms, {seconds[1] / seconds[0]:F1} times; "
            + $"integrated gradients with 32 steps {path * 1e3:F0} ms, {path / seconds[0]:F1} times");

        var before = Process.GetCurrentProcess().PeakWorkingSet64;
        for (var i = 0; i < 3; i++)
            Read<VBuffer<float>>(integrated, "FeatureContributions");
        Console.WriteLine($"explain: {3 * Count} rows more raise the peak of memory by {(Process.GetCurrentProcess().PeakWorkingSet64 - before) / 1e6:F1} MB");

        IDataView Explained(ExplanationOptions options) => ml.Transforms.ExplainPrediction(model, options).Fit(data).Transform(data);
    }

    private static void Read<T>(IDataView data, string name)
    {
        var column = data.Schema[name];
        using var cursor = data.GetRowCursor([column]);
        var getter = cursor.GetGetter<T>(column);
        T value = default!;
        while (cursor.MoveNext())
            getter(ref value);
    }
}
