using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace MlNetMlp.Conformance;

/// <summary>Model files as what they are, zips of entries, and ways to damage them.</summary>
internal static class ModelZip
{
    // Of an entry's head in the directory at the end of a zip.
    private const int HeadLength = 46;
    private const int LengthOffset = 24;

    /// <summary>The entries of a file, by name. Files that are written at different times differ in nothing else that counts.</summary>
    public static Dictionary<string, byte[]> Entries(byte[] file)
    {
        using var zip = new ZipArchive(new MemoryStream(file));
        return zip.Entries.ToDictionary(entry => entry.FullName, Content);
    }

    /// <summary>The file, cut and with one bit changed at places all over it, but for what ML.NET writes for every model: that is not the estimator's to guard.</summary>
    public static IEnumerable<(string What, byte[] File)> DamagedAnywhere(byte[] file, int places)
    {
        // Stored as it is, so that a changed bit is one of the content and only the entry's checksum can tell.
        var stored = Changed(file, "", same => same, level: CompressionLevel.NoCompression);
        var notOurs = Entries(file).Where(entry => IsWrittenByMlNet(entry.Key)).Select(entry => entry.Value).ToArray();
        for (var i = 0; i < places; i++)
        {
            var place = (int)((long)stored.Length * i / places);
            yield return ($"cut at byte {place} of {stored.Length}", stored[..place]);
            if (notOurs.Any(content => stored[Math.Max(0, place - content.Length)..Math.Min(stored.Length, place + content.Length)].AsSpan().IndexOf(content) >= 0))
                continue;
            byte[] flipped = [.. stored];
            flipped[place] ^= (byte)(1 << (i % 8));
            yield return ($"with bit {i % 8} of byte {place} of {stored.Length} flipped", flipped);
        }
    }

    /// <summary>The file with each entry damaged that the estimator's own library added to what ML.NET asks for.</summary>
    public static IEnumerable<(string What, string Entry, byte[] File)> DamagedEntries(byte[] file)
    {
        foreach (var path in Entries(file).Keys.Where(path => !IsWrittenByMlNet(path) && Path.GetFileName(path) != "Model.key"))
        {
            var name = Path.GetFileName(path);
            yield return ($"without '{name}'", name, Changed(file, path, _ => null));
            yield return ($"with '{name}' under another name", name, Changed(file, path, content => content, path + "x"));
            yield return ($"with nothing in '{name}'", name, Changed(file, path, _ => []));
            yield return ($"with the first half of '{name}'", name, Changed(file, path, content => content[..(content.Length / 2)]));
            yield return ($"with '{name}' twice as long", name, Changed(file, path, content => [.. content, .. content]));
            yield return ($"with a huge number at the start of '{name}'", name, Changed(file, path, content => [255, 255, 255, 255, 255, 255, 255, 127, .. content.Skip(8)]));
            yield return ($"that says that '{name}' has 2 GB", name, SaidToBeHuge(file, path));
            yield return ($"with a bit of '{name}' flipped", name, Flipped(file, path));
        }
    }

    private static bool IsWrittenByMlNet(string path) => Path.GetFileName(path) is "Version.txt" or "Schema" or "TrainSchema";

    private static byte[] Content(ZipArchiveEntry entry)
    {
        using var stream = entry.Open();
        using var content = new MemoryStream();
        stream.CopyTo(content);
        return content.ToArray();
    }

    // Left out where the change gives null; other names keep their order.
    private static byte[] Changed(byte[] file, string path, Func<byte[], byte[]?> change, string? newPath = null, CompressionLevel level = CompressionLevel.Fastest)
    {
        using var changed = new MemoryStream();
        using (var zip = new ZipArchive(changed, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (entry, content) in Entries(file))
            {
                if ((entry == path ? change(content) : content) is not { } bytes)
                    continue;
                using var stream = zip.CreateEntry(entry == path ? newPath ?? entry : entry, level).Open();
                stream.Write(bytes);
            }
        }

        return changed.ToArray();
    }

    private static byte[] SaidToBeHuge(byte[] file, string path)
    {
        byte[] changed = [.. file];
        var head = changed.AsSpan().LastIndexOf(Encoding.UTF8.GetBytes(path)) - HeadLength;
        BinaryPrimitives.WriteUInt32LittleEndian(changed.AsSpan(head + LengthOffset), int.MaxValue);
        return changed;
    }

    private static byte[] Flipped(byte[] file, string path)
    {
        var content = Entries(file)[path];
        var stored = Changed(file, path, same => same, level: CompressionLevel.NoCompression);
        stored[stored.AsSpan().IndexOf(content) + (content.Length * 3 / 4)] ^= 0x04;
        return stored;
    }
}
