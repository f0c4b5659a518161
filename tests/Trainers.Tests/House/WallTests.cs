using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using MlNetMlp.Conformance;
using MlNetMlp.Tests.Conformance;
using MlNetMlp.Tests.Support;
using Xunit.Abstractions;

namespace MlNetMlp.Tests;

/// <summary>What may never be where: the walls between the seam, the methods and the tests that all of them share.</summary>
public sealed partial class WallTests(ITestOutputHelper output)
{
    private static readonly string[] MethodsNeverSay = ["IDataView", "DataViewSchema", "Stream", "FileStream", "MemoryStream", "CUDA", "cuda", "is_available"];

    private static readonly string[] Methods = [.. ConformanceTests.Suite.Subjects.Select(subject => subject.Name).Distinct()];

    [Theory]
    [InlineData("src/MlNetExtensions")]
    [InlineData("tests/EstimatorConformance")]
    [InlineData("tests/EstimatorConformance.Tests")]
    [InlineData("tests/Extensions.Tests")]
    public void Nothing_shared_names_a_method(string folder)
    {
        // Comments count too: a reader of the seam should not have to know who uses it.
        foreach (var file in Sources(folder))
        {
            var words = Words(file, withComments: true).ToHashSet();
            var named = Methods.Where(method => words.Any(word => word.StartsWith(method, StringComparison.Ordinal))).ToArray();
            Assert.True(named.Length == 0, $"{file} names {string.Join(", ", named)}");
        }
    }

    [Fact]
    public void Methods_see_neither_views_nor_files_nor_devices()
    {
        foreach (var file in Sources("src/Trainers"))
        {
            var said = Words(file, withComments: false).Intersect(MethodsNeverSay).ToArray();
            Assert.True(said.Length == 0, $"{file} says {string.Join(", ", said)}");
        }
    }

    [Fact]
    public void Only_the_interop_folder_opens_what_ML_NET_keeps_internal()
    {
        string[] internals = ["LoadableClass", "ModelLoadContext", "ModelSaveContext", "VersionInfo", "IHost", "IHostEnvironment", "RoleMappedSchema", "TrainerUtils"];
        foreach (var file in Sources("src").Where(file => !file.Contains("/Interop/", StringComparison.Ordinal)))
        {
            var said = Words(file, withComments: false).Intersect(internals).ToArray();
            Assert.True(said.Length == 0, $"{file} says {string.Join(", ", said)}");
        }
    }

    [Fact]
    public void Folders_of_the_seam_know_only_those_above_them()
    {
        var folders = FolderRows().Matches(Repository.Read("CONTRIBUTING.md")).Select(match => match.Groups[1].Value).ToArray();
        Assert.Equal(
            Directory.GetDirectories(Repository.At("src", "MlNetExtensions")).Select(path => Path.GetFileName(path)).Where(name => name is not ("bin" or "obj")).Order(StringComparer.Ordinal),
            folders.Order(StringComparer.Ordinal));
        for (var i = 0; i < folders.Length; i++)
        {
            foreach (var file in Sources("src/MlNetExtensions/" + folders[i]))
            {
                var below = Usings().Matches(Repository.Read(file)).Select(match => match.Groups[1].Value).Intersect(folders[(i + 1)..]).ToArray();
                Assert.True(below.Length == 0, $"{file} uses {string.Join(", ", below)}, below it in the table of CONTRIBUTING.md");
            }
        }
    }

    [Fact]
    public void Checks_are_short()
    {
        const int most = 25;
        var checks = Sources("tests/EstimatorConformance/Checks")
            .SelectMany(file => CSharpSyntaxTree.ParseText(File.ReadAllText(Repository.At(file))).GetRoot().DescendantNodes().OfType<MethodDeclarationSyntax>())
            .Where(method => method.AttributeLists.Any(list => list.Attributes.Any(attribute => attribute.Name.ToString() == "Check")))
            .Select(method => (method.Identifier.Text, Lines: method.ToString().Split('\n').Length - method.AttributeLists.Sum(list => list.ToString().Split('\n').Length)))
            .ToArray();

        Assert.Equal(Check.All.Count, checks.Length);
        Assert.All(checks, check => Assert.True(check.Lines <= most, $"{check.Text} has {check.Lines} lines; at most {most} are allowed"));
    }

    [Theory]
    [InlineData("src/Trainers", 250, 450, 600)]
    [InlineData("src/MlNetExtensions", 120, 300, 500)]
    public void Files_are_short(string folder, int median, int ninetieth, int longest)
    {
        var lengths = Sources(folder).Select(file => (File: file, Lines: File.ReadAllLines(Repository.At(file)).Length)).OrderBy(pair => pair.Lines).ToArray();
        int At(double share) => lengths[(int)(share * (lengths.Length - 1))].Lines;
        output.WriteLine($"{folder}: {lengths.Length} files, median {At(0.5)} lines (aim: {median}), 90 % {At(0.9)} (aim: {ninetieth}), longest {At(1)} ({lengths[^1].File})");

        Assert.True(At(1) <= longest, $"{lengths[^1].File} has {At(1)} lines; at most {longest} are allowed");
    }

    private static IEnumerable<string> Sources(string folder) =>
        Directory.GetFiles(Repository.At(folder), "*.cs", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(Repository.Root, path).Replace('\\', '/'))
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal) && !path.Contains("/bin/", StringComparison.Ordinal));

    private static IEnumerable<string> Words(string file, bool withComments)
    {
        var tokens = CSharpSyntaxTree.ParseText(File.ReadAllText(Repository.At(file))).GetRoot().DescendantTokens(descendIntoTrivia: withComments);
        foreach (var token in tokens)
        {
            if (token.IsKind(SyntaxKind.IdentifierToken))
                yield return token.Text;
            foreach (var comment in withComments ? token.LeadingTrivia.Concat(token.TrailingTrivia).Where(trivia => !trivia.HasStructure) : [])
            {
                foreach (var word in comment.ToString().Split([' ', '.', ',', ';', ':', '`', '(', ')', '\n']))
                    yield return word;
            }

            if (withComments && token.IsKind(SyntaxKind.XmlTextLiteralToken))
            {
                foreach (var word in token.Text.Split([' ', '.', ',', ';', ':', '`', '(', ')']))
                    yield return word;
            }
        }
    }

    [GeneratedRegex(@"^\| `(?:src/MlNetExtensions|…)/(\w+)` \|", RegexOptions.Multiline)]
    private static partial Regex FolderRows();

    [GeneratedRegex(@"^using (?:static )?MlNetMlp\.(\w+)", RegexOptions.Multiline)]
    private static partial Regex Usings();
}
