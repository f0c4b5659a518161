using System.Runtime.CompilerServices;
using MlNetMlp.Scoring;

namespace MlNetMlp.Training;

/// <summary>
/// The products of a network with few units, over blocks of rows that lie unit by unit: lane i of a vector is row i. A block holds a multiple
/// of 64 rows and fits the near caches, so that vectors are loaded once for several sums.
/// </summary>
internal static unsafe class HiddenLayerKernel<L, V>
    where L : struct, ILanes<V>
    where V : struct
{
    /// <summary>y[o] = b[o] + Σ_i w[o, i]·x[i], for all rows of a block; w's element (o, i) is at o·outStep + i·inStep, b may be null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Combine(float* w, int outStep, int inStep, float* b, float* x, float* y, int outputs, int inputs, int rows)
    {
        var o = 0;
        for (; o + 4 <= outputs; o += 4)
            Combine4(w + ((nint)o * outStep), outStep, inStep, b is null ? null : b + o, x, y + ((nint)o * rows), inputs, rows);
        for (; o + 2 <= outputs; o += 2)
            Combine2(w + ((nint)o * outStep), outStep, inStep, b is null ? null : b + o, x, y + ((nint)o * rows), inputs, rows);
        if (o < outputs)
            Combine1(w + ((nint)o * outStep), inStep, b is null ? 0 : b[o], x, y + ((nint)o * rows), inputs, rows);
    }

    /// <summary>g[o, i] += Σ_rows a[o]·x[i].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Products(float* a, float* x, double* g, int outputs, int inputs, int rows)
    {
        var o = 0;
        for (; o + 2 <= outputs; o += 2)
        {
            float* first = a + ((nint)o * rows), second = first + rows;
            double* firstSums = g + ((nint)o * inputs), secondSums = firstSums + inputs;
            var i = 0;
            for (; i + 4 <= inputs; i += 4)
                Products2x4(first, second, x + ((nint)i * rows), firstSums + i, secondSums + i, rows);
            for (; i < inputs; i++)
            {
                firstSums[i] += Dot(first, x + ((nint)i * rows), rows);
                secondSums[i] += Dot(second, x + ((nint)i * rows), rows);
            }
        }

        if (o < outputs)
        {
            float* last = a + ((nint)o * rows);
            double* sums = g + ((nint)o * inputs);
            var i = 0;
            for (; i + 4 <= inputs; i += 4)
                Products1x4(last, x + ((nint)i * rows), sums + i, rows);
            for (; i < inputs; i++)
                sums[i] += Dot(last, x + ((nint)i * rows), rows);
        }
    }

    /// <summary>h = φ(h), value by value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Activate<TMap>(float* h, int count)
        where TMap : struct, IMap
    {
        for (var i = 0; i < count; i += L.Count)
            L.Store(TMap.Apply<L, V>(L.Load(h + i)), h + i);
    }

    /// <summary>d = d·φ′ with φ′ from φ's own value, and sums of the rows of d.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Slope<TSlope>(float* d, float* h, double* sums, int units, int rows)
        where TSlope : struct, ISlope
    {
        for (var j = 0; j < units; j++, d += rows, h += rows)
        {
            var sum = L.Create(0);
            for (var i = 0; i < rows; i += L.Count)
            {
                var value = L.Multiply(L.Load(d + i), TSlope.Apply<L, V>(L.Load(h + i)));
                L.Store(value, d + i);
                sum = L.Add(sum, value);
            }

            sums[j] += Sum(sum);
        }
    }

    /// <summary>e = w·(o − r) in place of o, and sums of its rows.</summary>
    /// <returns>Σ w·(o − r)².</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Residuals(float* o, float* r, float* w, double* sums, int outputs, int rows)
    {
        double squares = 0;
        for (var k = 0; k < outputs; k++, o += rows, r += rows)
        {
            V sum = L.Create(0), square = L.Create(0);
            for (var i = 0; i < rows; i += L.Count)
            {
                var difference = L.Subtract(L.Load(o + i), L.Load(r + i));
                var error = L.Multiply(L.Load(w + i), difference);
                L.Store(error, o + i);
                sum = L.Add(sum, error);
                square = L.MultiplyAdd(error, difference, square);
            }

            sums[k] += Sum(sum);
            squares += Sum(square);
        }

        return squares;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Combine4(float* w, int outStep, int inStep, float* b, float* x, float* y, int inputs, int rows)
    {
        for (var row = 0; row < rows; row += 2 * L.Count)
        {
            V s00 = L.Create(b is null ? 0 : b[0]), s10 = L.Create(b is null ? 0 : b[1]);
            V s20 = L.Create(b is null ? 0 : b[2]), s30 = L.Create(b is null ? 0 : b[3]);
            V s01 = s00, s11 = s10, s21 = s20, s31 = s30;
            float* from = x + row;
            float* weight = w;
            for (var i = 0; i < inputs; i++, from += rows, weight += inStep)
            {
                V x0 = L.Load(from), x1 = L.Load(from + L.Count);
                V w0 = L.Create(weight[0]), w1 = L.Create(weight[outStep]), w2 = L.Create(weight[2 * outStep]), w3 = L.Create(weight[3 * outStep]);
                s00 = L.MultiplyAdd(w0, x0, s00);
                s01 = L.MultiplyAdd(w0, x1, s01);
                s10 = L.MultiplyAdd(w1, x0, s10);
                s11 = L.MultiplyAdd(w1, x1, s11);
                s20 = L.MultiplyAdd(w2, x0, s20);
                s21 = L.MultiplyAdd(w2, x1, s21);
                s30 = L.MultiplyAdd(w3, x0, s30);
                s31 = L.MultiplyAdd(w3, x1, s31);
            }

            float* to = y + row;
            L.Store(s00, to);
            L.Store(s01, to + L.Count);
            L.Store(s10, to + rows);
            L.Store(s11, to + rows + L.Count);
            L.Store(s20, to + (2 * rows));
            L.Store(s21, to + (2 * rows) + L.Count);
            L.Store(s30, to + (3 * rows));
            L.Store(s31, to + (3 * rows) + L.Count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Combine2(float* w, int outStep, int inStep, float* b, float* x, float* y, int inputs, int rows)
    {
        for (var row = 0; row < rows; row += 4 * L.Count)
        {
            V s00 = L.Create(b is null ? 0 : b[0]), s10 = L.Create(b is null ? 0 : b[1]);
            V s01 = s00, s02 = s00, s03 = s00, s11 = s10, s12 = s10, s13 = s10;
            float* from = x + row;
            float* weight = w;
            for (var i = 0; i < inputs; i++, from += rows, weight += inStep)
            {
                V x0 = L.Load(from), x1 = L.Load(from + L.Count), x2 = L.Load(from + (2 * L.Count)), x3 = L.Load(from + (3 * L.Count));
                V w0 = L.Create(weight[0]), w1 = L.Create(weight[outStep]);
                s00 = L.MultiplyAdd(w0, x0, s00);
                s01 = L.MultiplyAdd(w0, x1, s01);
                s02 = L.MultiplyAdd(w0, x2, s02);
                s03 = L.MultiplyAdd(w0, x3, s03);
                s10 = L.MultiplyAdd(w1, x0, s10);
                s11 = L.MultiplyAdd(w1, x1, s11);
                s12 = L.MultiplyAdd(w1, x2, s12);
                s13 = L.MultiplyAdd(w1, x3, s13);
            }

            float* to = y + row;
            L.Store(s00, to);
            L.Store(s01, to + L.Count);
            L.Store(s02, to + (2 * L.Count));
            L.Store(s03, to + (3 * L.Count));
            to += rows;
            L.Store(s10, to);
            L.Store(s11, to + L.Count);
            L.Store(s12, to + (2 * L.Count));
            L.Store(s13, to + (3 * L.Count));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Combine1(float* w, int inStep, float b, float* x, float* y, int inputs, int rows)
    {
        for (var row = 0; row < rows; row += 4 * L.Count)
        {
            V s0 = L.Create(b), s1 = s0, s2 = s0, s3 = s0;
            float* from = x + row;
            float* weight = w;
            for (var i = 0; i < inputs; i++, from += rows, weight += inStep)
            {
                V w0 = L.Create(*weight);
                s0 = L.MultiplyAdd(w0, L.Load(from), s0);
                s1 = L.MultiplyAdd(w0, L.Load(from + L.Count), s1);
                s2 = L.MultiplyAdd(w0, L.Load(from + (2 * L.Count)), s2);
                s3 = L.MultiplyAdd(w0, L.Load(from + (3 * L.Count)), s3);
            }

            L.Store(s0, y + row);
            L.Store(s1, y + row + L.Count);
            L.Store(s2, y + row + (2 * L.Count));
            L.Store(s3, y + row + (3 * L.Count));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Products2x4(float* a, float* b, float* x, double* aSums, double* bSums, int rows)
    {
        V s0 = L.Create(0), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
        float* x1 = x + rows;
        float* x2 = x1 + rows;
        float* x3 = x2 + rows;
        for (var row = 0; row < rows; row += L.Count)
        {
            V left = L.Load(a + row), right = L.Load(b + row);
            V value = L.Load(x + row);
            s0 = L.MultiplyAdd(left, value, s0);
            t0 = L.MultiplyAdd(right, value, t0);
            value = L.Load(x1 + row);
            s1 = L.MultiplyAdd(left, value, s1);
            t1 = L.MultiplyAdd(right, value, t1);
            value = L.Load(x2 + row);
            s2 = L.MultiplyAdd(left, value, s2);
            t2 = L.MultiplyAdd(right, value, t2);
            value = L.Load(x3 + row);
            s3 = L.MultiplyAdd(left, value, s3);
            t3 = L.MultiplyAdd(right, value, t3);
        }

        aSums[0] += Sum(s0);
        aSums[1] += Sum(s1);
        aSums[2] += Sum(s2);
        aSums[3] += Sum(s3);
        bSums[0] += Sum(t0);
        bSums[1] += Sum(t1);
        bSums[2] += Sum(t2);
        bSums[3] += Sum(t3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Products1x4(float* a, float* x, double* sums, int rows)
    {
        V s0 = L.Create(0), s1 = s0, s2 = s0, s3 = s0;
        float* x1 = x + rows;
        float* x2 = x1 + rows;
        float* x3 = x2 + rows;
        for (var row = 0; row < rows; row += L.Count)
        {
            V left = L.Load(a + row);
            s0 = L.MultiplyAdd(left, L.Load(x + row), s0);
            s1 = L.MultiplyAdd(left, L.Load(x1 + row), s1);
            s2 = L.MultiplyAdd(left, L.Load(x2 + row), s2);
            s3 = L.MultiplyAdd(left, L.Load(x3 + row), s3);
        }

        sums[0] += Sum(s0);
        sums[1] += Sum(s1);
        sums[2] += Sum(s2);
        sums[3] += Sum(s3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Dot(float* a, float* x, int rows)
    {
        V s0 = L.Create(0), s1 = s0;
        for (var row = 0; row < rows; row += 2 * L.Count)
        {
            s0 = L.MultiplyAdd(L.Load(a + row), L.Load(x + row), s0);
            s1 = L.MultiplyAdd(L.Load(a + row + L.Count), L.Load(x + row + L.Count), s1);
        }

        return Sum(L.Add(s0, s1));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Sum(V lanes) => L.Sum16(lanes, L.Create(0), L.Create(0), L.Create(0));
}

/// <summary>The slope of a function of one value, from the function's value.</summary>
internal interface ISlope
{
    static abstract V Apply<L, V>(V h)
        where L : struct, ILanes<V>
        where V : struct;
}

/// <summary>Slopes of the functions behind <see cref="Activation"/> that follow from their values.</summary>
internal static class ActivationSlopes
{
    internal readonly struct Sigmoid : ISlope
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V h)
            where L : struct, ILanes<V>
            where V : struct => L.Multiply(h, L.Subtract(L.Create(1), h));
    }

    internal readonly struct Tanh : ISlope
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V h)
            where L : struct, ILanes<V>
            where V : struct => L.Subtract(L.Create(1), L.Multiply(h, h));
    }

    internal readonly struct Relu : ISlope
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V h)
            where L : struct, ILanes<V>
            where V : struct => L.Select(L.Less(L.Create(0), h), L.Create(1), L.Create(0));
    }
}
