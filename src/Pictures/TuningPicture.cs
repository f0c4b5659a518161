using System.Globalization;
using MlNetMlp.Tuning;
using ScottPlot;

namespace MlNetMlp.Pictures;

/// <summary>Draws searches for options.</summary>
public static class TuningPicture
{
    /// <summary>The loss of each evaluation over the seconds that the search took, a colour for each share of the rows, and the least loss on all rows so far as a line.</summary>
    /// <param name="trials">The evaluations in their order, as <c>Tune</c> gives them; those that failed are left out.</param>
    /// <param name="measure">What was minimised.</param>
    /// <param name="title">What stands above; null for nothing.</param>
    /// <param name="width">Width in pixels, at least 1.</param>
    /// <param name="height">Height in pixels, at least 1.</param>
    /// <returns>A PNG file.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is too small.</exception>
    public static byte[] Trials(IReadOnlyList<TuningTrial> trials, string measure = "loss", string? title = null, int width = 800, int height = 500)
    {
        ArgumentNullException.ThrowIfNull(trials);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        using var plot = new Plot();
        var (seconds, best) = (0.0, double.PositiveInfinity);
        var points = new List<(double Share, double X, double Y)>();
        var line = new List<(double X, double Y)>();
        foreach (var trial in trials)
        {
            seconds += trial.Seconds;
            if (double.IsFinite(trial.Loss))
                points.Add((trial.Share, seconds, trial.Loss));
            if (trial.Share == 1)
                best = Math.Min(best, trial.Loss);
            if (double.IsFinite(best))
                line.Add((seconds, best));
        }

        foreach (var share in points.GroupBy(point => point.Share).OrderBy(group => group.Key))
            plot.Add.Markers(share.Select(point => point.X).ToArray(), share.Select(point => point.Y).ToArray()).LegendText = string.Create(CultureInfo.InvariantCulture, $"{share.Key:P0} of the rows");
        if (line.Count > 0)
        {
            var steps = plot.Add.ScatterLine(line.Select(point => point.X).ToArray(), line.Select(point => point.Y).ToArray());
            (steps.ConnectStyle, steps.LegendText) = (ConnectStyle.StepHorizontal, "best so far");
        }

        plot.XLabel("seconds");
        plot.YLabel(measure);
        plot.ShowLegend();
        if (title is not null)
            plot.Title(title);
        return plot.GetImageBytes(width, height, ImageFormat.Png);
    }
}
