using System.Runtime.CompilerServices;

namespace MlNetMlp.Scoring;

/// <summary>The kernels that are not products. They write whole padded rows; only <see cref="Normalise"/> sums lanes, and masks.</summary>
internal static unsafe class RowKernels<L, V>
    where L : struct, ILanes<V>
    where V : struct
{
    private const int Line = AlignedFloats.LineFloats;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Map<TMap>(float* x, float* y, nint count)
        where TMap : struct, IMap
    {
        for (nint i = 0; i < count; i += L.Count)
            L.Store(TMap.Apply<L, V>(L.Load(x + i)), y + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddInto(float* x, float* y, nint count)
    {
        for (nint i = 0; i < count; i += L.Count)
            L.Store(L.Add(L.Load(y + i), L.Load(x + i)), y + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Affine(float* x, float* y, float* shift, float* scale, int stride, int rows)
    {
        for (int row = 0; row < rows; row++, x += stride, y += stride)
        {
            for (int i = 0; i < stride; i += L.Count)
                L.Store(L.Multiply(L.Subtract(L.Load(x + i), L.Load(shift + i)), L.Load(scale + i)), y + i);
        }
    }

    /// <summary>(x - mean) / sqrt(variance + epsilon) * gain + shift over each row; the variance divides by the width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Normalise(float* x, float* y, float* gain, float* shift, float epsilon, int width, int stride, int rows)
    {
        for (int row = 0; row < rows; row++, x += stride, y += stride)
        {
            V zero = L.Create(0);
            V first = zero, second = zero, third = zero, fourth = zero;
            for (int i = 0; i < width; i += Line)
            {
                int left = width - i;
                first = L.Add(first, L.Keep(L.Load(x + i), left));
                if (L.Count < 16)
                    second = L.Add(second, L.Keep(L.Load(x + i + L.Count), left - L.Count));
                if (L.Count < 8)
                {
                    third = L.Add(third, L.Keep(L.Load(x + i + (2 * L.Count)), left - (2 * L.Count)));
                    fourth = L.Add(fourth, L.Keep(L.Load(x + i + (3 * L.Count)), left - (3 * L.Count)));
                }
            }

            V mean = L.Create(L.Sum16(first, second, third, fourth) / width);
            first = second = third = fourth = zero;
            for (int i = 0; i < width; i += Line)
            {
                int left = width - i;
                first = AddSquare(x + i, mean, left, first);
                if (L.Count < 16)
                    second = AddSquare(x + i + L.Count, mean, left - L.Count, second);
                if (L.Count < 8)
                {
                    third = AddSquare(x + i + (2 * L.Count), mean, left - (2 * L.Count), third);
                    fourth = AddSquare(x + i + (3 * L.Count), mean, left - (3 * L.Count), fourth);
                }
            }

            float variance = L.Sum16(first, second, third, fourth) / width;
            V inverse = L.Create(1 / MathF.Sqrt(variance + epsilon));
            for (int i = 0; i < stride; i += L.Count)
            {
                V standard = L.Multiply(L.Subtract(L.Load(x + i), mean), inverse);
                L.Store(L.MultiplyAdd(standard, L.Load(gain + i), L.Load(shift + i)), y + i);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V AddSquare(float* x, V mean, int left, V sum)
    {
        V difference = L.Keep(L.Subtract(L.Load(x), mean), left);
        return L.MultiplyAdd(difference, difference, sum);
    }
}
