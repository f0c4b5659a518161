using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Convex;
using MlNetMlp.Data;
using MlNetMlp.Explain;
using MlNetMlp.Runtime;
using MlNetMlp.Tabular;
using MlNetMlp.Training;

namespace MlNetMlp.Bench;

/// <summary>
/// Convex training on digits against an MLP trained by Adam to the same accuracy, and one fit against the algebra of a plain port: a Cholesky factor of size
/// 2dP in NumPy (PYTHON or python3, where it has NumPy). What a large fit takes in memory. Accuracy under attack by radius, plain, trained on attacks and convex-robust.
/// </summary>
internal static class Convex
{
    private const int Rounds = 5;
    private const int Splits = 10;
    private const double Wanted = 0.98;

    private static readonly int[] EpochCounts = [5, 10, 20, 40, 80];

    // One output, squared loss, ten iterations; F and G are not formed by the port either, but its matrix of size 2dP is.
    private const string Port = """
        import sys, time
        import numpy as np
        n, d, p, rounds = (int(a) for a in sys.argv[1:5])
        rng = np.random.default_rng(1)
        x = rng.standard_normal((n, d)).astype(np.float32)
        y = np.sin(x @ rng.standard_normal(d).astype(np.float32))
        beta, rho = 0.4, 12.5
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            mask = (x @ rng.standard_normal((d, p)).astype(np.float32) >= 0).astype(np.float32)
            sign = 2 * mask - 1
            f = (x[:, None, :] * mask[:, :, None]).reshape(n, p * d)
            f = np.concatenate([f, -f], 1)
            a = f.T @ f / rho + np.eye(2 * p * d, dtype=np.float32)
            gram = x.T @ x
            for i in range(2 * p):
                a[i * d:(i + 1) * d, i * d:(i + 1) * d] += gram
            c = np.linalg.cholesky(a)
            v = np.zeros(2 * p * d, np.float32); lam = np.zeros_like(v); s = np.zeros((n, 2 * p), np.float32); nu = np.zeros_like(s)
            both = np.concatenate([sign, sign], 1)
            fy = f.T @ y / rho
            for _ in range(10):
                b = fy + v - lam + (x.T @ (both * (s - nu))).T.reshape(-1)
                u = back(c, forward(c, b))
                w = (u + lam).reshape(2 * p, d)
                norms = np.linalg.norm(w, axis=1, keepdims=True)
                v = (np.maximum(1 - beta / rho / np.maximum(norms, 1e-30), 0) * w).reshape(-1)
                gu = both * (x @ u.reshape(2 * p, d).T)
                s = np.maximum(gu + nu, 0)
                lam += u - v
                nu += gu - s
            times.append(time.perf_counter() - start)
        print(sorted(times)[len(times) // 2])
        """;

    // Triangular solutions block by block, since NumPy alone has none: products with most of the factor, small systems on its diagonal.
    private const string Triangles = """
        import numpy as np
        def forward(c, b, k=256):
            x = b.copy()
            for i in range(0, len(x), k):
                j = min(i + k, len(x))
                x[i:j] = np.linalg.solve(c[i:j, i:j], x[i:j])
                x[j:] -= c[j:, i:j] @ x[i:j]
            return x
        def back(c, b, k=256):
            x = b.copy()
            for i in range((len(x) - 1) // k * k, -1, -k):
                j = min(i + k, len(x))
                x[i:j] = np.linalg.solve(c[i:j, i:j].T, x[i:j])
                x[:i] -= c[i:j, :i].T @ x[i:j]
            return x

        """;

    public static void Run(ILookup<string, string> options)
    {
        var report = Report.Of(options, "convex", "Convex training");
        Digits(report);
        PlainPort(report);
        Memory(report);
        ManyRows(report);
        Robustness(report);
        report.Save();
    }

    // Test rows are few, so that accuracy is the mean over some splits, others than those that the options were chosen on.
    private static void Digits(Report report)
    {
        var ml = new MLContext(1);
        var rows = Read("samples/Quickstart/data/digits.csv", 64);
        var splits = Enumerable.Range(1, Splits).Select(seed =>
        {
            var shuffled = rows.ToArray();
            new Random(seed).Shuffle(shuffled);
            return (Train: Keyed(ml, shuffled[..1257]), Test: Keyed(ml, shuffled[1257..]));
        }).ToArray();
        var trainers = ml.MulticlassClassification.Trainers;
        var convex = trainers.ConvexRelu(new ConvexRelu.Options
        {
            SampledPatterns = 24, Beta = 2e-4, Rho = 3000, DualStep = 1.55, StandardizeInputs = false, MaxIterations = 6, ValidationFraction = 0, Seed = 1,
        });
        double Accuracy(IEstimator<ITransformer> trainer) =>
            splits.Average(split => ml.MulticlassClassification.Evaluate(trainer.Fit(split.Train).Transform(split.Test)).MicroAccuracy);

        // The least number of epochs that brings the MLP there; of less than that nobody could know beforehand.
        var found = EpochCounts.Select(count => (Epochs: count, Accuracy: Accuracy(Mlp(count)))).FirstOrDefault(pair => pair.Accuracy >= Wanted);
        var (epochs, theirs) = found.Epochs > 0 ? found : (EpochCounts[^1], Accuracy(Mlp(EpochCounts[^1])));
        var convexAccuracy = Accuracy(convex);
        var lines = new List<string[]>();
        foreach (var count in new[] { 1, Environment.ProcessorCount })
        {
            using var threads = TorchThreads.Limit(count);
            var seconds = Clock.Medians(Rounds, () => convex.Fit(splits[0].Train), () => Mlp(epochs).Fit(splits[0].Train));
            lines.Add([$"{count}", $"{convexAccuracy:P1} after 6 iterations", $"{seconds[0]:F3}", $"{theirs:P1} after {epochs} epochs", $"{seconds[1]:F3}", $"{seconds[1] / seconds[0]:F1}"]);
        }

        report.Add($"Digits, 1,257 x 64, 10 classes: accuracy over {Splits} splits, and the median time of {Rounds} fits", ["threads", "`ConvexRelu`", "s", "`ScaledMlp` by AdamW, the least epochs to get there", "s", "ratio"], lines);

        IEstimator<ITransformer> Mlp(int count) => trainers.ScaledMlp(new ScaledMlp.Options { Epochs = count, Patience = 0, ValidationFraction = 0, Seed = 1 });
    }

    private static void PlainPort(Report report)
    {
        const int n = 1257, d = 64, p = 64;
        var random = new Random(1);
        var rows = Enumerable.Range(0, n).Select(_ => new Row { Features = [.. Enumerable.Range(0, d).Select(_ => (float)((2 * random.NextDouble()) - 1))] }).ToArray();
        foreach (var row in rows)
            row.Number = MathF.Sin(3 * row.Features[..8].Sum());
        var ml = new MLContext(1);
        var view = ml.Data.LoadFromEnumerable(rows, Schema(d));
        var trainer = ml.Regression.Trainers.ConvexRelu(new ConvexRelu.Options
        {
            LabelColumnName = nameof(Row.Number), SampledPatterns = p, Beta = 3e-4, MaxIterations = 10, ValidationFraction = 0, Bias = false,
        });
        using var threads = TorchThreads.Limit(1);
        var ours = Clock.Medians(Rounds, () => trainer.Fit(view))[0];
        double[] theirs = PythonPeer.Has("The port", "numpy") ? PythonPeer.Run(1, Triangles + Port, $"{n}", $"{d}", $"{p}", $"{Rounds}") : [];
        report.Add($"One fit, {n:N0} x {d}, P = {p}, 10 iterations, one output, one thread, against a plain port", ["algebra", "s", "ratio"],
        [
            ["`ConvexRelu`", $"{ours:F2}", "1"],
            [$"a Cholesky factor of size 2dP = {2 * d * p} in NumPy", theirs is [var seconds, ..] ? $"{seconds:F2}" : "NumPy is not at hand", theirs is [var time, ..] ? $"{time / ours:F0}" : ""],
        ]);
    }

    private static void Memory(Report report)
    {
        const int n = 5000, d = 64, classes = 10;
        var random = new Random(1);
        var rows = Enumerable.Range(0, n).Select(i => new Row
        {
            Features = [.. Enumerable.Range(0, d).Select(j => (float)(random.NextDouble() + (j % classes == i % classes ? 0.3 : 0)))], Number = i % classes,
        }).ToArray();
        var ml = new MLContext(1);
        var view = Keyed(ml, rows);
        var before = Process.GetCurrentProcess().PeakWorkingSet64;
        var trainer = ml.MulticlassClassification.Trainers.ConvexRelu(new ConvexRelu.Options { MaxIterations = 10, ValidationFraction = 0 });
        trainer.Fit(view);
        report.Say($"Memory: with {n:N0} x {d}, {classes} classes and P = 64 the peak of the process rises by {(Process.GetCurrentProcess().PeakWorkingSet64 - before) / 1e6:F0} MB; the duals are 26 MB, the factor 200.");
    }

    private static void ManyRows(Report report)
    {
        const int n = 50_000, d = 54, tests = 5_000;
        var random = new Random(1);
        var rows = Enumerable.Range(0, n + tests).Select(_ => new Row { Features = [.. Enumerable.Range(0, d).Select(_ => (float)((2 * random.NextDouble()) - 1))] }).ToArray();
        foreach (var row in rows)
            row.Number = MathF.Sin(row.Features[..4].Sum()) + Math.Abs(row.Features[4]) + (row.Features[5] * row.Features[6]);
        var ml = new MLContext(1);
        var solver = "";
        ml.Log += (_, e) => solver = e.Message.IndexOf("The linear system", StringComparison.Ordinal) is >= 0 and var start ? e.Message[start..] : solver;
        var (train, test) = (ml.Data.LoadFromEnumerable(rows[..n], Schema(d)), ml.Data.LoadFromEnumerable(rows[n..], Schema(d)));
        var clock = Stopwatch.StartNew();
        var model = ml.Regression.Trainers.ConvexRelu(new ConvexRelu.Options { LabelColumnName = nameof(Row.Number), Seed = 1 }).Fit(train);
        var seconds = clock.Elapsed.TotalSeconds;
        var certificate = ConvexRelu.GetCertificate(model)!;
        report.Say(
            $"Many rows: {n:N0} x {d}, P = {certificate.Patterns}: {seconds:F0} s, {certificate.Iterations} iterations, R² {ml.Regression.Evaluate(model.Transform(test), nameof(Row.Number)).RSquared:F3} "
            + $"on {tests} other rows, {certificate.RelativeGap:P1} above the lower bound. {solver}");
    }

    private static void Robustness(Report report)
    {
        var digits = Read("samples/Quickstart/data/digits.csv", 64).Where(row => row.Number is 3 or 8).Select(row => new Row
        {
            Features = [.. row.Features.Select(x => x / 16)], Flag = row.Number == 3,
        }).ToArray();
        Attack(report, "digits 3 and 8", digits, PerturbationUnit.One, 0.1, [0.05, 0.1, 0.15]);
        Attack(report, "breast cancer", Read("samples/Quickstart/data/breast_cancer.csv", 30), PerturbationUnit.StandardDeviation, 0.3, [0.1, 0.3, 0.5]);
        var sonar = Path.Combine(Choice.DataFolder, "sonar", "sonar.csv");
        if (File.Exists(sonar))
            Attack(report, "sonar", Read(sonar, 60), PerturbationUnit.StandardDeviation, 0.2, [0.1, 0.2, 0.3]);
        else
            report.Say($"There is no {Path.GetFileName(sonar)}; set MLNETMLP_DATA.");
    }

    private static void Attack(Report report, string name, Row[] rows, PerturbationUnit unit, double epsilon, double[] radii)
    {
        var ml = new MLContext(1);
        new Random(1).Shuffle(rows);
        var view = (Row[] part) => ml.Data.LoadFromEnumerable(part, Schema(rows[0].Features.Length));
        var (train, test) = (view(rows[..(rows.Length / 2)]), view(rows[(rows.Length / 2)..]));
        var trainers = ml.BinaryClassification.Trainers;
        var common = new ConvexRelu.Options { LabelColumnName = nameof(Row.Flag), SampledPatterns = 32, ValidationFraction = 0, Seed = 1 };
        var (lines, tested) = (new List<string[]>(), 0L);
        foreach (var (method, trainer) in new (string, IEstimator<ITransformer>)[]
        {
            ("plain convex", trainers.ConvexRelu(common with { Loss = ConvexReluLoss.Hinge })),
            ("trained on PGD", trainers.AdversariallyRobustNetwork(new AdversariallyRobustNetwork.Options
            {
                LabelColumnName = nameof(Row.Flag), Norm = PerturbationNorm.LInf, Epsilon = epsilon, Unit = unit, HiddenUnits = 64, HiddenLayers = 1, AttackSteps = 10, BatchSize = 32, Epochs = 60, Seed = 1,
            })),
            ("convex-robust", trainers.RobustConvexRelu(new RobustConvexRelu.Options
            {
                LabelColumnName = nameof(Row.Flag), SampledPatterns = 16, ValidationFraction = 0, Epsilon = epsilon, Unit = unit, Seed = 1,
            })),
        })
        {
            var clock = Stopwatch.StartNew();
            var model = trainer.Fit(train);
            var seconds = clock.Elapsed.TotalSeconds;
            var found = ml.BinaryClassification.EvaluateRobustness(test, model, new() { LabelColumnName = nameof(Row.Flag), Radii = radii, Unit = unit });
            tested = found.Rows;
            lines.Add([method, $"{seconds:F1}", $"{found.CleanAccuracy:P1}", .. found.Points.Select(point => $"{point.AttackedAccuracy:P1}" + (point.CertifiedAccuracy is { } certain ? $" ({certain:P1})" : ""))]);
        }

        report.Add($"Accuracy under attack, {name}, {tested} test rows, ε = {epsilon}; in brackets what no perturbation can fool", ["training", "s", "clean", .. radii.Select(radius => $"radius {radius}")], lines);
    }

    private static Row[] Read(string path, int width) =>
    [
        .. File.ReadLines(path).Skip(1).Select(line => line.Split(',')).Select(cells => new Row
        {
            Features = [.. cells.Take(width).Select(cell => float.Parse(cell, CultureInfo.InvariantCulture))],
            Number = float.TryParse(cells[width], CultureInfo.InvariantCulture, out var number) ? number : 0,
            Flag = cells[width] is "1" or "Mine" or "M",
        }),
    ];

    private static IDataView Keyed(MLContext ml, Row[] rows)
    {
        var view = ml.Data.LoadFromEnumerable(rows, Schema(rows[0].Features.Length));
        return ml.Data.Cache(ml.Transforms.Conversion.MapValueToKey(
            "Label", nameof(Row.Number), keyOrdinality: Microsoft.ML.Transforms.ValueToKeyMappingEstimator.KeyOrdinality.ByValue).Fit(view).Transform(view));
    }

    private static SchemaDefinition Schema(int width)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, width);
        return schema;
    }

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public float Number { get; set; }

        public bool Flag { get; set; }
    }
}
