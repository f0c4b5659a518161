using System.Text.RegularExpressions;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Solutions;

/// <summary>The page on trainers of one's own.</summary>
public sealed partial class ExtendingPageTests
{
    [Fact]
    public void The_page_shows_the_code_of_the_sample()
    {
        var sources = string.Join('\n', Directory.GetFiles(Repository.At("samples", "YourOwnTrainer"), "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains("obj", StringComparison.Ordinal)).Select(file => Flat(File.ReadAllText(file))));
        var blocks = CodeBlocks().Matches(Repository.Read("docs", "extending.md")).Select(match => match.Groups[1].Value).ToArray();

        Assert.NotEmpty(blocks);
        foreach (var part in blocks.SelectMany(block => block.Split("// …\n")))
            Assert.Contains(Flat(part), sources, StringComparison.Ordinal);
    }

    // How far a line stands in is of no importance.
    private static string Flat(string code) => string.Join('\n', code.ReplaceLineEndings("\n").Split('\n').Select(line => line.Trim())).Trim();

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CodeBlocks();
}
