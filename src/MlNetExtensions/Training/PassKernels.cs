using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using MlNetMlp.Scoring;

namespace MlNetMlp.Training;

/// <summary>c[r, o] = factor·Σ_k a[r, k]·b[k, o] + bias[o], where a's element (r, k) is at r·aRow + k·aStep.</summary>
internal unsafe struct MatrixProduct
{
    public float* A;
    public int ARow;
    public int AStep;
    public float* B;

    /// <summary>Floats between two k of b, or between two o where it is transposed.</summary>
    public int BStride;
    public bool IsTransposed;
    public float Factor;

    /// <summary>Null for 0.</summary>
    public float* Bias;
    public float* C;
    public int CRow;
    public int Rows;
    public int Columns;
    public int Steps;
}

/// <summary>What forward and backward passes through dense layers are made of, once for each register width. Rows lie one behind the other, padded with zeros to whole cache lines.</summary>
internal abstract unsafe class PassKernels
{
    /// <summary>Those that this machine's registers ask for.</summary>
    public static PassKernels OfMachine { get; } = Of(DenseProgram.MachinePath);

    public static PassKernels Of(VectorPath path) => path switch
    {
        VectorPath.Lanes512 => new PassKernels<Lanes512, Vector512<float>>(),
        VectorPath.Lanes256 => new PassKernels<Lanes256, Vector256<float>>(),
        _ => new PassKernels<Lanes128, Vector128<float>>(),
    };

    /// <summary>Floats of scratch that a product of so many steps needs.</summary>
    public abstract int ScratchOf(int steps);

    public abstract void Multiply(in MatrixProduct product, float* scratch);

    /// <summary>h = φ(z)·mask, and φ′(z)·mask in place of z.</summary>
    /// <param name="activation">φ: Silu or Relu.</param>
    /// <param name="z">Inputs of the units [rows, stride].</param>
    /// <param name="h">Room for their values [rows, stride].</param>
    /// <param name="mask">Factors [rows, units], with a vector's room behind them; null for 1.</param>
    /// <param name="units">Number of units.</param>
    /// <param name="stride">Floats from row to row.</param>
    /// <param name="rows">Number of rows.</param>
    public abstract void Activate(Activation activation, float* z, float* h, float* mask, int units, int stride, int rows);

    /// <summary>y = x·factors, row by row.</summary>
    public abstract void Scale(float* x, float* factors, float* y, int stride, int rows);

    /// <summary>y = y·x.</summary>
    public abstract void MultiplyInto(float* x, float* y, nint count);

    /// <summary>Sums over the rows: of x, or of x·y where y is not null.</summary>
    public abstract void Sums(float* x, float* y, float* sums, int columns, int stride, int rows);
}

/// <summary><see cref="PassKernels"/> for one width of registers.</summary>
internal sealed unsafe class PassKernels<L, V> : PassKernels
    where L : struct, ILanes<V>
    where V : struct
{
    private const int MostLanes = AlignedFloats.LineFloats;
    private const int TileRows = 6;

    private static int PanelWidth => 2 * L.Count;

    public override int ScratchOf(int steps) => (steps * PanelWidth) + MostLanes;

    // Two vectors of b's columns at a time, copied to where they lie one behind the other: rows that are a power of two apart would push each other out of the cache.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Multiply(in MatrixProduct product, float* scratch)
    {
        float* bias = stackalloc float[2 * MostLanes], tile = stackalloc float[2 * MostLanes * TileRows];
        for (var column = 0; column < product.Columns; column += PanelWidth)
        {
            var width = Math.Min(PanelWidth, product.Columns - column);
            if (product.IsTransposed)
                PackTransposed(product.B + ((nint)column * product.BStride), product.BStride, width, product.Steps, scratch);
            else
                Pack(product.B + column, product.BStride, width, product.Steps, scratch);
            for (var i = 0; i < PanelWidth; i++)
                bias[i] = product.Bias is not null && i < width ? product.Bias[column + i] : 0;

            // What the last vectors hold beyond the last column must not be written behind it.
            var isWhole = width == PanelWidth;
            float* c = product.C + column;
            var row = 0;

            // What sixes leave over goes in fours, so that few rows are done twice.
            for (; product.Rows - row is TileRows or > 9; row += TileRows)
            {
                Six(product, row, bias, scratch, isWhole ? c + ((nint)row * product.CRow) : tile, isWhole ? product.CRow : PanelWidth);
                if (!isWhole)
                    Copy(tile, c + ((nint)row * product.CRow), product.CRow, width, TileRows);
            }

            for (; row < product.Rows && product.Rows >= 4; row += 4)
            {
                var start = Math.Min(row, product.Rows - 4);
                Four(product, start, bias, scratch, isWhole ? c + ((nint)start * product.CRow) : tile, isWhole ? product.CRow : PanelWidth);
                if (!isWhole)
                    Copy(tile, c + ((nint)start * product.CRow), product.CRow, width, 4);
            }

            for (; row < product.Rows; row++)
            {
                One(product, row, bias, scratch, tile);
                Copy(tile, c + ((nint)row * product.CRow), product.CRow, width, 1);
            }
        }
    }

    public override void Activate(Activation activation, float* z, float* h, float* mask, int units, int stride, int rows)
    {
        if (activation == Activation.Silu)
            Activate<SiluSlope>(z, h, mask, units, stride, rows);
        else
            Activate<ReluSlope>(z, h, mask, units, stride, rows);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Scale(float* x, float* factors, float* y, int stride, int rows)
    {
        for (var row = 0; row < rows; row++, x += stride, y += stride)
        {
            for (var i = 0; i < stride; i += L.Count)
                L.Store(L.Multiply(L.Load(x + i), L.Load(factors + i)), y + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void MultiplyInto(float* x, float* y, nint count)
    {
        for (nint i = 0; i < count; i += L.Count)
            L.Store(L.Multiply(L.Load(x + i), L.Load(y + i)), y + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Sums(float* x, float* y, float* sums, int columns, int stride, int rows)
    {
        for (var column = 0; column < columns; column += L.Count)
        {
            V sum = L.Create(0);
            float* left = x + column;
            if (y is null)
            {
                for (var row = 0; row < rows; row++, left += stride)
                    sum = L.Add(sum, L.Load(left));
            }
            else
            {
                float* right = y + column;
                for (var row = 0; row < rows; row++, left += stride, right += stride)
                    sum = L.MultiplyAdd(L.Load(left), L.Load(right), sum);
            }

            Store(sum, sums + column, columns - column);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Activate<TSlope>(float* z, float* h, float* mask, int units, int stride, int rows)
        where TSlope : struct, ISlopedMap
    {
        for (var row = 0; row < rows; row++, z += stride, h += stride)
        {
            for (var i = 0; i < units; i += L.Count)
            {
                TSlope.Apply<L, V>(L.Load(z + i), out var value, out var slope);
                if (mask is not null)
                {
                    var kept = L.Load(mask + i);
                    (value, slope) = (L.Multiply(value, kept), L.Multiply(slope, kept));
                }

                L.Store(value, h + i);
                L.Store(slope, z + i);
            }

            if (mask is not null)
                mask += units;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Six(in MatrixProduct product, int row, float* bias, float* panel, float* c, int cRow)
    {
        nint one = product.ARow, two = 2 * one, step = product.AStep;
        float* a = product.A + (row * one);
        float* b = a + (3 * one);
        V s00 = L.Create(0), s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00, s30 = s00, s31 = s00, s40 = s00, s41 = s00, s50 = s00, s51 = s00;
        for (var k = product.Steps; k > 0; k--, panel += PanelWidth, a += step, b += step)
        {
            V w0 = L.Load(panel), w1 = L.Load(panel + L.Count);
            V x = L.Create(a[0]);
            s00 = L.MultiplyAdd(x, w0, s00);
            s01 = L.MultiplyAdd(x, w1, s01);
            x = L.Create(a[one]);
            s10 = L.MultiplyAdd(x, w0, s10);
            s11 = L.MultiplyAdd(x, w1, s11);
            x = L.Create(a[two]);
            s20 = L.MultiplyAdd(x, w0, s20);
            s21 = L.MultiplyAdd(x, w1, s21);
            x = L.Create(b[0]);
            s30 = L.MultiplyAdd(x, w0, s30);
            s31 = L.MultiplyAdd(x, w1, s31);
            x = L.Create(b[one]);
            s40 = L.MultiplyAdd(x, w0, s40);
            s41 = L.MultiplyAdd(x, w1, s41);
            x = L.Create(b[two]);
            s50 = L.MultiplyAdd(x, w0, s50);
            s51 = L.MultiplyAdd(x, w1, s51);
        }

        V factor = L.Create(product.Factor), b0 = L.Load(bias), b1 = L.Load(bias + L.Count);
        Finish(s00, s01, factor, b0, b1, c);
        c += cRow;
        Finish(s10, s11, factor, b0, b1, c);
        c += cRow;
        Finish(s20, s21, factor, b0, b1, c);
        c += cRow;
        Finish(s30, s31, factor, b0, b1, c);
        c += cRow;
        Finish(s40, s41, factor, b0, b1, c);
        c += cRow;
        Finish(s50, s51, factor, b0, b1, c);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Four(in MatrixProduct product, int row, float* bias, float* panel, float* c, int cRow)
    {
        nint one = product.ARow, two = 2 * one, step = product.AStep;
        float* a = product.A + (row * one);
        float* b = a + two;
        V s00 = L.Create(0), s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00, s30 = s00, s31 = s00;
        for (var k = product.Steps; k > 0; k--, panel += PanelWidth, a += step, b += step)
        {
            V w0 = L.Load(panel), w1 = L.Load(panel + L.Count);
            V x = L.Create(a[0]);
            s00 = L.MultiplyAdd(x, w0, s00);
            s01 = L.MultiplyAdd(x, w1, s01);
            x = L.Create(a[one]);
            s10 = L.MultiplyAdd(x, w0, s10);
            s11 = L.MultiplyAdd(x, w1, s11);
            x = L.Create(b[0]);
            s20 = L.MultiplyAdd(x, w0, s20);
            s21 = L.MultiplyAdd(x, w1, s21);
            x = L.Create(b[one]);
            s30 = L.MultiplyAdd(x, w0, s30);
            s31 = L.MultiplyAdd(x, w1, s31);
        }

        V factor = L.Create(product.Factor), b0 = L.Load(bias), b1 = L.Load(bias + L.Count);
        Finish(s00, s01, factor, b0, b1, c);
        c += cRow;
        Finish(s10, s11, factor, b0, b1, c);
        c += cRow;
        Finish(s20, s21, factor, b0, b1, c);
        c += cRow;
        Finish(s30, s31, factor, b0, b1, c);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One(in MatrixProduct product, int row, float* bias, float* panel, float* c)
    {
        float* a = product.A + ((nint)row * product.ARow);
        V s0 = L.Create(0), s1 = s0;
        for (var k = product.Steps; k > 0; k--, panel += PanelWidth, a += product.AStep)
        {
            V x = L.Create(*a);
            s0 = L.MultiplyAdd(x, L.Load(panel), s0);
            s1 = L.MultiplyAdd(x, L.Load(panel + L.Count), s1);
        }

        Finish(s0, s1, L.Create(product.Factor), L.Load(bias), L.Load(bias + L.Count), c);
    }

    // No calls here: what lives across one is kept in memory all the time, also in the loop before.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(V first, V second, V factor, V firstBias, V secondBias, float* to)
    {
        L.Store(L.MultiplyAdd(first, factor, firstBias), to);
        L.Store(L.MultiplyAdd(second, factor, secondBias), to + L.Count);
    }

    private static void Copy(float* from, float* to, int stride, int width, int rows)
    {
        for (var row = 0; row < rows; row++)
            new ReadOnlySpan<float>(from + (row * PanelWidth), width).CopyTo(new Span<float>(to + ((nint)row * stride), width));
    }

    private static void Store(V value, float* to, int width)
    {
        if (width >= L.Count)
        {
            L.Store(value, to);
            return;
        }

        var part = stackalloc float[MostLanes];
        L.Store(value, part);
        for (var i = 0; i < width; i++)
            to[i] = part[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pack(float* b, int stride, int width, int steps, float* panel)
    {
        if (width == PanelWidth)
        {
            for (var k = 0; k < steps; k++, b += stride, panel += PanelWidth)
            {
                L.Store(L.Load(b), panel);
                L.Store(L.Load(b + L.Count), panel + L.Count);
            }

            return;
        }

        for (var k = 0; k < steps; k++, b += stride, panel += PanelWidth)
        {
            for (var i = 0; i < PanelWidth; i++)
                panel[i] = i < width ? b[i] : 0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackTransposed(float* b, int stride, int width, int steps, float* panel)
    {
        var column = 0;
        for (; column + 4 <= width; column += 4)
        {
            float* b0 = b + ((nint)column * stride);
            float* b1 = b0 + stride;
            float* b2 = b1 + stride;
            float* b3 = b2 + stride;
            float* to = panel + column;
            var k = 0;
            for (; k + 4 <= steps; k += 4)
            {
                Vector128<float> r0 = Vector128.Load(b0 + k), r1 = Vector128.Load(b1 + k), r2 = Vector128.Load(b2 + k), r3 = Vector128.Load(b3 + k);
                Vector128<float> t0 = Low(r0, r2), t1 = Low(r1, r3), t2 = High(r0, r2), t3 = High(r1, r3);
                Low(t0, t1).Store(to);
                High(t0, t1).Store(to + PanelWidth);
                Low(t2, t3).Store(to + (2 * PanelWidth));
                High(t2, t3).Store(to + (3 * PanelWidth));
                to += 4 * PanelWidth;
            }

            for (; k < steps; k++, to += PanelWidth)
                (to[0], to[1], to[2], to[3]) = (b0[k], b1[k], b2[k], b3[k]);
        }

        for (; column < PanelWidth; column++)
        {
            float* from = b + ((nint)column * stride);
            for (var k = 0; k < steps; k++)
                panel[((nint)k * PanelWidth) + column] = column < width ? from[k] : 0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Low(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackLow(a, b) : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b) : Vector128.Create(a[0], b[0], a[1], b[1]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> High(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackHigh(a, b) : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b) : Vector128.Create(a[2], b[2], a[3], b[3]);

    private interface ISlopedMap
    {
        static abstract void Apply<TLanes, TVector>(TVector x, out TVector value, out TVector slope)
            where TLanes : struct, ILanes<TVector>
            where TVector : struct;
    }

    private readonly struct SiluSlope : ISlopedMap
    {
        // With σ = σ(x): φ = x·σ, and φ′ = σ + φ·(1 − σ).
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply<TLanes, TVector>(TVector x, out TVector value, out TVector slope)
            where TLanes : struct, ILanes<TVector>
            where TVector : struct
        {
            var sigmoid = ActivationMath.Sigmoid.Apply<TLanes, TVector>(x);
            value = TLanes.Multiply(x, sigmoid);
            slope = TLanes.MultiplyAdd(value, TLanes.Subtract(TLanes.Create(1), sigmoid), sigmoid);
        }
    }

    private readonly struct ReluSlope : ISlopedMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Apply<TLanes, TVector>(TVector x, out TVector value, out TVector slope)
            where TLanes : struct, ILanes<TVector>
            where TVector : struct
        {
            value = ActivationMath.Relu.Apply<TLanes, TVector>(x);
            slope = ActivationSlopes.Relu.Apply<TLanes, TVector>(value);
        }
    }
}
