using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace MlNetMlp.Persistence;

/// <summary>Writes and reads weights in the published safetensors format, which Python and most other tools read too.</summary>
/// <remarks>
/// A file is 8 bytes with the length of the header (little-endian), a JSON header padded with blanks to a multiple of 8 bytes, and the
/// elements of all tensors without gaps. See <see href="https://github.com/huggingface/safetensors"/>.
/// </remarks>
public static class SafeTensors
{
    /// <summary>The name of the weights' entry in a model file; messages begin with it.</summary>
    public const string EntryName = "weights.safetensors";

    private const int PrefixLength = sizeof(long);

    // A span of bytes ends at 2 GB, an array of numbers does not: long tensors go through in parts of at most 128 MB.
    private const int PartLength = 1 << 24;

    /// <summary>Writes weights. The same set gives the same bytes.</summary>
    /// <param name="stream">The stream to write to; it need not be seekable and stays open.</param>
    /// <param name="weights">The weights.</param>
    /// <remarks>
    /// The header lists the tensors in the order of the set. Their data lies in descending order of element size, as the format's own
    /// writer has it, so that each begins at a multiple of its element size and can be used where the file is mapped into memory.
    /// </remarks>
    /// <exception cref="ArgumentException">
    /// The set is larger than <see cref="Read"/> accepts: 100,000 tensors, 16 MB of names and shapes.
    /// </exception>
    public static void Write(Stream stream, WeightSet weights)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(weights);
        CheckByteOrder();
        if (weights.Count > SafeTensorsHeader.MaxTensors)
            throw TooLarge($"The set holds {weights.Count} tensors, more than {SafeTensorsHeader.MaxTensors}.");

        NamedTensor[] layout = [.. weights.OrderByDescending(tensor => tensor.Type.Size())];
        byte[] header = SafeTensorsHeader.Format(weights, layout);
        if (header.Length > SafeTensorsHeader.MaxLength)
            throw TooLarge($"Names and shapes take {header.Length} bytes, more than {SafeTensorsHeader.MaxLength}.");

        Span<byte> prefix = stackalloc byte[PrefixLength];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, header.Length);
        stream.Write(prefix);
        stream.Write(header);
        foreach (NamedTensor tensor in layout)
            WriteData(stream, tensor);

        static ArgumentException TooLarge(FormattableString what) => new(FormattableString.Invariant(what), nameof(weights));
    }

    /// <summary>Reads weights and trusts nothing that the file says: the whole header is checked before any tensor gets memory.</summary>
    /// <param name="stream">The stream, at the first byte of the weights; it need not be seekable and stays open.</param>
    /// <param name="length">
    /// The number of bytes that the weights take, known from outside, as from the directory of a zip. Bytes after that are left unread.
    /// </param>
    /// <returns>The weights in the order of the header.</returns>
    /// <exception cref="ModelFormatException">The file is damaged, ends early or breaks a rule; the message says which.</exception>
    public static WeightSet Read(Stream stream, long length)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        CheckByteOrder();
        if (stream.CanSeek && stream.Length - stream.Position is var there && there < length)
            throw ModelFormatException.InWeights($"the file ends early: {length} bytes were expected, {there} are there.");

        byte[] header = ReadHeader(stream, length);
        List<SafeTensorsHeader.Entry> entries = SafeTensorsHeader.Parse(header, length - PrefixLength - header.Length);

        var tensors = new NamedTensor[entries.Count];
        foreach (SafeTensorsHeader.Entry entry in entries)
            tensors[entry.Index] = ReadData(stream, entry);

        return [.. tensors];
    }

    private static byte[] ReadHeader(Stream stream, long length)
    {
        if (length < PrefixLength)
            throw ModelFormatException.InWeights($"the file is {length} bytes long; the first {PrefixLength} are missing or cut.");

        Span<byte> prefix = stackalloc byte[PrefixLength];
        Fill(stream, prefix, "the length of the header");
        long headerLength = BinaryPrimitives.ReadInt64LittleEndian(prefix);
        long most = Math.Min(length - PrefixLength, SafeTensorsHeader.MaxLength);
        if (headerLength <= 0 || headerLength > most)
            throw ModelFormatException.InWeights($"the header is said to be {headerLength} bytes long, outside 1 to {most}.");

        byte[] header = new byte[headerLength];
        Fill(stream, header, "the header");
        return header;
    }

    private static void WriteData(Stream stream, NamedTensor tensor)
    {
        switch (tensor.Type)
        {
            case TensorType.Float32: WriteParts(stream, tensor.Floats); break;
            case TensorType.Float64: WriteParts(stream, tensor.Doubles); break;
            case TensorType.Int64: WriteParts(stream, tensor.Integers); break;
            default: WriteParts(stream, tensor.Bytes); break;
        }
    }

    private static NamedTensor ReadData(Stream stream, SafeTensorsHeader.Entry entry) => entry.Type switch
    {
        TensorType.Float32 => NamedTensor.Of(entry.Name, ReadParts<float>(stream, entry), entry.Shape),
        TensorType.Float64 => NamedTensor.Of(entry.Name, ReadParts<double>(stream, entry), entry.Shape),
        TensorType.Int64 => NamedTensor.Of(entry.Name, ReadParts<long>(stream, entry), entry.Shape),
        _ => NamedTensor.Of(entry.Name, ReadParts<byte>(stream, entry), entry.Shape),
    };

    private static void WriteParts<T>(Stream stream, ReadOnlySpan<T> values)
        where T : unmanaged
    {
        for (; !values.IsEmpty; values = values[Math.Min(PartLength, values.Length)..])
            stream.Write(MemoryMarshal.AsBytes(values[..Math.Min(PartLength, values.Length)]));
    }

    private static T[] ReadParts<T>(Stream stream, SafeTensorsHeader.Entry entry)
        where T : unmanaged
    {
        // Every element is overwritten below, or the array is dropped: clearing gigabytes first would be work for nothing.
        T[] values = GC.AllocateUninitializedArray<T>((int)entry.Count);
        for (Span<T> rest = values; !rest.IsEmpty; rest = rest[Math.Min(PartLength, rest.Length)..])
            Fill(stream, MemoryMarshal.AsBytes(rest[..Math.Min(PartLength, rest.Length)]), $"tensor '{entry.Name}'");
        return values;
    }

    private static void Fill(Stream stream, Span<byte> buffer, string what)
    {
        int read;
        try
        {
            read = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        }
        catch (InvalidDataException e)
        {
            throw ModelFormatException.InWeights($"the compressed data of {what} is damaged: {e.Message}", e);
        }

        if (read < buffer.Length)
            throw ModelFormatException.InWeights($"the file ends inside {what}: {buffer.Length} bytes were expected, {read} are there.");
    }

    private static void CheckByteOrder()
    {
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("The format is little-endian, and this machine is not.");
    }
}
