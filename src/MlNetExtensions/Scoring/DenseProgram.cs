using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MlNetMlp.Scoring;

/// <summary>
/// A network of dense layers compiled to a short list of vector steps: no native library, no allocation, a fraction of a microsecond per
/// row for small networks. Made by a <see cref="DenseProgramBuilder"/>; immutable, and safe for all threads at once.
/// </summary>
/// <remarks>
/// A row's scores have the same bits whether it is scored alone or in any batch, and whichever vector width the machine has. Scratch memory
/// belongs to the calling thread, grows to the largest program that the thread has run and is kept.
/// </remarks>
public sealed class DenseProgram : IRowScorer
{
    // Enough rows that a pass over the weights pays, few enough that their activations stay in the second cache.
    private const int MostRows = 64;
    private const int FewestRows = 8;
    private const int ScratchFloats = 128 * 1024;

    private readonly Step[] _steps;
    private readonly Slot _input;
    private readonly Slot _output;
    private readonly int _floatsPerRow;
    private readonly int _blockRows;

    internal DenseProgram(Step[] steps, RegisterPlan plan, int inputs, int output, int outputs, long parameters)
    {
        _steps = steps;
        _input = plan.Slots[0];
        _output = plan.Slots[output];
        _floatsPerRow = plan.FloatsPerRow;
        _blockRows = Math.Clamp(ScratchFloats / Math.Max(1, _floatsPerRow) & ~7, FewestRows, MostRows);
        Inputs = inputs;
        Outputs = outputs;
        ParameterCount = parameters;
    }

    /// <inheritdoc/>
    public int Inputs { get; }

    /// <inheritdoc/>
    public int Outputs { get; }

    /// <summary>How many numbers the steps hold: weights, biases, gains, shifts and scales.</summary>
    public long ParameterCount { get; }

    /// <summary>What this machine runs best.</summary>
    internal static VectorPath MachinePath { get; } =
        Vector512.IsHardwareAccelerated ? VectorPath.Lanes512
        : Vector256.IsHardwareAccelerated ? VectorPath.Lanes256
        : VectorPath.Lanes128;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public unsafe void Score(ReadOnlySpan<float> rows, Span<float> scores)
    {
        int count = rows.Length / Inputs;
        if (rows.Length != (long)count * Inputs)
            throw new ArgumentException($"Rows hold {rows.Length} values, expected a multiple of {Inputs}.", nameof(rows));
        if (scores.Length != (long)count * Outputs)
        {
            throw new ArgumentException(
                $"Scores hold {scores.Length} values, expected {(long)count * Outputs}: {count} rows of {Outputs}.", nameof(scores));
        }

        if (count == 0)
            return;
        AlignedFloats memory = ThreadScratch.AtLeast(checked(_floatsPerRow * Math.Min(count, _blockRows)));
        fixed (float* x = rows, y = scores, scratch = &memory.First)
        {
            for (int row = 0; row < count; row += _blockRows)
            {
                int block = Math.Min(_blockRows, count - row);
                ScoreBlock(x + ((nint)row * Inputs), y + ((nint)row * Outputs), scratch, block);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private unsafe void ScoreBlock(float* x, float* y, float* scratch, int rows)
    {
        if (_input.Offset >= 0)
            CopyRows(x, Inputs, _input.Locate(x, scratch, rows), _input.Stride, Inputs, rows);
        foreach (Step step in _steps)
            step.Run(x, scratch, rows);
        CopyRows(_output.Locate(x, scratch, rows), _output.Stride, y, Outputs, Outputs, rows);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static unsafe void CopyRows(float* from, int fromStride, float* to, int toStride, int width, int rows)
    {
        for (int row = 0; row < rows; row++, from += fromStride, to += toStride)
        {
            if (width < AlignedFloats.LineFloats)
            {
                for (int i = 0; i < width; i++)
                    to[i] = from[i];
            }
            else
            {
                new ReadOnlySpan<float>(from, width).CopyTo(new Span<float>(to, width));
            }
        }
    }

    private static class ThreadScratch
    {
        [ThreadStatic]
        private static AlignedFloats? _memory;

        public static AlignedFloats AtLeast(int length)
        {
            AlignedFloats? memory = _memory;
            return memory is not null && memory.Length >= length ? memory : _memory = new AlignedFloats(length);
        }
    }
}
