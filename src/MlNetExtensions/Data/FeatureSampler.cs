using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>Reads a feature column once, for its moments and some of its rows.</summary>
internal static class FeatureSampler
{
    private const int GroupRows = 1024;

    /// <summary>Reads the column.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="columns">The column, or the columns of sets.</param>
    /// <param name="count">Number of rows to keep, each as likely as every other.</param>
    /// <param name="seed">Decides which.</param>
    /// <param name="checkCancelled">Throws when the reading is to stop.</param>
    /// <returns>The statistics, the rows kept [rows, width], and the names of the slots.</returns>
    public static (FeatureStatistics Statistics, Tensor Sample, string[]? SlotNames) Read(IDataView data, FeatureColumns columns, int count, int seed, Action checkCancelled)
    {
        var found = columns.Find(data.Schema);
        var names = columns.FeatureNames(data.Schema);
        var (width, random) = (columns.Width(data, checkCancelled), new DeterministicRandom((ulong)seed));
        var (moments, kept, rows) = (new FeatureMoments(width), new List<float[]>(), 0L);
        using var group = empty(GroupRows, width);
        var (weights, place) = (Enumerable.Repeat(1f, GroupRows).ToArray(), 0);
        using var cursor = data.GetRowCursor(found);
        var reader = columns.CreateReader(cursor, acceptNonFinite: false);
        while (cursor.MoveNext())
        {
            var row = TensorMemory.Floats(group).Slice(place * width, width);
            if (reader.Load() > width)
                throw DataErrors.LongerSet(columns.Name!, cursor.Position);
            reader.Write(row);
            if (Finite.IndexOfNonFinite(row) is >= 0 and var slot)
                throw columns.NonFinite(cursor.Position, slot, names, row[slot]);
            if (kept.Count < count)
                kept.Add(row.ToArray());
            else if ((long)(random.NextDouble() * (rows + 1)) is var chosen && chosen < count)
                row.CopyTo(kept[(int)chosen]);
            rows++;
            if (++place == GroupRows)
                Flush();
        }

        Flush();
        if (rows == 0)
            throw new InvalidOperationException($"There are no rows in which to look at the feature column '{columns.Name}'.");
        return (moments.Finish(), tensor(kept.SelectMany(row => row).ToArray(), [kept.Count, width]), names);

        void Flush()
        {
            checkCancelled();
            using var part = group.narrow(0, 0, place);
            moments.Add(part, weights.AsSpan(0, place));
            place = 0;
        }
    }
}
