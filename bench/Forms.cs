using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>
/// Closed forms: sums of products against a bare libtorch product of the same shape and type; fits of rows that are made when they are read, at
/// 1, 2, 5 and 10 million of them (or as many millions as the environment variable FORMS_ROWS says, such as 0.1,0.2), with the peak of resident
/// memory; what reading costs beside; the paper's table; and peers on forest cover.
/// </summary>
internal static class Forms
{
    private const int Units = 1000;

    private static readonly double[] Scales = [1, 10, 50, 200];
    private static readonly int[] Widths = [10, 50, 200, 1000];

    public static void Run(ILookup<string, string> options)
    {
        var report = Report.Of(options, "closed-form", "Closed forms");
        Products(report);
        Table(report);
        Reading(report);
        Rows(report);

        // What comes now takes minutes, and may be stopped.
        report.Save();
        FormsAndPeers.Run(report);
        report.Save();
    }

    /// <summary>Sums of one million-row pass against products of the same rows that are there already.</summary>
    private static void Products(Report report)
    {
        const int blocks = 16;
        const int rows = 2048;
        var lines = new List<string[]>();
        foreach (var units in new[] { 200, 500, Units, 2000 })
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator(1);
            var x = empty(rows, Generated.Width).normal_(0, 1, generator);
            using var map = new DenseFeatureMap(empty(units, Generated.Width).normal_(0, 0.3, generator), empty(units).normal_(0, 1, generator), Scoring.Activation.Tanh);
            var (h, y) = (map.Map(x), empty(rows, 1).normal_(0, 1, generator));
            var doubles = h.to(ScalarType.Float64);
            using var sums = new LeastSquaresSums(units, 1);
            var repeats = Math.Max(1, 1000 / units);
            var seconds = Clock.Medians(
                5,
                () => Repeat(() => { using var product = doubles.t().mm(doubles); }),
                () => Repeat(() => sums.Add(h, y)),
                () => Repeat(() =>
                {
                    using var mapped = map.Map(x);
                    sums.Add(mapped, y);
                }));
            var rate = 2.0 * blocks * repeats * rows * units * units / seconds[0] / 1e9;
            lines.Add([$"{rows} x {units}", $"{rate:F0}", $"{seconds[0] / seconds[1]:P0}", $"{seconds[0] / seconds[2]:P0}"]);

            void Repeat(Action action)
            {
                for (var i = 0; i < blocks * repeats; i++)
                    action();
            }
        }

        report.Add(
            "Sums of products in Float64 against a bare libtorch product",
            ["shape", "a bare product, GFLOP/s", "sums (from Float32, with labels), of its rate", $"with the map of {Generated.Width} features before them"], lines);
    }

    /// <summary>The table of the paper's claim: RMSE by scale and width, on sin 20πx and other functions of one number.</summary>
    private static void Table(Report report)
    {
        var ml = new MLContext(1);
        (string Name, Func<double, double> Target, RandomActivation Activation)[] targets =
        [
            ("sin 2πx, Gaussian", x => Math.Sin(2 * Math.PI * x), RandomActivation.Gaussian),
            ("sin 20πx, Gaussian", x => Math.Sin(20 * Math.PI * x), RandomActivation.Gaussian),
            ("sin 20πx, tanh", x => Math.Sin(20 * Math.PI * x), RandomActivation.Tanh),
            ("sin 20πx, ReLU", x => Math.Sin(20 * Math.PI * x), RandomActivation.Relu),
            ("sin 2π/x, tanh", x => x == 0 ? 0 : Math.Sin(2 * Math.PI / x), RandomActivation.Tanh),
            ("step, tanh", x => x > 0 ? 1 : 0, RandomActivation.Tanh),
        ];
        var lines = new List<string[]>();
        foreach (var (name, target, activation) in targets)
        {
            var (train, test) = (Points(ml, 400, target), Points(ml, 1001, target));
            var cells = Scales.Select(scale => string.Join('/', Widths.Select(units =>
            {
                var trainer = ml.Regression.Trainers.RandomFeatureNetwork(new RandomFeatureNetwork.Options
                {
                    HiddenUnits = units, Activation = activation, WeightScale = scale, BiasScale = scale, StandardizeInputs = false, L2 = 1e-12,
                    ValidationFraction = 0, Diagnose = false, Seed = 1,
                });
                return ml.Regression.Evaluate(trainer.Fit(train).Transform(test)).RootMeanSquaredError.ToString("F3", CultureInfo.InvariantCulture);
            })));
            lines.Add([name, .. cells]);
        }

        report.Add($"RMSE of 1,001 points after 400, of {string.Join('/', Widths)} units", ["function and units", .. Scales.Select(scale => $"scale {scale}")], lines);
    }

    /// <summary>What a pass over streamed rows costs: reading alone and with the sums, by one cursor and by as many as the view can be shared between.</summary>
    private static void Reading(Report report)
    {
        const int count = 200_000;
        var lines = new List<string[]>();
        var folder = Directory.CreateTempSubdirectory("forms").FullName;
        try
        {
            var ml = new MLContext(1);
            var path = Path.Combine(folder, "rows.csv");
            using (var stream = File.Create(path))
                ml.Data.SaveAsText(ml.Data.LoadFromEnumerable(Generated.Lazy(count)), stream, separatorChar: ',', headerRow: false, schema: false);
            TextLoader.Column[] columns = [new("Features", DataKind.Single, 0, Generated.Width - 1), new("Label", DataKind.Single, Generated.Width)];
            var text = ml.Data.LoadFromTextFile(path, columns, separatorChar: ',');
            var prepared = ml.Transforms.NormalizeBinning("Features", maximumBinCount: 64).Fit(text).Transform(text);
            foreach (var (name, view) in new[] { ("objects", ml.Data.LoadFromEnumerable(Generated.Lazy(count))), ("csv", text), ("csv, binned", prepared) })
            {
                foreach (var units in new[] { 100, Units })
                {
                    using var scope = NewDisposeScope();
                    using var run = new TrainingRun(CPU, 1, new TrainingObserver(_ => { }, null, () => { }, false, default), null);
                    using var map = new DenseFeatureMap(rand(units, Generated.Width), rand(units), Scoring.Activation.Tanh);
                    var (one, head) = Load(new OneCursor(view));
                    var (shared, _) = Load(view);
                    using (one)
                    using (shared)
                    {
                        var (oneRows, sharedRows) = (new FeatureRows(one, head, run, map), new FeatureRows(shared, head, run, map));
                        var times = Clock.Medians(3, () => Drain(one), () => Drain(shared), () => oneRows.Sum().Dispose(), () => sharedRows.Sum().Dispose());
                        lines.Add([name, $"{units}", .. times.Select(time => $"{time:F2}")]);
                    }
                }
            }

            report.Add($"Seconds of a pass over {count:N0} streamed rows", ["rows", "units", "reading by one cursor", "by several", "with the sums, by one", "by several"], lines);

            static (TrainingSet Set, TaskHead Head) Load(IDataView view) =>
                new TrainingSetLoader(new LoadSettings(TaskKind.Regression, new(new("Features"), "Label", null, null), [], null, 0, 1_000_000, false, 1), _ => { }, () => { })
                    .Load(view, null, null);

            static void Drain(TrainingSet set)
            {
                foreach (var block in set.Blocks(2048))
                    block.Dispose();
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Rows(Report report)
    {
        var ml = new MLContext(1);
        var millions = (Environment.GetEnvironmentVariable("FORMS_ROWS") ?? "1,2,5,10").Split(',').Select(word => double.Parse(word, CultureInfo.InvariantCulture));
        var test = ml.Data.LoadFromEnumerable(Generated.Rows(5000, seed: 2));
        var lines = new List<string[]>();
        foreach (var million in millions)
        {
            var count = (int)(million * 1e6);
            GC.Collect();
            var peak = 0L;
            using var stop = new CancellationTokenSource();
            var watch = new Thread(() =>
            {
                for (; !stop.IsCancellationRequested; Thread.Sleep(5))
                    peak = Math.Max(peak, Resident());
            });
            watch.Start();
            var clock = Stopwatch.StartNew();
            var model = ml.Regression.Trainers.RandomFeatureNetwork(new RandomFeatureNetwork.Options { HiddenUnits = Units, MemoryBudget = 50_000_000, Seed = 1 })
                .Fit(ml.Data.LoadFromEnumerable(Generated.Lazy(count)));
            var seconds = clock.Elapsed.TotalSeconds;
            stop.Cancel();
            watch.Join();
            lines.Add([$"{count:N0}", $"{seconds:F1}", $"{seconds / million:F1}", $"{peak >> 20}", $"{ml.Regression.Evaluate(model.Transform(test)).RSquared:F4}"]);
        }

        report.Add($"Fits of `RandomFeatureNetwork`, {Units:N0} units, to rows of {Generated.Width} that are made when they are read", ["rows", "s", "s a million", "most resident, MiB", "R²"], lines);
    }

    private static IDataView Points(MLContext ml, int count, Func<double, double> target) => ml.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(i =>
    {
        var x = (float)(-1 + (2.0 * i / (count - 1)));
        return new Point { Features = [x], Label = (float)target(x) };
    }).ToArray());

    private static long Resident() => long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize;

    private sealed class Point
    {
        [VectorType(1)]
        public float[] Features { get; set; } = [];

        public float Label { get; set; }
    }

    private sealed class OneCursor(IDataView source) : IDataView
    {
        public bool CanShuffle => source.CanShuffle;

        public DataViewSchema Schema => source.Schema;

        public long? GetRowCount() => source.GetRowCount();

        public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columns, Random? random = null) => source.GetRowCursor(columns, random);

        public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columns, int most, Random? random = null) => [GetRowCursor(columns, random)];
    }
}
