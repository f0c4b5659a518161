namespace MlNetMlp.Scoring;

/// <summary>Where a register lies: so many floats of scratch per row before it, so many floats per row in it.</summary>
/// <param name="Offset">Floats per row before the register, or -1 for the caller's own rows.</param>
/// <param name="Stride">Floats from row to row.</param>
internal readonly record struct Slot(int Offset, int Stride)
{
    public unsafe float* Locate(float* rows, float* scratch, int count) => Offset < 0 ? rows : scratch + ((nint)Offset * count);
}

/// <summary>One compiled instruction of a program: immutable, so that all threads may run it.</summary>
internal abstract unsafe class Step(Slot from, Slot to)
{
    public void Run(float* rows, float* scratch, int count) =>
        Run(from.Locate(rows, scratch, count), from.Stride, to.Locate(rows, scratch, count), to.Stride, count);

    protected abstract void Run(float* x, int xStride, float* y, int yStride, int rows);
}

internal sealed unsafe class PanelStep<L, V, TFinish>(Slot from, Slot to, PanelWeights weights) : Step(from, to)
    where L : struct, ILanes<V>
    where V : struct
    where TFinish : struct, IFinish
{
    protected override void Run(float* x, int xStride, float* y, int yStride, int rows) =>
        PanelKernel<L, V, TFinish>.Run(weights, x, xStride, y, yStride, rows);
}

internal sealed unsafe class DotStep<L, V>(Slot from, Slot to, DotWeights weights) : Step(from, to)
    where L : struct, ILanes<V>
    where V : struct
{
    protected override void Run(float* x, int xStride, float* y, int yStride, int rows) =>
        DotKernel<L, V>.Run(weights, x, xStride, y, yStride, rows);
}

internal sealed unsafe class MapStep<L, V, TMap>(Slot from, Slot to) : Step(from, to)
    where L : struct, ILanes<V>
    where V : struct
    where TMap : struct, IMap
{
    protected override void Run(float* x, int xStride, float* y, int yStride, int rows) =>
        RowKernels<L, V>.Map<TMap>(x, y, (nint)rows * yStride);
}

internal sealed unsafe class AddStep<L, V>(Slot from, Slot to) : Step(from, to)
    where L : struct, ILanes<V>
    where V : struct
{
    protected override void Run(float* x, int xStride, float* y, int yStride, int rows) =>
        RowKernels<L, V>.AddInto(x, y, (nint)rows * yStride);
}

internal sealed unsafe class AffineStep<L, V>(Slot from, Slot to, AlignedFloats shift, AlignedFloats scale) : Step(from, to)
    where L : struct, ILanes<V>
    where V : struct
{
    protected override void Run(float* x, int xStride, float* y, int yStride, int rows)
    {
        fixed (float* subtract = &shift.First, multiply = &scale.First)
            RowKernels<L, V>.Affine(x, y, subtract, multiply, yStride, rows);
    }
}

internal sealed unsafe class LayerNormStep<L, V>(Slot from, Slot to, AlignedFloats gain, AlignedFloats shift, float epsilon, int width)
    : Step(from, to)
    where L : struct, ILanes<V>
    where V : struct
{
    protected override void Run(float* x, int xStride, float* y, int yStride, int rows)
    {
        fixed (float* multiply = &gain.First, add = &shift.First)
            RowKernels<L, V>.Normalise(x, y, multiply, add, epsilon, width, yStride, rows);
    }
}

internal sealed unsafe class PiecewiseLinearStep(Slot from, Slot to, KnotTable table) : Step(from, to)
{
    protected override void Run(float* x, int xStride, float* y, int yStride, int rows) => table.Run(x, xStride, y, yStride, rows);
}

internal sealed unsafe class CosineSumStep<L, V>(Slot from, Slot to, CosineSumWeights weights) : Step(from, to)
    where L : struct, ILanes<V>
    where V : struct
{
    protected override void Run(float* x, int xStride, float* y, int yStride, int rows)
    {
        CosineSumKernel<L, V>.Run(weights, x, xStride, y, yStride, rows);
        var width = weights.Sums * weights.Columns;
        for (var row = 0; row < rows; row++)
            new Span<float>(y + ((nint)row * yStride) + width, yStride - width).Clear();
    }
}
