using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Scripting;
using Microsoft.CodeAnalysis.Scripting;
using Microsoft.ML;
using MlNetMlp.Conformance;
using MlNetMlp.Explain;
using MlNetMlp.Forecasting;
using MlNetMlp.Methods;
using MlNetMlp.Tests.Conformance;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using MlNetMlp.Vision;

namespace MlNetMlp.Tests;

/// <summary>The pages under <c>docs</c>: what they show is what the code says, and their examples run.</summary>
[Collection(nameof(CurrentFolder))]
public sealed partial class DocumentTests
{
    public static IEnumerable<object[]> Pages =>
        Directory.GetFiles(Repository.At("docs", "methods"), "*.md").Select(path => "methods/" + Path.GetFileName(path)).Append("tuning.md").Select(page => new object[] { page });

    [Theory]
    [MemberData(nameof(Pages))]
    public async Task The_example_of_a_page_runs(string page)
    {
        var examples = CodeBlocks().Matches(Repository.Read("docs", page)).Select(match => match.Groups[1].Value).ToArray();
        Assert.NotEmpty(examples);
        var before = Environment.CurrentDirectory;
        var folder = Directory.CreateTempSubdirectory("docs").FullName;
        try
        {
            Environment.CurrentDirectory = folder;
            Copy(Repository.At("samples", "Quickstart", "data"), Path.Combine(folder, "samples", "Quickstart", "data"));
            var options = ScriptOptions.Default
                .WithReferences(((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Where(File.Exists).Select(path => MetadataReference.CreateFromFile(path)))
                .WithImports("System", "System.Linq", "System.IO", "System.Collections.Generic", "System.Threading");
            foreach (var example in examples)
                await CSharpScript.RunAsync(example, options);
        }
        finally
        {
            Environment.CurrentDirectory = before;
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Tables_come_from_the_code()
    {
        foreach (var subject in ConformanceTests.Suite.Subjects.DistinctBy(subject => subject.Name))
            DocumentTable.Check(Repository.At("docs", "methods", subject.Name + ".md"), "options", OptionRow.Markdown(subject.DefaultOptions()));
        DocumentTable.Check(Repository.At("docs", "methods", "CodebookNetwork.md"), "quantizer", OptionRow.Markdown(new VectorQuantize.Options()));
        DocumentTable.Check(Repository.At("docs", "methods", "CodebookSequenceModel.md"), "options", OptionRow.Markdown(new CodebookSequenceModel.Options()));
        DocumentTable.Check(Repository.At("docs", "methods", "PatchTSMixer.md"), "pretraining options", OptionRow.Markdown(new PatchTSMixerPretrain.Options(), typeof(PatchTSMixerPretrain.Options)));
        var sheet = Repository.At("docs", "cheat-sheet.md");
        DocumentTable.Check(sheet, "trainers", CheatSheet.Trainers(ConformanceTests.Suite, Repository.At("docs", "methods"), "methods"));
        DocumentTable.Check(sheet, "columns", CheatSheet.Columns(ConformanceTests.Suite, "methods"));
        DocumentTable.Check(sheet, "transforms", CheatSheet.Transforms(typeof(ScaledMlpCatalog).Assembly, typeof(NetworkCatalog).Assembly));
        var options = Repository.At("docs", "options.md");
        DocumentTable.Check(options, "forecasts", OptionRow.Markdown(new ForecastOptions()));
        DocumentTable.Check(options, "all trainers", OptionRow.Markdown(new Plain(), typeof(NetworkOptions)));
        DocumentTable.Check(options, "trainers by gradients", OptionRow.Markdown(new Plain(), typeof(GradientTrainedOptions)));
        DocumentTable.Check(options, "trainers of images", OptionRow.Markdown(new MetaFormer.Options(), typeof(ImageTrainedOptions)));
        DocumentTable.Check(options, "augmentation", OptionRow.Markdown(new ImageAugmentation()));
        DocumentTable.Check(options, "networks of image tokens", OptionRow.Markdown(new MetaFormer.Options(), typeof(MetaFormerOptions)));
        DocumentTable.Check(Repository.At("docs", "conformance.md"), "trainers", ConformanceTable.Write(ConformanceTests.Suite, ConformanceSuite.Expected));
    }

    [Fact]
    public void The_catalog_has_no_row_without_a_trainer()
    {
        var rows = Rows().Matches(Repository.Read("docs", "catalog.md")).Select(match => match.Groups[1].Value).ToArray();
        Assert.Equal(ConformanceTests.Suite.Subjects.Select(subject => subject.Name).Distinct().Order(StringComparer.Ordinal), rows.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Links_lead_somewhere()
    {
        foreach (var page in Directory.GetFiles(Repository.At("docs"), "*.md", SearchOption.AllDirectories).Append(Repository.At("README.md")))
        {
            foreach (var link in Links().Matches(File.ReadAllText(page)).Select(match => match.Groups[1].Value).Where(link => !link.Contains("://", StringComparison.Ordinal)))
                Assert.True(Path.Exists(Path.Combine(Path.GetDirectoryName(page)!, link.Split('#')[0])), $"{page}: there is no {link}");
        }
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from))
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CodeBlocks();

    [GeneratedRegex(@"^\| \[(\w+)\]\(methods/", RegexOptions.Multiline)]
    private static partial Regex Rows();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Links();

    private sealed record Plain : GradientTrainedOptions;
}
