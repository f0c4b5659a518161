using System.Buffers.Binary;

namespace MlNetMlp.Runtime;

/// <summary>
/// Which parts of an ELF library the dynamic linker maps into memory. The linker does not check that they lie within the file: where a
/// copy or a download broke off it ends the process with a bus error, so a library is looked at here before it is loaded.
/// </summary>
internal static class ElfHeader
{
    public const uint LoadSegment = 1, DynamicSegment = 2;

    private const int HeaderSize = 64, SegmentSize = 56;

    public readonly record struct Segment(uint Type, long Offset, long Address, long Length);

    /// <summary>Why the linker could not load this file, or null if it looks whole.</summary>
    public static string? FlawOf(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            ReadSegments(file);
            return null;
        }
        catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    /// <summary>The segments that the program headers name; all of them lie within the file.</summary>
    /// <exception cref="InvalidDataException">The file is not a whole 64-bit little-endian ELF library.</exception>
    public static Segment[] ReadSegments(Stream file)
    {
        var header = new byte[HeaderSize];
        file.ReadAtLeast(header, HeaderSize, throwOnEndOfStream: false);
        if (!header.AsSpan().StartsWith("\u007fELF"u8))
            throw new InvalidDataException("It is not an ELF file.");
        RequireLength(file, 0, HeaderSize);
        if (header[4] != 2 || header[5] != 1)
            throw new InvalidDataException("It is not a 64-bit little-endian ELF file.");
        if (BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(54)) != SegmentSize)
            throw new InvalidDataException("Its program headers are not those of a 64-bit ELF file.");

        var segments = new Segment[BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(56))];
        var table = new byte[segments.Length * SegmentSize];
        RequireLength(file, Int64(header, 32), table.Length);
        file.Position = Int64(header, 32);
        file.ReadExactly(table);

        for (var i = 0; i < segments.Length; i++)
        {
            var entry = table.AsSpan(i * SegmentSize, SegmentSize);
            var segment = new Segment(
                BinaryPrimitives.ReadUInt32LittleEndian(entry), Int64(entry, 8), Int64(entry, 16), Int64(entry, 32));
            if (segment.Type is LoadSegment or DynamicSegment)
                RequireLength(file, segment.Offset, segment.Length);
            segments[i] = segment;
        }

        return segments;
    }

    /// <summary>Where in the file an address lies.</summary>
    /// <exception cref="InvalidDataException">It lies in none of the segments.</exception>
    public static long ToFileOffset(Segment[] segments, long address)
    {
        foreach (var segment in segments)
        {
            if (segment.Type == LoadSegment && address >= segment.Address && address - segment.Address < segment.Length)
                return address - segment.Address + segment.Offset;
        }

        throw new InvalidDataException($"Address 0x{address:x} lies in none of its segments.");
    }

    // Offsets and sizes past 2^63 are as wrong as any past the end of the file.
    private static long Int64(ReadOnlySpan<byte> bytes, int at) =>
        BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]) is var value and >= 0
            ? value
            : throw new InvalidDataException("An offset or size in its headers is out of range.");

    private static void RequireLength(Stream file, long offset, long length)
    {
        if (length > file.Length - offset)
            throw new InvalidDataException($"It is truncated: it has {file.Length} bytes of {(ulong)offset + (ulong)length} or more.");
    }
}
