using System.Text.RegularExpressions;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Solutions;

/// <summary>The sample of a trainer and a transform by somebody else: a solution that has the packages and nothing else of this repository.</summary>
[Collection(nameof(PackedPackages))]
public sealed partial class YourOwnTrainerTests(PackedPackages packages)
{
    [Fact]
    [Trait("Category", "Heavy")]
    public void It_trains_saves_loads_explains_and_keeps_every_promise()
    {
        var folder = packages.Copy("samples", "YourOwnTrainer");
        packages.Copy("samples", "Quickstart", "data");
        var dotnet = packages.In("samples", "YourOwnTrainer");
        dotnet.Run(PackedPackages.Build);

        var output = dotnet.Run(Path.Combine(folder, "Demo", "bin", "Release", "net10.0", "Demo.dll"));
        var right = Shares().Matches(output).Select(match => double.Parse(match.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture)).ToArray();
        Assert.True(right.Length == 3, output);
        Assert.True(right[1] > right[0], $"the linear model has {right[0]} % right, and {right[1]} % behind the features");
        Assert.True(right[2] > right[0], $"the linear model has {right[0]} % right, and the trainer {right[2]} %");
        Assert.Contains("loaded by a second process: the same 17970 scores, bit by bit", output, StringComparison.Ordinal);
        Assert.Equal(8, Pixels().Count(output));

        dotnet.Run("test", "-c", "Release", "--no-build");
    }

    [GeneratedRegex(@"([\d.]+) %\s*$", RegexOptions.Multiline)]
    private static partial Regex Shares();

    [GeneratedRegex(@"^[.+-]( [.+-]){7}\s*$", RegexOptions.Multiline)]
    private static partial Regex Pixels();
}
