using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Solutions;

/// <summary>The template of a method, instantiated under another name.</summary>
[Collection(nameof(PackedPackages))]
public sealed class TemplateTests(PackedPackages packages)
{
    [Fact]
    [Trait("Category", "Heavy")]
    public void A_new_method_builds_and_keeps_every_promise()
    {
        var dotnet = packages.In("new");
        dotnet.Run("new", "install", packages.File("MlNetMlp.Templates"));
        dotnet.Run("new", "mlnetmlp-method", "-n", "GatedMlp");

        var solution = packages.In("new", "GatedMlp");
        solution.Run([.. PackedPackages.Build, "-warnaserror"]);
        var output = solution.Run("test", "-c", "Release", "--no-build", "--filter", "DisplayName~Multiclass");

        Assert.Contains("GatedMlp.Tests.dll", output, StringComparison.Ordinal);
        Assert.DoesNotContain("No test matches", output, StringComparison.Ordinal);
        Assert.DoesNotContain("MyTrainer", string.Join('\n', packages.Texts("new", "GatedMlp")), StringComparison.Ordinal);
    }
}
