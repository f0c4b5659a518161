using System.Reflection;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Doctor;

/// <summary>What <c>mlnetmlp doctor</c> says in a process of its own, since a libtorch that is loaded cannot be missing any more.</summary>
public sealed class DoctorTests : IDisposable
{
    private static readonly string Tool = Repository.At("tools", "Doctor", "bin", PackedPackages.BuiltWith("Configuration"), "net10.0", "mlnetmlp.dll");

    // These tests are an application like others: a .dll with its dependencies and settings beside it.
    private static readonly string Application = Assembly.GetExecutingAssembly().Location;

    private readonly string _folder = Directory.CreateTempSubdirectory("doctor-").FullName;

    [Fact]
    public void An_application_that_has_libtorch_is_usable()
    {
        var (exitCode, output) = Examine(Application, libTorch: null);

        Assert.True(exitCode == 0, output);
        Assert.Equal("libtorch can be used.", output.TrimEnd().Split('\n')[^1].TrimEnd());
        Assert.Contains(Application, output, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^system +.+, \w+-x64|arm64, \.NET 10\.", output);
        Assert.Matches(@"(?m)^packages +MlNetMlp\.Extensions \d+\.\d+\.\d+, TorchSharp \d+\.\d+\.\d+", output);
        Assert.Matches(@"(?m)^LIBTORCH +not set\r?$", output);
        Assert.Matches(@"(?m)^libtorch +libtorch \d+\.\d+\.\d+ \((CPU|CUDA)\) from ", output);
        Assert.Matches(@"(?m)^\S*torch_cpu\.\w+ +loaded from ", output);
        Assert.Matches(@"(?m)^\S*LibTorchSharp\.\w+ +loaded from ", output);
        Assert.Matches(@"(?m)^devices +CPU \(\d+ processors\)", output);
        if (OperatingSystem.IsLinux())
        {
            Assert.Matches(@"(?m)^libstdc\+\+\.so\.6 +found at /.*GLIBCXX_3\.4\.32", output);
            Assert.Matches(@"(?m)^libgomp\S* +found at /", output);
        }
    }

    [Fact]
    public void An_output_folder_and_a_project_folder_lead_to_the_application()
    {
        foreach (var place in new[] { Path.GetDirectoryName(Application)!, Repository.At("tests", "Packages.Tests") })
        {
            var (exitCode, output) = Examine(place, libTorch: null);
            Assert.True(exitCode == 0, output);
            Assert.Contains("MlNetMlp.Packages.Tests.dll", output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_LIBTORCH_without_libtorch_is_told_with_everything_that_was_tried()
    {
        var (exitCode, output) = Examine(Application, _folder);

        Assert.Equal(1, exitCode);
        Assert.Contains($"LIBTORCH is '{_folder}'", output, StringComparison.Ordinal);
        Assert.Contains($"  {Path.Combine(_folder, "lib")}", output, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^libtorch +not usable\r?$", output);
        Assert.Matches(@"(?m)^\S*LibTorchSharp\.\w+ +found at .*, not tried", output);
        Assert.Contains("What helps:", output, StringComparison.Ordinal);
        Assert.Equal("libtorch cannot be used.", output.TrimEnd().Split('\n')[^1].TrimEnd());
    }

    [Fact]
    public void A_libtorch_that_broke_off_is_told_with_its_reason()
    {
        if (!OperatingSystem.IsLinux())
            return;

        // The application here brings no libtorch, so that only this one is in question.
        File.WriteAllBytes(Path.Combine(_folder, "libtorch_cpu.so"), "\u007fELF"u8);
        var (exitCode, output) = Examine(Directory.CreateDirectory(Path.Combine(_folder, "nothing")).FullName, _folder);

        Assert.Equal(1, exitCode);
        Assert.Contains("No application of .NET in", output, StringComparison.Ordinal);
        Assert.Matches($@"(?m)^libtorch_cpu\.so +does not load from {_folder}/libtorch_cpu\.so: It is truncated", output);
        Assert.Contains("libtorch was found in", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_libtorch_anywhere_it_says_what_to_install()
    {
        var (exitCode, output) = Examine(_folder, libTorch: null);

        Assert.Equal(1, exitCode);
        Assert.Contains("libtorch was not found.", output, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^\S*torch_cpu\.\w+ +not found\r?$", output);
        Assert.Contains("libtorch-cpu-linux-x64", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData]
    [InlineData("help")]
    [InlineData("doctor", "/no/such/place")]
    [InlineData("doctor", "--fix")]
    public void Anything_else_is_answered_by_what_can_be_asked(params string[] arguments)
    {
        var (exitCode, output) = new Dotnet(_folder, new Dictionary<string, string?>()).Try([Tool, .. arguments]);

        Assert.Equal(2, exitCode);
        Assert.Matches("Usage: mlnetmlp doctor|There is no /no/such/place", output);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private (int ExitCode, string Output) Examine(string place, string? libTorch) =>
        new Dotnet(_folder, new Dictionary<string, string?> { ["LIBTORCH"] = libTorch }).Try(Tool, "doctor", place);
}
