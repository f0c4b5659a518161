using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Boosting;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>
/// Gradient-boosted networks with the paper's options against the authors' own package on the same rows, in turns. The package is found in the
/// folder that the environment variable GBNN names (a checkout of github.com/GAA-UAM/GBNN, which needs scikit-learn and pandas), its Python by
/// PYTHON or as python3; without it only our figures are shown.
/// </summary>
internal static class Boosting
{
    private const int Units = 200;
    private const int Iterations = 200;
    private const int MostUnits = 600;
    private const int Stride = 10;
    private const int Repeats = 3;
    private const int AdamBatch = 32;
    private const double LearningRate = 0.1;
    private const double Subsample = 0.5;

    // Reads two files of numbers, the label last, and prints test error and seconds of the fit alone.
    private const string Driver = """
        import sys, time
        import numpy as np
        sys.path.insert(0, sys.argv[1])
        from gbnn.GBNN import GNEGNEClassifier, GNEGNERegressor
        train, test = (np.loadtxt(path, delimiter=',') for path in sys.argv[2:4])
        units, iterations, eta, subsample = int(sys.argv[5]), int(sys.argv[6]), float(sys.argv[7]), float(sys.argv[8])
        mean, scale = train[:, :-1].mean(0), train[:, :-1].std(0)
        scale[scale == 0] = 1
        x, z = (train[:, :-1] - mean) / scale, (test[:, :-1] - mean) / scale
        options = dict(total_nn=units, num_nn_step=1, eta=eta, solver='lbfgs', subsample=subsample, tol=0.0, max_iter=iterations, random_state=1, activation='logistic')
        start = time.perf_counter()
        if sys.argv[4] == 'regression':
            centre, spread = train[:, -1].mean(), train[:, -1].std()
            model = GNEGNERegressor(**options)
            model.fit(x, (train[:, -1] - centre) / spread)
            seconds = time.perf_counter() - start
            error = np.sqrt(np.mean((model.predict(z).ravel() * spread + centre - test[:, -1]) ** 2))
        else:
            model = GNEGNEClassifier(**options)
            model.fit(x, train[:, -1].astype(int))
            seconds = time.perf_counter() - start
            error = np.mean(model.predict(z) != test[:, -1].astype(int))
        print(error, seconds)
        """;

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public float Number { get; set; }

        public bool Flag { get; set; }
    }

    public static void Run()
    {
        var data = Choice.DataFolder;
        if (!Directory.Exists(data))
        {
            Console.WriteLine($"boosting: there are no data in {data}; set MLNETMLP_DATA.");
            return;
        }

        foreach (var (file, isRegression) in new[]
        {
            ("pima_diabetes/pima_diabetes.csv", false), ("concrete/concrete.csv", true), ("phoneme/phoneme.csv", false),
            ("kin8nm/kin8nm.csv.gz", true), ("magic_telescope/magic_telescope.csv.gz", false),
        })
        {
            Compare(Path.Combine(data, file), isRegression);
        }

        Friedman();
        Batched();
        PeakMemory();
    }

    /// <summary>Friedman's first function, 1,050 rows of 10 features and noise 1: the paper's form, and a network of 200 units that Adam trains for as long.</summary>
    private static void Friedman()
    {
        double ours = 0, half = 0, adam = 0, seconds = 0, epochs = 0, one = 0, four = 0;
        for (var repeat = 0; repeat < Repeats; repeat++)
        {
            var rows = FriedmanRows(1500, repeat);
            var (train, test) = (rows[..1050], rows[1050..]);
            var ml = new MLContext(repeat);
            var (fit, judge) = (View(ml, train), View(ml, test));
            var options = new GradientBoostedNetwork.Options
            {
                LabelColumnName = "Number", TotalUnits = Units, UnitsPerStep = 2, Restarts = 1, InputKnots = 0, LearningRate = LearningRate, Subsample = 1,
                Activation = GradientBoostedNetworkActivation.Logistic, ValidationFraction = 0, Seed = repeat,
            };
            ITransformer model = null!;
            var took = Clock.Medians(1, () => model = ml.Regression.Trainers.GradientBoostedNetwork(options).Fit(fit))[0];
            var (error, done) = AdamFor(took, train, test, repeat);
            (ours, half, adam) = (ours + Error(model), half + Error(ml.Model.ChangeActiveUnits(model, Units / 2)), adam + error);
            (seconds, epochs) = (seconds + took, epochs + done);
            var times = Clock.Medians(3, () => Sums(1), () => Sums(4));
            (one, four) = (one + times[0], four + times[1]);

            double Error(ITransformer scorer) => ml.Regression.Evaluate(scorer.Transform(judge), "Number").RootMeanSquaredError;
            void Sums(int restarts) => ml.Regression.Trainers.GradientBoostedNetwork(options with { Restarts = restarts }).Fit(fit);
        }

        Console.WriteLine($"boosting: Friedman #1, mean of {Repeats}: RMSE {ours / Repeats:F3} with {Units} units, {half / Repeats:F3} with half of them, in {seconds / Repeats:F2} s; "
            + $"Adam in the same time {adam / Repeats:F3} ({epochs / Repeats:F0} epochs of {Units} units)");
        Console.WriteLine($"boosting: four sums take {four / one:F2} times as long as one on {get_num_threads()} threads");
    }

    /// <summary>
    /// What four sums of steps would gain as one batch: an evaluation of all their units at once, with one output, is less than the least that it could take.
    /// </summary>
    private static void Batched()
    {
        using var threads = TorchThreads.Limit(1);
        foreach (var (rows, units) in new[] { (1050, 1), (1050, 4), (13_314, 1), (13_314, 4) })
        {
            using var one = Step(units);
            using var batch = Step(4 * units);
            var times = Clock.Medians(15, () => Evaluate(one), () => Evaluate(batch));
            Console.WriteLine(
                $"boosting: {rows} rows of 10, {units} units: four sums apart on one thread {4 * times[0] * 1e3:F1} us an evaluation, on two at best half of it; as one batch at least {times[1] * 1e3:F1} us");

            HiddenLayerLeastSquares Step(int count)
            {
                using var scope = NewDisposeScope();
                var step = new HiddenLayerLeastSquares(10, count, 1, Activation.Tanh, 1e-4, rows, CPU);
                step.PutRows(0, randn(rows, 10));
                step.SetTargets(randn(rows, 1), null);
                randn(step.Parameters.Length, ScalarType.Float64).data<double>().CopyTo(step.Parameters);
                return step;
            }
        }

        static void Evaluate(HiddenLayerLeastSquares step)
        {
            var gradient = new double[step.Parameters.Length];
            for (var i = 0; i < 1000; i++)
                step.Evaluate(gradient);
        }
    }

    private static (double Error, int Epochs) AdamFor(double seconds, Row[] train, Row[] test, int seed)
    {
        using var scope = NewDisposeScope();
        random.manual_seed(seed);
        var (x, y) = (Features(train), tensor([.. train.Select(row => row.Number)], [train.Length, 1]));
        var (xMean, xDeviation, yMean, yDeviation) = (x.mean([0]), x.std(0), y.mean(), y.std());
        var (inputs, targets) = ((x - xMean) / xDeviation, (y - yMean) / yDeviation);
        var network = nn.Sequential(nn.Linear(x.shape[1], Units), nn.ReLU(), nn.Linear(Units, 1));
        var optimizer = optim.Adam(network.parameters(), lr: 1e-3);
        var (clock, epochs) = (Stopwatch.StartNew(), 0);
        for (; clock.Elapsed.TotalSeconds < seconds; epochs++)
        {
            var order = randperm(train.Length);
            for (var start = 0; start < train.Length; start += AdamBatch)
            {
                using var inner = NewDisposeScope();
                var index = order.narrow(0, start, Math.Min(AdamBatch, train.Length - start));
                optimizer.zero_grad();
                nn.functional.mse_loss(network.call(inputs.index_select(0, index)), targets.index_select(0, index)).backward();
                optimizer.step();
            }
        }

        using var noGradient = no_grad();
        var predicted = (network.call((Features(test) - xMean) / xDeviation) * yDeviation) + yMean;
        return (Math.Sqrt(nn.functional.mse_loss(predicted, tensor([.. test.Select(row => row.Number)], [test.Length, 1])).item<float>()), epochs);

        static Tensor Features(Row[] rows) => tensor(rows.SelectMany(row => row.Features).ToArray(), rows.Length, rows[0].Features.Length);
    }

    private static Row[] FriedmanRows(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ =>
        {
            float[] x = [.. Enumerable.Range(0, 10).Select(_ => (float)random.NextDouble())];
            var noise = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            var signal = (10 * Math.Sin(Math.PI * x[0] * x[1])) + (20 * (x[2] - 0.5) * (x[2] - 0.5)) + (10 * x[3]) + (5 * x[4]);
            return new Row { Features = x, Number = (float)(signal + noise) };
        })];
    }

    private static IDataView View(MLContext ml, Row[] rows)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema["Features"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, rows[0].Features.Length);
        return ml.Data.LoadFromEnumerable(rows, schema);
    }

    /// <summary>Means of several splits: both with the paper's units, and ours with as few or many as it takes to be at least as good as the package.</summary>
    private static void Compare(string path, bool isRegression)
    {
        var rows = Read(path);
        var (count, splits) = (rows.Length * 7 / 10, new List<(Row[] Train, Row[] Test)>());
        for (var split = 1; split <= Repeats; split++)
        {
            new Random(split).Shuffle(rows);
            splits.Add((rows[..count], rows[count..]));
        }

        var official = splits.ConvertAll(split => Official(split.Train, split.Test, isRegression));
        var (theirs, theirSeconds) = (official.Average(result => result.Error), official.Average(result => result.Seconds));
        var ml = new MLContext(1);
        var longest = splits.ConvertAll(split => (Model: Fit(ml, split.Train, isRegression, MostUnits), Test: View(ml, split.Test)));
        double Error(int units) => longest.Average(split => Judge(ml, ml.Model.ChangeActiveUnits(split.Model, units), split.Test, isRegression));
        double Seconds(int units) => Clock.Medians(1, [.. splits.Select(split => (Action)(() => Fit(ml, split.Train, isRegression, units)))]).Average();

        // The first units are the same whatever comes after them.
        var (error, seconds) = (Error(Units), Seconds(Units));
        var line = $"boosting: {Path.GetFileName(Path.GetDirectoryName(path))}, {count} rows of {rows[0].Features.Length}, mean of {Repeats} splits: ours {Text(error)} in {seconds:F2} s";
        if (theirSeconds > 0)
        {
            line += $", the authors' package {Text(theirs)} in {theirSeconds:F1} s: {theirSeconds / seconds:F1} times the time";
            var least = Enumerable.Range(1, MostUnits / Stride).Select(i => i * Stride).FirstOrDefault(units => Error(units) <= theirs);
            line += least == 0
                ? $"; ours is never as good, with {MostUnits} units {Text(Error(MostUnits))}"
                : $"; to be as good ours takes {least} units, {Text(Error(least))} in {Seconds(least):F2} s: {theirSeconds / Seconds(least):F1} times";
        }

        Console.WriteLine(line);

        string Text(double value) => isRegression ? $"RMSE {value:G4}" : $"error {value:P2}";
    }

    private static ITransformer Fit(MLContext ml, Row[] train, bool isRegression, int units)
    {
        var options = new GradientBoostedNetwork.Options
        {
            LabelColumnName = isRegression ? "Number" : "Flag", TotalUnits = units, UnitsPerStep = 1, Restarts = 1, InputKnots = 0, LearningRate = LearningRate, Subsample = Subsample,
            StepIterations = Iterations, Tolerance = 0, Activation = GradientBoostedNetworkActivation.Logistic, ValidationFraction = 0, Seed = 1,
        };
        return isRegression
            ? ml.Regression.Trainers.GradientBoostedNetwork(options).Fit(View(ml, train))
            : ml.BinaryClassification.Trainers.GradientBoostedNetwork(options).Fit(View(ml, train));
    }

    private static double Judge(MLContext ml, ITransformer model, IDataView test, bool isRegression) => isRegression
        ? ml.Regression.Evaluate(model.Transform(test), "Number").RootMeanSquaredError
        : 1 - ml.BinaryClassification.Evaluate(model.Transform(test), "Flag").Accuracy;

    private static (double Error, double Seconds) Official(Row[] train, Row[] test, bool isRegression)
    {
        if (Environment.GetEnvironmentVariable("GBNN") is not { Length: > 0 } package)
            return default;
        var folder = Directory.CreateTempSubdirectory("boosting").FullName;
        try
        {
            var (trainPath, testPath) = (Write("train.csv", train), Write("test.csv", test));
            string[] arguments =
            [
                "-c", Driver, package, trainPath, testPath, isRegression ? "regression" : "binary",
                .. new IFormattable[] { Units, Iterations, LearningRate, Subsample }.Select(number => number.ToString(null, CultureInfo.InvariantCulture)),
            ];
            using var python = Process.Start(new ProcessStartInfo(PythonPeer.Interpreter, arguments) { RedirectStandardOutput = true })!;
            var words = python.StandardOutput.ReadToEnd().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            python.WaitForExit();
            return python.ExitCode == 0 && words is [.., var error, var seconds]
                ? (double.Parse(error, CultureInfo.InvariantCulture), double.Parse(seconds, CultureInfo.InvariantCulture))
                : throw new InvalidOperationException($"The authors' package failed with exit code {python.ExitCode}.");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        string Write(string name, Row[] rows)
        {
            var path = Path.Combine(folder, name);
            File.WriteAllLines(path, rows.Select(row => string.Join(',', row.Features.Append(row.Number).Select(x => x.ToString("R", CultureInfo.InvariantCulture)))));
            return path;
        }
    }

    private static void PeakMemory()
    {
        const int count = 400_000;
        var ml = new MLContext(1);
        var rows = ml.Data.LoadFromEnumerable(Generated.Rows(count));
        Fit(5);
        GC.Collect();
        using var done = new CancellationTokenSource();
        var before = Resident();
        var peak = before;
        var watch = new Thread(() =>
        {
            for (; !done.IsCancellationRequested; Thread.Sleep(1))
                peak = Math.Max(peak, Resident());
        });
        watch.Start();
        Fit(100);
        done.Cancel();
        watch.Join();
        var data = count * (Generated.Width + 2.0) * sizeof(float) / 1e6;
        var sample = count * 0.9 * Subsample * Generated.Width * sizeof(float) / 1e6;
        Console.WriteLine($"boosting: {count} rows of {Generated.Width}, {data:F0} MB: at most {((peak - before) / 1e6) - data:F0} MB more than these; one subsample has {sample:F0} MB, the network less than 1");

        void Fit(int steps) => ml.Regression.Trainers.GradientBoostedNetwork(
            new GradientBoostedNetwork.Options { UnitsPerStep = 1, Restarts = 1, InputKnots = 0, TotalUnits = steps, StepIterations = 20, Subsample = Subsample, Seed = 1 }).Fit(rows);
    }

    private static long Resident() => long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize;

    private static Row[] Read(string path)
    {
        using Stream file = File.OpenRead(path);
        using var reader = new StreamReader(path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file);
        reader.ReadLine();
        var rows = new List<Row>();
        while (reader.ReadLine() is { Length: > 0 } line)
        {
            var words = line.Split(',');
            var label = words[^1] switch { "tested_positive" => 1, "tested_negative" => 0, var word => float.Parse(word, CultureInfo.InvariantCulture) };
            rows.Add(new() { Features = [.. words[..^1].Select(word => float.Parse(word, CultureInfo.InvariantCulture))], Number = label, Flag = label > 0.5f });
        }

        return [.. rows];
    }
}
