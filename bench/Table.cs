using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;
using BinaryTrainers = Microsoft.ML.BinaryClassificationCatalog.BinaryClassificationTrainers;
using MulticlassTrainers = Microsoft.ML.MulticlassClassificationCatalog.MulticlassClassificationTrainers;
using RegressionTrainers = Microsoft.ML.RegressionCatalog.RegressionTrainers;

namespace MlNetMlp.Bench;

/// <summary>
/// Test error and seconds of a fit over fifteen real data sets: means of three splits that all methods share, each method with its defaults and the
/// authors' package of gradient-boosted networks with the options of their paper. The last two methods run in Python, PYTHON or python3, where it has
/// scikit-learn; GBNN names a checkout of github.com/GAA-UAM/GBNN. A cell is "-" where a method cannot run.
/// </summary>
internal static class Table
{
    private const int Splits = 3;
    private const int WarmingRows = 200;
    private const string Judged = "GradientBoostedNetwork";
    private static readonly TimeSpan PythonLimit = TimeSpan.FromSeconds(150);

    private static readonly (string Name, Func<TableTask, Row[], Row[], Row[], Result> Fit)[] Methods =
    [
        (Judged, Trained(r => r.GradientBoostedNetwork(), b => b.GradientBoostedNetwork(), (m, _) => m.GradientBoostedNetwork())),
        ("RandomFeatureNetwork", Trained(r => r.RandomFeatureNetwork(), b => b.RandomFeatureNetwork(), (m, _) => m.RandomFeatureNetwork())),
        ("ConvexRelu", Trained(r => r.ConvexRelu(), b => b.ConvexRelu(), (m, _) => m.ConvexRelu())),
        ("ScaledMlp", Trained(r => r.ScaledMlp(), b => b.ScaledMlp(), (m, _) => m.ScaledMlp())),
        ("FastTree", Trained(r => r.FastTree(), b => b.FastTree(), (m, b) => m.OneVersusAll(b.FastTree()))),
        ("LightGbm", Trained(r => r.LightGbm(), b => b.LightGbm(), (m, _) => m.LightGbm())),
        ("scikit-learn", (task, _, train, test) => Python("scikit-learn", task, train, test)),
        ("GBNN", (task, _, train, test) => Python("GBNN", task, train, test)),
    ];

    private static readonly (string Name, string File, string Label, TableTask Task, string[] Dropped)[] Sets =
    [
        ("concrete", "concrete/concrete.csv", "strength", TableTask.Regression, []),
        ("energy", "energy_efficiency/energy_efficiency.csv", "heating_load", TableTask.Regression, []),
        ("kin8nm", "kin8nm/kin8nm.csv.gz", "y", TableTask.Regression, []),
        ("california", "california_housing/california_housing.csv.gz", "median_house_value", TableTask.Regression, ["ocean_proximity"]),
        ("airfoil", "airfoil_noise/airfoil_noise.csv", "scaled_sound_pressure", TableTask.Regression, []),
        ("spambase", "spambase/spambase.csv.gz", "class", TableTask.Binary, []),
        ("magic", "magic_telescope/magic_telescope.csv.gz", "target", TableTask.Binary, []),
        ("pima", "pima_diabetes/pima_diabetes.csv", "class", TableTask.Binary, []),
        ("phoneme", "phoneme/phoneme.csv", "target", TableTask.Binary, []),
        ("banknote", "banknote/banknote.csv", "class", TableTask.Binary, []),
        ("digits", "digits8x8/digits8x8.csv", "digit", TableTask.Multiclass, []),
        ("segment", "segment/segment.csv.gz", "class", TableTask.Multiclass, []),
        ("satimage", "satimage/satimage.csv.gz", "target", TableTask.Multiclass, []),
        ("vowel", "vowel/vowel.csv", "Class", TableTask.Multiclass, ["Train or Test", "Speaker Number", "Sex"]),
        ("vehicle", "vehicle/vehicle.csv", "Class", TableTask.Multiclass, []),
    ];

    // Reads two files of numbers, the label last; says that the fit begins, so that it alone is limited, then what is measured and its seconds.
    private const string Driver = """
        import sys, time
        method, task, package, paths = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:6]
        regression = task == 'Regression'
        try:
            import numpy as np
            from sklearn.neural_network import MLPClassifier, MLPRegressor
            from sklearn.preprocessing import StandardScaler
            if method == 'GBNN':
                sys.path.insert(0, package)
                from gbnn.GBNN import GNEGNEClassifier, GNEGNERegressor
        except ImportError:
            sys.exit()
        if method == 'GBNN':
            options = dict(total_nn=200, num_nn_step=1, eta=0.1, solver='lbfgs', subsample=0.5, tol=0.0, max_iter=200, random_state=1, activation='logistic')
            model = GNEGNERegressor(**options) if regression else GNEGNEClassifier(**options)
        else:
            model = MLPRegressor(random_state=1) if regression else MLPClassifier(random_state=1)
        train, test = (np.loadtxt(path, delimiter=',') for path in paths)
        scaler = StandardScaler().fit(train[:, :-1])
        x, z, y, truth = scaler.transform(train[:, :-1]), scaler.transform(test[:, :-1]), train[:, -1], test[:, -1]
        centre, spread = (y.mean(), y.std()) if regression else (0, 1)
        print('fitting', flush=True)
        start = time.perf_counter()
        model.fit(x, (y - centre) / spread if regression else y.astype(int))
        seconds = time.perf_counter() - start
        predicted = model.predict(z).ravel() * spread + centre
        print(np.sqrt(np.mean((predicted - truth) ** 2)) if regression else 100 * np.mean(predicted == truth), seconds)
        """;

    private enum TableTask
    {
        Regression,
        Binary,
        Multiclass,
    }

    /// <summary>What a fit gives, or why it gives nothing.</summary>
    private readonly record struct Result(double Metric, double Seconds, string? Missing = null);

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public float Target { get; set; }
    }

    public static void Run(ILookup<string, string> options)
    {
        var data = Choice.DataFolder;
        if (!Directory.Exists(data))
        {
            Console.WriteLine($"table: there are no data in {data}; set MLNETMLP_DATA.");
            return;
        }

        var sets = Choice.Of(options, "sets", "table", Sets, set => set.Name);
        var methods = Choice.Of(options, "methods", "table", Methods, method => method.Name);
        if (sets is null || methods is null)
            return;
        var judged = Array.FindIndex(methods, method => method.Name == Judged);
        var ranks = new List<(string Set, int Rank, int Of)>();
        Console.WriteLine($"| data set | rows x features | {string.Join(" | ", methods.Select(method => method.Name))} |");
        Console.WriteLine($"| --- | --- |{string.Concat(methods.Select(_ => " --- |"))}");
        foreach (var set in sets)
        {
            var rows = Read(Path.Combine(data, set.File), set.Label, set.Task, set.Dropped);
            if (set == sets[0])
                Warm(methods, set.Task, rows);
            Console.Write($"| {set.Name} | {rows.Length} x {rows[0].Features.Length} |");
            var results = new List<Result>();
            foreach (var (_, fit) in methods)
            {
                results.Add(Mean(rows, (train, test) => fit(set.Task, rows, train, test)));
                Console.Write($" {Text(results[^1], set.Task)} |");
            }

            Console.WriteLine();
            if (judged >= 0)
            {
                var better = results.Count(x => x.Missing is null && Loss(x) < Loss(results[judged]));
                ranks.Add((set.Name, better + 1, results.Count(x => x.Missing is null)));
            }

            double Loss(Result x) => set.Task == TableTask.Regression ? x.Metric : -x.Metric;
        }

        Console.WriteLine($"\nMean of {Splits} splits: root mean squared error of regression, else accuracy in percent, and seconds of a fit.");
        if (judged < 0)
            return;
        Console.WriteLine($"Rank of {Judged}: {string.Join(", ", ranks.Select(x => $"{x.Set} {x.Rank} of {x.Of}"))}.");
        Console.WriteLine($"First or second on {ranks.Count(x => x.Rank <= 2)} of {ranks.Count} sets.");

    }

    // Loading libraries and compiling are no part of a fit, and whichever method came first would pay for them.
    private static void Warm((string Name, Func<TableTask, Row[], Row[], Row[], Result> Fit)[] methods, TableTask task, Row[] rows)
    {
        Row[] shuffled = [.. rows];
        new Random(Splits).Shuffle(shuffled);
        foreach (var (name, fit) in methods)
        {
            if (name is not ("scikit-learn" or "GBNN"))
                fit(task, rows, shuffled[..WarmingRows], shuffled[WarmingRows..]);
        }
    }

    private static string Text(Result cell, TableTask task) =>
        cell.Missing ?? $"{cell.Metric.ToString(task != TableTask.Regression ? "F2" : cell.Metric < 1000 ? "G4" : "F0", CultureInfo.InvariantCulture)} ({cell.Seconds:F1} s)";

    private static Result Mean(Row[] rows, Func<Row[], Row[], Result> fit)
    {
        var results = new List<Result>();
        for (var split = 0; split < Splits; split++)
        {
            Row[] shuffled = [.. rows];
            new Random(split).Shuffle(shuffled);
            var held = rows.Length / 4;
            results.Add(fit(shuffled[held..], shuffled[..held]));
            if (results[^1].Missing is not null)
                return results[^1];
        }

        return new(results.Average(x => x.Metric), results.Average(x => x.Seconds));
    }

    private static Func<TableTask, Row[], Row[], Row[], Result> Trained(
        Func<RegressionTrainers, IEstimator<ITransformer>> regression, Func<BinaryTrainers, IEstimator<ITransformer>> binary,
        Func<MulticlassTrainers, BinaryTrainers, IEstimator<ITransformer>> multiclass) => (task, all, train, test) =>
    {
        var ml = new MLContext(1);
        IEstimator<ITransformer> label = task switch
        {
            TableTask.Regression => ml.Transforms.CopyColumns("Label", nameof(Row.Target)),
            TableTask.Binary => ml.Transforms.Conversion.ConvertType("Label", nameof(Row.Target), DataKind.Boolean),
            _ => ml.Transforms.Conversion.MapValueToKey("Label", nameof(Row.Target), keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByValue),
        };
        IEstimator<ITransformer> trainer = task switch
        {
            TableTask.Regression => regression(ml.Regression.Trainers),
            TableTask.Binary => binary(ml.BinaryClassification.Trainers),
            _ => multiclass(ml.MulticlassClassification.Trainers, ml.BinaryClassification.Trainers),
        };
        var labels = label.Fit(View(ml, all));
        var (fit, judge) = (ml.Data.Cache(labels.Transform(View(ml, train))), labels.Transform(View(ml, test)));
        var clock = Stopwatch.StartNew();
        var model = trainer.Fit(fit);
        var seconds = clock.Elapsed.TotalSeconds;
        var scored = model.Transform(judge);
        var metric = task switch
        {
            TableTask.Regression => ml.Regression.Evaluate(scored).RootMeanSquaredError,
            TableTask.Binary => 100 * ml.BinaryClassification.EvaluateNonCalibrated(scored).Accuracy,
            _ => 100 * ml.MulticlassClassification.Evaluate(scored).MicroAccuracy,
        };
        return new(metric, seconds);
    };

    private static Result Python(string method, TableTask task, Row[] train, Row[] test)
    {
        var package = Environment.GetEnvironmentVariable("GBNN") ?? "";
        if (method == "GBNN" && package.Length == 0)
            return new(0, 0, "-");
        var folder = Directory.CreateTempSubdirectory("table").FullName;
        try
        {
            string[] arguments = ["-c", Driver, method, task.ToString(), package, Write("train.csv", train), Write("test.csv", test)];
            using var python = Process.Start(new ProcessStartInfo(PythonPeer.Interpreter, arguments) { RedirectStandardOutput = true })!;
            var begun = python.StandardOutput.ReadLine() is not null;
            var output = python.StandardOutput.ReadToEndAsync();
            if (begun && !python.WaitForExit(PythonLimit))
            {
                python.Kill(entireProcessTree: true);
                return new(0, 0, $"> {PythonLimit.TotalSeconds} s");
            }

            python.WaitForExit();
            if (python.ExitCode != 0)
                return new(0, 0, "failed");
            return begun && output.Result.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) is [.., var metric, var seconds]
                ? new(double.Parse(metric, CultureInfo.InvariantCulture), double.Parse(seconds, CultureInfo.InvariantCulture))
                : new(0, 0, "-");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        string Write(string name, Row[] rows)
        {
            var path = Path.Combine(folder, name);
            File.WriteAllLines(path, rows.Select(row => string.Join(',', row.Features.Append(row.Target).Select(x => x.ToString("R", CultureInfo.InvariantCulture)))));
            return path;
        }
    }

    private static IDataView View(MLContext ml, Row[] rows)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, rows[0].Features.Length);
        return ml.Data.LoadFromEnumerable(rows, schema);
    }

    private static Row[] Read(string path, string label, TableTask task, string[] dropped)
    {
        using Stream file = File.OpenRead(path);
        using var reader = new StreamReader(path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file);
        string[] header = [.. Words(reader.ReadLine()!)];
        var labelIndex = Array.IndexOf(header, label);
        int[] used = [.. Enumerable.Range(0, header.Length).Where(i => i != labelIndex && !dropped.Contains(header[i]))];
        var (features, labels) = (new List<float[]>(), new List<string>());
        while (reader.ReadLine() is { Length: > 0 } line)
        {
            string[] words = [.. Words(line)];
            if (used.Any(i => words[i] is "" or "?" or "NA"))
                continue;
            features.Add([.. used.Select(i => float.Parse(words[i], CultureInfo.InvariantCulture))]);
            labels.Add(words[labelIndex]);
        }

        List<string> classes = [.. labels.Distinct().Order(StringComparer.Ordinal)];
        return
        [
            .. features.Zip(labels, (x, y) => new Row
            {
                Features = x, Target = task == TableTask.Regression ? float.Parse(y, CultureInfo.InvariantCulture) : classes.IndexOf(y),
            }),
        ];

        static IEnumerable<string> Words(string line) => line.Split(',').Select(word => word.Trim('"'));
    }
}
