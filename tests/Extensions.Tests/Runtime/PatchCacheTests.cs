using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using MlNetMlp.Runtime;

namespace MlNetMlp.Tests.Runtime;

[SupportedOSPlatform("linux")]
public partial class PatchCacheTests
{
    private static readonly byte[] Original = [1, 2, 3, 4];
    private static readonly byte[] Content = [1, 2, 3, 5];

    [Fact]
    public void FolderAndFileAreTheUsersOnly()
    {
        if (!OperatingSystem.IsLinux())
            return;

        using var folder = new TemporaryFolder();
        var path = PatchCache.Keep(folder.At("a", "b"), Original, Content);

        Assert.Equal(Content, File.ReadAllBytes(path));
        Assert.Equal(
            UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder.At("a", "b")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        Assert.Equal("libLibTorchSharp-9f64a747e1b97f131fabb6b447296c9b6f0201e79fb3c5356e6c77e89b6a806a.so", Path.GetFileName(path));
        Assert.Single(Directory.GetFiles(folder.At("a", "b")));
    }

    [Fact]
    public void AFileThatIsRightIsLeftAlone()
    {
        if (!OperatingSystem.IsLinux())
            return;

        using var folder = new TemporaryFolder();
        var path = PatchCache.Keep(folder.Path, Original, Content);
        File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch);

        Assert.Equal(path, PatchCache.Keep(folder.Path, Original, Content));
        Assert.Equal(DateTime.UnixEpoch, File.GetLastWriteTimeUtc(path));
    }

    [Fact]
    public void ATamperedFileIsReplaced()
    {
        if (!OperatingSystem.IsLinux())
            return;

        using var folder = new TemporaryFolder();
        var path = PatchCache.Keep(folder.Path, Original, Content);
        File.WriteAllBytes(path, [1, 2, 3, 6]);
        PatchCache.Keep(folder.Path, Original, Content);
        Assert.Equal(Content, File.ReadAllBytes(path));

        File.WriteAllBytes(path, [1]);
        PatchCache.Keep(folder.Path, Original, Content);
        Assert.Equal(Content, File.ReadAllBytes(path));

        File.Delete(path);
        File.CreateSymbolicLink(path, folder.Write("elsewhere", Content));
        PatchCache.Keep(folder.Path, Original, Content);
        Assert.Null(new FileInfo(path).LinkTarget);
        Assert.Equal(Content, File.ReadAllBytes(path));
    }

    [Fact]
    public void AFileThatOthersCanWriteIsReplaced()
    {
        if (!OperatingSystem.IsLinux())
            return;

        using var folder = new TemporaryFolder();
        var path = PatchCache.Keep(folder.Path, Original, Content);
        File.SetUnixFileMode(path, File.GetUnixFileMode(path) | UnixFileMode.OtherWrite);

        PatchCache.Keep(folder.Path, Original, Content);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
    }

    [Fact]
    public void AFileOfAnotherUserIsReplaced()
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess)
            return;

        using var folder = new TemporaryFolder();
        var path = PatchCache.Keep(folder.Path, Original, Content);
        GiveAway(path);
        File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch);

        PatchCache.Keep(folder.Path, Original, Content);
        Assert.NotEqual(DateTime.UnixEpoch, File.GetLastWriteTimeUtc(path));
    }

    [Fact]
    public void AFolderOfAnotherUserIsRefused()
    {
        if (!OperatingSystem.IsLinux())
            return;

        using var folder = new TemporaryFolder();
        if (Environment.IsPrivilegedProcess)
            GiveAway(folder.Path);

        var error = Assert.Throws<IOException>(
            () => PatchCache.Keep(Environment.IsPrivilegedProcess ? folder.Path : "/usr", Original, Content));
        Assert.Contains("belongs to another user", error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void AFolderThatOthersCanWriteIsRefused()
    {
        if (!OperatingSystem.IsLinux())
            return;

        using var folder = new TemporaryFolder();
        var cache = Directory.CreateDirectory(folder.At("cache"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var own = cache.UnixFileMode;

        foreach (var more in (UnixFileMode[])[UnixFileMode.GroupWrite, UnixFileMode.OtherWrite])
        {
            File.SetUnixFileMode(cache.FullName, own | more);
            Assert.Throws<IOException>(() => PatchCache.Keep(cache.FullName, Original, Content));

            // Whoever can write the folder above can put another one in its place, unless its sticky bit is set as that of /tmp is.
            File.SetUnixFileMode(cache.FullName, own);
            File.SetUnixFileMode(folder.Path, own | more);
            Assert.Throws<IOException>(() => PatchCache.Keep(cache.FullName, Original, Content));
            File.SetUnixFileMode(folder.Path, own | more | UnixFileMode.StickyBit);
            Assert.NotNull(PatchCache.Keep(cache.FullName, Original, Content));
            File.SetUnixFileMode(folder.Path, own);
        }
    }

    [Fact]
    public void ALinkedFolderIsRefused()
    {
        if (!OperatingSystem.IsLinux())
            return;

        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.At("real"));
        Directory.CreateSymbolicLink(folder.At("link"), folder.At("real"));

        Assert.Throws<IOException>(() => PatchCache.Keep(folder.At("link"), Original, Content));
    }

    private static void GiveAway(string path)
    {
        const uint Nobody = 65534;
        Assert.Equal(0, ChangeOwner(path, Nobody, Nobody));
    }

    [LibraryImport("libc", EntryPoint = "chown", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChangeOwner(string path, uint user, uint group);
}
