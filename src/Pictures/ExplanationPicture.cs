using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Explanations;
using ScottPlot;

namespace MlNetMlp.Pictures;

/// <summary>Draws contributions of features to predictions. Pictures are PNG files in memory: write them with <see cref="File.WriteAllBytes(string, byte[])"/>.</summary>
public static class ExplanationPicture
{
    private static readonly Color Positive = Colors.SteelBlue;
    private static readonly Color Negative = Colors.IndianRed;

    /// <summary>The contributions of a row as bars, the greatest at the top.</summary>
    /// <param name="explained">Data with contributions, as <c>Transforms.ExplainPrediction</c> adds them.</param>
    /// <param name="row">The row, from 0.</param>
    /// <param name="title">What stands above; null for nothing.</param>
    /// <param name="mostBars">How many features are shown at most, at least 1.</param>
    /// <param name="columnName">The column of contributions.</param>
    /// <param name="width">Width in pixels, at least 1.</param>
    /// <param name="height">Height in pixels, at least 1.</param>
    /// <returns>A PNG file.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such row or column, or a number is too small.</exception>
    public static byte[] Bars(
        IDataView explained, long row, string? title = null, int mostBars = 20, string columnName = "FeatureContributions", int width = 800, int height = 600)
    {
        var (names, values) = Read(explained, row, columnName);
        return Bars(names, values, title, mostBars, width, height);
    }

    /// <summary>Named numbers as bars, the greatest at the top.</summary>
    /// <param name="names">The names.</param>
    /// <param name="values">A number for each name.</param>
    /// <param name="title">What stands above; null for nothing.</param>
    /// <param name="mostBars">How many are shown at most, at least 1.</param>
    /// <param name="width">Width in pixels, at least 1.</param>
    /// <param name="height">Height in pixels, at least 1.</param>
    /// <returns>A PNG file.</returns>
    /// <exception cref="ArgumentException">There are not as many names as numbers.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number is too small.</exception>
    public static byte[] Bars(
        IReadOnlyList<string> names, IReadOnlyList<float> values, string? title = null, int mostBars = 20, int width = 800, int height = 600)
    {
        ArgumentNullException.ThrowIfNull(names);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentOutOfRangeException.ThrowIfLessThan(mostBars, 1);
        if (names.Count != values.Count)
            throw new ArgumentException($"There are {names.Count} names, but {values.Count} numbers.", nameof(names));

        // The axis points up, so the greatest comes last.
        int[] shown = [.. Enumerable.Range(0, values.Count).OrderByDescending(i => Math.Abs(values[i])).Take(mostBars).Reverse()];
        using var plot = new Plot();
        var bars = plot.Add.Bars(shown.Select((slot, place) =>
            new Bar { Position = place, Value = values[slot], FillColor = values[slot] < 0 ? Negative : Positive }).ToArray());
        bars.Horizontal = true;
        plot.Axes.Left.SetTicks([.. shown.Select((_, place) => (double)place)], [.. shown.Select(slot => names[slot])]);
        plot.XLabel("Contribution");
        return Draw(plot, title, width, height);
    }

    /// <summary>The contributions of the pixels of an image as a heat map: red speaks for, blue against, white not at all.</summary>
    /// <param name="contributions">Contributions [rows · columns], row after row from the top.</param>
    /// <param name="rows">Rows of the image, at least 1.</param>
    /// <param name="columns">Columns of the image, at least 1.</param>
    /// <param name="title">What stands above; null for nothing.</param>
    /// <param name="width">Width in pixels, at least 1.</param>
    /// <param name="height">Height in pixels, at least 1.</param>
    /// <returns>A PNG file.</returns>
    /// <exception cref="ArgumentException">There are not as many contributions as pixels.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number is too small.</exception>
    public static byte[] HeatMap(IReadOnlyList<float> contributions, int rows, int columns, string? title = null, int width = 500, int height = 500)
    {
        ArgumentNullException.ThrowIfNull(contributions);
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        if (contributions.Count != (long)rows * columns)
            throw new ArgumentException($"There are {contributions.Count} contributions, but {rows} x {columns} pixels.", nameof(contributions));
        var cells = new double[rows, columns];
        for (var i = 0; i < contributions.Count; i++)
            cells[i / columns, i % columns] = contributions[i];
        var most = contributions.Max(value => Math.Abs(value));
        using var plot = new Plot();
        var map = plot.Add.Heatmap(cells);
        map.Colormap = new ScottPlot.Colormaps.Balance();
        map.ManualRange = most > 0 ? new(-most, most) : new(-1, 1);
        plot.Add.ColorBar(map);
        plot.Axes.SquareUnits();
        plot.HideGrid();
        return Draw(plot, title, width, height);
    }

    /// <summary>Curves over one axis, such as the differences of a retraining test over the share of the features that is kept.</summary>
    /// <param name="x">Where the points are.</param>
    /// <param name="curves">Name and values of each curve, a value for each point.</param>
    /// <param name="xLabel">What the axis shows.</param>
    /// <param name="yLabel">What the values are.</param>
    /// <param name="title">What stands above; null for nothing.</param>
    /// <param name="width">Width in pixels, at least 1.</param>
    /// <param name="height">Height in pixels, at least 1.</param>
    /// <returns>A PNG file.</returns>
    /// <exception cref="ArgumentException">A curve has another number of values than there are points.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number is too small.</exception>
    public static byte[] Curves(
        IReadOnlyList<double> x,
        IReadOnlyList<(string Name, IReadOnlyList<double> Values)> curves,
        string xLabel,
        string yLabel,
        string? title = null,
        int width = 800,
        int height = 500)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(curves);
        using var plot = new Plot();
        foreach (var (name, values) in curves)
        {
            if (values.Count != x.Count)
                throw new ArgumentException($"The curve '{name}' has {values.Count} values, but there are {x.Count} points.", nameof(curves));
            var line = plot.Add.Scatter(x.ToArray(), values.ToArray());
            line.LegendText = name;
        }

        plot.XLabel(xLabel);
        plot.YLabel(yLabel);
        plot.ShowLegend();
        return Draw(plot, title, width, height);
    }

    /// <summary>What networks are worth that were trained on the features ranked first, and on those ranked last, over the share of the features that is kept.</summary>
    /// <param name="report">The report of a retraining test.</param>
    /// <param name="title">What stands above; null for nothing.</param>
    /// <param name="width">Width in pixels, at least 1.</param>
    /// <param name="height">Height in pixels, at least 1.</param>
    /// <returns>A PNG file.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is too small.</exception>
    public static byte[] DiffRoar(DiffRoarReport report, string? title = null, int width = 800, int height = 500)
    {
        ArgumentNullException.ThrowIfNull(report);
        DiffRoarPoint[] points = [.. report.Points.OrderBy(point => point.Level)];
        return Curves(
            [.. points.Select(point => point.Level)],
            [
                ("ranked first", [.. points.Select(point => point.TopAccuracies.Average())]),
                ("ranked last", [.. points.Select(point => point.BottomAccuracies.Average())]),
                ("difference", [.. points.Select(point => point.Mean)]),
            ],
            "Share of the features kept", "Accuracy", title, width, height);
    }

    private static byte[] Draw(Plot plot, string? title, int width, int height)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        if (title is not null)
            plot.Title(title);
        return plot.GetImageBytes(width, height, ImageFormat.Png);
    }

    private static (string[] Names, float[] Values) Read(IDataView explained, long row, string columnName)
    {
        ArgumentNullException.ThrowIfNull(explained);
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        var column = explained.Schema.GetColumnOrNull(columnName)
            ?? throw new ArgumentOutOfRangeException(nameof(columnName), $"There is no column '{columnName}' of contributions.");
        using var cursor = explained.GetRowCursor([column]);
        var getter = cursor.GetGetter<VBuffer<float>>(column);
        for (var i = 0L; i <= row; i++)
        {
            if (!cursor.MoveNext())
                throw new ArgumentOutOfRangeException(nameof(row), $"There are only {i} rows, so there is no row {row}.");
        }

        VBuffer<float> values = default;
        getter(ref values);
        if (!column.HasSlotNames())
            return ([.. Enumerable.Range(0, values.Length).Select(slot => $"Feature {slot}")], [.. values.DenseValues()]);
        VBuffer<ReadOnlyMemory<char>> names = default;
        column.GetSlotNames(ref names);
        return ([.. names.DenseValues().Select((name, slot) => name.IsEmpty ? $"Feature {slot}" : name.ToString())], [.. values.DenseValues()]);
    }
}
