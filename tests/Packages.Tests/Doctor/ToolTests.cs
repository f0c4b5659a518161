using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Doctor;

/// <summary>The command as it is installed from its package.</summary>
[Collection(nameof(PackedPackages))]
public sealed class ToolTests(PackedPackages packages)
{
    [Fact]
    [Trait("Category", "Heavy")]
    public void It_installs_and_answers()
    {
        var dotnet = packages.In("tool");
        dotnet.Run("tool", "install", "MlNetMlp.Doctor", "--tool-path", "commands");

        var (exitCode, output) = packages.In("tool").Try("exec", packages.Only("tool", "mlnetmlp.dll"), "doctor", "commands");
        Assert.True(exitCode is 0 or 1, output);
        Assert.Matches(@"(?m)^packages +MlNetMlp\.Extensions", output);
        Assert.NotEmpty(Directory.GetFiles(packages.At("tool", "commands"), "mlnetmlp*"));
    }
}
