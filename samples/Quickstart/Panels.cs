using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Training;
using ScottPlot;
using static Quickstart.PlotStyle;

namespace Quickstart;

/// <summary>The panels of the picture, each drawn from what the trainers made of one data set.</summary>
internal static class Panels
{
    public static Plot? LearningCurves(Entry[] entries)
    {
        var plot = Panel(entries[0].Problem.Data.Title, "epoch", "loss");
        foreach (var (i, entry) in entries.Index())
        {
            if (entry.Competitor.Curve?.Invoke(entry.Model.LastTransformer) is not { } curve) continue;
            Line(plot, $"{entry.Competitor.Name}, training rows", Epochs(curve, point => point.TrainingLoss), SeriesColor(i).WithAlpha(0.4));
            Line(plot, $"{entry.Competitor.Name}, validation rows", Epochs(curve, point => point.ValidationLoss), SeriesColor(i));
        }

        // Room for the legend above the curves.
        plot.Axes.Margins(0.05, 0.05, 0.05, 0.3);
        plot.ShowLegend(Alignment.UpperRight);
        return plot.GetPlottables().Any() ? plot : null;
    }

    public static Plot Predictions(MLContext ml, Entry[] entries) => entries[^1].Scored.Schema["Label"].Type switch
    {
        BooleanDataViewType => RocCurves(entries),
        KeyDataViewType => ConfusionMatrix(ml, entries[^1]),
        _ => PredictedAgainstActual(entries[^1]),
    };

    private static Plot RocCurves(Entry[] entries)
    {
        var plot = Panel(entries[0].Problem.Data.Title, "false positive rate", "true positive rate");
        foreach (var (i, entry) in entries.Index())
        {
            var rows = entry.Scored.GetColumn<float>("Score").Zip(entry.Scored.GetColumn<bool>("Label"));
            List<Coordinates> steps = [new(0, 0)];
            foreach (var (_, isPositive) in rows.OrderByDescending(row => row.First))
                steps.Add(isPositive ? new(steps[^1].X, steps[^1].Y + 1) : new(steps[^1].X + 1, steps[^1].Y));
            var (negatives, positives) = (steps[^1].X, steps[^1].Y);
            Line(plot, entry.Competitor.Name, steps.Select(p => new Coordinates(p.X / negatives, p.Y / positives)), SeriesColor(i));
        }

        plot.Axes.SetLimits(-0.02, 1.02, -0.02, 1.02);
        plot.ShowLegend(Alignment.LowerRight);
        return plot;
    }

    private static Plot ConfusionMatrix(MLContext ml, Entry entry)
    {
        var counts = ml.MulticlassClassification.Evaluate(entry.Scored).ConfusionMatrix.Counts;
        var last = counts.Count - 1;
        var plot = Panel($"{entry.Problem.Data.Title}, {entry.Competitor.Name}", "predicted digit", "actual digit");
        var cells = new double[counts.Count, counts.Count];
        var map = plot.Add.Heatmap(cells);
        foreach (var (actual, row) in counts.Index())
        {
            foreach (var (predicted, count) in row.Index())
            {
                if (count == 0) continue;
                cells[actual, predicted] = count;
                var text = plot.Add.Text($"{count}", predicted, last - actual);
                text.LabelAlignment = Alignment.MiddleCenter;
                text.LabelFontColor = actual == predicted ? Colors.White : Colors.Black;
                text.LabelFontSize = 16;
            }
        }

        map.Colormap = new ScottPlot.Colormaps.Blues().Reversed();
        double[] positions = [.. Enumerable.Range(0, counts.Count)];
        string[] names = [.. positions.Select(i => $"{i}")];
        plot.Axes.Bottom.SetTicks(positions, names);
        plot.Axes.Left.SetTicks(positions, [.. names.Reverse()]);
        plot.HideGrid();
        plot.Axes.SetLimits(-0.5, last + 0.5, -0.5, last + 0.5);
        return plot;
    }

    private static Plot PredictedAgainstActual(Entry entry)
    {
        double[] actual = [.. entry.Scored.GetColumn<float>("Label")];
        double[] predicted = [.. entry.Scored.GetColumn<float>("Score")];
        var top = Math.Max(actual.Max(), predicted.Max()) * 1.05;
        var plot = Panel($"{entry.Problem.Data.Title}, {entry.Competitor.Name}", "actual", "predicted");
        Line(plot, "exact", [new(0, 0), new(top, top)], Colors.Gray, LinePattern.Dashed);
        var points = plot.Add.ScatterPoints(actual, predicted, SeriesColor(0).WithAlpha(0.6));
        points.MarkerSize = 9;
        points.LegendText = "one test row";
        plot.Axes.SetLimits(0, top, 0, top);
        plot.ShowLegend(Alignment.UpperLeft);
        return plot;
    }

    private static IEnumerable<Coordinates> Epochs(LearningCurve curve, Func<LearningCurvePoint, double?> loss) =>
        curve.Points.Where(point => loss(point) is not null).Select(point => new Coordinates(point.Epoch, loss(point)!.Value));
}
