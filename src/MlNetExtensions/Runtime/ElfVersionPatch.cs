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
    private const int DynamicSegment = 2, LoadSegment = 1;
    private const long NeededVersions = 0x6ffffffe, NeededVersionCount = 0x6fffffff, StringTable = 5, StringTableSize = 10;

    /// <summary>Sets the flag in a copy of <paramref name="original"/>; a file that has it already comes back unchanged.</summary>
    /// <exception cref="InvalidDataException">The file is not a 64-bit little-endian ELF library that needs this version once.</exception>
    public static byte[] MakeWeak(ReadOnlySpan<byte> original, string version)
    {
        var at = FindFlags(original, version);
        var patched = original.ToArray();
        var flags = BinaryPrimitives.ReadUInt16LittleEndian(patched.AsSpan(at));
        BinaryPrimitives.WriteUInt16LittleEndian(patched.AsSpan(at), (ushort)(flags | WeakFlag));
        return patched;
    }

    /// <summary>Where the flags of the one entry for <paramref name="version"/> lie in the file.</summary>
    public static int FindFlags(ReadOnlySpan<byte> file, string version)
    {
        if (file.Length < 64 || !file[..4].SequenceEqual("\u007fELF"u8))
            throw Unexpected("it is not an ELF file");
        if (file[4] != 2 || file[5] != 1)
            throw Unexpected("it is not a 64-bit little-endian ELF file");

        var (tables, strings, entries) = FindTables(file);
        Span<byte> name = stackalloc byte[64];
        name = name[..Encoding.ASCII.GetBytes(version, name)];

        // One record per library (Elf64_Verneed), each with a chain of versions (Elf64_Vernaux); offsets are relative and unsigned, so
        // that neither chain can go back and loop.
        int? found = null;
        long record = tables;
        for (ulong i = 0; i < entries; i++)
        {
            var need = Slice(file, record, 16, "a record of needed versions");
            if (U16(need, 0) != 1)
                throw Unexpected("its needed versions have an unknown format");

            var entry = record + U32(need, 8);
            for (int k = 0, count = U16(need, 2); k < count; k++)
            {
                var aux = Slice(file, entry, 16, "a needed version");
                if (NameIs(strings.Slice(file), U32(aux, 8), name))
                    found = found is null ? (int)entry + 4 : throw Unexpected($"it needs {version} more than once");
                entry = Next(entry, U32(aux, 12), k == count - 1);
            }

            record = Next(record, U32(need, 12), i == entries - 1);
        }

        return found ?? throw Unexpected($"it does not need {version}");
    }

    // Through the program headers, as the dynamic linker reads them: section headers may be stripped, and need not tell the truth.
    private static (long Versions, Range64 Strings, ulong Count) FindTables(ReadOnlySpan<byte> file)
    {
        var start = U64(file, 32);
        int size = U16(file, 54), count = U16(file, 56);
        if (size < 56)
            throw Unexpected("its program headers are too small");

        var headers = Slice(file, start, (long)size * count, "its program headers");
        Range64? dynamic = null;
        for (var i = 0; i < count; i++)
        {
            var header = headers.Slice(i * size, 56);
            if (U32(header, 0) == DynamicSegment)
                dynamic = new(U64(header, 8), U64(header, 32));
        }

        var tags = (dynamic ?? throw Unexpected("it has no dynamic section")).Slice(file);
        long? versions = null, strings = null, stringSize = null, entries = null;
        for (var at = 0; at + 16 <= tags.Length; at += 16)
        {
            var (tag, value) = (U64(tags, at), U64(tags, at + 8));
            if (tag == 0)
                break;
            if (tag == NeededVersions)
                versions = value;
            else if (tag == NeededVersionCount)
                entries = value;
            else if (tag == StringTable)
                strings = value;
            else if (tag == StringTableSize)
                stringSize = value;
        }

        if (versions is null || entries is null || strings is null || stringSize is null)
            throw Unexpected("its dynamic section names no needed versions or no string table");

        return (
            ToFileOffset(headers, size, count, versions.Value),
            new(ToFileOffset(headers, size, count, strings.Value), stringSize.Value),
            (ulong)entries.Value);
    }

    private static long ToFileOffset(ReadOnlySpan<byte> headers, int size, int count, long address)
    {
        for (var i = 0; i < count; i++)
        {
            var header = headers.Slice(i * size, 56);
            var (offset, start, length) = (U64(header, 8), U64(header, 16), U64(header, 32));
            if (U32(header, 0) == LoadSegment && address >= start && address - start < length)
                return address - start + offset;
        }

        throw Unexpected($"address 0x{address:x} lies in none of its segments");
    }

    private static bool NameIs(ReadOnlySpan<byte> strings, uint at, ReadOnlySpan<byte> name)
    {
        if (at >= (uint)strings.Length)
            throw Unexpected("the name of a needed version lies outside its string table");

        var rest = strings[(int)at..];
        return rest.Length > name.Length && rest.StartsWith(name) && rest[name.Length] == 0;
    }

    private static long Next(long at, uint step, bool isLast) =>
        step != 0 || isLast ? at + step : throw Unexpected("a chain of needed versions ends too early");

    private static ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> file, long at, long length, string what) =>
        at >= 0 && length >= 0 && at <= file.Length && length <= file.Length - at
            ? file.Slice((int)at, (int)length)
            : throw Unexpected($"{what} lies outside the file, which may be truncated");

    private static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    // Offsets and sizes past 2^63 are as wrong as any past the end of the file.
    private static long U64(ReadOnlySpan<byte> bytes, int at) =>
        BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]) is var value and >= 0
            ? value
            : throw Unexpected("an offset or size in it is out of range");

    private static InvalidDataException Unexpected(string why) => new($"The library cannot be patched: {why}.");

    private readonly record struct Range64(long Offset, long Length)
    {
        public ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> file) => ElfVersionPatch.Slice(file, Offset, Length, "one of its tables");
    }
}
