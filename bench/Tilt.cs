using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Explain;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;
using MlNetMlp.Tabular;
using MlNetMlp.Training;

namespace MlNetMlp.Bench;

/// <summary>
/// Pairs of MNIST's digits, 1,400 to 1,500 images to train on: accuracy and tilt of linear boundaries by regularisation, ours and those of ML.NET's logistic regression, and of networks by weight decay.
/// </summary>
internal static class Tilt
{
    private const int Seeds = 3;

    private static readonly MLContext Ml = new(1);

    private sealed class Row
    {
        [VectorType(784)]
        public float[] Features { get; set; } = [];

        public bool Label { get; set; }
    }

    public static void Run()
    {
        Ml.Log += (_, entry) =>
        {
            if (entry.Message.Contains("Warning", StringComparison.Ordinal))
                Console.WriteLine(entry.Message);
        };
        foreach (var (no, yes) in new[] { (3, 7), (4, 9), (0, 1) })
        {
            if (Digits.Read("tilt", no, yes) is not { } digits)
                return;
            Row[] rows = [.. digits.Select(entry => new Row { Features = entry.Pixels, Label = entry.Digit == yes })];
            new Random(1).Shuffle(rows);
            var count = rows.Length * 7 / 10;
            var pair = new Pair($"{no} vs {yes}", Ml.Data.LoadFromEnumerable(rows[..count]), Ml.Data.LoadFromEnumerable(rows[count..]));
            Console.WriteLine($"tilt: {pair.Name}, {count} rows to train on, {rows.Length - count} to test");

            // Logistic regression has an offset of its own, which is what is compared.
            foreach (var (estimator, bias) in new[] { (TiltEstimator.RidgeDiscriminant, TiltBias.Midpoint), (TiltEstimator.Logistic, TiltBias.LogPrior) })
            {
                foreach (var regularization in new[] { 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100 })
                    pair.Tell($"{estimator} λ {regularization:G2}", Ours(new() { Estimator = estimator, Bias = bias, Regularization = regularization, PathPoints = 1 }));
            }

            pair.Tell("RidgeDiscriminant at most 60°", Ours(new()));
            pair.Tell("RidgeDiscriminant by a fifth held out", Ours(new() { ValidationFraction = 0.2 }));
            foreach (var l2 in new[] { 1e-3f, 1e-2f, 0.1f, 1, 10, 100, 1000 })
                pair.Tell($"ML.NET LbfgsLogisticRegression L2 {l2:G2}", Ml.BinaryClassification.Trainers.LbfgsLogisticRegression(l1Regularization: 0, l2Regularization: l2));
            if (no == 3)
            {
                Networks(pair, OptimizerKind.AdamW, 1e-3, [0, 1e-4, 1e-3, 1e-2, 0.1, 1, 10]);
                Networks(pair, OptimizerKind.Sgd, 0.1, [0, 1e-4, 1e-3, 1e-2]);
            }
        }
    }

    private static NetworkTrainer<BinaryNetworkModel> Ours(TiltControlledLinear.Options options) => Ml.BinaryClassification.Trainers.TiltControlledLinear(options with { Seed = 1 });

    private static void Networks(Pair pair, OptimizerKind optimizer, double rate, double[] decays)
    {
        foreach (var decay in decays)
        {
            var figures = new List<double[]>();
            var clock = Stopwatch.StartNew();
            for (var seed = 1; seed <= Seeds; seed++)
            {
                var model = Ml.BinaryClassification.Trainers.ScaledMlp(new ScaledMlp.Options
                {
                    Architecture = ScaledMlpArchitecture.Standard, Normalization = ScaledMlpNormalization.None, Activation = ScaledMlpActivation.Relu, StandardizeInputs = false,
                    LabelSmoothing = 0, Optimizer = optimizer, LearningRate = rate, WeightDecay = decay, Epochs = 40, ValidationFraction = 0, Seed = seed,
                }).Fit(pair.Train);
                var report = Ml.Model.EvaluateBoundaryTilt(model, pair.Test);
                var local = report.Tilt!.Local!;
                figures.Add(
                [
                    Pair.Accuracy(model, pair.Train), Pair.Accuracy(model, pair.Test), local.RowStrength!.Median, local.RowStrength.Tenth, local.RowStrength.NineTenths, local.AngleDegrees!.Median,
                    report.Tilt.AdversarialStrength ?? double.NaN, (double)local.RowsWithoutBoundary / local.Rows,
                ]);
            }

            double[] means = [.. Enumerable.Range(0, figures[0].Length).Select(i => figures.Average(one => one[i]))];
            Console.WriteLine(
                $"tilt: {pair.Name}, ScaledMlp by {optimizer}, weight decay {decay:G2}, mean of {Seeds} seeds: train {means[0]:F4}, test {means[1]:F4}, row strength {means[2]:F3} ({means[3]:F2} to {means[4]:F2}), "
                + $"local angle {means[5]:F1}°, strength {means[6]:F3}, without boundary {means[7]:P1}; medians {string.Join(", ", figures.Select(one => FormattableString.Invariant($"{one[2]:F3}")))}; {clock.Elapsed.TotalSeconds:F0} s");
        }
    }

    /// <summary>How long whole paths of normals take where rows are decomposed, against what their covariance would take.</summary>
    public static void Paths()
    {
        foreach (var (count, width) in new[] { (500, 1500), (1000, 3000), (3000, 2200), (6000, 2200) })
        {
            var random = new Random(1);
            var schema = SchemaDefinition.Create(typeof(Row));
            schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, width);
            var data = Ml.Data.Cache(Ml.Data.LoadFromEnumerable(
                Enumerable.Range(0, count).Select(row => new Row { Features = [.. Enumerable.Range(0, width).Select(i => random.NextSingle() + (row % 2 == i % 7 ? 0.1f : 0))], Label = row % 2 == 0 }).ToArray(), schema));
            var clock = Stopwatch.StartNew();
            Ours(new()).Fit(data);
            var seconds = clock.Elapsed.TotalSeconds;
            clock.Restart();
            using var scope = TorchSharp.torch.NewDisposeScope();
            using (var rows = TorchSharp.torch.randn(count, width, TorchSharp.torch.ScalarType.Float64))
                TorchSharp.torch.linalg.eigh(rows.t().mm(rows));
            Console.WriteLine($"tilt: {count} x {width}: whole fit with 33 points {seconds:F2} s; covariance and its eigenvectors alone {clock.Elapsed.TotalSeconds:F2} s");
        }
    }

    private sealed record Pair(string Name, IDataView Train, IDataView Test)
    {
        public static double Accuracy(ITransformer model, IDataView data) => Ml.BinaryClassification.EvaluateNonCalibrated(model.Transform(data)).Accuracy;

        public void Tell(string name, IEstimator<ITransformer> trainer)
        {
            var clock = Stopwatch.StartNew();
            var model = trainer.Fit(Train);
            var seconds = clock.Elapsed.TotalSeconds;

            // The angle to the line between the means of the training rows, as the path has it.
            var tilt = Ml.Model.EvaluateBoundaryTilt(model, Train).Tilt!;
            var chosen = TiltControlledLinear.GetReport(model) is { } report ? $" (λ {report.Regularization:G3})" : "";
            Console.WriteLine(
                $"tilt: {Name}, {name}{chosen}: train {Accuracy(model, Train):F4}, test {Accuracy(model, Test):F4}, angle {tilt.DeviationAngleDegrees:F1}°, strength {tilt.AdversarialStrength:F3}, "
                + $"variance ratio {tilt.TiltVarianceRatio:G3}, {tilt.Type}; {seconds:F2} s");
        }
    }
}
