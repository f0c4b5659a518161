using MlNetMlp.Runtime;
using TorchSharp;

namespace MlNetMlp.Tests.Runtime;

public class LibTorchTests
{
    [Fact]
    public void LoadsAndMultiplies()
    {
        var info = LibTorch.Load();
        using var a = torch.ones(2, 3);
        using var b = torch.ones(3, 2);
        using var c = a.matmul(b);

        Assert.Equal(12f, c.sum().item<float>());
        Assert.Same(info, LibTorch.Load());
        Assert.True(File.Exists(Path.Combine(info.Folder, NativeNames.Cpu)));
    }

    [Fact]
    public void ManyThreadsGetOneResult()
    {
        var infos = new LibTorchInfo[8];
        Parallel.For(0, infos.Length, i => infos[i] = LibTorch.Load());

        Assert.All(infos, info => Assert.Same(infos[0], info));
    }

    [Fact]
    public void SaysItsVersionUnlessLibTorchIsTheUsersOwn()
    {
        var info = LibTorch.Load();
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("LIBTORCH")))
            Assert.StartsWith("2.10.", info.Version, StringComparison.Ordinal);

        Assert.StartsWith($"libtorch {info.Version} (", info.ToString(), StringComparison.Ordinal);
        Assert.Contains(info.Folder, info.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void LogLineNamesCudaPatchAndCaution()
    {
        Assert.Equal("libtorch 2.10.0 (CPU) from /x", new LibTorchInfo("/x", "2.10.0", false, false).ToString());
        Assert.Equal(
            "libtorch 2.9.1 (CUDA) from /x, TorchSharp's bridge adapted to this system's libstdc++. Careful.",
            new LibTorchInfo("/x", "2.9.1", true, true) { Caution = "Careful." }.ToString());
    }

    [Fact]
    public void MissingLibTorchIsOneMessageWithEveryPath()
    {
        using var a = new TemporaryFolder();
        using var b = new TemporaryFolder();

        var error = Assert.Throws<LibTorchException>(() => new LibTorchLoader(new(null, [a.Path, b.Path], [])).Load());

        Assert.Equal("not there", ReasonFor(a.At(NativeNames.Cpu), error));
        Assert.Equal("not there", ReasonFor(b.At(NativeNames.Cpu), error));
        Assert.Contains("libtorch-cpu-linux-x64", error.Message, StringComparison.Ordinal);
        Assert.Contains("TorchSharp-cuda-linux", error.Message, StringComparison.Ordinal);
        Assert.Contains("LIBTORCH", error.Message, StringComparison.Ordinal);
        Assert.Contains("Microsoft.ML.TorchSharp", error.Message, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^LIBTORCH +not set\r?$", error.Message);
        Assert.Matches(@"(?m)^libtorch +not usable\r?$", error.Message);
        Assert.Matches($@"(?m)^{System.Text.RegularExpressions.Regex.Escape(NativeNames.Cpu)} +not found\r?$", error.Message);
    }

    [Fact]
    public void ADiagnosisTellsWhatIsLoadedAndLeavesItAsItIs()
    {
        var info = LibTorch.Load();
        var report = LibTorch.Diagnose();

        Assert.True(report.IsUsable, report.Text);
        Assert.Contains(info.ToString(), report.Text, StringComparison.Ordinal);
        foreach (var name in new[] { NativeNames.Core, NativeNames.Cpu, NativeNames.Bridge })
            Assert.Matches($@"(?m)^{System.Text.RegularExpressions.Regex.Escape(name)} +loaded from ", report.Text);
        Assert.Same(info, LibTorch.Load());
    }

    [Fact]
    public void TheLibrariesThatALibraryNeedsAreRead()
    {
        if (NativePackages.LinuxBridge is not { } bridge)
            return;
        var needed = ElfNeeded.Of(bridge);

        Assert.Superset(new HashSet<string> { "libtorch_cpu.so", "libc10.so", "libstdc++.so.6", "libc.so.6" }, needed.ToHashSet());
        Assert.All(needed, name => Assert.Contains(".so", name, StringComparison.Ordinal));
        using var folder = new TemporaryFolder();
        Assert.Empty(ElfNeeded.Of(folder.At("nothing.so")));
        var whole = File.ReadAllBytes(bridge);
        foreach (var length in new[] { 0, 60, 200, 5000 })
            Assert.Empty(ElfNeeded.Of(folder.Write("part.so", whole[..length])));
    }

    [Fact]
    public void ALibraryWhoseNamesLieOutsideOfItNeedsNothing()
    {
        if (NativePackages.LinuxBridge is not { } bridge)
            return;
        using var folder = new TemporaryFolder();
        var whole = File.ReadAllBytes(bridge);
        var dynamic = ElfHeader.ReadSegments(new MemoryStream(whole)).Single(segment => segment.Type == ElfHeader.DynamicSegment);
        Assert.Equal(1, System.Buffers.Binary.BinaryPrimitives.ReadInt64LittleEndian(whole.AsSpan((int)dynamic.Offset)));

        foreach (var offset in new[] { long.MaxValue, -1, whole.Length })
        {
            System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(whole.AsSpan((int)dynamic.Offset + 8), offset);
            Assert.Empty(ElfNeeded.Of(folder.Write("wrong.so", whole)));
        }
    }

    [Theory]
    [InlineData(0, "not an ELF file")]
    [InlineData(50, "truncated")]
    [InlineData(100, "truncated")]
    [InlineData(5_000, "truncated")]
    [InlineData(1_000_000, "truncated")]
    public void BrokenLibTorchSaysWhyItDoesNotLoad(int length, string why)
    {
        if (NativePackages.LinuxBridge is not { } library)
            return;

        using var folder = new TemporaryFolder();
        var cpu = folder.Write(NativeNames.Cpu, File.ReadAllBytes(library)[..length]);
        folder.Write(NativeNames.Bridge, []);

        var error = Assert.Throws<LibTorchException>(() => new LibTorchLoader(new(null, [folder.Path], [])).Load());

        Assert.Contains($"{NativeNames.Cpu} does not load", error.Message, StringComparison.Ordinal);
        Assert.Contains(why, ReasonFor(cpu, error), StringComparison.Ordinal);
    }

    [Fact]
    public void FilesThatAreNoLibrariesAreRefusedOnEverySystem()
    {
        using var folder = new TemporaryFolder();
        var cpu = folder.Write(NativeNames.Cpu, new byte[1000]);
        folder.Write(NativeNames.Bridge, new byte[1000]);

        var error = Assert.Throws<LibTorchException>(() => new LibTorchLoader(new(null, [folder.Path], [])).Load());

        Assert.NotEmpty(ReasonFor(cpu, error));
    }

    [Theory]
    [InlineData(0, "not an ELF file")]
    [InlineData(1_000_000, "truncated")]
    public void BrokenBridgeSaysWhyItDoesNotLoad(int length, string why)
    {
        if (NativePackages.LinuxBridge is not { } whole)
            return;

        using var folder = new TemporaryFolder();
        var bridge = folder.Write(NativeNames.Bridge, File.ReadAllBytes(whole)[..length]);

        var error = Assert.Throws<LibTorchException>(() => new LibTorchLoader(PackageBehind(folder)).Load());

        Assert.Contains("TorchSharp's native library does not load", error.Message, StringComparison.Ordinal);
        Assert.Contains(why, ReasonFor(bridge, error), StringComparison.Ordinal);
    }

    [Fact]
    public void LibTorchWithoutBridgeSaysSo()
    {
        using var folder = new TemporaryFolder();
        folder.Write(NativeNames.Cpu, new byte[100]);

        var error = Assert.Throws<LibTorchException>(() => new LibTorchLoader(new(null, [folder.Path], [])).Load());

        Assert.Contains("TorchSharp's own native library was not found", error.Message, StringComparison.Ordinal);
        Assert.Equal("not there", ReasonFor(folder.At(NativeNames.Bridge), error));
    }

    [Theory]
    [InlineData("")]
    [InlineData("lib")]
    public void LIBTORCH_IsTheFolderOrItsLib(string below)
    {
        using var own = new TemporaryFolder();
        var file = own.Write(Path.Combine(below, NativeNames.Cpu), []);

        Assert.Equal(Path.GetDirectoryName(file), new LibTorchLoader(new(own.Path, [], [])).FindLibTorch());
    }

    [Fact]
    public void LIBTORCH_BesideAnotherOneOfTheApplicationIsRefused()
    {
        using var own = new TemporaryFolder();
        using var application = new TemporaryFolder();
        var chosen = own.Write(NativeNames.Cpu, []);
        var other = application.Write(NativeNames.Cpu, []);

        var error = Assert.Throws<LibTorchException>(() => new LibTorchLoader(new(own.Path, [application.Path], [])).Load());
        Assert.Contains($"LIBTORCH names {chosen}, but the application brings {other}", error.Message, StringComparison.Ordinal);

        error = Assert.Throws<LibTorchException>(() => new LibTorchLoader(new(null, [application.Path], [], own.Path)).Load());
        Assert.Contains($"The process has loaded {chosen}, but the application brings {other}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void LIBTORCH_MayLeadToTheOneThatTheApplicationBrings()
    {
        if (OperatingSystem.IsWindows())
            return;

        using var links = new TemporaryFolder();
        File.CreateSymbolicLink(links.At(NativeNames.Cpu), Path.Combine(LibTorch.Load().Folder, NativeNames.Cpu));

        Assert.Equal(
            links.Path,
            new LibTorchLoader(LibTorchSearch.OfThisProcess() with { Loaded = null, Override = links.Path }).Load().Folder);
    }

    [Fact]
    public void LIBTORCH_MayBeALinkToTheFolderThatTheApplicationBrings()
    {
        if (OperatingSystem.IsWindows())
            return;

        using var links = new TemporaryFolder();
        var above = Directory.CreateSymbolicLink(links.At("above"), Path.GetDirectoryName(LibTorch.Load().Folder)!).FullName;
        var link = Path.Combine(above, Path.GetFileName(LibTorch.Load().Folder));

        Assert.Equal(link, new LibTorchLoader(LibTorchSearch.OfThisProcess() with { Loaded = null, Override = link }).Load().Folder);
    }

    [Fact]
    public void LIBTORCH_LoadsTheFolderOfThePackage()
    {
        LibTorch.Load();
        var process = LibTorchSearch.OfThisProcess();
        var package = new LibTorchLoader(process).FindLibTorch();

        var info = new LibTorchLoader(process with { Loaded = null, Override = package }).Load();

        Assert.Equal(package, info.Folder);
    }

    [Fact]
    public void LIBTORCH_PointingNowhereIsAnErrorEvenIfThereIsAnother()
    {
        using var empty = new TemporaryFolder();
        using var other = new TemporaryFolder();
        other.Write(NativeNames.Cpu, []);

        var error = Assert.Throws<LibTorchException>(() => new LibTorchLoader(new(empty.Path, [other.Path], [])).Load());

        Assert.Contains($"LIBTORCH is '{empty.Path}'", error.Message, StringComparison.Ordinal);
        Assert.Contains(empty.At("lib", NativeNames.Cpu), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void LIBTORCH_IsReadFromTheEnvironment()
    {
        var before = Environment.GetEnvironmentVariable("LIBTORCH");
        try
        {
            Environment.SetEnvironmentVariable("LIBTORCH", "/some/where");
            Assert.Equal("/some/where", LibTorchSearch.OfThisProcess().Override);
        }
        finally
        {
            Environment.SetEnvironmentVariable("LIBTORCH", before);
        }
    }

    [Fact]
    public void ALibTorchInTheProcessIsUsed() =>
        Assert.Equal("/loaded", new LibTorchLoader(new("/own", ["/other"], [], "/loaded")).FindLibTorch());

    [Fact]
    public void SearchFindsTheLoadedLibTorch()
    {
        var cpu = new FileInfo(Path.Combine(LibTorch.Load().Folder, NativeNames.Cpu));

        Assert.Equal((cpu.ResolveLinkTarget(returnFinalTarget: true) ?? cpu).FullName, Path.Combine(LibTorchSearch.OfThisProcess().Loaded!, cpu.Name));
    }

    [Fact]
    public void TheBridgeIsAdaptedOnlyWhereLibStdCppIsTooOld()
    {
        if (NativePackages.LinuxBridge is null)
            return;

        using var cache = new TemporaryFolder();
        var search = LibTorchSearch.OfThisProcess() with { CacheFolders = [cache.At("adapted")] };
        var tooOld = NativePackages.IsLibStdCppTooOld();

        Assert.Equal(tooOld, new LibTorchLoader(search).Load().IsPatched);
        Assert.Equal(tooOld, Directory.Exists(cache.At("adapted")));
        Assert.Equal(tooOld, LibTorch.Load().IsPatched);
    }

    [Fact]
    public void ABridgeThatLoadsAsItIsIsLeftAlone()
    {
        if (NativePackages.LinuxBridge is not { } whole)
            return;

        using var folder = new TemporaryFolder();
        folder.Write(NativeNames.Bridge, ElfVersionPatch.MakeWeak(File.ReadAllBytes(whole), LibTorchLoader.TooNewVersion));

        var info = new LibTorchLoader(PackageBehind(folder) with { CacheFolders = [folder.At("adapted")] }).Load();

        Assert.False(info.IsPatched);
        Assert.False(Directory.Exists(folder.At("adapted")));
    }

    [Fact]
    public void ATamperedCopyIsNeverLoaded()
    {
        if (NativePackages.LinuxBridge is not { } whole || !NativePackages.IsLibStdCppTooOld())
            return;

        using var cache = new TemporaryFolder();
        var search = LibTorchSearch.OfThisProcess() with { CacheFolders = [cache.Path] };
        new LibTorchLoader(search).Load();
        var copy = Directory.GetFiles(cache.Path).Single();
        var expected = File.ReadAllBytes(copy);

        // It would load, and is still not what belongs there; a new file, since the old one is in use.
        File.Delete(copy);
        File.Copy(NativePackages.Find(NativeNames.Core), copy);

        Assert.True(new LibTorchLoader(search).Load().IsPatched);
        Assert.Equal(expected, File.ReadAllBytes(copy));
    }

    [Fact]
    public void ACacheFolderThatCannotBeTrustedIsPassedOver()
    {
        if (NativePackages.LinuxBridge is null || !NativePackages.IsLibStdCppTooOld())
            return;

        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.At("real"));
        var link = Directory.CreateSymbolicLink(folder.At("link"), folder.At("real")).FullName;
        var search = LibTorchSearch.OfThisProcess();

        var error = Assert.Throws<LibTorchException>(() => new LibTorchLoader(search with { CacheFolders = [link] }).Load());
        Assert.Contains("no adapted copy of it could be used", error.Message, StringComparison.Ordinal);
        Assert.Contains("is a link", ReasonFor(link, error), StringComparison.Ordinal);

        Assert.True(new LibTorchLoader(search with { CacheFolders = [link, folder.At("good")] }).Load().IsPatched);
        Assert.Empty(Directory.GetFiles(folder.At("real")));
        Assert.Single(Directory.GetFiles(folder.At("good")));
    }

    [Theory]
    [InlineData("/xdg", "/home/u", "/xdg/mlnetmlp,/tmp/mlnetmlp-u")]
    [InlineData("relative", "/home/u", "/home/u/.cache/mlnetmlp,/tmp/mlnetmlp-u")]
    [InlineData(null, "/home/u", "/home/u/.cache/mlnetmlp,/tmp/mlnetmlp-u")]
    [InlineData(null, "", "/tmp/mlnetmlp-u")]
    public void CacheFoldersEndWithTheTemporaryOne(string? xdg, string home, string expected)
    {
        if (OperatingSystem.IsWindows())
            return;

        Assert.Equal(expected.Split(','), LibTorchSearch.DefaultCacheFolders(xdg, home, "/tmp", "u"));
    }

    [Theory]
    [InlineData("version.py", "__version__ = '2.9.1+cu128'", "2.9.1")]
    [InlineData("build-version", "2.7.1+cpu\n", "2.7.1")]
    [InlineData("readme.txt", "1.2.3", null)]
    public void OlderLibTorchTellsItsVersionByAFile(string file, string text, string? expected)
    {
        using var folder = new TemporaryFolder();
        folder.Write(file, System.Text.Encoding.ASCII.GetBytes(text));

        Assert.Equal(expected, NativeNames.VersionBeside(folder.At("lib")));
    }

    // A folder with a bridge of its own, and the libtorch that is loaded already, so that no second one enters the process.
    private static LibTorchSearch PackageBehind(TemporaryFolder folder) => new(null, [folder.Path], [], LibTorch.Load().Folder);

    private static string ReasonFor(string path, LibTorchException error) =>
        error.Message.Split('\n').Last(line => line.StartsWith($"  {path}: ", StringComparison.Ordinal))[(path.Length + 4)..].Trim();
}
