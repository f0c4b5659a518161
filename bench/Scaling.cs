using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Tabular;

namespace MlNetMlp.Bench;

/// <summary>
/// Time and memory of a fit against rows, features and width, each in a process of its own; a table as large as HIGGS, and a hundred million rows on disk. Rows are generated as they are read and never
/// kept.
/// </summary>
internal static class Scaling
{
    /// <summary>Name of the benchmark that such a process runs.</summary>
    public const string Child = "scaling-child";

    private const int Width = 28;
    private const int Units = 1024;
    private const long Budget = 100_000_000;
    private const int FileWidth = 4;
    private const int FileRows = 100_000_000;
    private const int HiggsRows = 11_000_000;

    /// <summary>A size that changes, the others as they are.</summary>
    private sealed record Line(string Name, string Method, IReadOnlyList<(int Rows, int Width, int Units)> Sizes, Func<(int Rows, int Width, int Units), double> Size);

    // Of those, --quick takes the first two.
    private static readonly Line[] Lines =
    [
        new("rows", "RandomFeatureNetwork", [.. Powers(1000, 10_000_000).Select(rows => (rows, Width, Units))], size => size.Rows),
        new("features", "RandomFeatureNetwork", [(20_000, 10, Units), (20_000, 100, Units), (20_000, 1000, Units), (20_000, 10_000, Units)], size => size.Width),
        new("hidden units", "RandomFeatureNetwork", [.. Doublings(256, 4096).Select(units => (20_000, Width, units))], size => size.Units),
        new("rows", "ScaledMlp, one epoch", [.. Powers(1000, 1_000_000).Select(rows => (rows, Width, 256))], size => size.Rows),
        new("hidden units", "ScaledMlp, one epoch", [.. Doublings(64, 1024).Select(units => (20_000, Width, units))], size => size.Units),
        new("rows", "TabularNetwork, one epoch", [.. Powers(1000, 1_000_000).Select(rows => (rows, Width, 128))], size => size.Rows),
        new("rows", "LightGbm", [.. Powers(1000, 1_000_000).Select(rows => (rows, Width, 0))], size => size.Rows),
        new("rows", "FastTree", [.. Powers(1000, 1_000_000).Select(rows => (rows, Width, 0))], size => size.Rows),
    ];

    public static void Run(ILookup<string, string> options)
    {
        var isQuick = options["quick"].Any();
        if (Choice.Of(options, "methods", "scaling", [.. Lines.Select(NameOf).Distinct()], method => method) is not { } methods)
            return;
        var lines = Lines.Where(line => methods.Contains(NameOf(line))).ToArray();
        var report = Report.Of(options, "scaling", "Time and memory against size");
        report.Say(
            $"Every line is a fit in a process of its own; rows are generated as they are read, by another thread, and not kept. Peak memory is that of the process less what it held before the fit. `MemoryBudget` is {Budget / 1_000_000} MB, but for TabularNetwork, which has its default. "
            + "The exponent is that of the last three sizes: 1 is time in proportion.");
        foreach (var line in lines)
        {
            var results = line.Sizes.Take(isQuick ? 2 : int.MaxValue).Select(size => (Size: size, Result: InChild(line.Method, size.Rows, size.Width, size.Units))).ToArray();
            report.Add(
                $"{line.Method} against {line.Name}", ["rows", "features", "hidden units", "seconds", "peak MB"],
                [.. results.Select(x => (string[])[$"{x.Size.Rows:N0}", $"{x.Size.Width:N0}", x.Size.Units == 0 ? "" : $"{x.Size.Units:N0}", $"{x.Result.Seconds:F2}", $"{x.Result.Megabytes:F0}"])]);
            report.Say($"Exponent of {line.Name}: {Exponent([.. results.TakeLast(3).Select(x => (line.Size(x.Size), x.Result.Seconds))]):F2}.");
            report.LogChart(
                $"{NameOf(line)}-{line.Name.Replace(' ', '-')}", $"{line.Method} against {line.Name}", line.Name, "seconds", [(line.Method, [.. results.Select(x => (line.Size(x.Size), x.Result.Seconds))])]);
        }

        if (lines.Length < Lines.Length)
        {
            report.Save();
            return;
        }

        var higgsRows = isQuick ? HiggsRows / 100 : HiggsRows;
        var higgs = InChild("RandomFeatureNetwork", higgsRows, Width, Units);
        report.Add("As large as HIGGS", ["rows", "features", "hidden units", "seconds", "peak MB"], [[$"{higgsRows:N0}", $"{Width}", $"{Units:N0}", $"{higgs.Seconds:F0}", $"{higgs.Megabytes:F0}"]]);
        Disk(report, isQuick ? FileRows / 1000 : FileRows);
        report.Save();
    }

    private static string NameOf(Line line) => line.Method.Split(',')[0];

    /// <summary>What such a process does: a fit, or scoring a file.</summary>
    /// <param name="options">Its method, rows, features, units, and file.</param>
    public static void RunChild(ILookup<string, string> options)
    {
        int Number(string name) => int.Parse(options[name].Single(), CultureInfo.InvariantCulture);
        var (ml, method, rows, width, units) = (new MLContext(1), options["method"].Single(), Number("count"), Number("width"), Number("units"));
        var trainer = Trainer(ml, method, units);
        var warm = trainer.Fit(Stream(ml, 500, width));
        Read(warm.Transform(Stream(ml, 500, width)));
        var file = options["file"].SingleOrDefault();
        GC.Collect();
        var before = Memory("VmRSS");
        var clock = Stopwatch.StartNew();
        if (file is null)
        {
            trainer.Fit(Stream(ml, rows, width));
        }
        else
        {
            var count = Read(warm.Transform(ml.Data.LoadFromBinary(file)));
            if (count != rows)
                throw new InvalidOperationException($"{count} rows were scored, not {rows}.");
        }

        Console.WriteLine($"result {clock.Elapsed.TotalSeconds} {Memory("VmHWM") - before}");
    }

    private static long Read(IDataView scored) => scored.GetColumn<float>("Score").LongCount();

    private static IEstimator<ITransformer> Trainer(MLContext ml, string method, int units) => method.Split(',')[0] switch
    {
        "ScaledMlp" => ml.Regression.Trainers.ScaledMlp(new ScaledMlp.Options { Width = units, Epochs = 1, ValidationFraction = 0, Seed = 1, MemoryBudget = Budget }),
        "TabularNetwork" => ml.Regression.Trainers.TabularNetwork(
            new TabularNetwork.Options { HiddenSize = units, Epochs = 1, FrequencyScale = TabularNetwork.Options.Fast.FrequencyScale, Seed = 1 }),
        "LightGbm" => ml.Regression.Trainers.LightGbm(),
        "FastTree" => ml.Regression.Trainers.FastTree(),
        _ => ml.Regression.Trainers.RandomFeatureNetwork(
            new RandomFeatureNetwork.Options { HiddenUnits = units, ValidationFraction = 0, Seed = 1, MemoryBudget = Budget, WeightScale = 1, L2 = 1e-6, Diagnose = false, KeepSums = false }),
    };

    private static void Disk(Report report, int rows)
    {
        var file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            var ml = new MLContext(1);
            var clock = Stopwatch.StartNew();
            using (var target = File.Create(file))
                ml.Data.SaveAsBinary(ml.Transforms.SelectColumns("Features").Fit(Stream(ml, 10, FileWidth)).Transform(Stream(ml, rows, FileWidth)), target);
            var written = clock.Elapsed.TotalSeconds;
            var (seconds, megabytes) = InChild("RandomFeatureNetwork", rows, FileWidth, 64, file);
            report.Add(
                "Scored from disk", ["rows", "features", "file, MB", "hidden units", "seconds", "million rows a second", "peak MB"],
                [[$"{rows:N0}", $"{FileWidth}", $"{new FileInfo(file).Length / 1e6:F0}", "64", $"{seconds:F0}", $"{rows / seconds / 1e6:F2}", $"{megabytes:F0}"]]);
            report.Say($"Writing the file took {written:F0} s.");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static (double Seconds, double Megabytes) InChild(string method, int rows, int width, int units, string? file = null)
    {
        string[] words = [Child, $"method={method}", $"count={rows}", $"width={width}", $"units={units}", .. file is null ? [] : (string[])[$"file={file}"]];
        var start = new ProcessStartInfo(Environment.ProcessPath!, [.. Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : (string[])[], .. words])
        {
            RedirectStandardOutput = true,
        };
        using var process = Process.Start(start)!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        var result = text.Split('\n').LastOrDefault(line => line.StartsWith("result ", StringComparison.Ordinal))?.Split(' ')
            ?? throw new InvalidOperationException($"{method} with {rows} rows, {width} features and {units} units ended with exit code {process.ExitCode}: {text}");
        return (double.Parse(result[1], CultureInfo.InvariantCulture), double.Parse(result[2], CultureInfo.InvariantCulture));
    }

    private static double Exponent((double Size, double Seconds)[] points)
    {
        var (x, y) = (points.Select(point => Math.Log(point.Size)).ToArray(), points.Select(point => Math.Log(point.Seconds)).ToArray());
        var (meanX, meanY) = (x.Average(), y.Average());
        return x.Zip(y, (a, b) => (a - meanX) * (b - meanY)).Sum() / x.Sum(a => (a - meanX) * (a - meanX));
    }

    private static IEnumerable<int> Powers(int first, int last)
    {
        for (var size = first; size <= last; size *= 10)
            yield return size;
    }

    private static IEnumerable<int> Doublings(int first, int last)
    {
        for (var size = first; size <= last; size *= 2)
            yield return size;
    }

    private static double Memory(string name) =>
        double.Parse(File.ReadLines("/proc/self/status").First(line => line.StartsWith(name, StringComparison.Ordinal)).Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1000;

    private static IDataView Stream(MLContext ml, int count, int width)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, width);
        return ml.Data.LoadFromEnumerable(Rows(), schema);

        // The cheapest numbers that are of use, so that what is measured is the fit. One object serves all rows, as ML.NET copies out of it.
        IEnumerable<Row> Rows()
        {
            var (row, state) = (new Row { Features = new float[width] }, 88172645463325252UL);
            for (var i = 0; i < count; i++)
            {
                for (var j = 0; j < width; j++)
                {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    row.Features[j] = ((int)(state >> 40) * (2f / (1 << 24))) - 1;
                }

                row.Label = row.Features[0] + (row.Features[1] * row.Features[2]);
                yield return row;
            }
        }
    }

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public float Label { get; set; }
    }
}
