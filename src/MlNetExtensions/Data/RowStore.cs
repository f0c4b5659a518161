using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>Rows in native memory, filled one by one. The number of rows need not be known: memory grows in blocks that never move.</summary>
internal sealed unsafe class RowStore : IDisposable
{
    private readonly int _width;
    private readonly int _labelWidth;
    private readonly List<Tensor> _blocks = [];
    private readonly long _growth;
    private float[] _labels;
    private float[] _weights;
    private float* _next;
    private long _room;

    /// <summary>Creates an empty store.</summary>
    /// <param name="width">Number of features.</param>
    /// <param name="labelWidth">Number of values of a label.</param>
    /// <param name="rows">Number of rows that will come, or null where it is not known.</param>
    /// <param name="limit">Number of rows that the store may hold at most: what it grows by stays well below.</param>
    public RowStore(int width, int labelWidth, long? rows, long limit)
    {
        const int growthBytes = 1 << 25;
        _width = width;
        _labelWidth = labelWidth;
        _growth = Math.Clamp(growthBytes / (sizeof(float) * (long)width), 1, Math.Max(1, limit / 8));
        _weights = new float[Math.Min(rows ?? 1024, (1 << 28) / labelWidth)];
        _labels = new float[_weights.Length * labelWidth];
        Grow(rows is > 0 ? rows.Value : _growth);
    }

    public long Count { get; private set; }

    /// <summary>Labels [rows, label width], row after row.</summary>
    public ReadOnlySpan<float> Labels => _labels.AsSpan(0, (int)Count * _labelWidth);

    public ReadOnlySpan<float> Weights => _weights.AsSpan(0, (int)Count);

    /// <summary>Bytes that one row takes: its features, label and weight.</summary>
    /// <param name="width">Number of features.</param>
    /// <param name="labelWidth">Number of values of a label.</param>
    /// <returns>Number of bytes.</returns>
    public static long BytesPerRow(int width, int labelWidth) => (width + labelWidth + 1L) * sizeof(float);

    /// <summary>Where the features of the next row go.</summary>
    /// <returns>Room for one row.</returns>
    public Span<float> NextRow()
    {
        if (_room == 0)
            Grow(_growth);
        return new Span<float>(_next, _width);
    }

    /// <summary>Keeps the row that was written to <see cref="NextRow"/>.</summary>
    /// <param name="label">Its label.</param>
    /// <param name="weight">Its weight.</param>
    public void Commit(ReadOnlySpan<float> label, float weight)
    {
        if (Count == _weights.Length)
        {
            Array.Resize(ref _weights, checked(Math.Max(1, _weights.Length) * 2));
            Array.Resize(ref _labels, checked(_weights.Length * _labelWidth));
        }

        label.CopyTo(_labels.AsSpan((int)Count * _labelWidth));
        _weights[Count] = weight;
        Count++;
        _next += _width;
        _room--;
    }

    /// <summary>The features of all rows; the store is empty after.</summary>
    /// <returns>Single [rows, width].</returns>
    public Tensor TakeFeatures()
    {
        // Pages of the new tensor are only committed when written, so that no more than one block is there twice.
        var features = _blocks.Count == 1 ? _blocks[0].narrow(0, 0, Count) : empty(Count, _width);
        if (_blocks.Count > 1)
        {
            long start = 0;
            foreach (var block in _blocks)
            {
                var rows = Math.Min(block.shape[0], Count - start);
                using (var target = features.narrow(0, start, rows))
                using (var source = block.narrow(0, 0, rows))
                    target.copy_(source);
                start += rows;
                block.Dispose();
            }
        }

        Dispose();
        return features;
    }

    /// <summary>Gets a block of rows.</summary>
    /// <param name="features">Single [rows, width].</param>
    /// <param name="weights">Example weights [rows].</param>
    public delegate void BlockVisitor(Tensor features, ReadOnlySpan<float> weights);

    /// <summary>Visits all rows block by block.</summary>
    /// <param name="visit">Gets the blocks.</param>
    public void ForEachBlock(BlockVisitor visit)
    {
        long start = 0;
        foreach (var block in _blocks)
        {
            var rows = Math.Min(block.shape[0], Count - start);
            if (rows > 0)
            {
                using var part = block.narrow(0, 0, rows);
                visit(part, Weights.Slice((int)start, (int)rows));
            }

            start += rows;
        }
    }

    /// <summary>Forgets all rows but keeps the memory of one block.</summary>
    public void Clear()
    {
        Count = 0;
        foreach (var block in _blocks.Skip(1))
            block.Dispose();
        _blocks.RemoveRange(1, _blocks.Count - 1);
        _next = TensorMemory.Address(_blocks[0]);
        _room = _blocks[0].shape[0];
    }

    public void Dispose()
    {
        foreach (var block in _blocks)
            block.Dispose();
        _blocks.Clear();
        _room = 0;
    }

    private void Grow(long rows)
    {
        var block = empty(rows, _width);
        _blocks.Add(block);
        _next = TensorMemory.Address(block);
        _room = rows;
    }
}
