namespace MlNetMlp.Persistence;

/// <summary>Takes the tensors of a <see cref="WeightSet"/> by name, so that nothing of a model is missing or left over.</summary>
/// <remarks>
/// A reader belongs to one thread; the set behind it may have many. The same tensor may be taken twice, as networks with tied weights do.
/// </remarks>
/// <example>
/// <code>
/// WeightReader reader = weights.Read();
/// ReadOnlyMemory&lt;float&gt; weight = reader.Take("dense.weight", 64, 28);
/// ReadOnlyMemory&lt;float&gt; bias = reader.Take("dense.bias", 64);
/// reader.Finish();
/// </code>
/// </example>
public sealed class WeightReader
{
    private const int NamesInMessage = 5;

    private readonly WeightSet _weights;
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);
    private readonly bool _takesPart;

    internal WeightReader(WeightSet weights, bool takesPart)
    {
        _weights = weights;
        _takesPart = takesPart;
    }

    /// <summary>The tensors taken so far, in the order of the set.</summary>
    internal IEnumerable<NamedTensor> Taken => _weights.Where(tensor => _taken.Contains(tensor.Name));

    /// <summary>Takes a <see cref="TensorType.Float32"/> tensor.</summary>
    /// <param name="name">The name.</param>
    /// <param name="expectedShape">The shape that the network needs; none for a scalar.</param>
    /// <returns>The elements in row-major order: the set's own memory, not a copy.</returns>
    /// <exception cref="ModelFormatException">
    /// The tensor is missing or has another type or shape; the message names what was expected and found.
    /// </exception>
    public ReadOnlyMemory<float> Take(string name, params long[] expectedShape) =>
        Take<float>(name, TensorType.Float32, expectedShape);

    /// <summary>Takes a <see cref="TensorType.Float64"/> tensor.</summary>
    /// <inheritdoc cref="Take(string, long[])"/>
    public ReadOnlyMemory<double> TakeDoubles(string name, params long[] expectedShape) =>
        Take<double>(name, TensorType.Float64, expectedShape);

    /// <summary>Takes an <see cref="TensorType.Int64"/> tensor.</summary>
    /// <inheritdoc cref="Take(string, long[])"/>
    public ReadOnlyMemory<long> TakeIntegers(string name, params long[] expectedShape) =>
        Take<long>(name, TensorType.Int64, expectedShape);

    /// <summary>Takes a <see cref="TensorType.Byte"/> tensor.</summary>
    /// <inheritdoc cref="Take(string, long[])"/>
    public ReadOnlyMemory<byte> TakeBytes(string name, params long[] expectedShape) =>
        Take<byte>(name, TensorType.Byte, expectedShape);

    /// <summary>Checks that every tensor of the set was taken; called when the network is rebuilt.</summary>
    /// <exception cref="ModelFormatException">The set holds tensors that the network does not know; the message names them.</exception>
    public void Finish()
    {
        if (_takesPart)
            return;
        NamedTensor[] unknown = [.. _weights.Where(tensor => !_taken.Contains(tensor.Name))];
        if (unknown.Length == 0)
            return;

        string names = string.Join(", ", unknown.Take(NamesInMessage).Select(tensor => $"'{tensor.Name}'"));
        string more = unknown.Length > NamesInMessage ? ", ..." : "";
        throw ModelFormatException.InWeights($"the network does not know {unknown.Length} of the {_weights.Count} tensors: {names}{more}.");
    }

    private ReadOnlyMemory<T> Take<T>(string name, TensorType type, long[] expectedShape)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(expectedShape);

        string expected = $"{type} {TensorShape.Text(expectedShape)}";
        if (!_weights.TryGet(name, out NamedTensor? tensor))
            throw ModelFormatException.InWeights($"tensor '{name}' is missing; the network needs it as {expected}.");
        if (tensor.Type != type || !tensor.Shape.AsSpan().SequenceEqual(expectedShape))
        {
            throw ModelFormatException.InWeights(
                $"tensor '{name}' is {tensor.Type} {TensorShape.Text(tensor.Shape.AsSpan())}; the network needs it as {expected}.");
        }

        _taken.Add(name);
        return tensor.Values<T>(type);
    }
}
