using System.Runtime.CompilerServices;

namespace MlNetMlp.Scoring;

/// <summary>
/// y = W x + b for few outputs, with an input in every lane: sixteen chains per output, whose sums are added in one fixed tree, so that a
/// row has the same bits alone and in any batch. Registers are read in whole cache lines; what lies beyond the last input is masked, for it
/// may be NaN.
/// </summary>
internal static unsafe class DotKernel<L, V>
    where L : struct, ILanes<V>
    where V : struct
{
    private const int Line = AlignedFloats.LineFloats;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(DotWeights weights, float* x, int xStride, float* y, int yStride, int rows)
    {
        int outputs = weights.Outputs;
        int inputs = weights.Inputs;
        int padded = AlignedFloats.Pad(inputs);
        fixed (float* bias = &weights.Bias.First, matrix = &weights.Rows.First)
        {
            for (int row = 0; row < rows; row++, x += xStride, y += yStride)
            {
                float* w = matrix;
                for (int output = 0; output < outputs; output++, w += padded)
                    y[output] = bias[output] + Dot(x, w, inputs);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Dot(float* x, float* w, int inputs)
    {
        V first = L.Create(0), second = first, third = first, fourth = first;
        int k = 0;
        for (; k + Line <= inputs; k += Line)
        {
            first = L.MultiplyAdd(L.Load(x + k), L.Load(w + k), first);
            if (L.Count < 16)
                second = L.MultiplyAdd(L.Load(x + k + L.Count), L.Load(w + k + L.Count), second);
            if (L.Count < 8)
            {
                third = L.MultiplyAdd(L.Load(x + k + (2 * L.Count)), L.Load(w + k + (2 * L.Count)), third);
                fourth = L.MultiplyAdd(L.Load(x + k + (3 * L.Count)), L.Load(w + k + (3 * L.Count)), fourth);
            }
        }

        int left = inputs - k;
        if (left > 0)
        {
            first = L.MultiplyAdd(L.Keep(L.Load(x + k), left), L.Load(w + k), first);
            if (L.Count < 16)
                second = L.MultiplyAdd(L.Keep(L.Load(x + k + L.Count), left - L.Count), L.Load(w + k + L.Count), second);
            if (L.Count < 8)
            {
                left -= 2 * L.Count;
                third = L.MultiplyAdd(L.Keep(L.Load(x + k + (2 * L.Count)), left), L.Load(w + k + (2 * L.Count)), third);
                fourth = L.MultiplyAdd(L.Keep(L.Load(x + k + (3 * L.Count)), left - L.Count), L.Load(w + k + (3 * L.Count)), fourth);
            }
        }

        return L.Sum16(first, second, third, fourth);
    }
}
