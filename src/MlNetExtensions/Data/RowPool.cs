using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>
/// Rows in memory from which random batches are drawn without putting back. All rows of a set that fits memory; of a larger one as many
/// as the budget allows, and every row drawn is replaced by the next of the stream.
/// </summary>
internal sealed class RowPool(RowBlock rows, long[] active) : IDisposable
{
    /// <summary>The rows, also those that are not drawn from.</summary>
    public RowBlock Rows => rows;

    /// <summary>Indexes of the rows that are drawn from.</summary>
    public long[] Active => active;

    /// <summary>The rows that are drawn from, in order; copied where there are others.</summary>
    /// <returns>The rows; the caller disposes the block.</returns>
    public RowBlock All()
    {
        var isWhole = active.Length == rows.Rows;
        for (var i = 0; i < active.Length && isWhole; i++)
            isWhole = active[i] == i;
        return isWhole ? rows.Slice(0, rows.Rows) : Gather(rows, active);
    }

    /// <summary>Copies some rows.</summary>
    /// <param name="rows">The rows to choose from.</param>
    /// <param name="indexes">Which rows.</param>
    /// <returns>The rows in the order of the indexes.</returns>
    public static RowBlock Gather(RowBlock rows, ReadOnlySpan<long> indexes)
    {
        using var index = empty(indexes.Length, ScalarType.Int64);
        indexes.CopyTo(TensorMemory.Longs(index));
        using var onDevice = index.to(rows.Features.device);
        return new(rows.Features.index_select(0, onDevice), rows.Labels.index_select(0, onDevice), rows.Weights?.index_select(0, onDevice));
    }

    /// <summary>Draws all rows in batches whose sizes differ by one row at most.</summary>
    /// <param name="batchSize">Rows of a batch.</param>
    /// <param name="total">Number of rows that will be drawn in all: those of the pool and those of the stream.</param>
    /// <param name="random">Decides the order.</param>
    /// <param name="refill">
    /// Puts new rows in the places of those drawn and returns how many there were left to put, for places from the first on; null for a
    /// pool that holds all rows.
    /// </param>
    /// <returns>The batches; the caller disposes each.</returns>
    public IEnumerable<RowBlock> Draw(int batchSize, long total, DeterministicRandom random, Func<long[], int>? refill)
    {
        var places = (long[])active.Clone();
        var live = places.Length;
        var left = total;
        for (var batches = (left + batchSize - 1) / batchSize; batches > 0 && live > 0; batches--)
        {
            var size = (int)Math.Min(live, (left + batches - 1) / batches);
            for (var i = 0; i < size; i++)
            {
                var last = live - 1 - i;
                var other = random.Next(last + 1);
                (places[other], places[last]) = (places[last], places[other]);
            }

            var drawn = places.AsSpan(live - size, size);
            var batch = Gather(rows, drawn);
            left -= size;
            live -= size;
            if (refill is not null)
                live += refill(drawn.ToArray());
            yield return batch;
        }
    }

    public void Dispose() => rows.Dispose();
}
