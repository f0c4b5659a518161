using MlNetMlp.Persistence;

namespace MlNetMlp.Tests.Persistence;

public sealed class AtomicFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("atomic").FullName;

    private string Target => Path.Combine(_folder, "model.zip");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Writes_a_new_file_and_replaces_an_old_one()
    {
        AtomicFile.Write(Target, stream => stream.Write("first, the longer one"u8));
        Assert.Equal("first, the longer one", File.ReadAllText(Target));
        AtomicFile.Write(Target, stream => stream.Write("second"u8));
        AssertOnly("second");
    }

    [Fact]
    public void Old_content_is_there_until_the_end()
    {
        File.WriteAllText(Target, "old");
        AtomicFile.Write(Target, stream =>
        {
            stream.Write("new"u8);
            stream.Flush();
            Assert.Equal("old", File.ReadAllText(Target));
        });
        AssertOnly("new");
    }

    [Fact]
    public void Writer_may_seek_read_and_close()
    {
        AtomicFile.Write(Target, stream =>
        {
            stream.Write("xyz"u8);
            stream.Position = 1;
            Assert.Equal('y', stream.ReadByte());
            stream.Position = 0;
            stream.WriteByte((byte)'X');
            stream.Dispose();
        });
        AssertOnly("Xyz");
    }

    [Fact]
    public void A_failing_writer_leaves_the_old_file_only()
    {
        File.WriteAllText(Target, "old");
        var thrown = new OperationCanceledException("stop");

        Assert.Same(thrown, Assert.Throws<OperationCanceledException>(() => AtomicFile.Write(Target, stream =>
        {
            stream.Write(new byte[100_000]);
            throw thrown;
        })));
        AssertOnly("old");
    }

    [Fact]
    public void A_failing_writer_leaves_nothing_where_nothing_was()
    {
        Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(Target, _ => throw new InvalidOperationException()));
        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void A_full_disk_is_reported_with_the_path()
    {
        File.WriteAllText(Target, "old");
        const int DiskFull = unchecked((int)0x80070070);

        var e = Assert.Throws<IOException>(() => AtomicFile.Write(Target, stream =>
        {
            stream.Write(new byte[100_000]);
            throw new IOException("No space left on device", DiskFull);
        }));
        Assert.Equal($"Cannot write '{Target}': No space left on device", e.Message);
        Assert.Equal(DiskFull, e.HResult);
        AssertOnly("old");
    }

    [Fact]
    public void A_device_that_is_full_while_weights_are_written_leaves_the_old_file()
    {
        if (!File.Exists("/dev/full"))
            return;

        File.WriteAllText(Target, "old");
        WeightSet weights = [NamedTensor.Of("w", new float[50_000], 50_000)];
        var e = Assert.Throws<IOException>(() => AtomicFile.Write(Target, stream =>
        {
            SafeTensors.Write(stream, weights);
            stream.Position = 0;
            using var full = new FileStream("/dev/full", FileMode.Open, FileAccess.Write);
            stream.CopyTo(full);
        }));
        Assert.StartsWith($"Cannot write '{Target}': ", e.Message, StringComparison.Ordinal);
        AssertOnly("old");
    }

    [Fact]
    public void Concurrent_writers_leave_one_complete_file()
    {
        Parallel.For(0, 40, i => AtomicFile.Write(Target, stream =>
        {
            for (int part = 0; part < 20; part++)
                stream.Write([.. Enumerable.Repeat((byte)('a' + i % 26), 997)]);
        }));

        string content = File.ReadAllText(Target);
        Assert.Equal(20 * 997, content.Length);
        Assert.Single(content.Distinct());
        Assert.Single(Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void A_missing_folder_is_named()
    {
        string missing = Path.Combine(_folder, "models");
        var e = Assert.Throws<DirectoryNotFoundException>(() => AtomicFile.Write(Path.Combine(missing, "a.zip"), _ => { }));
        Assert.Contains($"'{missing}' does not exist", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_may_not_be_written_to_is_told_with_the_path()
    {
        // Whoever runs the tests may write to any folder of a real disk, but to none of these.
        if (!OperatingSystem.IsLinux())
            return;
        const string denied = "/sys/model.zip";

        var e = Assert.ThrowsAny<Exception>(() => AtomicFile.Write(denied, _ => Assert.Fail("not to be called")));

        Assert.True(e is UnauthorizedAccessException or IOException, e.ToString());
        Assert.StartsWith($"Cannot write '{denied}': ", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_or_a_device_is_not_replaced()
    {
        Assert.Contains("folder", Refusal(_folder), StringComparison.Ordinal);
        if (OperatingSystem.IsLinux())
            Assert.Contains("device", Refusal("/dev/null"), StringComparison.Ordinal);

        static string Refusal(string path)
        {
            string message = Assert.Throws<IOException>(() => AtomicFile.Write(path, _ => Assert.Fail("not to be called"))).Message;
            Assert.StartsWith($"Cannot write '{path}': ", message, StringComparison.Ordinal);
            return message;
        }
    }

    [Fact]
    public void A_relative_path_and_the_longest_name_work()
    {
        string name = new string('n', 251) + ".zip";
        string relative = Path.GetRelativePath(Environment.CurrentDirectory, Path.Combine(_folder, name));
        AtomicFile.Write(relative, stream => stream.Write("content"u8));
        Assert.Equal("content", File.ReadAllText(Path.Combine(_folder, name)));
    }

    [Theory]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.UserWrite)]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)]
    public void The_mode_of_the_old_file_is_kept(UnixFileMode mode)
    {
        if (OperatingSystem.IsWindows())
            return;

        File.WriteAllText(Target, "old");
        File.SetUnixFileMode(Target, mode);
        AtomicFile.Write(Target, stream =>
        {
            string temporary = Directory.GetFiles(_folder).Single(file => file != Target);
            if (!OperatingSystem.IsWindows())
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(temporary));
            stream.Write("new"u8);
        });
        Assert.Equal(mode, File.GetUnixFileMode(Target));
        AssertOnly("new");
    }

    [Fact]
    public void A_new_file_has_the_mode_of_any_new_file()
    {
        if (OperatingSystem.IsWindows())
            return;

        string other = Path.Combine(_folder, "other");
        File.WriteAllText(other, "");
        AtomicFile.Write(Target, stream => stream.Write("new"u8));
        Assert.Equal(File.GetUnixFileMode(other), File.GetUnixFileMode(Target));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_symbolic_link_stays_and_its_file_is_replaced(bool exists)
    {
        if (OperatingSystem.IsWindows())
            return;

        string real = Path.Combine(Directory.CreateDirectory(Path.Combine(_folder, "real")).FullName, "v1.zip");
        if (exists)
            File.WriteAllText(real, "old");
        string middle = Path.Combine(_folder, "middle.zip");
        File.CreateSymbolicLink(middle, Path.Combine("real", "v1.zip"));
        File.CreateSymbolicLink(Target, "middle.zip");

        AtomicFile.Write(Target, stream => stream.Write("new"u8));

        Assert.Equal("middle.zip", new FileInfo(Target).LinkTarget);
        Assert.Equal("new", File.ReadAllText(real));
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(real)!));
    }

    [Fact]
    public void A_link_to_itself_is_refused_with_its_path()
    {
        if (OperatingSystem.IsWindows())
            return;

        File.CreateSymbolicLink(Target, "model.zip");
        var e = Assert.Throws<IOException>(() => AtomicFile.Write(Target, _ => { }));
        Assert.StartsWith($"Cannot write '{Target}': ", e.Message, StringComparison.Ordinal);
    }

    private void AssertOnly(string content)
    {
        Assert.Equal(content, File.ReadAllText(Target));
        Assert.Single(Directory.GetFileSystemEntries(_folder));
    }
}
