using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers.LightGbm;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Tabular;

namespace MlNetMlp.Bench;

/// <summary>
/// Random features on 100,000 rows of forest cover (the 20,000 that are at hand, five times, each with another small noise) against scikit-learn's
/// RBFSampler and Ridge with as many features, both on two threads, in turns; and on the official parts beside other trainers. Python is found
/// by PYTHON or as python3; it needs scikit-learn.
/// </summary>
internal static class FormsAndPeers
{
    private const int Units = 1000;
    private const int Width = 54;
    private const int Repeats = 5;

    private const string Driver = """
        import sys, time
        import numpy as np
        from sklearn.kernel_approximation import RBFSampler
        from sklearn.linear_model import Ridge
        units, width = int(sys.argv[3]), int(sys.argv[4])
        train, test = (np.fromfile(path, dtype=np.float32).reshape(-1, width + 1).astype(sys.argv[7]) for path in sys.argv[1:3])
        start = time.perf_counter()
        mean, scale = train[:, :-1].mean(0), train[:, :-1].std(0)
        scale[scale == 0] = 1
        scale *= np.sqrt(width)
        best = None
        sampler = RBFSampler(gamma=float(sys.argv[5]), n_components=units, random_state=1)
        h = sampler.fit_transform((train[:, :-1] - mean) / scale)
        classes = train[:, -1].astype(int)
        model = Ridge(alpha=float(sys.argv[6])).fit(h, np.eye(7, dtype=h.dtype)[classes])
        seconds = time.perf_counter() - start
        predicted = model.predict(sampler.transform((test[:, :-1] - mean) / scale)).argmax(1)
        print((predicted == test[:, -1].astype(int)).mean(), seconds, h.dtype)
        """;

    public static void Run(Report report)
    {
        var folder = Choice.DataFolder;
        var path = Path.Combine(folder, "covertype", "covertype_20k.csv.gz");
        if (!File.Exists(path))
        {
            report.Say($"There is no {Path.GetFileName(path)}; set MLNETMLP_DATA.");
            return;
        }

        var rows = Read(path);
        TimeToAccuracy(report, rows[..11_340], rows[11_340..15_120]);
        report.Save();
        if (PythonPeer.Has("scikit-learn", "sklearn"))
            ScikitLearn(report, rows);
    }

    private static void ScikitLearn(Report report, Row[] rows)
    {
        var shuffled = rows.ToArray();
        new Random(1).Shuffle(shuffled);
        var test = shuffled[..2000];
        var train = Enumerable.Range(0, Repeats).SelectMany(i => Jittered(shuffled[2000..], i)).Concat(Jittered(shuffled[2000..], Repeats)).Take(100_000).ToArray();
        var ml = new MLContext(1);
        var (fit, judge) = (View(ml, train), View(ml, test));

        // The same law, width and penalty on both sides; then fewer units of a better kind; then ours as it comes, which searches for the scale.
        var fourier = new RandomFeatureNetwork.Options
        {
            HiddenUnits = Units, Activation = RandomActivation.Cosine, WeightDistribution = RandomWeightDistribution.Gaussian, WeightScale = 4, Seed = 1,
            L2 = 1, L2Unit = RandomFeatureNetworkPenaltyUnit.Absolute, ValidationFraction = 0.02, Diagnose = false, KeepSums = false,
        };
        var defaults = new RandomFeatureNetwork.Options { HiddenUnits = Units, Seed = 1 };
        var lines = new List<string[]>();
        foreach (var type in new[] { "float64", "float32" })
        {
            var theirs = Enumerable.Range(0, 3).Select(_ => Python(train, test, 8, 1, type)).OrderBy(run => run.Seconds).ElementAt(1);
            lines.Add([$"RBFSampler ({Units:N0}) and Ridge of scikit-learn, {type}", $"{theirs.Accuracy:P2}", $"{theirs.Seconds:F2}"]);
        }

        foreach (var (name, options) in new[]
        {
            ("1,000 of the same cosines, the same penalty", fourier),
            Pairs(300),
            Pairs(400),
            Pairs(500),
            ("1,000 tanh, scale searched for", defaults),
        })
        {
            var accuracy = 0.0;
            var seconds = Clock.Medians(3, () => accuracy = Fit(ml, fit, judge, options))[0];
            lines.Add([$"`RandomFeatureNetwork`, {name}", $"{accuracy:P2}", $"{seconds:F2}"]);
        }

        report.Add($"Forest cover, {train.Length:N0} x {Width}: medians of 3 fits", ["trainer", "accuracy", "s"], lines);

        (string, RandomFeatureNetwork.Options) Pairs(int units) => ($"{units} softplus between pairs of rows", defaults with
        {
            HiddenUnits = units, Activation = RandomActivation.Softplus, WeightDistribution = RandomWeightDistribution.DataPairs, Diagnose = false, KeepSums = false,
            ValidationFraction = 0.02,
        });
    }

    private static void TimeToAccuracy(Report report, Row[] train, Row[] test)
    {
        var ml = new MLContext(1);
        var (fit, judge) = (View(ml, train), View(ml, test));
        var trainers = ml.MulticlassClassification.Trainers;
        var options = new RandomFeatureNetwork.Options { HiddenUnits = Units, Seed = 1 };
        var lines = new List<(string Name, double Accuracy, double Seconds)>();
        foreach (var (name, estimator) in new (string, IEstimator<ITransformer>)[]
        {
            ("RandomFeatureNetwork", trainers.RandomFeatureNetwork(options)),
            ("RandomFeatureNetwork, 3,000 units", trainers.RandomFeatureNetwork(options with { HiddenUnits = 3000 })),
            ("RandomFeatureNetwork, cross-entropy", trainers.RandomFeatureNetwork(options with { Solver = RandomFeatureNetworkSolver.CrossEntropy })),
            ("SDCA", ml.Transforms.NormalizeMeanVariance("Features").Append(trainers.SdcaMaximumEntropy())),
            ("ApproximatedKernelMap and SDCA", ml.Transforms.NormalizeMeanVariance("Features").Append(ml.Transforms.ApproximatedKernelMap("Random", "Features", rank: Units / 2))
                .AppendCacheCheckpoint(ml).Append(trainers.SdcaMaximumEntropy("Label", "Random", maximumNumberOfIterations: 20))),
            ("RandomFeatureMap and SDCA", ml.Transforms.RandomFeatureMap("Random", "Features", Units)
                .AppendCacheCheckpoint(ml).Append(trainers.SdcaMaximumEntropy("Label", "Random", maximumNumberOfIterations: 20))),
            ("LightGBM", trainers.LightGbm(new LightGbmMulticlassTrainer.Options { NumberOfThreads = 2 })),
            ("ScaledMlp", trainers.ScaledMlp(new ScaledMlp.Options { Seed = 1 })),
        })
        {
            var clock = Stopwatch.StartNew();
            var model = estimator.Fit(fit);
            var seconds = clock.Elapsed.TotalSeconds;
            lines.Add((name, ml.MulticlassClassification.Evaluate(model.Transform(judge)).MicroAccuracy, seconds));
        }

        report.Add($"Forest cover, official parts, {train.Length:N0} rows", ["trainer", "accuracy", "s"], [.. lines.Select(line => new[] { line.Name, $"{line.Accuracy:P1}", $"{line.Seconds:F1}" })]);
        report.Chart("time-to-accuracy", "Forest cover: accuracy against the time of the fit", plot =>
        {
            foreach (var (name, accuracy, seconds) in lines)
                plot.Add.Marker(Math.Log10(seconds), accuracy).LegendText = name;
            plot.XLabel("seconds, power of ten");
            plot.YLabel("accuracy on the test part");
            plot.ShowLegend(ScottPlot.Alignment.LowerRight);
        });
    }

    private static double Fit(MLContext ml, IDataView train, IDataView test, RandomFeatureNetwork.Options options) =>
        ml.MulticlassClassification.Evaluate(ml.MulticlassClassification.Trainers.RandomFeatureNetwork(options).Fit(train).Transform(test)).MicroAccuracy;

    private static (double Accuracy, double Seconds) Python(Row[] train, Row[] test, double gamma, double alpha, string type)
    {
        var folder = Directory.CreateTempSubdirectory("peers").FullName;
        try
        {
            var numbers = PythonPeer.Run(
                Driver, Write("train", train), Write("test", test), $"{Units}", $"{Width}", gamma.ToString(CultureInfo.InvariantCulture),
                alpha.ToString(CultureInfo.InvariantCulture), type);
            return numbers.Length >= 2 ? (numbers[0], numbers[1]) : default;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        string Write(string name, Row[] rows)
        {
            var path = Path.Combine(folder, name);
            using var writer = new BinaryWriter(File.Create(path));
            foreach (var row in rows)
            {
                foreach (var value in row.Features)
                    writer.Write(value);
                writer.Write((float)row.Class);
            }

            return path;
        }
    }

    private static IEnumerable<Row> Jittered(Row[] rows, int seed)
    {
        var random = new Random(100 + seed);
        return rows.Select(row => new Row
        {
            Class = row.Class,
            Cover = row.Cover,

            // The first ten are measured, the rest are 0 or 1.
            Features = [.. row.Features.Select((x, i) => seed > 0 && i < 10 ? x + (float)(random.NextDouble() - 0.5) : x)],
        });
    }

    private static IDataView View(MLContext ml, Row[] rows)
    {
        var view = ml.Data.LoadFromEnumerable(rows);
        return ml.Transforms.Conversion.MapValueToKey(
            "Label", "Cover", keyData: ml.Data.LoadFromEnumerable(Enumerable.Range(1, 7).Select(i => new Key { Cover = i }))).Fit(view).Transform(view);
    }

    private static Row[] Read(string path)
    {
        using var reader = new StreamReader(new GZipStream(File.OpenRead(path), CompressionMode.Decompress));
        reader.ReadLine();
        var rows = new List<Row>();
        while (reader.ReadLine() is { Length: > 0 } line)
        {
            float[] numbers = [.. line.Split(',').Select(word => float.Parse(word, CultureInfo.InvariantCulture))];
            rows.Add(new() { Features = numbers[..Width], Cover = (int)numbers[Width], Class = (int)numbers[Width] - 1 });
        }

        return [.. rows];
    }

    private sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = [];

        public int Cover { get; set; }

        [NoColumn]
        public int Class { get; set; }
    }

    private sealed class Key
    {
        public int Cover { get; set; }
    }
}
