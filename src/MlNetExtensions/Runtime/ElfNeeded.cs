using System.Buffers.Binary;
using System.Text;

namespace MlNetMlp.Runtime;

/// <summary>The libraries that an ELF library asks for by name.</summary>
internal static class ElfNeeded
{
    private const long Needed = 1, StringTable = 5;
    private const int LongestName = 256;

    /// <summary>The names, in the order in which the dynamic linker looks for them; none where the file is no ELF library that can be read.</summary>
    public static IReadOnlyList<string> Of(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            return Of(file);
        }
        catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static List<string> Of(Stream file)
    {
        var segments = ElfHeader.ReadSegments(file);
        var names = new List<long>();
        long? strings = null;
        foreach (var segment in segments.Where(segment => segment.Type == ElfHeader.DynamicSegment))
        {
            var tags = new byte[segment.Length];
            file.Position = segment.Offset;
            file.ReadExactly(tags);
            for (var at = 0; at + 16 <= tags.Length && BinaryPrimitives.ReadInt64LittleEndian(tags.AsSpan(at)) is not 0 and var tag; at += 16)
            {
                var value = BinaryPrimitives.ReadInt64LittleEndian(tags.AsSpan(at + 8));
                if (tag == Needed)
                    names.Add(value);
                else if (tag == StringTable)
                    strings = ElfHeader.ToFileOffset(segments, value);
            }
        }

        return strings is { } table ? [.. names.Select(name => NameAt(file, table, name))] : [];
    }

    private static string NameAt(Stream file, long start, long at)
    {
        // An offset that is out of range wraps round to before the table.
        var offset = start + at;
        if (offset < start || offset >= file.Length)
            throw new InvalidDataException("A name lies outside of the file.");
        var name = new byte[LongestName];
        file.Position = offset;
        var read = file.ReadAtLeast(name, LongestName, throwOnEndOfStream: false);
        var end = name.AsSpan(0, read).IndexOf((byte)0);
        return end >= 0 ? Encoding.ASCII.GetString(name, 0, end) : throw new InvalidDataException("A name does not end.");
    }
}
