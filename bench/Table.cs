using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;

namespace MlNetMlp.Bench;

/// <summary>
/// Test error and seconds of a fit, all with their defaults, over fifteen real data sets: means of three splits that all methods share. The
/// environment variable TABLE_SETS may name some of the sets, comma-separated. scikit-learn's multilayer perceptron and the authors' package of
/// gradient-boosted networks run where PYTHON (or python3) has scikit-learn and GBNN names a checkout of github.com/GAA-UAM/GBNN.
/// </summary>
internal static class Table
{
    private const int Splits = 3;
    private const int SecondsPerFit = 150;

    private static readonly (string Name, string File, string Label, TableTask Task, string[] Dropped)[] Sets =
    [
        ("concrete", "concrete/concrete.csv", "strength", TableTask.Regression, []),
        ("energy", "energy_efficiency/energy_efficiency.csv", "heating_load", TableTask.Regression, []),
        ("kin8nm", "kin8nm/kin8nm.csv.gz", "y", TableTask.Regression, []),
        ("airfoil", "airfoil_noise/airfoil_noise.csv", "scaled_sound_pressure", TableTask.Regression, []),
        ("california", "california_housing/california_housing.csv.gz", "median_house_value", TableTask.Regression, ["ocean_proximity"]),
        ("pima", "pima_diabetes/pima_diabetes.csv", "class", TableTask.Binary, []),
        ("phoneme", "phoneme/phoneme.csv", "target", TableTask.Binary, []),
        ("banknote", "banknote/banknote.csv", "class", TableTask.Binary, []),
        ("spambase", "spambase/spambase.csv.gz", "class", TableTask.Binary, []),
        ("magic", "magic_telescope/magic_telescope.csv.gz", "target", TableTask.Binary, []),
        ("vowel", "vowel/vowel.csv", "Class", TableTask.Multiclass, ["Train or Test", "Speaker Number", "Sex"]),
        ("vehicle", "vehicle/vehicle.csv", "Class", TableTask.Multiclass, []),
        ("segment", "segment/segment.csv.gz", "class", TableTask.Multiclass, []),
        ("digits", "digits8x8/digits8x8.csv", "digit", TableTask.Multiclass, []),
        ("satimage", "satimage/satimage.csv.gz", "target", TableTask.Multiclass, []),
    ];

    private static readonly (string Name, Func<MLContext, TableTask, IEstimator<ITransformer>> Make)[] Trainers =
    [
        ("GradientBoostedNetwork", (ml, task) => task switch
        {
            TableTask.Regression => ml.Regression.Trainers.GradientBoostedNetwork(),
            TableTask.Binary => ml.BinaryClassification.Trainers.GradientBoostedNetwork(),
            _ => ml.MulticlassClassification.Trainers.GradientBoostedNetwork(),
        }),
        ("ScaledMlp", (ml, task) => task switch
        {
            TableTask.Regression => ml.Regression.Trainers.ScaledMlp(),
            TableTask.Binary => ml.BinaryClassification.Trainers.ScaledMlp(),
            _ => ml.MulticlassClassification.Trainers.ScaledMlp(),
        }),
        ("FastTree", (ml, task) => task switch
        {
            TableTask.Regression => ml.Regression.Trainers.FastTree(),
            TableTask.Binary => ml.BinaryClassification.Trainers.FastTree(),
            _ => ml.MulticlassClassification.Trainers.OneVersusAll(ml.BinaryClassification.Trainers.FastTree()),
        }),
        ("LightGBM", (ml, task) => task switch
        {
            TableTask.Regression => ml.Regression.Trainers.LightGbm(),
            TableTask.Binary => ml.BinaryClassification.Trainers.LightGbm(),
            _ => ml.MulticlassClassification.Trainers.LightGbm(),
        }),
    ];

    private static readonly string[] PythonMethods = ["sklearn", "gbnn"];

    // Reads two files of numbers, the label last, and prints what is measured and the seconds of the fit alone.
    private const string Driver = """
        import sys, time
        import numpy as np
        method, task, package = sys.argv[1], sys.argv[2], sys.argv[3]
        train, test = (np.loadtxt(path, delimiter=',') for path in sys.argv[4:6])
        mean, scale = train[:, :-1].mean(0), train[:, :-1].std(0)
        scale[scale == 0] = 1
        x, z = (train[:, :-1] - mean) / scale, (test[:, :-1] - mean) / scale
        y, truth = train[:, -1], test[:, -1]
        centre, spread = (y.mean(), y.std()) if task == 'Regression' else (0, 1)
        if method == 'sklearn':
            from sklearn.neural_network import MLPClassifier, MLPRegressor
            model = MLPRegressor(random_state=1) if task == 'Regression' else MLPClassifier(random_state=1)
        else:
            sys.path.insert(0, package)
            from gbnn.GBNN import GNEGNEClassifier, GNEGNERegressor
            options = dict(total_nn=200, num_nn_step=1, eta=0.1, solver='lbfgs', subsample=0.5, tol=0.0, max_iter=200, random_state=1, activation='logistic')
            model = GNEGNERegressor(**options) if task == 'Regression' else GNEGNEClassifier(**options)
        start = time.perf_counter()
        model.fit(x, (y - centre) / spread if task == 'Regression' else y.astype(int))
        seconds = time.perf_counter() - start
        p = model.predict(z).ravel() * spread + centre
        print(np.sqrt(np.mean((p - truth) ** 2)) if task == 'Regression' else 100 * np.mean(p == truth), seconds)
        """;

    private enum TableTask
    {
        Regression,
        Binary,
        Multiclass,
    }

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public float Target { get; set; }
    }

    public static void Run()
    {
        var data = Environment.GetEnvironmentVariable("MLNETMLP_DATA") ?? Path.Combine("..", "shared", "data");
        if (!Directory.Exists(data))
        {
            Console.WriteLine($"table: there are no data in {data}; set MLNETMLP_DATA.");
            return;
        }

        var wanted = Environment.GetEnvironmentVariable("TABLE_SETS")?.Split(',');
        string[] methods = [.. Trainers.Select(trainer => trainer.Name), "scikit-learn MLP", "authors' package"];
        Console.WriteLine($"| data set | rows x features | {string.Join(" | ", methods)} |");
        Console.WriteLine($"| --- | --- |{string.Concat(methods.Select(_ => " --- |"))}");
        var (sets, ahead) = (0, 0);
        foreach (var set in Sets.Where(set => wanted is null || wanted.Contains(set.Name)))
        {
            var rows = Read(Path.Combine(data, set.File), set.Label, set.Task, set.Dropped);
            var cells = new List<(double Measure, double Seconds)>();
            cells.AddRange(Trainers.Select(trainer => Mean(rows, (train, test) => Fit(trainer.Make, set.Task, rows, train, test))));
            cells.AddRange(PythonMethods.Select(method => Mean(rows, (train, test) => Python(method, set.Task, train, test))));
            Console.WriteLine($"| {set.Name} | {rows.Length} x {rows[0].Features.Length} | {string.Join(" | ", cells.Select(Text))} |");
            var better = cells.Count(cell => set.Task == TableTask.Regression ? cell.Measure < cells[0].Measure : cell.Measure > cells[0].Measure);
            (sets, ahead) = (sets + 1, ahead + (better < 2 ? 1 : 0));
        }

        Console.WriteLine($"\nRoot mean squared error of regression, else accuracy in percent, and seconds of a fit. {methods[0]} is first or second on {ahead} of {sets} sets.");
    }

    private static string Text((double Measure, double Seconds) cell) => (double.IsNaN(cell.Measure), double.IsNaN(cell.Seconds)) switch
    {
        (true, true) => "-",
        (true, _) => $"over {SecondsPerFit} s",
        _ => string.Create(CultureInfo.InvariantCulture, $"{cell.Measure:G4} ({cell.Seconds:F1} s)"),
    };

    private static (double Measure, double Seconds) Mean(Row[] rows, Func<Row[], Row[], (double Measure, double Seconds)> fit)
    {
        var (measure, seconds) = (0.0, 0.0);
        for (var split = 0; split < Splits; split++)
        {
            Row[] shuffled = [.. rows];
            new Random(split).Shuffle(shuffled);
            var held = rows.Length / 4;
            var result = fit(shuffled[held..], shuffled[..held]);
            if (double.IsNaN(result.Measure))
                return result;
            (measure, seconds) = (measure + (result.Measure / Splits), seconds + (result.Seconds / Splits));
        }

        return (measure, seconds);
    }

    private static (double Measure, double Seconds) Fit(
        Func<MLContext, TableTask, IEstimator<ITransformer>> make, TableTask task, Row[] all, Row[] train, Row[] test)
    {
        var ml = new MLContext(1);
        IEstimator<ITransformer> label = task switch
        {
            TableTask.Regression => ml.Transforms.CopyColumns("Label", nameof(Row.Target)),
            TableTask.Binary => ml.Transforms.Conversion.ConvertType("Label", nameof(Row.Target), DataKind.Boolean),
            _ => ml.Transforms.Conversion.MapValueToKey("Label", nameof(Row.Target), keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByValue),
        };
        var labels = label.Fit(View(ml, all));
        var (fit, judge) = (ml.Data.Cache(labels.Transform(View(ml, train))), labels.Transform(View(ml, test)));
        var clock = Stopwatch.StartNew();
        var model = make(ml, task).Fit(fit);
        var seconds = clock.Elapsed.TotalSeconds;
        var scored = model.Transform(judge);
        return (
            task switch
            {
                TableTask.Regression => ml.Regression.Evaluate(scored).RootMeanSquaredError,
                TableTask.Binary => 100 * ml.BinaryClassification.EvaluateNonCalibrated(scored).Accuracy,
                _ => 100 * ml.MulticlassClassification.Evaluate(scored).MicroAccuracy,
            },
            seconds);
    }

    private static (double Measure, double Seconds) Python(string method, TableTask task, Row[] train, Row[] test)
    {
        var package = Environment.GetEnvironmentVariable("GBNN") ?? "";
        if (method == "gbnn" && package.Length == 0)
            return (double.NaN, double.NaN);
        var folder = Directory.CreateTempSubdirectory("table").FullName;
        try
        {
            using var python = Process.Start(new ProcessStartInfo(
                Environment.GetEnvironmentVariable("PYTHON") ?? "python3",
                ["-c", Driver, method, task.ToString(), package, Write("train.csv", train), Write("test.csv", test)]) { RedirectStandardOutput = true })!;
            var output = python.StandardOutput.ReadToEndAsync();
            if (!python.WaitForExit(TimeSpan.FromSeconds(SecondsPerFit)))
            {
                python.Kill();
                return (double.NaN, SecondsPerFit);
            }

            return python.ExitCode == 0 && output.Result.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) is [.., var measure, var seconds]
                ? (double.Parse(measure, CultureInfo.InvariantCulture), double.Parse(seconds, CultureInfo.InvariantCulture))
                : (double.NaN, double.NaN);
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
        string[] header = [.. reader.ReadLine()!.Split(',').Select(name => name.Trim('"'))];
        var labelIndex = Array.IndexOf(header, label);
        int[] used = [.. Enumerable.Range(0, header.Length).Where(i => i != labelIndex && !dropped.Contains(header[i]))];
        var (features, labels) = (new List<float[]>(), new List<string>());
        while (reader.ReadLine() is { Length: > 0 } line)
        {
            string[] words = [.. line.Split(',').Select(word => word.Trim('"'))];
            if (used.Any(i => !float.TryParse(words[i], CultureInfo.InvariantCulture, out _)))
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
    }
}
