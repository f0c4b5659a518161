using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.ML;

namespace MlNetMlp.Conformance;

/// <summary>All estimators of a library on a page, out of the documentation of their types, their options and their own pages.</summary>
public static partial class CheatSheet
{
    private const string Unknown = "";

    /// <summary>A line for each trainer: tasks, when to choose it, what its data need, what it costs, where it comes from.</summary>
    /// <param name="suite">The trainers.</param>
    /// <param name="pages">The folder of the methods' pages, of which each has a section named Cost.</param>
    /// <param name="link">The way from the sheet to that folder.</param>
    /// <returns>A table in Markdown.</returns>
    public static string Trainers(ConformanceSuite suite, string pages, string link)
    {
        ArgumentNullException.ThrowIfNull(suite);
        var text = new StringBuilder("| trainer | tasks | what it is for | normalisation needed | rows | cost | reference |\n| --- | --- | --- | --- | --- | --- | --- |\n");
        foreach (var (name, remarks, about) in Types(suite))
        {
            text.Append(
                CultureInfo.InvariantCulture,
                $"| [{name}]({link}/{name}.md) | {Characteristic(remarks, "Machine learning tasks")} | {about} | {Characteristic(remarks, "Is normalization required?")} | "
                + $"{Characteristic(remarks, "Is caching required?")} | {Cost(Path.Combine(pages, name + ".md"))} [More]({link}/{name}.md#cost). | {Reference(remarks)} |\n");
        }

        return text.ToString();
    }

    /// <summary>For each trainer its columns and the names and defaults of its own options.</summary>
    /// <param name="suite">The trainers.</param>
    /// <param name="link">The way from the sheet to the folder of the methods' pages.</param>
    /// <returns>A table in Markdown.</returns>
    public static string Columns(ConformanceSuite suite, string link)
    {
        ArgumentNullException.ThrowIfNull(suite);
        var text = new StringBuilder("| trainer | output columns | own options and their defaults |\n| --- | --- | --- |\n");
        foreach (var (name, remarks, _) in Types(suite))
        {
            var options = OptionRow.Own(suite.Subjects.First(subject => subject.Name == name).DefaultOptions()).Select(row => $"`{row.Name}` {row.DefaultText}");
            text.Append(CultureInfo.InvariantCulture, $"| [{name}]({link}/{name}.md#options) | {string.Join(", ", Outputs(remarks))} | {string.Join(", ", options)} |\n");
        }

        return text.ToString();
    }

    /// <summary>A line for each catalog method that makes a transform.</summary>
    /// <param name="assemblies">Where the methods are.</param>
    /// <returns>A table in Markdown.</returns>
    public static string Transforms(params IReadOnlyList<Assembly> assemblies)
    {
        var methods = assemblies.SelectMany(assembly => assembly.GetExportedTypes())
            .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Static))
            .Where(method => method.IsDefined(typeof(ExtensionAttribute)) && method.GetParameters()[0].ParameterType == typeof(TransformsCatalog)
                && method.ReturnType.GetInterfaces().Any(type => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IEstimator<>)))
            .GroupBy(method => method.Name).OrderBy(group => group.Key, StringComparer.Ordinal);
        var text = new StringBuilder("| transform | what it does |\n| --- | --- |\n");
        foreach (var group in methods)
        {
            var about = string.Join(" ", group.Select(method => Sentence(XmlDocs.Text(XmlDocs.Of(method)?.Element("summary")))).Where(line => line.Length > 0).Distinct());
            text.Append(CultureInfo.InvariantCulture, $"| `{group.Key}` | {Cell(about)} |\n");
        }

        return text.ToString();
    }

    private static IEnumerable<(string Name, string Remarks, string About)> Types(ConformanceSuite suite) =>
        from subject in suite.Subjects.DistinctBy(subject => subject.Name).OrderBy(subject => subject.Name, StringComparer.Ordinal)
        let type = subject.OptionsType.Assembly.GetExportedTypes().FirstOrDefault(type => type.Name == subject.Name)
        let docs = type is null ? null : XmlDocs.Of(type)
        select (subject.Name, docs?.Element("remarks")?.Value ?? "", Cell(Sentence(XmlDocs.Text(docs?.Element("summary")))));

    // A row of the table of characteristics.
    private static string Characteristic(string remarks, string name) =>
        remarks.Split('\n').Select(line => line.Trim().Trim('|').Split(" | ")).FirstOrDefault(cells => cells.Length == 2 && cells[0].Trim() == name)?[1].Trim() ?? Unknown;

    // Names in backquotes in the first cell or the second of the rows of tables of columns.
    private static IEnumerable<string> Outputs(string remarks) =>
        Section(remarks, "### Input and output columns").Split('\n').Select(line => line.Trim()).Where(line => line.StartsWith('|'))
            .SelectMany(line => ColumnName().Matches(string.Join('|', line.Split('|').Take(3))).Select(match => match.Value)).Distinct();

    private static string Reference(string remarks) => Link().Match(Section(remarks, "### References")) is { Success: true } link ? Cell(Whitespace().Replace(link.Value, " ")) : Unknown;

    private static string Cost(string page) => File.Exists(page) ? Cell(Sentence(Whitespace().Replace(LinkText().Replace(Section(File.ReadAllText(page), "## Cost"), "$1"), " ").Trim())) : Unknown;

    private static string Section(string text, string heading)
    {
        var lines = text.ReplaceLineEndings("\n").Split('\n').Select(line => line.TrimStart()).SkipWhile(line => line != heading).Skip(1);
        return string.Join('\n', lines.TakeWhile(line => !line.StartsWith('#')));
    }

    private static string Sentence(string text) => FirstSentence().Match(text) is { Success: true } sentence ? sentence.Value : text;

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);

    [GeneratedRegex(@"^.*?[.:;](?= [A-Z]|$)")]
    private static partial Regex FirstSentence();

    [GeneratedRegex("`[A-Z][A-Za-z0-9.]*`")]
    private static partial Regex ColumnName();

    [GeneratedRegex(@"\[[^\]]*\]\(http[^)]*\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"\[([^\]]*)\]\([^)]*\)")]
    private static partial Regex LinkText();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Whitespace();
}
