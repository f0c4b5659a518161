using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>The rows of one series in a <see cref="SeriesTable"/>.</summary>
/// <param name="Start">Index of the first.</param>
/// <param name="Rows">How many.</param>
internal readonly record struct SeriesPart(long Start, long Rows);

/// <summary>Time series in memory, one behind the other, each in the order of its rows.</summary>
/// <param name="Values">Single [rows of all series, channels].</param>
/// <param name="Series">Where each series lies.</param>
/// <param name="ChannelNames">A name for each channel.</param>
internal sealed record SeriesTable(Tensor Values, IReadOnlyList<SeriesPart> Series, IReadOnlyList<string> ChannelNames)
{
    private const int CheckInterval = 1024;

    // The values, and the same standardised.
    private const int Copies = 2;

    /// <summary>Reads a data view from the first row to the last.</summary>
    /// <param name="data">Rows, those of each series in time order.</param>
    /// <param name="columns">The columns of the channels and, last, of the series.</param>
    /// <param name="hasSeries">Whether there is a column of the series.</param>
    /// <param name="memoryBudget">Bytes that the rows may take.</param>
    /// <param name="checkCancelled">Throws when the reading is to stop.</param>
    /// <returns>The series.</returns>
    /// <exception cref="InvalidOperationException">There are no rows, more than fit, or values that cannot be used.</exception>
    public static SeriesTable Read(IDataView data, FeatureColumns columns, bool hasSeries, long memoryBudget, Action checkCancelled)
    {
        using var cursor = data.GetRowCursor(columns.Find(data.Schema));
        var reader = new SeriesRowReader(cursor, columns, hasSeries);
        var most = Math.Max(1, memoryBudget / (Copies * RowStore.BytesPerRow(reader.Channels, 1)));
        var known = data.GetRowCount();
        using var store = new RowStore(reader.Channels, 1, known <= most ? known : null, most);
        while (cursor.MoveNext())
        {
            if (store.Count == most)
                throw DataErrors.LargeSeries(reader.Channels, memoryBudget, most);
            reader.Read(cursor.Position);
            reader.Values.CopyTo(store.NextRow());
            store.Commit([reader.Series], 1);
            if (store.Count % CheckInterval == 0)
                checkCancelled();
        }

        if (store.Count == 0)
            throw new InvalidOperationException("There are no rows to train on.");
        var keys = store.Labels.ToArray();
        var values = store.TakeFeatures();
        if (!IsGrouped(keys))
        {
            // OrderBy keeps the order of equal ones, which is that of time.
            long[] order = [.. Enumerable.Range(0, keys.Length).OrderBy(row => keys[row]).Select(row => (long)row)];
            using var index = tensor(order);
            using var unordered = values;
            values = unordered.index_select(0, index);
            keys = [.. order.Select(row => keys[row])];
        }

        return new(values, Parts(keys), Names(data.Schema, columns, hasSeries));
    }

    /// <summary>Means and deviations of the first rows of each series.</summary>
    /// <param name="held">Rows at the end of a series of so many that do not count.</param>
    /// <returns>The statistics of the channels.</returns>
    public FeatureStatistics Statistics(Func<long, long> held)
    {
        const int blockRows = 4096;
        var moments = new FeatureMoments(ChannelNames.Count);
        var ones = new float[blockRows];
        Array.Fill(ones, 1);
        foreach (var (start, rows) in Series)
        {
            var end = start + rows - held(rows);
            for (var row = start; row < end; row += blockRows)
            {
                var count = Math.Min(blockRows, end - row);
                using var block = Values.narrow(0, row, count);
                moments.Add(block, ones.AsSpan(0, (int)count));
            }
        }

        return moments.Finish();
    }

    private static bool IsGrouped(float[] keys)
    {
        for (var row = 1; row < keys.Length; row++)
        {
            if (keys[row] < keys[row - 1])
                return false;
        }

        return true;
    }

    private static List<SeriesPart> Parts(float[] keys)
    {
        var parts = new List<SeriesPart>();
        for (int start = 0, row = 1; row <= keys.Length; row++)
        {
            if (row < keys.Length && keys[row] == keys[start])
                continue;
            parts.Add(new(start, row - start));
            start = row;
        }

        return parts;
    }

    private static string[] Names(DataViewSchema schema, FeatureColumns columns, bool hasSeries)
    {
        IEnumerable<RowColumn> channels = columns.Layout!.Columns;
        return [.. (hasSeries ? channels.SkipLast(1) : channels).SelectMany(Of)];

        IEnumerable<string> Of(RowColumn column) => schema[column.Name].Type is not VectorDataViewType
            ? [column.Name]
            : SlotNames.Get(schema[column.Name]) ?? Enumerable.Range(0, column.Width).Select(slot => FormattableString.Invariant($"{column.Name}{slot}"));
    }
}
