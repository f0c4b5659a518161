using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace MlNetMlp.Persistence;

/// <summary>One entry of a zip file, as its directory and the record before its content agree.</summary>
/// <param name="Name">The name, with '/' between folders.</param>
/// <param name="IsStored">Whether the content stands as it is; else it is deflated.</param>
/// <param name="Start">Where the packed content begins in the file.</param>
/// <param name="PackedLength">Bytes of the packed content.</param>
/// <param name="Length">Bytes of the content.</param>
/// <param name="Checksum">CRC-32 of the content.</param>
internal sealed record ZipItem(string Name, bool IsStored, long Start, long PackedLength, long Length, uint Checksum);

/// <summary>
/// The directory of a zip file, read by the letter: every byte of the file belongs to one entry or to the directory. The runtime's reader
/// takes entries that share bytes, hidden files between entries and whatever stands before or after the zip.
/// </summary>
/// <remarks>See APPNOTE.TXT of PKWARE, sections 4.3.7 to 4.3.16.</remarks>
internal static class ZipDirectory
{
    private const uint LocalSignature = 0x04034b50;
    private const uint CentralSignature = 0x02014b50;
    private const uint EndSignature = 0x06054b50;
    private const uint Zip64EndSignature = 0x06064b50;
    private const uint Zip64LocatorSignature = 0x07064b50;
    private const int LocalLength = 30;
    private const int CentralLength = 46;
    private const int EndLength = 22;
    private const int Zip64EndLength = 56;
    private const int Zip64LocatorLength = 20;
    private const ushort Zip64Extra = 1;
    private const int Encrypted = 1 << 0;
    private const int SizesFollow = 1 << 3;

    /// <summary>Longest directory that is read: that of a thousand entries with long names.</summary>
    private const long MostDirectoryBytes = 16 << 20;

    /// <summary>Reads the directory.</summary>
    /// <param name="file">The file, seekable.</param>
    /// <param name="mostEntries">Most entries that are read.</param>
    /// <returns>The entries in the order of their content.</returns>
    /// <exception cref="ModelFormatException">The file is no zip, or one whose bytes do not belong to exactly one entry each.</exception>
    public static IReadOnlyList<ZipItem> Read(Stream file, int mostEntries)
    {
        var (count, start, length) = FindDirectory(file);
        if (count > mostEntries)
            throw Refuse($"it has {count} entries, more than {mostEntries}");
        if (length > MostDirectoryBytes)
            throw Refuse($"its directory has {length} bytes, more than {MostDirectoryBytes}");
        var directory = ReadAt(file, start, (int)length);
        var items = new List<ZipItem>();
        long next = 0;
        var at = 0;
        for (long i = 0; i < count; i++)
        {
            var central = ReadCentral(directory, ref at);
            if (central.Offset != next)
                throw Refuse($"'{central.Name}' begins at byte {central.Offset}, where {next} was expected: entries overlap, are out of order or leave room between them");
            items.Add(ReadLocal(file, central, start, out next));
        }

        if (at != directory.Length)
            throw Refuse($"its directory has {directory.Length - at} bytes after the last entry");
        return next == start ? items : throw Refuse($"there are {start - next} bytes between the last entry and the directory");
    }

    /// <summary>Opens the content of an entry.</summary>
    /// <param name="file">The file, which has to be read by nobody else meanwhile.</param>
    /// <param name="item">The entry.</param>
    /// <returns>The unpacked content, however long it really is.</returns>
    public static Stream Open(Stream file, ZipItem item)
    {
        var packed = new StreamPart(file, item.Start, item.PackedLength);
        return item.IsStored ? packed : new DeflateStream(packed, CompressionMode.Decompress);
    }

    private static (long Count, long Start, long Length) FindDirectory(Stream file)
    {
        if (file.Length < EndLength)
            throw Refuse($"it has {file.Length} bytes, fewer than the smallest zip");
        var end = ReadAt(file, file.Length - EndLength, EndLength);
        if (U32(end, 0) != EndSignature || U16(end, 20) != 0)
            throw Refuse($"it is no zip, is cut short, or has bytes after its end");
        if (U16(end, 4) != 0 || U16(end, 6) != 0 || U16(end, 8) != U16(end, 10))
            throw Refuse($"it is a part of a zip in several files");
        var (count, length, start) = ((long)U16(end, 10), (long)U32(end, 12), (long)U32(end, 16));
        var limit = file.Length - EndLength;
        if (count == ushort.MaxValue || length == uint.MaxValue || start == uint.MaxValue)
        {
            limit -= Zip64LocatorLength + Zip64EndLength;
            if (limit < 0)
                throw Refuse($"the end of its directory is cut short");
            var wide = ReadAt(file, limit, Zip64EndLength + Zip64LocatorLength);
            if (U32(wide, 0) != Zip64EndSignature || U32(wide, Zip64EndLength) != Zip64LocatorSignature || I64(wide, Zip64EndLength + 8) != limit || I64(wide, 4) != Zip64EndLength - 12)
                throw Refuse($"the end of its directory is damaged");
            (count, length, start) = (I64(wide, 32), I64(wide, 40), I64(wide, 48));
        }

        if (start < 0 || length < 0 || count < 0 || start > limit || length != limit - start)
            throw Refuse($"its directory lies at byte {start} and has {length} bytes, which does not end at byte {limit}");
        return (count, start, length);
    }

    private sealed record Central(string Name, int Flags, int Method, uint Checksum, long Packed, long Length, long Offset);

    private static Central ReadCentral(ReadOnlySpan<byte> directory, ref int at)
    {
        if (directory.Length - at < CentralLength || U32(directory, at) != CentralSignature)
            throw Refuse($"its directory is damaged at byte {at}");
        var record = directory[at..];
        var (nameLength, extraLength, commentLength) = (U16(record, 28), U16(record, 30), U16(record, 32));
        var whole = CentralLength + nameLength + extraLength + commentLength;
        if (record.Length < whole)
            throw Refuse($"its directory ends within an entry");
        var name = NameOf(record.Slice(CentralLength, nameLength));
        if (U16(record, 34) != 0)
            throw Refuse($"'{name}' lies in another file");
        long length = U32(record, 24), packed = U32(record, 20), offset = U32(record, 42);
        ReadWide(record.Slice(CentralLength + nameLength, extraLength), name, ref length, ref packed, ref offset);
        at += whole;
        return new(name, U16(record, 8), U16(record, 10), U32(record, 16), packed, length, offset);
    }

    private static ZipItem ReadLocal(Stream file, Central central, long directory, out long next)
    {
        var name = central.Name;
        if (central.Offset > directory - LocalLength)
            throw Refuse($"'{name}' does not lie before the directory");
        var record = ReadAt(file, central.Offset, LocalLength);
        var (flags, method) = (U16(record, 6), U16(record, 8));
        var (nameLength, extraLength) = (U16(record, 26), U16(record, 28));
        var start = central.Offset + LocalLength + nameLength + extraLength;
        if (U32(record, 0) != LocalSignature || start > directory)
            throw Refuse($"the record before '{name}' is damaged");
        var rest = ReadAt(file, central.Offset + LocalLength, nameLength + extraLength);
        if (NameOf(rest.AsSpan(0, nameLength)) != name || flags != central.Flags || method != central.Method)
            throw Refuse($"the directory and the record before the content tell different things of '{name}'");
        if ((flags & Encrypted) != 0)
            throw Refuse($"'{name}' is encrypted");
        if (method is not (0 or 8))
            throw Refuse($"'{name}' is packed by method {method}; only 0 (stored) and 8 (deflated) are read");
        if (central.Packed < 0 || central.Length < 0 || central.Packed > directory - start || (method == 0 && central.Packed != central.Length))
            throw Refuse($"'{name}' has {central.Packed} packed bytes for {central.Length}, which cannot be");

        long length = U32(record, 22), packed = U32(record, 18), unused = 0;
        ReadWide(rest.AsSpan(nameLength), name, ref length, ref packed, ref unused);
        if ((flags & SizesFollow) == 0 && (length != central.Length || packed != central.Packed || U32(record, 14) != central.Checksum))
            throw Refuse($"the directory and the record before the content tell different sizes of '{name}'");
        next = start + central.Packed + ((flags & SizesFollow) == 0 ? 0 : DescriptorLength(file, start + central.Packed, directory, central));
        return new(name, method == 0, start, central.Packed, central.Length, central.Checksum);
    }

    // Sizes of what was written to a stream that cannot go back: with or without a signature, in four bytes each or in eight.
    private static int DescriptorLength(Stream file, long at, long directory, Central central)
    {
        const uint Signature = 0x08074b50;
        var bytes = ReadAt(file, at, (int)Math.Min(24, directory - at));
        var signed = bytes.Length >= 4 && U32(bytes, 0) == Signature ? 4 : 0;
        if (bytes.Length >= signed + 20 && I64(bytes, signed + 4) == central.Packed && I64(bytes, signed + 12) == central.Length && U32(bytes, signed) == central.Checksum)
            return signed + 20;
        return bytes.Length >= signed + 12 && U32(bytes, signed + 4) == central.Packed && U32(bytes, signed + 8) == central.Length && U32(bytes, signed) == central.Checksum
            ? signed + 12
            : throw Refuse($"the sizes after '{central.Name}' are not those of the directory");
    }

    // Numbers that do not fit into four bytes stand in a field of their own, in this order.
    private static void ReadWide(ReadOnlySpan<byte> extra, string name, ref long length, ref long packed, ref long offset)
    {
        while (extra.Length >= 4)
        {
            var size = U16(extra, 2);
            if (size > extra.Length - 4)
                break;
            var field = extra.Slice(4, size);
            if (U16(extra, 0) == Zip64Extra)
            {
                Take(ref length, ref field, name);
                Take(ref packed, ref field, name);
                Take(ref offset, ref field, name);
                return;
            }

            extra = extra[(4 + size)..];
        }

        static void Take(ref long value, ref ReadOnlySpan<byte> field, string name)
        {
            if (value != uint.MaxValue)
                return;
            if (field.Length < 8)
                throw Refuse($"the sizes of '{name}' are cut short");
            value = I64(field, 0);
            field = field[8..];
        }
    }

    private static string NameOf(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return StrictUtf8.GetString(bytes).Replace('\\', '/');
        }
        catch (DecoderFallbackException e)
        {
            throw new ModelFormatException("A name in the zip's directory is not UTF-8.", e);
        }
    }

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private static byte[] ReadAt(Stream file, long start, int length)
    {
        var bytes = new byte[length];
        file.Position = start;
        file.ReadExactly(bytes);
        return bytes;
    }

    private static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long I64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);

    private static ModelFormatException Refuse(FormattableString fault) => new($"The zip cannot be trusted: {FormattableString.Invariant(fault)}.");
}
