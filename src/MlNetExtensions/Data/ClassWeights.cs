using System.Text.Json.Serialization;

namespace MlNetMlp.Data;

/// <summary>How much a row of each class counts in training, beside its example weight.</summary>
public sealed record ClassWeights
{
    [JsonConstructor]
    private ClassWeights(IReadOnlyList<float>? values)
    {
        if (values is not null)
            Check(values);
        Values = values;
    }

    /// <summary>Each class counts as much as every other: a row of class c weighs rows / (classes · rows of c).</summary>
    public static ClassWeights Balanced { get; } = new(values: null);

    /// <summary>The given weights in the order of the classes (for a Boolean label: false, true), or null for <see cref="Balanced"/>.</summary>
    public IReadOnlyList<float>? Values { get; }

    /// <summary>Weights of one's own.</summary>
    /// <param name="weights">Finite numbers of at least 0 in the order of the classes (for a Boolean label: false, true), not all 0.</param>
    /// <returns>The weights.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A weight is negative or not finite, or all are 0.</exception>
    public static ClassWeights Of(params float[] weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        return new([.. weights]);
    }

    /// <inheritdoc/>
    public bool Equals(ClassWeights? other) =>
        other is not null && (Values is null ? other.Values is null : other.Values is not null && Values.SequenceEqual(other.Values));

    /// <inheritdoc/>
    public override int GetHashCode() => Values is null ? 0 : Values.Aggregate(17, HashCode.Combine);

    /// <summary>The weight of a row of each class.</summary>
    /// <param name="rows">Number of rows (or sum of example weights) of each class.</param>
    /// <returns>A weight for each class.</returns>
    internal float[] For(IReadOnlyList<double> rows)
    {
        if (Values is null)
        {
            var present = rows.Count(r => r > 0);
            return [.. rows.Select(r => r > 0 ? (float)(rows.Sum() / (present * r)) : 0)];
        }

        return Values.Count == rows.Count
            ? [.. Values]
            : throw DataErrors.ClassWeightCount(rows.Count, Values.Count);
    }

    private static void Check(IReadOnlyList<float> weights)
    {
        for (var i = 0; i < weights.Count; i++)
        {
            if (!float.IsFinite(weights[i]) || weights[i] < 0)
                throw new ArgumentOutOfRangeException(nameof(weights), $"The weight of class {i} must be a finite number of at least 0, but was {weights[i]}.");
        }

        if (!weights.Any(weight => weight > 0))
            throw new ArgumentOutOfRangeException(nameof(weights), "At least one class weight must be greater than 0.");
    }
}
