using System.Buffers.Binary;
using System.Text;

namespace MlNetMlp.Runtime;

/// <summary>
/// Marks one version that an ELF library needs as weak, so that the dynamic linker no longer refuses the library where that version is
/// missing. That is safe only for a version that no symbol in use has; <c>GLIBCXX_3.4.32</c> in TorchSharp's bridge is one: its only
/// symbol is the marker <c>_ZSt21ios_base_library_initv</c>, which nothing refers to at run time.
/// </summary>
internal static class ElfVersionPatch
{
    private const ushort WeakFlag = 0x2;
    private const long NeededVersions = 0x6ffffffe, NeededVersionCount = 0x6fffffff, StringTable = 5, StringTableSize = 10;

    /// <summary>Sets the flag in a copy of <paramref name="original"/>; a file that has it already comes back unchanged.</summary>
    /// <exception cref="InvalidDataException">The file is not a 64-bit little-endian ELF library that needs this version once.</exception>
    public static byte[] MakeWeak(byte[] original, string version)
    {
        var at = FindFlags(original, version);
        var patched = original.AsSpan().ToArray();
        var flags = BinaryPrimitives.ReadUInt16LittleEndian(patched.AsSpan(at));
        BinaryPrimitives.WriteUInt16LittleEndian(patched.AsSpan(at), (ushort)(flags | WeakFlag));
        return patched;
    }

    /// <summary>Where the flags of the one entry for <paramref name="version"/> lie in the file.</summary>
    /// <exception cref="InvalidDataException">The file is not a 64-bit little-endian ELF library that needs this version once.</exception>
    public static int FindFlags(byte[] file, string version)
    {
        var (record, records, strings) = FindTables(file);
        ReadOnlySpan<byte> name = Encoding.ASCII.GetBytes(version + '\0');

        // One record per library (Elf64_Verneed), each with a chain of versions (Elf64_Vernaux); offsets are relative and unsigned, so
        // that neither chain can go back and loop.
        int? found = null;
        for (long i = 0; i < records; i++)
        {
            var need = Slice(file, record, 16);
            if (UInt16(need, 0) != 1)
                throw new InvalidDataException("Its needed versions have an unknown format.");

            var entry = record + UInt32(need, 8);
            for (int k = 0, count = UInt16(need, 2); k < count; k++)
            {
                var aux = Slice(file, entry, 16);
                if (IsAt(strings, UInt32(aux, 8), name))
                    found = found is null ? (int)entry + 4 : throw new InvalidDataException($"It needs {version} more than once.");
                entry = Next(entry, UInt32(aux, 12), k == count - 1);
            }

            record = Next(record, UInt32(need, 12), i == records - 1);
        }

        return found ?? throw new InvalidDataException($"It does not need {version}.");
    }

    // Through the program headers, as the dynamic linker reads them: section headers may be stripped, and need not tell the truth.
    private static (long FirstRecord, long Records, byte[] Strings) FindTables(byte[] file)
    {
        var segments = ElfHeader.ReadSegments(new MemoryStream(file));
        long? records = null, recordCount = null, strings = null, stringsSize = null;
        foreach (var segment in segments.Where(segment => segment.Type == ElfHeader.DynamicSegment))
        {
            var tags = Slice(file, segment.Offset, segment.Length);
            for (var at = 0; at + 16 <= tags.Length && Int64(tags, at) != 0; at += 16)
            {
                var value = Int64(tags, at + 8);
                switch (Int64(tags, at))
                {
                    case NeededVersions: records = value; break;
                    case NeededVersionCount: recordCount = value; break;
                    case StringTable: strings = value; break;
                    case StringTableSize: stringsSize = value; break;
                }
            }
        }

        if (records is null || recordCount is null || strings is null || stringsSize is null)
            throw new InvalidDataException("Its dynamic section names no needed versions or no string table.");

        return (
            ElfHeader.ToFileOffset(segments, records.Value),
            recordCount.Value,
            Slice(file, ElfHeader.ToFileOffset(segments, strings.Value), stringsSize.Value).ToArray());
    }

    private static bool IsAt(ReadOnlySpan<byte> strings, long at, ReadOnlySpan<byte> name) =>
        Slice(strings, at, strings.Length - at).StartsWith(name);

    private static long Next(long at, uint step, bool isLast) =>
        step != 0 || isLast ? at + step : throw new InvalidDataException("A chain of its needed versions ends too early.");

    private static ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> bytes, long at, long length) =>
        at >= 0 && length >= 0 && at <= bytes.Length && length <= bytes.Length - at
            ? bytes.Slice((int)at, (int)length)
            : throw new InvalidDataException("One of its tables lies outside the file, which may be truncated.");

    private static ushort UInt16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint UInt32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long Int64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
}
