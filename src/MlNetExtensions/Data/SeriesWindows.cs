using MlNetMlp.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>
/// The windows of time series and the steps that follow each: views of a table, of which only those of a batch are ever copied. Those that would reach
/// from one series into the next are never drawn.
/// </summary>
internal sealed class SeriesWindows : IDisposable
{
    private readonly Tensor _values;
    private readonly Tensor _targets;
    private readonly SeriesLayout _layout;

    private SeriesWindows(Tensor values, Tensor targets, SeriesLayout layout, long[] training, long[] held)
    {
        (_values, _targets, _layout, Training, Held) = (values, targets, layout, training, held);
        Rows = new(View(values, 0, layout.ContextLength), View(targets, layout.ContextLength, layout.Horizon), null);
    }

    /// <summary>All windows, by the row of the table that they start at.</summary>
    public RowBlock Rows { get; }

    /// <summary>Windows to train on.</summary>
    public long[] Training { get; }

    /// <summary>Windows held out.</summary>
    public long[] Held { get; }

    /// <summary>
    /// Cuts series into windows. The last part of each is held out: no step of it is in a label, or counts in the scaling, of training. Windows held out begin
    /// before it, so that the first of them end where it begins.
    /// </summary>
    /// <param name="table">The series.</param>
    /// <param name="layout">Lengths of windows and labels.</param>
    /// <param name="validationFraction">Share of each series held out.</param>
    /// <param name="seed">Decides the order of the windows in training.</param>
    /// <param name="initialHead">The head of the model that training goes on from: its scale is kept; or null.</param>
    /// <returns>The training set, and the task of predicting the labels.</returns>
    /// <exception cref="InvalidOperationException">No series is long enough.</exception>
    public static (TrainingSet Set, MultiOutputRegressionHead Head) Cut(
        SeriesTable table, SeriesLayout layout, double validationFraction, int seed, MultiOutputRegressionHead? initialHead)
    {
        var (length, horizon) = (layout.ContextLength, layout.Horizon);
        List<long> training = [], held = [];
        foreach (var (start, rows) in table.Series)
        {
            var (split, last) = (rows - HeldRows(rows), rows - length - horizon);
            for (long at = 0; at <= split - length - horizon; at++)
                training.Add(start + at);
            for (var at = Math.Max(0, split - length); at <= last && split < rows; at++)
                held.Add(start + at);
        }

        if (training.Count == 0)
        {
            var longest = table.Series.Max(part => part.Rows);
            throw DataErrors.ShortSeries(length, horizon, longest, HeldRows(longest));
        }

        var statistics = table.Statistics(HeldRows);
        var head = initialHead is not null ? initialHead with { LabelNames = layout.LabelNames() } : new MultiOutputRegressionHead
        {
            LabelMeans = [.. Repeat(statistics.Mean, horizon).Select(mean => (double)mean)],
            LabelScales = [.. Repeat(statistics.Scale(), horizon).Select(scale => (double)scale)],
            LabelNames = layout.LabelNames(),
        };
        using var mean = tensor(head.LabelMeans.Take(layout.Channels).Select(value => (float)value).ToArray());
        using var scale = tensor(head.LabelScales.Take(layout.Channels).Select(value => (float)value).ToArray());
        var windows = new SeriesWindows(table.Values, table.Values.sub(mean).div_(scale), layout, [.. training], [.. held]);
        var ofWindow = new FeatureStatistics([.. Repeat(statistics.Mean, length)], [.. Repeat(statistics.StandardDeviation, length)]);
        return (new TrainingSet(ofWindow, windows, layout, seed), head);

        long HeldRows(long rows) => (long)Math.Round(validationFraction * rows);

        static IEnumerable<float> Repeat(IReadOnlyList<float> channels, int steps) => Enumerable.Range(0, steps).SelectMany(_ => channels);
    }

    /// <summary>Copies the series, not their windows, to a device, and releases them here.</summary>
    /// <param name="device">The device.</param>
    /// <returns>The windows there.</returns>
    public SeriesWindows MoveTo(Device device)
    {
        var moved = new SeriesWindows(_values.to(device), _targets.to(device), _layout, Training, Held);
        Dispose();
        return moved;
    }

    /// <summary>Releases the series.</summary>
    public void Dispose()
    {
        Rows.Dispose();
        _values.Dispose();
        _targets.Dispose();
    }

    /// <summary>Some steps from each row of a table on: [windows, steps · channels], without a copy.</summary>
    private Tensor View(Tensor table, int offset, int steps)
    {
        var channels = table.shape[1];
        var windows = table.shape[0] - _layout.ContextLength - _layout.Horizon + 1;
        return table.as_strided([windows, steps * channels], [channels, 1], table.storage_offset() + (offset * channels));
    }
}
