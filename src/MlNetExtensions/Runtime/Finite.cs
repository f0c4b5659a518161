using System.Numerics;
using System.Runtime.InteropServices;

namespace MlNetMlp.Runtime;

/// <summary>Finds values that are not numbers.</summary>
internal static class Finite
{
    /// <summary>Index of the first NaN or infinity.</summary>
    /// <param name="values">The values.</param>
    /// <returns>The index, or -1 where all values are finite.</returns>
    public static int IndexOfNonFinite(ReadOnlySpan<float> values)
    {
        // Zero times a finite number is zero; NaN and infinities make the sum NaN.
        var sum = Vector<float>.Zero;
        var vectors = MemoryMarshal.Cast<float, Vector<float>>(values);
        foreach (var vector in vectors)
            sum += vector * Vector<float>.Zero;
        var rest = Vector.Sum(sum);
        foreach (var value in values[(vectors.Length * Vector<float>.Count)..])
            rest += value * 0;
        return rest == 0 ? -1 : FirstNonFinite(values);
    }

    private static int FirstNonFinite(ReadOnlySpan<float> values)
    {
        for (var i = 0; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
                return i;
        }

        return -1;
    }
}
