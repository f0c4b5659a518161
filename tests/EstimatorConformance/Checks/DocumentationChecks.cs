using System.Reflection;
using System.Xml.Linq;
using Microsoft.ML;
using MlNetMlp.Methods;

namespace MlNetMlp.Conformance.Checks;

/// <summary>What a user reads before and beside the code.</summary>
internal static class DocumentationChecks
{
    private const int LongestLoaderSignature = 24;

    private static readonly string[] Sections = ["## When to use it", "## When not", "## Example", "## Options", "## Cost", "## Anti-patterns", "## References"];

    [Check(40, "Documented: XML documentation, paper, characteristics, page, row of the catalog; all its names agree", When = nameof(Subject.HasRepository))]
    public static void IsDocumented(Trial trial)
    {
        var (subject, root) = (trial.Subject, trial.Subject.Profile.Repository!);
        var method = subject.Assembly.GetExportedTypes().SingleOrDefault(type => type.Name == subject.Name && typeof(INetworkMethod).IsAssignableFrom(type));
        Assert.True(method is not null && subject.OptionsType.Name == "Options", $"there is no method {subject.Name} in {subject.Assembly}, or {subject.OptionsType} are not its Options");
        Says(XmlDocs.Of(method), $"the documentation of {method}", "### Input and output columns", "### Trainer characteristics", "### Training algorithm details", "### References", "https://");
        foreach (var door in subject.CatalogMethods)
            Assert.True(XmlDocs.Text(XmlDocs.Of(door)?.Element("summary")).Length > 0, $"{door} has no summary");

        var file = Directory.GetFiles(Path.Combine(root, "src"), subject.Name + ".cs", SearchOption.AllDirectories);
        Assert.True(file.Length == 1, $"{file.Length} source files are named {subject.Name}.cs");
        var page = Path.Combine(root, "docs", "methods", subject.Name + ".md");
        Assert.True(File.Exists(page), $"there is no page {page}");
        Says(File.ReadAllText(page), page, [.. Sections, "```csharp", OptionRow.Markdown(subject.DefaultOptions())]);
        var row = File.ReadLines(Path.Combine(root, "docs", "catalog.md")).FirstOrDefault(line => line.StartsWith($"| [{subject.Name}](methods/{subject.Name}.md) |", StringComparison.Ordinal));
        Assert.True(row?.Contains(Task(subject), StringComparison.Ordinal) ?? false, $"docs/catalog.md has no row of {subject.Name} for {subject.Task}");
        LoadersAreRegistered(trial.Model.GetType().Assembly);
    }

    private static string Task(Subject subject) => subject.Task switch
    {
        EstimatorTask.MultiOutput => "multi-output",
        EstimatorTask.Causal => "causal inference",
        _ => subject.Task.ToString().ToLowerInvariant(),
    };

    // A loader that cannot be registered breaks the first load of any model of its assembly.
    private static void LoadersAreRegistered(Assembly assembly)
    {
        var loaders = assembly.GetCustomAttributesData().Where(a => a.AttributeType.Name.StartsWith("LoadableClass", StringComparison.Ordinal))
            .SelectMany(a => (IEnumerable<CustomAttributeTypedArgument>)a.ConstructorArguments[^1].Value!).Select(name => (string?)name.Value).ToArray();
        Assert.True(loaders.Length > 0, $"{assembly} registers no loader");
        Assert.True(loaders.All(name => name is { Length: > 0 and <= LongestLoaderSignature }), $"loader signatures: {string.Join(", ", loaders)}");
        Assert.Equal(loaders.Length, loaders.Distinct(StringComparer.OrdinalIgnoreCase).Count());
        new MLContext().ComponentCatalog.RegisterAssembly(assembly, throwOnError: true);
    }

    private static void Says(XElement? documentation, string where, params string[] parts) => Says(documentation?.Value ?? "", where, parts);

    private static void Says(string text, string where, params string[] parts)
    {
        text = text.ReplaceLineEndings("\n");
        var missing = parts.Where(part => !text.Contains(part, StringComparison.Ordinal)).ToArray();
        Assert.True(missing.Length == 0, $"{where} lacks: {string.Join("; ", missing)}");
    }
}
