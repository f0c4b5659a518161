using System.Text.Json;
using System.Text.Json.Serialization;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Persistence;
using MlNetMlp.Training;

namespace MlNetMlp.Methods;

/// <summary>
/// A trained network in a model file: <c>network.json</c>, which says what it is, and <c>weights.safetensors</c>. Whatever is read is taken
/// for hostile: sizes are checked before memory is asked for, and nothing is built but networks that an assembly of ours or of a method's
/// author declares as <see cref="NetworkDefinition"/>.
/// </summary>
internal static class TrainedNetworkFile
{
    public const string HeaderEntryName = "network.json";

    /// <summary>The entry of what a training left for one that goes on from it; only in models whose header says so.</summary>
    public const string StateEntryName = "state.safetensors";

    /// <summary>The newest format that this version reads; a number of its own, so that models outlive versions of the library.</summary>
    private const int FormatVersion = 1;

    private const long MostHeaderBytes = 64_000_000;
    private const long MostWeightHeaderBytes = 32_000_000;

    private static readonly JsonSerializerOptions Json = StrictJson.Settings;

    private sealed record Header
    {
        public required int Format { get; init; }

        public required string Method { get; init; }

        public required NetworkName Network { get; init; }

        public required JsonElement Definition { get; init; }

        public required TaskHead Head { get; init; }

        public required bool AcceptsMissingValues { get; init; }

        public required JsonElement Options { get; init; }

        public IReadOnlyList<string>? FeatureNames { get; init; }

        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public SetLayout? Sets { get; init; }

        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public ImageShape? Images { get; init; }

        public required LearningCurve LearningCurve { get; init; }

        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public JsonElement? Diagnostics { get; init; }

        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public long? StateBytes { get; init; }
    }

    private sealed record NetworkName
    {
        public required string Assembly { get; init; }

        public required string Type { get; init; }
    }

    public static byte[] WriteHeader(TrainedNetwork network)
    {
        var type = network.Definition.GetType();
        return JsonSerializer.SerializeToUtf8Bytes(
            new Header
            {
                Format = FormatVersion,
                Method = network.MethodName,
                Network = new() { Assembly = type.Assembly.GetName().Name!, Type = type.FullName! },
                Definition = JsonSerializer.SerializeToElement(network.Definition, type, Json),
                Head = network.Head,
                AcceptsMissingValues = network.AcceptsMissingValues,
                Options = JsonSerializer.Deserialize<JsonElement>(network.OptionsJson),
                FeatureNames = network.FeatureNames,
                Sets = network.Sets,
                Images = network.Images,
                LearningCurve = network.LearningCurve,
                Diagnostics = network.DiagnosticsJson is { } json ? JsonSerializer.Deserialize<JsonElement>(json) : null,
                StateBytes = network.State?.ByteCount,
            },
            Json);
    }

    /// <summary>Reads a network.</summary>
    /// <param name="lengthOf">Tells the unpacked length of an entry without unpacking it; null where there is none.</param>
    /// <param name="open">Opens an entry.</param>
    /// <exception cref="ModelFormatException">The entries are not those of a network that this process can build.</exception>
    public static TrainedNetwork Read(Func<string, long?> lengthOf, Func<string, Stream> open)
    {
        var header = ReadHeader(lengthOf, open);
        var definition = ReadDefinition(header);
        CheckRanges(header.Head);
        if (header.Head.Outputs != definition.Outputs)
            throw InHeader($"the network has {definition.Outputs} outputs, but its task needs {header.Head.Outputs}");
        var features = definition.Layout?.FeatureWidth ?? definition.Inputs;
        if (header.FeatureNames is { } names && names.Count != features)
            throw InHeader($"there are {names.Count} feature names for {features} features");
        if (definition.Layout is { } layout && (layout.Width != definition.Inputs || header.Sets is not null))
            throw InHeader($"the network has {definition.Inputs} inputs, which are no row of {layout}");
        if (header.Sets is { } sets)
        {
            CheckRanges(sets);
            if (!sets.Allows(definition.Inputs))
                throw InHeader($"the network has {definition.Inputs} inputs, which are no row of {sets}");
        }

        if (header.Images is { } images)
        {
            CheckRanges(images);
            if (images.Size != definition.Inputs || header.Sets is not null || definition.Layout is not null || !images.IsOfColours)
                throw InHeader($"the network has {definition.Inputs} inputs, which are no image of {images}");
        }

        if (definition.WeightCount is <= 0 or > long.MaxValue / 8)
            throw InHeader($"{definition} is not a network of a possible size");
        var expected = definition.WeightCount * sizeof(float);
        var length = lengthOf(SafeTensors.EntryName) ?? throw new ModelFormatException($"The model has no entry '{SafeTensors.EntryName}'.");
        if (length < expected || length > expected + MostWeightHeaderBytes)
            throw new ModelFormatException($"{SafeTensors.EntryName}: the entry has {length} bytes, but the weights of {definition} take {expected}.");

        WeightSet weights;
        using (var stream = open(SafeTensors.EntryName))
            weights = SafeTensors.Read(stream, length);
        var state = header.StateBytes is { } bytes ? ReadState(bytes, lengthOf, open) : null;
        return new TrainedNetwork(definition, weights, header.Head)
        {
            MethodName = header.Method,
            AcceptsMissingValues = header.AcceptsMissingValues,
            OptionsJson = header.Options.GetRawText(),
            FeatureNames = header.FeatureNames,
            Sets = header.Sets,
            Images = header.Images,
            LearningCurve = header.LearningCurve,
            State = state,
            DiagnosticsJson = header.Diagnostics?.GetRawText(),
        };
    }

    private static WeightSet ReadState(long bytes, Func<string, long?> lengthOf, Func<string, Stream> open)
    {
        var length = lengthOf(StateEntryName) ?? throw new ModelFormatException($"The model has no entry '{StateEntryName}'.");
        if (bytes is < 0 or > long.MaxValue / 2 || length < bytes || length > bytes + MostWeightHeaderBytes)
            throw new ModelFormatException($"{StateEntryName}: the entry has {length} bytes, but the header says that its tensors take {bytes}.");
        try
        {
            using var stream = open(StateEntryName);
            var state = SafeTensors.Read(stream, length);
            state.CheckFinite();
            return state;
        }
        catch (ModelFormatException e) when (e.Message.StartsWith(SafeTensors.EntryName, StringComparison.Ordinal))
        {
            // Whoever reads the format takes it for the weights.
            throw new ModelFormatException(StateEntryName + e.Message[SafeTensors.EntryName.Length..], e.InnerException);
        }
    }

    private static Header ReadHeader(Func<string, long?> lengthOf, Func<string, Stream> open)
    {
        var length = lengthOf(HeaderEntryName) ?? throw new ModelFormatException($"The model has no entry '{HeaderEntryName}'.");
        if (length > MostHeaderBytes)
            throw InHeader($"the entry has {length} bytes; at most {MostHeaderBytes} are read");
        var bytes = new byte[length];
        using (var stream = open(HeaderEntryName))
        {
            if (stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false) < bytes.Length)
                throw InHeader("the entry ends early");
        }

        // The version comes first: a later format may have other members, which would be a less helpful complaint.
        if (Parse(() => JsonDocument.Parse(bytes, new() { MaxDepth = Json.MaxDepth })) is var document
            && document.RootElement is { ValueKind: JsonValueKind.Object } root
            && root.TryGetProperty("format", out var format) && format.ValueKind == JsonValueKind.Number
            && format.TryGetInt32(out var version) && version != FormatVersion)
        {
            throw InHeader($"the format is {version}, and this version of MlNetMlp.Extensions reads {FormatVersion}. Update the package");
        }

        var header = Parse(() => JsonSerializer.Deserialize<Header>(bytes, Json)!);

        // The serializer checks members for null, but not the elements of lists.
        if (header.FeatureNames is { } names && names.Contains(null))
            throw InHeader("a feature name is null");
        return header.LearningCurve.Points.Contains(null) ? throw InHeader("a point of the learning curve is null") : header;
    }

    private static NetworkDefinition ReadDefinition(Header header)
    {
        var type = KnownTypes.Find(header.Network.Assembly, header.Network.Type, typeof(NetworkDefinition), fault => InHeader(fault));
        var definition = (NetworkDefinition)Parse(() => header.Definition.Deserialize(type, Json)!);
        CheckRanges(definition);
        return definition;
    }

    private static void CheckRanges(object part)
    {
        try
        {
            OptionRanges.Check(part, part.GetType().Name);
        }
        catch (ArgumentOutOfRangeException e)
        {
            throw InHeader(e.Message, e);
        }
    }

    private static T Parse<T>(Func<T> parse)
        where T : notnull
    {
        try
        {
            return parse() ?? throw InHeader("a part of it is null");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException)
        {
            throw InHeader(e.Message, e);
        }
    }

    private static ModelFormatException InHeader(string fault, Exception? cause = null) => new($"{HeaderEntryName}: {fault.TrimEnd('.')}.", cause);
}
