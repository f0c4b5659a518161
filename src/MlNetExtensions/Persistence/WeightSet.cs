using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace MlNetMlp.Persistence;

/// <summary>The weights of a network: named tensors in the order in which they were added.</summary>
/// <remarks>
/// Once filled, a set may be read by several threads at once, each with a <see cref="WeightReader"/> of its own; nothing consumes it.
/// </remarks>
/// <example>
/// <code>
/// WeightSet weights = [NamedTensor.Of("dense.weight", weight, 64, 28), NamedTensor.Of("dense.bias", bias, 64)];
/// SafeTensors.Write(stream, weights);
/// </code>
/// </example>
public sealed class WeightSet : IReadOnlyCollection<NamedTensor>
{
    private readonly List<NamedTensor> _tensors = [];
    private readonly Dictionary<string, NamedTensor> _byName = new(StringComparer.Ordinal);

    /// <summary>The number of tensors.</summary>
    public int Count => _tensors.Count;

    /// <summary>The number of bytes of all tensors together, without names and shapes.</summary>
    public long ByteCount { get; private set; }

    /// <summary>Adds a tensor at the end.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <exception cref="ArgumentException">The set already holds a tensor of that name; case matters.</exception>
    public void Add(NamedTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (!_byName.TryAdd(tensor.Name, tensor))
            throw new ArgumentException($"The set already holds a tensor '{tensor.Name}'.", nameof(tensor));
        _tensors.Add(tensor);
        ByteCount += tensor.ByteCount;
    }

    /// <summary>Looks a tensor up by name.</summary>
    /// <param name="name">The name.</param>
    /// <param name="tensor">The tensor, or null when the set holds none of that name.</param>
    public bool TryGet(string name, [NotNullWhen(true)] out NamedTensor? tensor) => _byName.TryGetValue(name, out tensor);

    /// <summary>Starts to take the tensors by name, to rebuild a network from them. Each rebuilding starts a reader of its own.</summary>
    public WeightReader Read() => new(this, takesPart: false);

    /// <summary>Starts to take some of the tensors, to rebuild a part of the network that they belong to.</summary>
    internal WeightReader ReadPart() => new(this, takesPart: true);

    /// <summary>Refuses weights that are not numbers or are infinite, as a network made of them would answer NaN to everything.</summary>
    /// <exception cref="ModelFormatException">An element is NaN or infinite; the message names its tensor, value and index.</exception>
    public void CheckFinite()
    {
        foreach (NamedTensor tensor in _tensors)
        {
            int index = FiniteScan.FirstOffender(tensor);
            if (index >= 0)
            {
                double value = tensor.Type == TensorType.Float32 ? tensor.Floats[index] : tensor.Doubles[index];
                throw ModelFormatException.InWeights(
                    $"tensor '{tensor.Name}' holds {value} at index {index} of {tensor.ElementCount}; weights must be finite numbers.");
            }
        }
    }

    /// <summary>The tensors in the order in which they were added.</summary>
    public IEnumerator<NamedTensor> GetEnumerator() => _tensors.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
