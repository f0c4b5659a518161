using System.Runtime.CompilerServices;

namespace MlNetMlp.Scoring;

/// <summary>
/// The inner loops of <see cref="PanelKernel{L,V,TFinish}"/>. Sums are named locals, since only those stay in registers; names give rows
/// by vectors. <c>weights</c> is the first of <c>inputs</c> rows that lie <c>width</c> floats apart. Compiled in full at the first call:
/// a prediction engine's first hundred thousand rows would otherwise run unoptimised. A tile that would reach past the last row moves back
/// and does some rows again, to the same bits.
/// </summary>
internal static unsafe partial class Tile<L, V, TFinish>
    where L : struct, ILanes<V>
    where V : struct
    where TFinish : struct, IFinish
{
    /// <summary>Sixteen sums: for machines with 32 registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FourByFour(
        float* weights, int width, float* bias, int inputs, float* x, int xStride, float* y, int yStride, int rows)
    {
        for (int row = 0; row < rows; row += 4)
        {
            long start = Math.Min(row, rows - 4);
            float* x0 = x + (start * xStride);
            float* x1 = x0 + xStride;
            float* x2 = x1 + xStride;
            float* x3 = x2 + xStride;
            V sum00 = L.Load(bias), sum01 = L.Load(bias + L.Count);
            V sum02 = L.Load(bias + (2 * L.Count)), sum03 = L.Load(bias + (3 * L.Count));
            V sum10 = sum00, sum11 = sum01, sum12 = sum02, sum13 = sum03;
            V sum20 = sum00, sum21 = sum01, sum22 = sum02, sum23 = sum03;
            V sum30 = sum00, sum31 = sum01, sum32 = sum02, sum33 = sum03;
            float* w = weights;
            for (int k = 0; k < inputs; k++, w += width)
            {
                V w0 = L.Load(w);
                V w1 = L.Load(w + L.Count);
                V w2 = L.Load(w + (2 * L.Count));
                V w3 = L.Load(w + (3 * L.Count));
                V value = L.Create(x0[k]);
                sum00 = L.MultiplyAdd(value, w0, sum00);
                sum01 = L.MultiplyAdd(value, w1, sum01);
                sum02 = L.MultiplyAdd(value, w2, sum02);
                sum03 = L.MultiplyAdd(value, w3, sum03);
                value = L.Create(x1[k]);
                sum10 = L.MultiplyAdd(value, w0, sum10);
                sum11 = L.MultiplyAdd(value, w1, sum11);
                sum12 = L.MultiplyAdd(value, w2, sum12);
                sum13 = L.MultiplyAdd(value, w3, sum13);
                value = L.Create(x2[k]);
                sum20 = L.MultiplyAdd(value, w0, sum20);
                sum21 = L.MultiplyAdd(value, w1, sum21);
                sum22 = L.MultiplyAdd(value, w2, sum22);
                sum23 = L.MultiplyAdd(value, w3, sum23);
                value = L.Create(x3[k]);
                sum30 = L.MultiplyAdd(value, w0, sum30);
                sum31 = L.MultiplyAdd(value, w1, sum31);
                sum32 = L.MultiplyAdd(value, w2, sum32);
                sum33 = L.MultiplyAdd(value, w3, sum33);
            }

            float* to = y + (start * yStride);
            Store4(to, sum00, sum01, sum02, sum03);
            to += yStride;
            Store4(to, sum10, sum11, sum12, sum13);
            to += yStride;
            Store4(to, sum20, sum21, sum22, sum23);
            to += yStride;
            Store4(to, sum30, sum31, sum32, sum33);
        }
    }

    /// <summary>Eight sums: for machines with 16 registers, and for half panels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FourByTwo(
        float* weights, int width, float* bias, int inputs, float* x, int xStride, float* y, int yStride, int rows)
    {
        for (int row = 0; row < rows; row += 4)
        {
            long start = Math.Min(row, rows - 4);
            float* x0 = x + (start * xStride);
            float* x1 = x0 + xStride;
            float* x2 = x1 + xStride;
            float* x3 = x2 + xStride;
            V sum00 = L.Load(bias), sum01 = L.Load(bias + L.Count);
            V sum10 = sum00, sum11 = sum01;
            V sum20 = sum00, sum21 = sum01;
            V sum30 = sum00, sum31 = sum01;
            float* w = weights;
            for (int k = 0; k < inputs; k++, w += width)
            {
                V w0 = L.Load(w);
                V w1 = L.Load(w + L.Count);
                V value = L.Create(x0[k]);
                sum00 = L.MultiplyAdd(value, w0, sum00);
                sum01 = L.MultiplyAdd(value, w1, sum01);
                value = L.Create(x1[k]);
                sum10 = L.MultiplyAdd(value, w0, sum10);
                sum11 = L.MultiplyAdd(value, w1, sum11);
                value = L.Create(x2[k]);
                sum20 = L.MultiplyAdd(value, w0, sum20);
                sum21 = L.MultiplyAdd(value, w1, sum21);
                value = L.Create(x3[k]);
                sum30 = L.MultiplyAdd(value, w0, sum30);
                sum31 = L.MultiplyAdd(value, w1, sum31);
            }

            float* to = y + (start * yStride);
            Store2(to, sum00, sum01);
            to += yStride;
            Store2(to, sum10, sum11);
            to += yStride;
            Store2(to, sum20, sum21);
            to += yStride;
            Store2(to, sum30, sum31);
        }
    }

    /// <summary>Eight sums: the last vector of a panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void EightByOne(
        float* weights, int width, float* bias, int inputs, float* x, int xStride, float* y, int yStride, int rows)
    {
        for (int row = 0; row < rows; row += 8)
        {
            long start = Math.Min(row, rows - 8);
            float* x0 = x + (start * xStride);
            float* x1 = x0 + xStride;
            float* x2 = x1 + xStride;
            float* x3 = x2 + xStride;
            float* x4 = x3 + xStride;
            float* x5 = x4 + xStride;
            float* x6 = x5 + xStride;
            float* x7 = x6 + xStride;
            V sum00 = L.Load(bias);
            V sum10 = L.Load(bias);
            V sum20 = L.Load(bias);
            V sum30 = L.Load(bias);
            V sum40 = L.Load(bias);
            V sum50 = L.Load(bias);
            V sum60 = L.Load(bias);
            V sum70 = L.Load(bias);
            float* w = weights;
            for (int k = 0; k < inputs; k++, w += width)
            {
                V w0 = L.Load(w);
                sum00 = L.MultiplyAdd(L.Create(x0[k]), w0, sum00);
                sum10 = L.MultiplyAdd(L.Create(x1[k]), w0, sum10);
                sum20 = L.MultiplyAdd(L.Create(x2[k]), w0, sum20);
                sum30 = L.MultiplyAdd(L.Create(x3[k]), w0, sum30);
                sum40 = L.MultiplyAdd(L.Create(x4[k]), w0, sum40);
                sum50 = L.MultiplyAdd(L.Create(x5[k]), w0, sum50);
                sum60 = L.MultiplyAdd(L.Create(x6[k]), w0, sum60);
                sum70 = L.MultiplyAdd(L.Create(x7[k]), w0, sum70);
            }

            float* to = y + (start * yStride);
            Store1(to, sum00);
            to += yStride;
            Store1(to, sum10);
            to += yStride;
            Store1(to, sum20);
            to += yStride;
            Store1(to, sum30);
            to += yStride;
            Store1(to, sum40);
            to += yStride;
            Store1(to, sum50);
            to += yStride;
            Store1(to, sum60);
            to += yStride;
            Store1(to, sum70);
        }
    }

    /// <summary>The rows that eight leave over.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FourByOne(
        float* weights, int width, float* bias, int inputs, float* x, int xStride, float* y, int yStride, int rows)
    {
        for (int row = 0; row < rows; row += 4)
        {
            long start = Math.Min(row, rows - 4);
            float* x0 = x + (start * xStride);
            float* x1 = x0 + xStride;
            float* x2 = x1 + xStride;
            float* x3 = x2 + xStride;
            V sum00 = L.Load(bias);
            V sum10 = L.Load(bias);
            V sum20 = L.Load(bias);
            V sum30 = L.Load(bias);
            float* w = weights;
            for (int k = 0; k < inputs; k++, w += width)
            {
                V w0 = L.Load(w);
                sum00 = L.MultiplyAdd(L.Create(x0[k]), w0, sum00);
                sum10 = L.MultiplyAdd(L.Create(x1[k]), w0, sum10);
                sum20 = L.MultiplyAdd(L.Create(x2[k]), w0, sum20);
                sum30 = L.MultiplyAdd(L.Create(x3[k]), w0, sum30);
            }

            float* to = y + (start * yStride);
            Store1(to, sum00);
            to += yStride;
            Store1(to, sum10);
            to += yStride;
            Store1(to, sum20);
            to += yStride;
            Store1(to, sum30);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store1(float* to, V sum0)
    {
        L.Store(TFinish.Apply<L, V>(sum0, to), to);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store2(float* to, V sum0, V sum1)
    {
        L.Store(TFinish.Apply<L, V>(sum0, to), to);
        L.Store(TFinish.Apply<L, V>(sum1, to + L.Count), to + L.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store4(float* to, V sum0, V sum1, V sum2, V sum3)
    {
        L.Store(TFinish.Apply<L, V>(sum0, to), to);
        L.Store(TFinish.Apply<L, V>(sum1, to + L.Count), to + L.Count);
        L.Store(TFinish.Apply<L, V>(sum2, to + (2 * L.Count)), to + (2 * L.Count));
        L.Store(TFinish.Apply<L, V>(sum3, to + (3 * L.Count)), to + (3 * L.Count));
    }
}
