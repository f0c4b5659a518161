using System.Collections.Immutable;
using System.Text;

namespace MlNetMlp.Persistence;

/// <summary>A tensor of a model file: a name, a type, a shape and its elements in row-major order, in managed memory.</summary>
/// <remarks>
/// The arrays handed to <c>Of</c> are kept, not copied, so that saving a network holds its weights once; they should not be changed
/// afterwards. Reading is safe from several threads.
/// </remarks>
public sealed class NamedTensor
{
    internal const int MaxNameLength = 1000;

    private readonly Array _values;

    private NamedTensor(string name, TensorType type, Array values, ReadOnlySpan<long> shape)
    {
        Name = name;
        Type = type;
        Shape = [.. shape];
        _values = values;
    }

    /// <summary>The name, unique in its set; by custom the path of the parameter in its network, as <c>hidden.0.weight</c>.</summary>
    public string Name { get; }

    /// <summary>The type of the elements.</summary>
    public TensorType Type { get; }

    /// <summary>The shape, outermost dimension first; empty for a scalar.</summary>
    public ImmutableArray<long> Shape { get; }

    /// <summary>The number of elements, which is the product of <see cref="Shape"/>.</summary>
    public long ElementCount => _values.LongLength;

    /// <summary>The number of bytes that the elements take in a file.</summary>
    public long ByteCount => ElementCount * Type.Size();

    /// <summary>The elements of a <see cref="TensorType.Float32"/> tensor.</summary>
    /// <exception cref="InvalidOperationException">The tensor has another type.</exception>
    public ReadOnlySpan<float> Floats => Values<float>(TensorType.Float32);

    /// <summary>The elements of a <see cref="TensorType.Float64"/> tensor.</summary>
    /// <exception cref="InvalidOperationException">The tensor has another type.</exception>
    public ReadOnlySpan<double> Doubles => Values<double>(TensorType.Float64);

    /// <summary>The elements of an <see cref="TensorType.Int64"/> tensor.</summary>
    /// <exception cref="InvalidOperationException">The tensor has another type.</exception>
    public ReadOnlySpan<long> Integers => Values<long>(TensorType.Int64);

    /// <summary>The elements of a <see cref="TensorType.Byte"/> tensor.</summary>
    /// <exception cref="InvalidOperationException">The tensor has another type.</exception>
    public ReadOnlySpan<byte> Bytes => Values<byte>(TensorType.Byte);

    /// <summary>Names a <see cref="TensorType.Float32"/> tensor.</summary>
    /// <param name="name">The name: 1 to 1,000 characters, no control characters, not <c>__metadata__</c>.</param>
    /// <param name="values">The elements in row-major order; kept, not copied.</param>
    /// <param name="shape">Up to 8 dimensions, none for a scalar; their product is the length of <paramref name="values"/>.</param>
    /// <exception cref="ArgumentException">The name or the shape is not valid, or the shape does not fit the values.</exception>
    public static NamedTensor Of(string name, float[] values, params long[] shape) => Checked(name, TensorType.Float32, values, shape);

    /// <summary>Names a <see cref="TensorType.Float64"/> tensor.</summary>
    /// <inheritdoc cref="Of(string, float[], long[])"/>
    public static NamedTensor Of(string name, double[] values, params long[] shape) => Checked(name, TensorType.Float64, values, shape);

    /// <summary>Names an <see cref="TensorType.Int64"/> tensor.</summary>
    /// <inheritdoc cref="Of(string, float[], long[])"/>
    public static NamedTensor Of(string name, long[] values, params long[] shape) => Checked(name, TensorType.Int64, values, shape);

    /// <summary>Names a <see cref="TensorType.Byte"/> tensor.</summary>
    /// <inheritdoc cref="Of(string, float[], long[])"/>
    public static NamedTensor Of(string name, byte[] values, params long[] shape) => Checked(name, TensorType.Byte, values, shape);

    /// <summary>The name, type and shape, as <c>hidden.0.weight: Float32 [64, 28]</c>.</summary>
    public override string ToString() => $"{Name}: {Type} {TensorShape.Text(Shape.AsSpan())}";

    /// <summary>Says what is wrong with a name, or null when it is sound.</summary>
    /// <remarks>Names end up in messages and logs, so a hostile file must not be able to put pages or control characters there.</remarks>
    internal static string? NameProblem(string name)
    {
        if (name.Length is 0 or > MaxNameLength)
            return FormattableString.Invariant($"a name of {name.Length} characters, outside 1 to {MaxNameLength}");

        Rune rune;
        for (int i = 0; i < name.Length; i += rune.Utf16SequenceLength)
        {
            if (!Rune.TryGetRuneAt(name, i, out rune) || Rune.IsControl(rune))
                return "a name with a control character or half a surrogate pair";
        }

        return name == SafeTensorsHeader.MetadataName ? "the name that the format reserves for metadata" : null;
    }

    /// <summary>The same tensor under another name.</summary>
    internal NamedTensor Renamed(string name) => NameProblem(name) is { } problem
        ? throw new ArgumentException($"A tensor cannot have {problem}.", nameof(name))
        : new(name, Type, _values, Shape.AsSpan());

    internal T[] Values<T>(TensorType type) =>
        Type == type ? (T[])_values : throw new InvalidOperationException($"Tensor '{Name}' is {Type}, but was read as {type}.");

    private static NamedTensor Checked(string name, TensorType type, Array values, long[] shape)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(shape);

        if (NameProblem(name) is { } nameProblem)
            throw new ArgumentException($"A tensor cannot have {nameProblem}.", nameof(name));
        if (TensorShape.Problem(shape, out long count) is { } shapeProblem)
            throw new ArgumentException($"Tensor '{name}' has the shape {TensorShape.Text(shape)}: {shapeProblem}.", nameof(shape));
        if (count != values.Length)
        {
            string found = FormattableString.Invariant($"{count} elements, but {values.Length} values");
            throw new ArgumentException($"Tensor '{name}' has the shape {TensorShape.Text(shape)}, which is {found}.", nameof(values));
        }

        return new NamedTensor(name, type, values, shape);
    }
}
