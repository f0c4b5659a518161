using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>Rows of a data view into a tensor, as a fit reads them, against plain copies from the objects.</summary>
internal static class Feeding
{
    private const int Count = 1_000_000;
    private static readonly ColumnNames Columns = new(new("Features"), "Label", null, null);

    public static void Run()
    {
        var ml = new MLContext(1);
        var rows = Generated.Rows(Count);
        var view = ml.Data.LoadFromEnumerable(rows);

        using var store = new RowStore(Generated.Width, 1, Count, long.MaxValue);
        using var features = empty(Count, Generated.Width);
        using var labels = empty(Count);

        // The first write to fresh memory costs more than the copying; both sides get memory that was written to before.
        var seconds = Clock.Medians(9, () => Read(view, store, false), () => Read(view, store, true), () => Load(view), () => Copy(rows, features, labels));

        Console.WriteLine($"feeding: {Count} x 28 with labels: {seconds[0] * 1e3:F0} ms, {Count / seconds[0] / 1e6:F1} M rows/s "
            + $"({Count / seconds[1] / 1e6:F1} without the check for missing values); plain copies {seconds[3] * 1e3:F0} ms, ratio {seconds[0] / seconds[3]:F2}; "
            + $"into fresh memory, with statistics and split {seconds[2] * 1e3:F0} ms");
    }

    private static void Read(IDataView view, RowStore store, bool acceptNonFinite)
    {
        store.Clear();
        using var reader = new RowReader(view, Columns, acceptNonFinite);
        while (reader.Next(store.NextRow()))
            store.Commit(reader.Label, reader.Weight);
    }

    private static void Load(IDataView view)
    {
        var settings = new LoadSettings(TaskKind.Regression, Columns, [], null, 0.1, long.MaxValue, false, 1);
        using var set = new TrainingSetLoader(settings, _ => { }, () => { }).Load(view, null, null).Set;
    }

    private static void Copy(Generated.Row[] rows, Tensor features, Tensor labels)
    {
        var target = TensorMemory.Floats(features);
        var label = TensorMemory.Floats(labels);
        for (var i = 0; i < Count; i++)
        {
            rows[i].Features.CopyTo(target[(i * Generated.Width)..]);
            label[i] = rows[i].Label;
        }
    }
}
