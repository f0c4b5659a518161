using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using MlNetMlp.Runtime;
using ScottPlot;

namespace MlNetMlp.Bench;

/// <summary>What a benchmark tells: tables and charts, on the console, and in a folder as Markdown, JSON and PNG where <c>out=folder</c> asks for it.</summary>
/// <param name="name">Name of the files.</param>
/// <param name="title">Heading of the page.</param>
/// <param name="folder">The folder; null for the console only.</param>
internal sealed class Report(string name, string title, string? folder)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly StringBuilder _page = new();
    private readonly List<Table> _tables = [];

    private sealed record Table(string Heading, IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Rows);

    private sealed record Written(string Title, IReadOnlyList<string> Machine, string Command, IReadOnlyList<Table> Tables);

    /// <summary>Processor, cores, versions.</summary>
    public static IReadOnlyList<string> Machine { get; } =
    [
        $"{Processor()}, {Environment.ProcessorCount} cores, {GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 30} GiB",
        $"{RuntimeInformation.OSDescription}, .NET {Environment.Version}",
        string.Create(CultureInfo.InvariantCulture, $"ML.NET {VersionOf(typeof(Microsoft.ML.MLContext))}, TorchSharp {VersionOf(typeof(TorchSharp.torch))}, {LibTorch.Load().ToString()!.Split(" from ")[0]}"),
    ];

    /// <summary>A report of what the words behind a benchmark's name ask for; <c>name=</c> gives its files another name.</summary>
    public static Report Of(ILookup<string, string> options, string name, string title) => new(options["name"].LastOrDefault() ?? name, title, options["out"].LastOrDefault());

    /// <summary>Adds a paragraph.</summary>
    /// <param name="text">The text, in Markdown.</param>
    public void Say(string text)
    {
        Console.WriteLine($"\n{text}\n");
        _page.AppendLine(text).AppendLine();
    }

    /// <summary>Adds a table.</summary>
    /// <param name="heading">What it shows; a section of the page.</param>
    /// <param name="columns">Names of the columns.</param>
    /// <param name="rows">The cells.</param>
    public void Add(string heading, IReadOnlyList<string> columns, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        _tables.Add(new(heading, columns, rows));
        var lines = rows.Prepend([.. columns.Select(_ => "---")]).Prepend(columns).Select(cells => $"| {string.Join(" | ", cells)} |").ToArray();
        Console.WriteLine($"\n{heading}\n\n{string.Join('\n', lines)}");
        _page.AppendLine(CultureInfo.InvariantCulture, $"## {heading}\n\n{string.Join('\n', lines)}\n");
    }

    /// <summary>Adds a chart, where there is a folder.</summary>
    /// <param name="suffix">End of the file's name.</param>
    /// <param name="caption">What it shows.</param>
    /// <param name="draw">Draws it.</param>
    /// <param name="height">Height in pixels.</param>
    public void Chart(string suffix, string caption, Action<Plot> draw, int height = 600)
    {
        if (folder is null)
            return;
        using var plot = new Plot();
        plot.Title(caption);
        draw(plot);
        Directory.CreateDirectory(folder);
        File.WriteAllBytes(Path.Combine(folder, $"{name}-{suffix}.png"), plot.GetImageBytes(1000, height, ImageFormat.Png));
        _page.AppendLine(CultureInfo.InvariantCulture, $"![{caption}]({name}-{suffix}.png)\n");
    }

    /// <summary>A chart of lines over logarithmic axes.</summary>
    /// <param name="suffix">End of the file's name.</param>
    /// <param name="caption">What it shows.</param>
    /// <param name="x">Name of the axis to the right.</param>
    /// <param name="y">Name of the axis upwards.</param>
    /// <param name="lines">Points of each line, above zero.</param>
    public void LogChart(string suffix, string caption, string x, string y, IEnumerable<(string Name, IReadOnlyList<(double X, double Y)> Points)> lines) => Chart(suffix, caption, plot =>
    {
        foreach (var (line, points) in lines.Where(line => line.Points.Count > 0))
            plot.Add.Scatter(points.Select(point => Math.Log10(point.X)).ToArray(), points.Select(point => Math.Log10(point.Y)).ToArray()).LegendText = line;
        foreach (var axis in new[] { plot.Axes.Bottom, (IAxis)plot.Axes.Left })
        {
            axis.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic
            {
                MinorTickGenerator = new ScottPlot.TickGenerators.LogMinorTickGenerator(), IntegerTicksOnly = true, LabelFormatter = power => $"1e{power:0}",
            };
        }

        plot.XLabel(x);
        plot.YLabel(y);
        plot.ShowLegend(Alignment.UpperLeft);
    });

    /// <summary>Writes the files, where there is a folder.</summary>
    public void Save()
    {
        if (folder is null)
            return;
        Directory.CreateDirectory(folder);
        string[] words = [.. Environment.GetCommandLineArgs().Skip(1).Where(word => !word.StartsWith("out=", StringComparison.Ordinal) && !word.StartsWith("keep=", StringComparison.Ordinal))];
        var command = $"dotnet run -c Release --project bench -- {string.Join(' ', words)}";
        File.WriteAllText(
            Path.Combine(folder, $"{name}.md"), $"# {title}\n\n`{command}`\n\n{string.Join('\n', Machine.Select(line => $"- {line}"))}\n\n{_page.ToString().TrimEnd()}\n");
        File.WriteAllText(Path.Combine(folder, $"{name}.json"), JsonSerializer.Serialize(new Written(title, Machine, command, _tables), Indented) + "\n");
    }

    private static string VersionOf(Type type) => type.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "?";

    private static string Processor() => !File.Exists("/proc/cpuinfo")
        ? RuntimeInformation.ProcessArchitecture.ToString()
        : File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim() ?? "?";
}
