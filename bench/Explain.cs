using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Explain;
using MlNetMlp.Explanations;
using MlNetMlp.Methods;
using MlNetMlp.Training;
using static TorchSharp.torch;

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

        BlockImages(ml);

        IDataView Explained(ExplanationOptions options) => ml.Transforms.ExplainPrediction(model, options).Fit(data).Transform(data);
    }

    /// <summary>Digits 0 and 1 of MNIST above or below a block that tells nothing: where ordinary and robust networks look.</summary>
    private static void BlockImages(MLContext ml)
    {
        if (Digits.Read("explain", 0, 1) is not { } digits)
            return;
        Image[] images = [.. digits.Select(entry => new Image { Digit = entry.Pixels, Label = entry.Digit == 1 })];
        new Random(1).Shuffle(images);
        var count = images.Length * 8 / 10;
        var options = new AdversariallyRobustNetwork.Options
        {
            ImageShape = new(56, 28), HiddenUnits = 128, HiddenLayers = 1, BatchSize = 100, Epochs = 5, Epsilon = 0, InputMin = 0, InputMax = 1, Seed = 1,
        };
        foreach (var (name, trainer, placement) in new[]
        {
            ("ordinary", options, BlockPlacement.Random), ("robust", options with { Epsilon = 2, Epochs = 12, LearningRate = 3e-3 }, BlockPlacement.Random), ("ordinary, always above", options, BlockPlacement.Top),
        })
        {
            var compose = ml.Transforms.ComposeBlockImage("Features", nameof(Image.Digit), new() { Placement = placement });
            var (train, test) = (Compose(images[..count]), Compose(images[count..]));
            var clock = Stopwatch.StartNew();
            var model = ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(trainer).Fit(train);
            var seconds = clock.Elapsed.TotalSeconds;
            var accuracy = ml.BinaryClassification.Evaluate(model.Transform(test)).Accuracy;
            var explained = ml.Transforms.ExplainPrediction(model, new() { Method = ExplanationMethod.Gradient }).Fit(test).Transform(test);
            var report = ml.Model.EvaluateSignalFraction(explained);
            Console.WriteLine(
                $"explain: block images, {count} to train on, {name} in {seconds:F0} s: accuracy {accuracy:F3}, under attack {Attacked(model.Model.Network, test):F3}; of the gradient {report.Overall:F2} is on the "
                + $"signal's half, {string.Join(", ", report.Top.Select(top => $"{top.Share:F2} of its greatest {top.Fraction:P0}"))}");

            IDataView Compose(Image[] part)
            {
                var rows = ml.Data.LoadFromEnumerable(part);
                return ml.Data.Cache(compose.Fit(rows).Transform(rows));
            }
        }
    }

    private static double Attacked(TrainedNetwork trained, IDataView test)
    {
        using var scope = NewDisposeScope();
        using var network = trained.CreateNetwork();
        using var random = new Generator(1, CPU);
        using var rows = LabeledRows.Read(test, "Features", "Label", trained.Inputs);
        var batch = new RowBlock(rows.Features, tensor(rows.Labels), null);
        var moved = new ProjectedGradient(PerturbationNorm.L2, 8, Least: 0, Greatest: 1).Move(network, trained.Head, batch, ones(trained.Inputs), 2, random);
        using var noGradient = no_grad();
        return trained.Head.MetricSum(network.call(moved), batch.Labels) / rows.Labels.Length;
    }

    private sealed class Image
    {
        [VectorType(784)]
        public float[] Digit { get; set; } = [];

        public bool Label { get; set; }
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
