using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace MlNetMlp.Persistence;

/// <summary>The JSON header of a safetensors file: one member per tensor with its type, its shape and its place in the data.</summary>
internal static class SafeTensorsHeader
{
    public const string MetadataName = "__metadata__";

    /// <summary>The published limit is 100 MB; ours hold a few hundred tensors in tens of kilobytes.</summary>
    public const int MaxLength = 16 << 20;

    public const int MaxTensors = 100_000;

    private const int Alignment = 8;

    /// <summary>One tensor; <paramref name="Index"/> is its place in the header, which need not be that of its data.</summary>
    public readonly record struct Entry(int Index, string Name, TensorType Type, long[] Shape, long Count, long Begin, long End);

    /// <summary>Writes the header of tensors whose data lies in the order of <paramref name="layout"/>.</summary>
    public static byte[] Format(WeightSet weights, IEnumerable<NamedTensor> layout)
    {
        var begins = new Dictionary<NamedTensor, long>(weights.Count);
        long end = 0;
        foreach (NamedTensor tensor in layout)
        {
            begins.Add(tensor, end);
            end += tensor.ByteCount;
        }

        var buffer = new ArrayBufferWriter<byte>();
        // Names go out as plain UTF-8, as other writers of the format do: the default encoder would escape every '+' and accent.
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            foreach (NamedTensor tensor in weights)
                WriteEntry(json, tensor, begins[tensor]);
            json.WriteEndObject();
        }

        // Padding keeps the data aligned for readers that map the file into memory.
        int padding = -buffer.WrittenCount & (Alignment - 1);
        buffer.GetSpan(Alignment)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Reads a header and checks every figure in it against the length of the data, which is known from outside.</summary>
    /// <returns>The tensors in the order of their data, which they cover without gap or overlap.</returns>
    public static List<Entry> Parse(ReadOnlySpan<byte> header, long dataLength)
    {
        List<Entry> entries;
        try
        {
            entries = ReadEntries(header, dataLength);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException is how Utf8JsonReader refuses strings that are not valid Unicode.
            throw ModelFormatException.InWeights($"the header is not valid JSON: {e.Message}", e);
        }

        entries.Sort((a, b) => (a.Begin, a.End).CompareTo((b.Begin, b.End)));
        long covered = 0;
        foreach (Entry entry in entries)
        {
            if (entry.Begin != covered)
            {
                string fault = entry.Begin < covered ? "overlaps the data of another tensor" : "leaves a gap before its data";
                throw Fault(entry.Name, $"{fault}: it begins at {entry.Begin} where {covered} was expected");
            }

            covered = entry.End;
        }

        return covered == dataLength
            ? entries
            : throw ModelFormatException.InWeights($"the tensors of the header take {covered} bytes, but {dataLength} bytes follow it.");
    }

    private static void WriteEntry(Utf8JsonWriter json, NamedTensor tensor, long begin)
    {
        json.WriteStartObject(tensor.Name);
        json.WriteString("dtype"u8, tensor.Type.Code());
        json.WriteStartArray("shape"u8);
        foreach (long size in tensor.Shape)
            json.WriteNumberValue(size);
        json.WriteEndArray();
        json.WriteStartArray("data_offsets"u8);
        json.WriteNumberValue(begin);
        json.WriteNumberValue(begin + tensor.ByteCount);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static List<Entry> ReadEntries(ReadOnlySpan<byte> header, long dataLength)
    {
        if (header[0] != '{')
            throw ModelFormatException.InWeights($"the header begins with byte 0x{header[0]:X2}, not with '{{'.");

        // Tensor by name, member, array: nothing deeper belongs here, so nothing deeper is read.
        var reader = new Utf8JsonReader(header, new JsonReaderOptions { MaxDepth = 3 });
        var entries = new List<Entry>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = ReadString(ref reader);
            if (!names.Add(name))
                throw Fault(name, $"appears twice");

            reader.Read();
            if (name == MetadataName)
                SkipMetadata(ref reader);
            else if (NamedTensor.NameProblem(name) is { } problem)
                throw ModelFormatException.InWeights($"tensor {entries.Count} of the header has {problem}.");
            else if (entries.Count == MaxTensors)
                throw ModelFormatException.InWeights($"the header names more than {MaxTensors} tensors.");
            else
                entries.Add(ReadEntry(ref reader, name, entries.Count, dataLength));
        }

        // Reaches the end of the padding; anything but blanks after the object is refused by the reader itself.
        reader.Read();
        return entries;
    }

    private static Entry ReadEntry(ref Utf8JsonReader reader, string name, int index, long dataLength)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Fault(name, $"is described by a {reader.TokenType}, not by an object");

        TensorType? type = null;
        long[]? shape = null;
        long[]? offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string member = ReadString(ref reader);
            reader.Read();
            if (member == "dtype" && type is null)
                type = ReadType(ref reader, name);
            else if (member == "shape" && shape is null)
                shape = ReadNumbers(ref reader, name, member, TensorShape.MaxRank);
            else if (member == "data_offsets" && offsets is null)
                offsets = ReadNumbers(ref reader, name, member, most: 2);
            else
                throw Fault(name, $"has a repeated or unknown member besides dtype, shape and data_offsets");
        }

        if (type is null || shape is null || offsets is not [long begin, long end])
            throw Fault(name, $"lacks its dtype, its shape or its two data_offsets");
        if (TensorShape.Problem(shape, out long count) is { } problem)
            throw Fault(name, $"has the shape {TensorShape.Text(shape)}: {problem}");
        if (begin < 0 || end < begin || end > dataLength)
            throw Fault(name, $"lies at {begin} to {end}, outside the {dataLength} bytes of data");
        if (end - begin != count * type.Value.Size())
        {
            throw Fault(
                name, $"takes {end - begin} bytes of data, but {type.Value} {TensorShape.Text(shape)} needs {count * type.Value.Size()}");
        }

        return new Entry(index, name, type.Value, shape, count, begin, end);
    }

    private static TensorType ReadType(ref Utf8JsonReader reader, string name)
    {
        if (reader.TokenType != JsonTokenType.String)
            throw Fault(name, $"has a {reader.TokenType} as dtype, not a string");

        string code = ReadString(ref reader);
        return TensorTypes.FromCode(code)
            ?? throw Fault(name, $"has the dtype '{Printable(code)}', which is none of {TensorTypes.AllCodes}");
    }

    private static long[] ReadNumbers(ref Utf8JsonReader reader, string name, string member, int most)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw Fault(name, $"has a {reader.TokenType} as {member}, not an array");

        Span<long> numbers = stackalloc long[TensorShape.MaxRank];
        int count = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (count == most)
                throw Fault(name, $"has more than {most} numbers as {member}");
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out numbers[count++]))
                throw Fault(name, $"has something other than 64-bit whole numbers as {member}");
        }

        return numbers[..count].ToArray();
    }

    private static void SkipMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw ModelFormatException.InWeights($"{MetadataName} is a {reader.TokenType}, not an object.");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw ModelFormatException.InWeights($"{MetadataName} holds a {reader.TokenType}; the format allows strings only.");
        }
    }

    /// <summary>Reads a name or a short string without ever making a large one.</summary>
    private static string ReadString(ref Utf8JsonReader reader)
    {
        // The worst case of JSON: every character escaped as \uXXXX.
        const int LongestEscape = 6;
        return reader.ValueSpan.Length <= NamedTensor.MaxNameLength * LongestEscape
            ? reader.GetString()!
            : throw ModelFormatException.InWeights($"the header holds a name of {reader.ValueSpan.Length} bytes.");
    }

    private static ModelFormatException Fault(string name, FormattableString fault) =>
        ModelFormatException.InWeights($"tensor '{Printable(name)}' {FormattableString.Invariant(fault)}.");

    // Most faults are found after the name was checked; a repeated name is not.
    private static string Printable(string name) => NamedTensor.NameProblem(name) is null || name == MetadataName ? name : "?";
}
