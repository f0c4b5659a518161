using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MlNetMlp.Scoring;

/// <summary>
/// Sums of cosines of single numbers, y_i = a_i + sum over f of A_if cos(w_f z + b_f), for many columns z at once: a column in every lane, so that a row has the same bits alone
/// and in any batch.
/// </summary>
internal static unsafe class CosineSumKernel
{
    /// <summary>What a thread needs beside the tensors.</summary>
    [ThreadStatic]
    private static AlignedFloats? _scratch;

    /// <summary>Computes the sums.</summary>
    /// <param name="weights">The weights.</param>
    /// <param name="z">The columns of the first row.</param>
    /// <param name="zStride">Floats from row to row.</param>
    /// <param name="y">Room for [sums, columns] of each row.</param>
    /// <param name="yStride">Floats from row to row.</param>
    /// <param name="rows">Number of rows.</param>
    public static void Run(CosineSumWeights weights, float* z, int zStride, float* y, int yStride, int rows)
    {
        switch (DenseProgram.MachinePath)
        {
            case VectorPath.Lanes512:
                CosineSumKernel<Lanes512, Vector512<float>>.Run(weights, z, zStride, y, yStride, rows);
                break;
            case VectorPath.Lanes256:
                CosineSumKernel<Lanes256, Vector256<float>>.Run(weights, z, zStride, y, yStride, rows);
                break;
            default:
                CosineSumKernel<Lanes128, Vector128<float>>.Run(weights, z, zStride, y, yStride, rows);
                break;
        }
    }

    /// <summary>Adds the gradients of the weights.</summary>
    /// <param name="weights">The weights.</param>
    /// <param name="z">The columns of the first row.</param>
    /// <param name="zStride">Floats from row to row.</param>
    /// <param name="dy">The gradient of the sums, [sums, columns] of each row.</param>
    /// <param name="dyStride">Floats from row to row.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="gradient">What is added to.</param>
    public static void AddGradient(CosineSumWeights weights, float* z, int zStride, float* dy, int dyStride, int rows, CosineSumGradient gradient)
    {
        var length = (weights.Sums + 1) * rows * AlignedFloats.LineFloats;
        var scratch = _scratch is { } kept && kept.Length >= length ? kept : _scratch = new AlignedFloats(length);
        fixed (float* packed = &scratch.First)
        {
            switch (DenseProgram.MachinePath)
            {
                case VectorPath.Lanes512:
                    CosineSumKernel<Lanes512, Vector512<float>>.AddGradient(weights, z, zStride, dy, dyStride, rows, gradient, packed);
                    break;
                case VectorPath.Lanes256:
                    CosineSumKernel<Lanes256, Vector256<float>>.AddGradient(weights, z, zStride, dy, dyStride, rows, gradient, packed);
                    break;
                default:
                    CosineSumKernel<Lanes128, Vector128<float>>.AddGradient(weights, z, zStride, dy, dyStride, rows, gradient, packed);
                    break;
            }
        }
    }
}

/// <summary>Where the gradients of <see cref="CosineSumWeights"/> are, laid out as the weights were given.</summary>
internal readonly unsafe struct CosineSumGradient(float* frequency, float* phase, float* amplitude, float* offset)
{
    public float* Frequency => frequency;

    public float* Phase => phase;

    public float* Amplitude => amplitude;

    public float* Offset => offset;
}

/// <summary>The weights of <see cref="CosineSumKernel"/>, columns padded to whole cache lines.</summary>
internal sealed class CosineSumWeights
{
    /// <summary>Makes room for weights.</summary>
    /// <param name="columns">Number of columns.</param>
    /// <param name="frequencies">Cosines of a column.</param>
    /// <param name="sums">Sums of a column.</param>
    public CosineSumWeights(int columns, int frequencies, int sums)
    {
        (Columns, Frequencies, Sums, Padded) = (columns, frequencies, sums, AlignedFloats.Pad(columns));
        Frequency = new AlignedFloats(frequencies * Padded);
        Phase = new AlignedFloats(frequencies * Padded);
        Amplitude = new AlignedFloats(sums * frequencies * Padded);
        Offset = new AlignedFloats(sums * Padded);
    }

    public int Columns { get; }

    public int Frequencies { get; }

    public int Sums { get; }

    public int Padded { get; }

    /// <summary>What frequencies are multiplied by to be radians.</summary>
    public float Unit { get; init; } = 1;

    /// <summary>w in radians.</summary>
    public AlignedFloats Frequency { get; }

    public AlignedFloats Phase { get; }

    public AlignedFloats Amplitude { get; }

    public AlignedFloats Offset { get; }

    /// <summary>Copies weights in.</summary>
    /// <param name="frequency">w, [frequencies, columns], in <see cref="Unit"/>.</param>
    /// <param name="phase">b, [frequencies, columns].</param>
    /// <param name="amplitude">A, [sums, frequencies, columns].</param>
    /// <param name="offset">a, [sums, columns].</param>
    public void Set(ReadOnlySpan<float> frequency, ReadOnlySpan<float> phase, ReadOnlySpan<float> amplitude, ReadOnlySpan<float> offset)
    {
        Copy(frequency, Frequency);
        if (Unit != 1)
            TensorPrimitives.Multiply(Frequency.Span, Unit, Frequency.Span);
        Copy(phase, Phase);
        Copy(amplitude, Amplitude);
        Copy(offset, Offset);
    }

    private void Copy(ReadOnlySpan<float> from, AlignedFloats to)
    {
        for (var row = 0; row * Columns < from.Length; row++)
            from.Slice(row * Columns, Columns).CopyTo(to.Span[(row * Padded)..]);
    }
}

/// <summary><see cref="CosineSumKernel"/> for one width of registers.</summary>
internal static unsafe class CosineSumKernel<L, V>
    where L : struct, ILanes<V>
    where V : struct
{
    private const int Line = AlignedFloats.LineFloats;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(CosineSumWeights weights, float* z, int zStride, float* y, int yStride, int rows)
    {
        var part = stackalloc float[Line];
        var (columns, frequencies, padded) = (weights.Columns, weights.Frequencies, weights.Padded);
        fixed (float* w = &weights.Frequency.First, b = &weights.Phase.First, amplitude = &weights.Amplitude.First, offset = &weights.Offset.First)
        {
            for (var row = 0; row < rows; row++, z += zStride, y += yStride)
            {
                for (var column = 0; column < columns; column += L.Count)
                {
                    var width = Math.Min(L.Count, columns - column);
                    var x = Load(z + column, width, part);
                    if (weights.Sums == 3)
                    {
                        Three(w + column, b + column, amplitude + column, offset + column, frequencies, padded, x, out var first, out var second, out var third);
                        Store(first, y + column, width, part);
                        Store(second, y + columns + column, width, part);
                        Store(third, y + (2 * columns) + column, width, part);
                        continue;
                    }

                    for (var i = 0; i < weights.Sums; i++)
                    {
                        var sum = One(w + column, b + column, amplitude + (i * frequencies * padded) + column, L.Load(offset + (i * padded) + column), frequencies, padded, x);
                        Store(sum, y + (i * columns) + column, width, part);
                    }
                }
            }
        }
    }

    // Three sums share each cosine. All sums are chains over the frequencies in order, however many there are at once.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Three(float* w, float* b, float* amplitude, float* offset, int frequencies, int padded, V x, out V first, out V second, out V third)
    {
        (first, second, third) = (L.Load(offset), L.Load(offset + padded), L.Load(offset + (2 * padded)));
        var sum = frequencies * padded;
        for (var at = 0; at < sum; at += padded)
        {
            var cosine = ActivationMath.Cosine.Apply<L, V>(L.MultiplyAdd(L.Load(w + at), x, L.Load(b + at)));
            first = L.MultiplyAdd(L.Load(amplitude + at), cosine, first);
            second = L.MultiplyAdd(L.Load(amplitude + sum + at), cosine, second);
            third = L.MultiplyAdd(L.Load(amplitude + (2 * sum) + at), cosine, third);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V One(float* w, float* b, float* amplitude, V sum, int frequencies, int padded, V x)
    {
        for (var at = 0; at < frequencies * padded; at += padded)
            sum = L.MultiplyAdd(L.Load(amplitude + at), ActivationMath.Cosine.Apply<L, V>(L.MultiplyAdd(L.Load(w + at), x, L.Load(b + at))), sum);
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddGradient(CosineSumWeights weights, float* z, int zStride, float* dy, int dyStride, int rows, CosineSumGradient gradient, float* packed)
    {
        var part = stackalloc float[Line];
        var (columns, frequencies, sums, padded) = (weights.Columns, weights.Frequencies, weights.Sums, weights.Padded);
        fixed (float* w = &weights.Frequency.First, b = &weights.Phase.First, amplitude = &weights.Amplitude.First)
        {
            for (var column = 0; column < columns; column += L.Count)
            {
                // The columns of all rows side by side, so that each frequency goes over them in order.
                var width = Math.Min(L.Count, columns - column);
                for (var row = 0; row < rows; row++)
                {
                    L.Store(Load(z + ((long)row * zStride) + column, width, part), packed + (row * L.Count));
                    for (var i = 0; i < sums; i++)
                        L.Store(Load(dy + ((long)row * dyStride) + (i * columns) + column, width, part), packed + ((((i + 1) * rows) + row) * L.Count));
                }

                for (var f = 0; f < frequencies; f++)
                    Frequency(w + column, b + column, amplitude + column, f, width, rows, weights, column, gradient, packed, part);
                for (var i = 0; i < sums; i++)
                {
                    var sum = L.Create(0);
                    for (var row = 0; row < rows; row++)
                        sum = L.Add(sum, L.Load(packed + ((((i + 1) * rows) + row) * L.Count)));
                    AddTo(sum, gradient.Offset + (i * columns) + column, width, part);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Frequency(float* w, float* b, float* amplitude, int f, int width, int rows, CosineSumWeights weights, int column, CosineSumGradient gradient, float* packed, float* part)
    {
        var (columns, frequencies, sums, padded) = (weights.Columns, weights.Frequencies, weights.Sums, weights.Padded);
        var (frequency, phase) = (L.Load(w + (f * padded)), L.Load(b + (f * padded)));
        V dw = L.Create(0), db = dw;
        if (sums == 3)
        {
            V first = L.Load(amplitude + (f * padded)), second = L.Load(amplitude + ((frequencies + f) * padded)), third = L.Load(amplitude + (((2 * frequencies) + f) * padded));
            V dFirst = dw, dSecond = dw, dThird = dw;
            float* dy = packed + (rows * L.Count), next = dy + (rows * L.Count), last = next + (rows * L.Count);
            for (var at = 0; at < rows * L.Count; at += L.Count)
            {
                V x = L.Load(packed + at), p = L.Load(dy + at), q = L.Load(next + at), r = L.Load(last + at);
                var angle = L.MultiplyAdd(frequency, x, phase);
                var cosine = ActivationMath.Cosine.Apply<L, V>(angle);
                dFirst = L.MultiplyAdd(p, cosine, dFirst);
                dSecond = L.MultiplyAdd(q, cosine, dSecond);
                dThird = L.MultiplyAdd(r, cosine, dThird);
                var pull = L.MultiplyAdd(p, first, L.MultiplyAdd(q, second, L.Multiply(r, third)));
                pull = L.Multiply(pull, ActivationMath.Sine.Apply<L, V>(angle));
                db = L.Subtract(db, pull);
                dw = L.Subtract(dw, L.Multiply(pull, x));
            }

            AddTo(dFirst, gradient.Amplitude + (f * columns) + column, width, part);
            AddTo(dSecond, gradient.Amplitude + ((frequencies + f) * columns) + column, width, part);
            AddTo(dThird, gradient.Amplitude + (((2 * frequencies) + f) * columns) + column, width, part);
        }
        else
        {
            for (var i = 0; i < sums; i++)
            {
                var (a, da) = (L.Load(amplitude + (((i * frequencies) + f) * padded)), L.Create(0));
                var dy = packed + ((i + 1) * rows * L.Count);
                for (var at = 0; at < rows * L.Count; at += L.Count)
                {
                    V x = L.Load(packed + at), p = L.Load(dy + at);
                    var angle = L.MultiplyAdd(frequency, x, phase);
                    da = L.MultiplyAdd(p, ActivationMath.Cosine.Apply<L, V>(angle), da);
                    var pull = L.Multiply(L.Multiply(p, a), ActivationMath.Sine.Apply<L, V>(angle));
                    db = L.Subtract(db, pull);
                    dw = L.Subtract(dw, L.Multiply(pull, x));
                }

                AddTo(da, gradient.Amplitude + (((i * frequencies) + f) * columns) + column, width, part);
            }
        }

        AddTo(L.Multiply(dw, L.Create(weights.Unit)), gradient.Frequency + (f * columns) + column, width, part);
        AddTo(db, gradient.Phase + (f * columns) + column, width, part);
    }

    // Lanes beyond the last column are 0: a load must not reach beyond the caller's memory.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Load(float* from, int width, float* part)
    {
        if (width == L.Count)
            return L.Load(from);
        for (var i = 0; i < L.Count; i++)
            part[i] = i < width ? from[i] : 0;
        return L.Load(part);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(V value, float* to, int width, float* part)
    {
        if (width == L.Count)
        {
            L.Store(value, to);
            return;
        }

        L.Store(value, part);
        for (var i = 0; i < width; i++)
            to[i] = part[i];
    }

    private static void AddTo(V value, float* to, int width, float* part)
    {
        L.Store(value, part);
        for (var i = 0; i < width; i++)
            to[i] += part[i];
    }
}
