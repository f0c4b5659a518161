using System.Numerics;
using System.Runtime.InteropServices;

namespace MlNetMlp.Persistence;

/// <summary>Finds NaN and infinity at the speed of memory: both have all bits of the exponent set, and no other number has.</summary>
internal static class FiniteScan
{
    private const uint FloatExponent = 0x7F80_0000;
    private const ulong DoubleExponent = 0x7FF0_0000_0000_0000;

    /// <summary>The index of the first element that is NaN or infinite, or -1.</summary>
    public static int FirstOffender(NamedTensor tensor) => tensor.Type switch
    {
        TensorType.Float32 => FirstWithAll(MemoryMarshal.Cast<float, uint>(tensor.Floats), FloatExponent),
        TensorType.Float64 => FirstWithAll(MemoryMarshal.Cast<double, ulong>(tensor.Doubles), DoubleExponent),
        _ => -1,
    };

    private static int FirstWithAll<TBits>(ReadOnlySpan<TBits> elements, TBits exponent)
        where TBits : unmanaged, IBinaryInteger<TBits>
    {
        var exponents = new Vector<TBits>(exponent);
        int i = 0;
        for (; i <= elements.Length - Vector<TBits>.Count; i += Vector<TBits>.Count)
        {
            if (Vector.EqualsAny(new Vector<TBits>(elements[i..]) & exponents, exponents))
                break;
        }

        for (; i < elements.Length; i++)
        {
            if ((elements[i] & exponent) == exponent)
                return i;
        }

        return -1;
    }
}
