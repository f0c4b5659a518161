using System.Globalization;

namespace MlNetMlp.Persistence;

/// <summary>The bounds that shapes keep to, the same for tensors that are written and for tensors that are read.</summary>
internal static class TensorShape
{
    public const int MaxRank = 8;

    /// <summary>Says what is wrong with a shape, or null when it is sound and has <paramref name="count"/> elements.</summary>
    public static string? Problem(ReadOnlySpan<long> shape, out long count)
    {
        count = 1;
        if (shape.Length > MaxRank)
            return Invariant($"a rank of {shape.Length}, more than {MaxRank}");

        foreach (long size in shape)
        {
            if (size < 0 || size > Array.MaxLength)
                return Invariant($"a dimension of {size}, outside 0 to {Array.MaxLength}");
        }

        // Any other order of the checks would refuse [100000, 100000, 0] but not [0, 100000, 100000].
        if (shape.Contains(0))
        {
            count = 0;
            return null;
        }

        foreach (long size in shape)
        {
            // Both factors are below 2^31 here, so that the product cannot overflow before it is compared.
            count *= size;
            if (count > Array.MaxLength)
                return Invariant($"more than {Array.MaxLength} elements");
        }

        return null;
    }

    /// <summary>A shape as people write it: <c>[64, 28]</c>, and <c>[]</c> for a scalar.</summary>
    public static string Text(ReadOnlySpan<long> shape)
    {
        string[] sizes = new string[shape.Length];
        for (int i = 0; i < sizes.Length; i++)
            sizes[i] = shape[i].ToString(CultureInfo.InvariantCulture);
        return "[" + string.Join(", ", sizes) + "]";
    }

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
