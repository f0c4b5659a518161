using System.Diagnostics;
using System.Text.Json;

namespace MlNetMlp.Tests.Build;

// Projects are only evaluated here: the packages of the other backend are never restored.
public class TorchBackendTests
{
    [Fact]
    public void CpuIsTheDefaultAndTakesOneSystemsLibTorch()
    {
        if (!OperatingSystem.IsLinux())
            return;

        Assert.Equal(["libtorch-cpu-linux-x64"], TorchPackages());
        Assert.Equal(["libtorch-cpu-linux-x64"], TorchPackages("-p:TorchBackend=cpu"));
    }

    [Fact]
    public void CudaTakesTheGpuPackageOnly()
    {
        if (!OperatingSystem.IsLinux())
            return;

        Assert.Equal(["TorchSharp-cuda-linux"], TorchPackages("-p:TorchBackend=cuda"));
    }

    [Fact]
    public void NoneTakesTheLibTorchOfTheMachine() => Assert.Empty(TorchPackages("-p:TorchBackend=none"));

    [Fact]
    public void AnUnknownBackendStopsTheRestoreWithOneMessage()
    {
        var (exitCode, output) = MsBuild("-t:CollectPackageReferences", "-p:TorchBackend=tpu");

        Assert.NotEqual(0, exitCode);
        Assert.Contains("TorchBackend is 'tpu', but it has to be cpu (the default), cuda or none.", output, StringComparison.Ordinal);
    }

    private static string[] TorchPackages(params string[] arguments)
    {
        var (exitCode, output) = MsBuild(["-getItem:PackageReference", .. arguments]);
        Assert.True(exitCode == 0, output);

        using var json = JsonDocument.Parse(output);
        return
        [
            .. json.RootElement.GetProperty("Items").GetProperty("PackageReference").EnumerateArray()
                .Select(item => item.GetProperty("Identity").GetString()!)
                .Where(name => name.Contains("torch", StringComparison.OrdinalIgnoreCase)),
        ];
    }

    private static (int ExitCode, string Output) MsBuild(params string[] arguments)
    {
        var project = Path.Combine(RepositoryRoot(), "tests", "Extensions.Tests", "Extensions.Tests.csproj");
        var start = new ProcessStartInfo("dotnet", ["msbuild", project, "-nologo", "-nodeReuse:false", .. arguments])
        {
            RedirectStandardOutput = true,
        };

        // A property may also come from the environment, and the runner of the tests hands its own MSBuild's settings down.
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("MSBuild", StringComparison.OrdinalIgnoreCase)).ToArray())
            start.Environment.Remove(name);
        start.Environment.Remove("TorchBackend");

        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private static string RepositoryRoot()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "MlNetMlp.sln")))
                return folder;
        }

        throw new InvalidOperationException($"No folder above {AppContext.BaseDirectory} holds MlNetMlp.sln.");
    }
}
