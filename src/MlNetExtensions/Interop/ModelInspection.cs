using System.Buffers.Binary;
using System.Reflection;
using System.Text;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Data.IO;
using MlNetMlp.Methods;
using MlNetMlp.Persistence;

namespace MlNetMlp.Interop;

/// <summary>
/// Looks through a whole model file before ML.NET sees it: ML.NET unpacks every entry to disk whatever its size, and loads whatever assembly
/// the file names.
/// </summary>
internal sealed class ModelInspection(Stream file, ModelFileLimits limits)
{
    // Smaller entries cannot do harm by unpacking well.
    private const long LeastBombBytes = 1_000_000;

    // Larger ones are looked through on disk.
    private const long MostBytesInMemory = 1 << 24;

    // The loader of custom mappings, stateful ones and filters, as ML.NET writes it; it looks it up whatever the case.
    private const string CustomMapping = "CustomTransformer";

    // Longest name of an assembly or class that is looked at.
    private const int LongestName = 1000;

    private readonly List<ModelFilePart> _parts = [];

    /// <summary>Looks through the file.</summary>
    /// <returns>What it holds.</returns>
    /// <exception cref="ModelFormatException">It breaks a limit, or no writer of models would have written it so; the message names the entry.</exception>
    public ModelFileReport Inspect()
    {
        IReadOnlyList<ZipItem> items;
        try
        {
            items = ZipDirectory.Read(file, limits.Entries);
        }
        catch (EndOfStreamException e)
        {
            throw new ModelFormatException("The zip is cut short.", e);
        }

        CheckNames(items);
        CheckSizes(items);
        foreach (var item in items)
            InspectContent(item);
        return new([.. items.Select(item => new ModelFileEntry(item.Name, item.Length, item.PackedLength))], _parts);
    }

    private static void CheckNames(IReadOnlyList<ZipItem> items)
    {
        var names = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var name in items.Select(item => item.Name))
        {
            var steps = name.Split('/');
            if (name.Length is 0 or > LongestName || name.Contains(':', StringComparison.Ordinal) || name.Any(char.IsControl) || steps.Any(step => step is "" or "." or ".."))
                throw new ModelFormatException($"An entry of the zip is called '{Printable(name)}', which is no path within a model.");
            if (!names.Add(name))
                throw new ModelFormatException($"{name}: the zip holds this entry twice.");
        }
    }

    private void CheckSizes(IReadOnlyList<ZipItem> items)
    {
        long total = 0;
        foreach (var item in items)
        {
            // Both are below 2^63: a sum beyond it is negative.
            total += item.Length;
            if (total < 0 || total > limits.Bytes)
                throw new ModelFormatException($"{item.Name}: with it the model has {(ulong)total} bytes, more than {limits.Bytes} ({nameof(ModelFileLimits)}.{nameof(ModelFileLimits.Bytes)}).");
            if (item.Length > LeastBombBytes && item.Length / limits.Ratio > item.PackedLength)
            {
                throw new ModelFormatException(
                    $"{item.Name}: {item.PackedLength} bytes unpack to {item.Length}, more than {limits.Ratio} times as many ({nameof(ModelFileLimits)}.{nameof(ModelFileLimits.Ratio)}).");
            }
        }
    }

    private void InspectContent(ZipItem item)
    {
        var name = item.Name[(item.Name.LastIndexOf('/') + 1)..];
        var isJson = name.EndsWith(".json", StringComparison.OrdinalIgnoreCase);
        var isTensors = name.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase);
        if (name.Equals(TrainedNetworkFile.HeaderEntryName, StringComparison.OrdinalIgnoreCase) && item.Length > limits.HeaderBytes)
            throw new ModelFormatException($"{item.Name}: it has {item.Length} bytes, more than {limits.HeaderBytes} ({nameof(ModelFileLimits)}.{nameof(ModelFileLimits.HeaderBytes)}).");

        // The content is read to its end in any case: only then is its checksum known.
        using var content = Unpack(item, keep: !isTensors);
        if (isTensors)
            InspectTensors(item);
        else if (isJson)
            InspectJson(item, content);
        else if (IsSchema(content))
            InspectSchema(item, content);
        else
            InspectModels(item, content);
    }

    private static bool IsSchema(Stream content)
    {
        Span<byte> signature = stackalloc byte[sizeof(ulong)];
        return content.ReadAtLeast(signature, signature.Length, throwOnEndOfStream: false) == signature.Length && BinaryPrimitives.ReadUInt64LittleEndian(signature) == Header.SignatureValue;
    }

    // ML.NET reads schemas from memory, where nothing could end its wait for bytes that are not there: they are read here first, as it will read them.
    private static void InspectSchema(ZipItem item, Stream content)
    {
        try
        {
            content.Position = 0;
            _ = new BinaryLoader(new MLContext(), new BinaryLoader.Arguments(), new EndingStream(content)).Schema;
        }
        catch (Exception e) when (e is not (OperationCanceledException or ModelFormatException))
        {
            throw new ModelFormatException($"{item.Name}: it is no schema: {ModelFile.Innermost(e).Message.TrimEnd('.')}.", e);
        }
    }

    private Stream Unpack(ZipItem item, bool keep)
    {
        var kept = !keep ? Stream.Null : item.Length <= MostBytesInMemory ? new MemoryStream((int)item.Length) : TemporaryFile();
        try
        {
            ZipEntryStream.Unpack(item.Name, item.Length, item.Checksum, () => ZipDirectory.Open(file, item), kept);
            kept.Position = 0;
            return kept;
        }
        catch
        {
            kept.Dispose();
            throw;
        }
    }

    private static FileStream TemporaryFile() =>
        new(Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()), new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, Options = FileOptions.DeleteOnClose });

    private void InspectTensors(ZipItem item)
    {
        using var content = ZipDirectory.Open(file, item);
        Span<byte> prefix = stackalloc byte[sizeof(long)];
        if (content.ReadAtLeast(prefix, prefix.Length, throwOnEndOfStream: false) < prefix.Length)
            throw new ModelFormatException($"{item.Name}: it has {item.Length} bytes, too few for a header.");
        var length = BinaryPrimitives.ReadInt64LittleEndian(prefix);
        if (length <= 0 || length > item.Length - prefix.Length || length > limits.HeaderBytes)
            throw new ModelFormatException($"{item.Name}: its header has {length} bytes, outside 1 to {Math.Min(item.Length - prefix.Length, limits.HeaderBytes)} ({nameof(ModelFileLimits)}.{nameof(ModelFileLimits.HeaderBytes)}).");
        var header = new byte[length];
        content.ReadExactly(header);
        var tensors = SafeTensorsHeader.Parse(header, item.Length - prefix.Length - length).Count;
        if (tensors > limits.Tensors)
            throw new ModelFormatException($"{item.Name}: it holds {tensors} tensors, more than {limits.Tensors} ({nameof(ModelFileLimits)}.{nameof(ModelFileLimits.Tensors)}).");
    }

    private void InspectJson(ZipItem item, Stream content)
    {
        try
        {
            using var document = JsonDocument.Parse(content, new() { MaxDepth = StrictJson.Settings.MaxDepth, AllowDuplicateProperties = false });
            InspectJson(item, document.RootElement);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ModelFormatException($"{item.Name}: {e.Message.TrimEnd('.')}.", e);
        }
    }

    // Types stand as "assembly" beside "type" or, in sets that others may add to, as "kind": "type, assembly". Anything that looks so is taken for one.
    private void InspectJson(ZipItem item, JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (var part in element.EnumerateArray())
                InspectJson(item, part);
        }

        if (element.ValueKind != JsonValueKind.Object)
            return;
        if (Text(element, "assembly") is { } assembly)
            Add(item, Text(element, "type") ?? "", assembly);
        if (Text(element, "kind") is { } kind && kind.IndexOf(',', StringComparison.Ordinal) is var comma and >= 0)
            Add(item, kind[..comma], kind[(comma + 1)..].Trim());
        foreach (var member in element.EnumerateObject())
            InspectJson(item, member.Value);

        static string? Text(JsonElement element, string name) =>
            element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
    }

    // ML.NET's models may hold models within their own bytes: every place that begins as one is taken for one.
    private void InspectModels(ZipItem item, Stream content)
    {
        using var reader = new BinaryReader(content, Encoding.UTF8, leaveOpen: true);
        Span<byte> signature = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(signature, ModelHeader.SignatureValue);
        var buffer = new byte[1 << 16];
        for (long start = 0; start + ModelHeader.Size <= content.Length;)
        {
            content.Position = start;
            var read = content.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
            for (var at = 0; ;)
            {
                var next = buffer.AsSpan(at, read - at).IndexOf(signature);
                if (next < 0)
                    break;
                at += next;
                InspectModel(item, reader, start + at);
                at += sizeof(ulong);
            }

            // A signature may lie across two parts.
            start += read - (sizeof(ulong) - 1);
        }
    }

    private void InspectModel(ZipItem item, BinaryReader reader, long at)
    {
        reader.BaseStream.Position = at;
        var bytes = reader.ReadBytes(ModelHeader.Size);
        if (bytes.Length < ModelHeader.Size)
            return;

        // ML.NET's own reader: whatever it refuses here it refuses when it loads.
        ModelHeader.MarshalFromBytes(out var header, bytes);
        if (!ModelHeader.TryValidate(ref header, reader, at, out var strings, out var assembly, out var fault))
        {
            if (at == 0)
                throw new ModelFormatException($"{item.Name}: it is no model of ML.NET: {fault.Message.TrimEnd('.')}.", fault);
            return;
        }

        var (loader, other) = (ModelHeader.GetLoaderSig(ref header), ModelHeader.GetLoaderSigAlt(ref header));
        Add(item, loader, assembly);
        if (IsCustomMapping(loader) || IsCustomMapping(other))
            AddCustomMapping(item, reader, at + header.FpModel, header, strings ?? []);
    }

    private static bool IsCustomMapping(string signature) => signature.Trim().Equals(CustomMapping, StringComparison.OrdinalIgnoreCase);

    // A custom mapping is code of the application: the contract that names it, and the assembly that has it.
    private void AddCustomMapping(ZipItem item, BinaryReader reader, long at, in ModelHeader header, string[] strings)
    {
        const long TwoStrings = 2 * sizeof(int);
        reader.BaseStream.Position = at;
        var (contract, assembly) = header.CbModel < TwoStrings ? (-1, -1) : (reader.ReadInt32(), reader.ReadInt32());
        if ((uint)contract >= strings.Length || (uint)assembly >= strings.Length)
            throw new ModelFormatException($"{item.Name}: it is a custom mapping that does not say which.");
        Add(item, strings[contract], strings[assembly]);
    }

    private void Add(ZipItem item, string name, string? assembly)
    {
        if (string.IsNullOrEmpty(assembly))
        {
            _parts.Add(new(item.Name, Printable(name), null));
            return;
        }

        try
        {
            if (assembly.Length <= LongestName && new AssemblyName(assembly) is { Name.Length: > 0 } full && full.Name.AsSpan().IndexOfAny('/', '\\') < 0)
            {
                _parts.Add(new(item.Name, Printable(name), full.Name));
                return;
            }
        }
        catch (Exception e) when (e is IOException or ArgumentException)
        {
            // Falls through to the same refusal.
        }

        throw new ModelFormatException($"{item.Name}: '{Printable(assembly)}' is not the name of an assembly.");
    }

    private static string Printable(string text)
    {
        var shortened = text.Length <= LongestName ? text : text[..LongestName];
        return string.Create(shortened.Length, shortened, (span, from) =>
        {
            for (var i = 0; i < span.Length; i++)
                span[i] = char.IsControl(from[i]) ? '?' : from[i];
        });
    }
}
