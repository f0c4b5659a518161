using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>Where a fit keeps its checkpoints, and what it is.</summary>
/// <param name="Path">The file.</param>
/// <param name="Interval">Time between two checkpoints at least.</param>
/// <param name="Method">Name of the method.</param>
/// <param name="OptionsJson">All options that the weights depend on.</param>
internal sealed record CheckpointSettings(string Path, TimeSpan Interval, string Method, string OptionsJson);

/// <summary>What a training has come to at the end of an epoch, but for its tensors.</summary>
internal sealed record CheckpointState
{
    /// <summary>Which of the trainings of the fit it is, from 0: some methods train in several phases.</summary>
    public required int Phase { get; init; }

    /// <summary>What the learning rate is multiplied by for losses that no longer fall.</summary>
    public required double Plateau { get; init; }

    /// <summary>The curve and what else the monitor knows.</summary>
    public required MonitorState Monitor { get; init; }

    /// <summary>Numbers of steps and what else is counted, by name.</summary>
    public required IReadOnlyDictionary<string, long> Counts { get; init; }
}

/// <summary>
/// The checkpoint of one fit: a file in the safetensors format, replaced as a whole, of everything that the training remembers at the end of an epoch. What is read is taken for hostile.
/// </summary>
internal sealed class TrainingCheckpoint(CheckpointSettings settings, Action<string> log)
{
    private const string HeaderName = "training.json";
    private const int FormatVersion = 1;
    private const int BlockRows = 4096;
    private const int HashedValues = 1 << 24;

    // The weights themselves, two moments, and the best so far; what is left over is room for states of parts and for names.
    private const int MostCopies = 8;
    private const long MostOtherBytes = 1L << 28;

    private readonly Stopwatch _sinceWritten = Stopwatch.StartNew();
    private Identity? _identity;
    private (CheckpointState State, WeightSet Tensors)? _found;
    private int _phase = -1;
    private bool _isOurs;

    private sealed record Identity
    {
        public required string Method { get; init; }

        public required JsonElement Options { get; init; }

        public required string Settings { get; init; }

        public required string Network { get; init; }

        public required string Task { get; init; }

        public required string Rows { get; init; }

        public required string Values { get; init; }
    }

    private sealed record Header
    {
        public required int Format { get; init; }

        public required Identity Training { get; init; }

        public required CheckpointState State { get; init; }
    }

    /// <summary>Whether the method has trained by the loop that keeps checkpoints.</summary>
    public bool IsUsed => _phase >= 0;

    /// <summary>Whether it is time for another checkpoint.</summary>
    public bool IsDue => _sinceWritten.Elapsed >= settings.Interval;

    /// <summary>Begins a training of the fit, the first of which looks for a checkpoint.</summary>
    /// <param name="network">The network before it.</param>
    /// <param name="data">The rows.</param>
    /// <param name="head">The task.</param>
    /// <param name="descent">How it is trained.</param>
    /// <returns>Whether it has to be gone through; what was found may be of a later one.</returns>
    public bool Begin(Network network, TrainingSet data, TaskHead head, DescentSettings descent)
    {
        if (++_phase == 0)
        {
            CheckFolder();
            _identity = Identify(network, data, head, descent);
            if (File.Exists(settings.Path))
                Find(network);
        }

        return _found is not { } found || found.State.Phase <= _phase;
    }

    /// <summary>What was found of the training that has begun last; null where there is nothing.</summary>
    /// <returns>The state and its tensors.</returns>
    public (CheckpointState State, WeightSet Tensors)? TakeFound()
    {
        if (_found is not { } found || found.State.Phase != _phase)
            return null;
        _found = null;
        log($"Training goes on from the checkpoint '{settings.Path}', behind epoch {found.State.Monitor.Points.Count}.");
        return found;
    }

    /// <summary>Refuses a checkpoint of a training that the fit did not come to, at its end: all others were passed over for it.</summary>
    /// <exception cref="ModelFormatException">There is one.</exception>
    public void CheckTaken()
    {
        if (_found is { } found)
            throw Wrong(new ModelFormatException(FormattableString.Invariant($"It is of training {found.State.Phase + 1} of the fit, which has {_phase + 1}.")));
    }

    /// <summary>Writes a checkpoint. Where that fails, the log says so and training goes on.</summary>
    /// <param name="state">What the training has come to; its phase is set here.</param>
    /// <param name="tensors">Its tensors.</param>
    public void Write(CheckpointState state, WeightSet tensors)
    {
        var header = JsonSerializer.SerializeToUtf8Bytes(new Header { Format = FormatVersion, Training = _identity!, State = state with { Phase = _phase } }, StrictJson.Settings);
        WeightSet all = [NamedTensor.Of(HeaderName, header, header.Length), .. tensors];
        try
        {
            AtomicFile.Write(settings.Path, stream => SafeTensors.Write(stream, all));
            _isOurs = true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log($"Warning: there is no new checkpoint. {e.Message}");
        }

        _sinceWritten.Restart();
    }

    /// <summary>The exception for a fault of the file.</summary>
    /// <param name="fault">The fault.</param>
    /// <returns>The exception, which names the file.</returns>
    public ModelFormatException Wrong(Exception fault) =>
        new($"The option 'CheckpointFile' names '{settings.Path}', which is damaged or no checkpoint: {fault.Message} Give another file, or delete this one.", fault);

    /// <summary>Removes the file at the end of the fit, where it is this fit's.</summary>
    public void Delete()
    {
        if (!_isOurs)
            return;
        try
        {
            File.Delete(settings.Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log($"Warning: the checkpoint '{settings.Path}' of a training that has ended could not be deleted. {e.Message}");
        }
    }

    private void CheckFolder()
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(settings.Path));
        if (folder is null || !Directory.Exists(folder))
            throw new DirectoryNotFoundException($"The option 'CheckpointFile' names '{settings.Path}', but there is no folder '{folder}'.");
    }

    private Identity Identify(Network network, TrainingSet data, TaskHead head, DescentSettings descent) => new()
    {
        Method = settings.Method,
        Options = JsonSerializer.Deserialize<JsonElement>(settings.OptionsJson),
        Settings = JsonSerializer.Serialize(descent, StrictJson.Settings),
        Network = JsonSerializer.Serialize(network.Definition, network.Definition.GetType(), StrictJson.Settings),
        Task = JsonSerializer.Serialize(head, StrictJson.Settings),
        Rows = FormattableString.Invariant($"{data.RowCount} rows of {data.FeatureCount} numbers, {data.HeldCount} held out, {(data.IsStreamed ? "streamed" : "in memory")}"),
        Values = Hash(network, data),
    };

    // Initial weights, and the rows as far as they are in memory; of streamed ones the statistics.
    private static string Hash(Network network, TrainingSet data)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var scope = NewDisposeScope();
        foreach (var (name, tensor) in network.state_dict())
        {
            hash.AppendData(Encoding.UTF8.GetBytes(name));
            Add(tensor);
        }

        foreach (var value in data.Statistics.Mean.Concat(data.Statistics.StandardDeviation))
            hash.AppendData(BitConverter.GetBytes(value));
        foreach (var block in data.IsStreamed ? data.HeldBlocks(BlockRows) : data.Blocks(BlockRows).Concat(data.HeldBlocks(BlockRows)))
        {
            using (block)
            {
                Add(block.Features);
                Add(block.Labels);
                if (block.Weights is not null)
                    Add(block.Weights);
            }
        }

        return Convert.ToHexString(hash.GetHashAndReset());

        void Add(Tensor tensor)
        {
            // A span of bytes ends at 2 GB.
            using var values = NewDisposeScope();
            var flat = tensor.detach().flatten();
            for (long start = 0; start < flat.shape[0]; start += HashedValues)
                hash.AppendData(flat.narrow(0, start, Math.Min(HashedValues, flat.shape[0] - start)).cpu().contiguous().bytes);
        }
    }

    private void Find(Network network)
    {
        Header header;
        WeightSet tensors;
        try
        {
            tensors = Read(network);
            header = ReadHeader(tensors);
        }
        catch (Exception e) when (e is ModelFormatException or JsonException or NotSupportedException)
        {
            throw Wrong(e);
        }

        if (Difference(header.Training, _identity!) is { } difference)
        {
            throw new InvalidOperationException(
                $"The option 'CheckpointFile' names '{settings.Path}', which is the checkpoint of another training: {difference}. Give another file, or delete this one.");
        }

        _isOurs = true;
        _found = (header.State, [.. tensors.Where(tensor => tensor.Name != HeaderName)]);
    }

    private WeightSet Read(Network network)
    {
        using var stream = File.OpenRead(settings.Path);
        var most = MostOtherBytes + (MostCopies * network.state_dict().Values.Sum(tensor => tensor.numel() * tensor.element_size()));
        return stream.Length <= most
            ? SafeTensors.Read(stream, stream.Length)
            : throw new ModelFormatException($"It has {stream.Length} bytes, and this network's checkpoints have at most {most}.");
    }

    private static Header ReadHeader(WeightSet tensors)
    {
        if (!tensors.TryGet(HeaderName, out var json) || json.Type != TensorType.Byte)
            throw new ModelFormatException($"There is no tensor '{HeaderName}'.");
        using (var document = JsonDocument.Parse(json.Values<byte>(TensorType.Byte), new() { MaxDepth = StrictJson.Settings.MaxDepth }))
        {
            if (document.RootElement is { ValueKind: JsonValueKind.Object } root && root.TryGetProperty("format", out var format)
                && format.ValueKind == JsonValueKind.Number && format.TryGetInt32(out var version) && version != FormatVersion)
            {
                throw new ModelFormatException($"Its format is {version}, and this version of MlNetMlp.Extensions reads {FormatVersion}.");
            }
        }

        var header = JsonSerializer.Deserialize<Header>(json.Bytes, StrictJson.Settings) ?? throw new ModelFormatException("Its header is null.");
        var state = header.State;
        if (state.Phase is < 0 or > 1000 || !(state.Plateau is > 0 and <= 1) || state.Counts.Values.Any(count => count < 0))
            throw new ModelFormatException("Its header holds numbers that no training has.");
        state.Monitor.Check();
        return header;
    }

    private static string? Difference(Identity found, Identity own)
    {
        if (found.Method != own.Method)
            return $"of {found.Method}, and this is {own.Method}";
        if (!JsonElement.DeepEquals(found.Options, own.Options))
            return DifferentOption(found.Options, own.Options);
        if (found.Rows != own.Rows)
            return $"it has {found.Rows}, and this {own.Rows}";
        if (found.Task != own.Task || found.Network != own.Network || found.Settings != own.Settings)
            return "its task or its network is another";
        return found.Values == own.Values ? null : "the values of its rows or its initial weights are others";
    }

    private static string DifferentOption(JsonElement found, JsonElement own)
    {
        if (found.ValueKind == JsonValueKind.Object)
        {
            foreach (var option in own.EnumerateObject())
            {
                if (!found.TryGetProperty(option.Name, out var other))
                    return $"it has no option '{Title(option.Name)}'";
                if (!JsonElement.DeepEquals(other, option.Value))
                    return $"its option '{Title(option.Name)}' is {other.GetRawText()}, and here {option.Value.GetRawText()}";
            }
        }

        return "its options are others";

        static string Title(string name) => char.ToUpper(name[0], CultureInfo.InvariantCulture) + name[1..];
    }
}
