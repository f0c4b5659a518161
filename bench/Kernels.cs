using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.RandomFeatures;
using MlNetMlp.ScalableKernels;
using MlNetMlp.Tabular;

namespace MlNetMlp.Bench;

/// <summary>
/// Random features of one width and what they are learned from by, on the 8 × 8 digits: 1,200 rows to train on and 597 others, means of three splits
/// that all share. scikit-learn's run in Python, PYTHON or python3, where it has the package.
/// </summary>
internal static class Kernels
{
    private const int Width = 64;
    private const int Splits = 3;
    private const int TrainRows = 1200;

    private const string Driver = """
        import sys, time
        import numpy as np
        from sklearn.kernel_approximation import Nystroem, RBFSampler
        from sklearn.linear_model import RidgeClassifierCV
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import make_pipeline
        m, seed = int(sys.argv[3]), int(sys.argv[4])
        train, test = (np.loadtxt(path, delimiter=',') for path in sys.argv[1:3])
        mean, scale = train[:, :-1].mean(0), train[:, :-1].std(0)
        scale[scale == 0] = 1
        scale *= np.sqrt(train.shape[1] - 1)
        (x, y), (z, truth) = (((part[:, :-1] - mean) / scale, part[:, -1]) for part in (train, test))
        ridge = lambda: RidgeClassifierCV(np.logspace(-6, 2, 9))
        units = max(1, round((10 * m) / (x.shape[1] + 11)))
        for model in (make_pipeline(RBFSampler(gamma=1, n_components=m, random_state=seed), ridge()),
                      make_pipeline(Nystroem(gamma=1, n_components=m, random_state=seed), ridge()),
                      MLPClassifier((units,), max_iter=1000, random_state=seed)):
            start = time.perf_counter()
            model.fit(x, y)
            seconds = time.perf_counter() - start
            print(100 * (model.predict(z) == truth).mean(), seconds)
        """;

    private static readonly string[] Peers = ["RBFSampler, Ridge", "Nystroem, Ridge", "MLPClassifier with as many trained values"];

    public static void Run()
    {
        var path = Path.Combine(Choice.DataFolder, "digits8x8", "digits8x8.csv");
        if (!File.Exists(path))
        {
            Console.WriteLine($"kernels: there is no {path}; set MLNETMLP_DATA.");
            return;
        }

        var rows = File.ReadLines(path).Skip(1).Select(line => line.Split(',').Select(word => float.Parse(word, CultureInfo.InvariantCulture)).ToArray())
            .Select(numbers => new Row { Features = numbers[..Width], Label = (uint)numbers[Width] + 1 }).ToArray();
        foreach (var m in new[] { 64, 256 })
        {
            var results = new Dictionary<string, List<(double Accuracy, double Seconds)>>();
            for (var split = 0; split < Splits; split++)
            {
                var shuffled = rows.ToArray();
                new Random(split).Shuffle(shuffled);
                foreach (var (name, accuracy, seconds) in Ours(shuffled[..TrainRows], shuffled[TrainRows..], m, split).Concat(Theirs(shuffled[..TrainRows], shuffled[TrainRows..], m, split)))
                {
                    results.TryAdd(name, []);
                    results[name].Add((accuracy, seconds));
                }
            }

            foreach (var (name, runs) in results)
                Console.WriteLine($"kernels: digits, {m} features, {name}: accuracy {runs.Average(run => run.Accuracy):F1} % in {runs.Min(run => run.Seconds) * 1000:F0} ms");
        }
    }

    private static IEnumerable<(string Name, double Accuracy, double Seconds)> Ours(Row[] train, Row[] test, int m, int seed)
    {
        var ml = new MLContext(seed + 1);
        var (fit, judge) = (ml.Data.LoadFromEnumerable(train), ml.Data.LoadFromEnumerable(test));
        var trainers = ml.MulticlassClassification.Trainers;
        var options = new ScalableKernelNetwork.Options { FeatureCount = m, Seed = seed, ValidationFraction = 0 };

        // The plain network's one hidden layer has as many trained values as the matrix of the kernel network.
        var units = Math.Max(8, (int)Math.Round(10.0 * m / (Width + 11)));
        // The first fit on a view compiles what reads it.
        trainers.ScalableKernelNetwork(options).Fit(fit);
        foreach (var (name, estimator) in new (string, IEstimator<ITransformer>)[]
        {
            ("ScalableKernelNetwork", trainers.ScalableKernelNetwork(options)),
            ("ScalableKernelNetwork, cosine", trainers.ScalableKernelNetwork(options with { Kernel = ScalableKernel.Cosine })),
            ("ScalableKernelNetwork, by gradients", trainers.ScalableKernelNetwork(options with { Mode = ScalableKernelMode.Gradient, LearningRate = 1e-2 })),
            ("RandomFeatureNetwork", trainers.RandomFeatureNetwork(new RandomFeatureNetwork.Options { HiddenUnits = m, Seed = seed, ValidationFraction = 0 })),
            ("ScalableKernelFeatures and SDCA", ml.Transforms.ScalableKernelFeatures("Phi", "Features", m).AppendCacheCheckpoint(ml).Append(trainers.SdcaMaximumEntropy("Label", "Phi"))),
            ("ApproximatedKernelMap and SDCA", ml.Transforms.NormalizeMeanVariance("Features")
                .Append(ml.Transforms.ApproximatedKernelMap("Phi", "Features", rank: m / 2)).AppendCacheCheckpoint(ml).Append(trainers.SdcaMaximumEntropy("Label", "Phi"))),
            ("plain network with as many trained values", trainers.ScaledMlp(new ScaledMlp.Options
            {
                Architecture = ScaledMlpArchitecture.Standard, Normalization = ScaledMlpNormalization.None, Blocks = 1, Width = units, Seed = seed, LearningRate = 1e-2,
                Epochs = 200,
            })),
        })
        {
            var clock = Stopwatch.StartNew();
            var model = estimator.Fit(fit);
            var seconds = clock.Elapsed.TotalSeconds;
            yield return (name, 100 * ml.MulticlassClassification.Evaluate(model.Transform(judge)).MicroAccuracy, seconds);
        }
    }

    private static IEnumerable<(string Name, double Accuracy, double Seconds)> Theirs(Row[] train, Row[] test, int m, int seed)
    {
        var folder = Directory.CreateTempSubdirectory("kernels").FullName;
        try
        {
            var words = PythonPeer.Run(Driver, Write("train", train), Write("test", test), $"{m}", $"{seed}");
            return [.. words.Chunk(2).Zip(Peers, (pair, name) => (name, pair[0], pair[1]))];
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        string Write(string name, Row[] rows)
        {
            var file = Path.Combine(folder, name);
            File.WriteAllLines(file, rows.Select(row => string.Join(',', row.Features.Append(row.Label - 1).Select(x => x.ToString(CultureInfo.InvariantCulture)))));
            return file;
        }
    }

    private sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = [];

        [KeyType(10)]
        public uint Label { get; set; }
    }
}
