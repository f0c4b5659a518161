using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.Cryptography;

namespace MlNetMlp.Runtime;

/// <summary>
/// Keeps a file of code that this process made in a folder of the user's own. Whoever can write there can run code as this user, so the
/// folder must belong to the user and to nobody else, and a file that is there already is used only if it is what it should be.
/// </summary>
[SupportedOSPlatform("linux")]
internal static partial class PatchCache
{
    private const UnixFileMode OwnerOnlyFolder = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode OwnerOnlyFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode OthersMayWrite = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    /// <summary>The path of a file in <paramref name="folder"/> that holds exactly <paramref name="content"/>.</summary>
    /// <param name="folder">The cache folder; made if it is not there.</param>
    /// <param name="original">The file that the content was made from; its hash is part of the name.</param>
    /// <param name="content">What the file has to hold.</param>
    /// <exception cref="IOException">The folder cannot be made or written, or others could tamper with it.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder cannot be made or written.</exception>
    public static string Keep(string folder, ReadOnlySpan<byte> original, ReadOnlySpan<byte> content)
    {
        Directory.CreateDirectory(folder, OwnerOnlyFolder);
        RefuseIfOthersCanWrite(folder);

        var path = Path.Combine(folder, $"libLibTorchSharp-{Convert.ToHexStringLower(SHA256.HashData(original))}.so");
        if (!Holds(path, content))
            Write(path, content);
        return path;
    }

    private static bool Holds(string path, ReadOnlySpan<byte> content)
    {
        var file = new FileInfo(path);
        if (!file.Exists || file.LinkTarget is not null || file.Length != content.Length || (file.UnixFileMode & OthersMayWrite) != 0
            || !IsOwn(path))
        {
            return false;
        }

        // The expected bytes are at hand, so they are compared themselves rather than their hashes.
        return File.ReadAllBytes(path).AsSpan().SequenceEqual(content);
    }

    // Another process may be doing the same: each writes a file of its own, and renaming replaces whatever is there in one step.
    private static void Write(string path, ReadOnlySpan<byte> content)
    {
        var beside = $"{path}.{Guid.NewGuid():N}";
        try
        {
            using (var file = new FileStream(beside, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = OwnerOnlyFile,
            }))
            {
                file.Write(content);
            }

            File.Move(beside, path, overwrite: true);
        }
        catch
        {
            File.Delete(beside);
            throw;
        }
    }

    private static void RefuseIfOthersCanWrite(string folder)
    {
        var info = new DirectoryInfo(folder);
        if (info.LinkTarget is not null)
            throw new IOException($"{folder} is a link; whoever can change it could replace what is loaded from it.");
        if ((info.UnixFileMode & OthersMayWrite) != 0)
            throw new IOException($"{folder} can be written by other users (chmod 700 it).");
        if (info.Parent is { } parent && (parent.UnixFileMode & OthersMayWrite) != 0 && (parent.UnixFileMode & UnixFileMode.StickyBit) == 0)
            throw new IOException($"{parent.FullName} can be written by other users, who could replace {folder}.");
        if (!IsOwn(folder))
            throw new IOException($"{folder} belongs to another user.");
    }

    // statx, unlike stat, has one layout on every architecture: the user id is at byte 20 of 256.
    private static bool IsOwn(string path)
    {
        const int CurrentFolder = -100, DoNotFollowLinks = 0x100;
        const uint Owner = 0x8;
        Span<byte> result = stackalloc byte[256];
        return StatX(CurrentFolder, path, DoNotFollowLinks, Owner, result) == 0
            && BitConverter.ToUInt32(result[20..]) == GetEffectiveUser();
    }

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatX(int directory, string path, int flags, uint mask, Span<byte> result);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint GetEffectiveUser();
}
