using Microsoft.ML;
using MlNetMlp.Interop;
using ScottPlot;
using ScottPlot.MultiplotLayouts;
using static Quickstart.PlotStyle;

namespace GradientBoosting;

/// <summary>Draws what every prefix of a network of one hidden layer is worth: its losses while it was trained, and a measure on test rows.</summary>
internal static class TruncationCurve
{
    private const string UnitsTitle = "active hidden units";

    /// <summary>Draws the curve of a fitted or loaded model; nothing is trained.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="model">The model, alone or in a chain.</param>
    /// <param name="title">The title, such as the name of the data.</param>
    /// <param name="lossName">What the loss is.</param>
    /// <param name="metricName">What <paramref name="testMetric"/> is, and its unit.</param>
    /// <param name="testMetric">Measures a model on test rows; it is asked about the constant and the model cut after each step.</param>
    /// <param name="path">The PNG file.</param>
    /// <exception cref="ArgumentException">The model holds no network of one hidden layer that was trained in steps.</exception>
    public static void Save(
        MLContext ml, ITransformer model, string title, string lossName, string metricName, Func<ITransformer, double> testMetric, string path)
    {
        if (HiddenLayerModel.Find(model) is not { StagedLosses: { Count: > 0 } stages } layer)
            throw new ArgumentException("The model holds no network of one hidden layer that was trained in steps.", nameof(model));

        UseOwnFont();
        var losses = Panel(title, UnitsTitle, lossName);
        Line(losses, "training rows", stages.Select(stage => new Coordinates(stage.Units, stage.TrainingLoss)), SeriesColor(0));
        var judged = stages.Where(stage => stage.ValidationLoss is not null);
        Coordinates[] heldOut = [.. judged.Select(stage => new Coordinates(stage.Units, stage.ValidationLoss!.Value))];
        if (heldOut.Length > 0) Line(losses, "validation rows (held out of the training set)", heldOut, SeriesColor(1));
        MarkActive(losses, layer, heldOut);

        var metric = Panel("", UnitsTitle, metricName);
        Coordinates[] tested = [.. stages.Select(stage => new Coordinates(stage.Units, testMetric(ml.Model.ChangeActiveUnits(model, stage.Units))))];
        Line(metric, "test rows", tested, SeriesColor(2));
        MarkActive(metric, layer, tested);

        var figure = new Multiplot { Layout = new Rows() };
        figure.AddPlots(0);
        foreach (var panel in new[] { losses, metric })
        {
            // Room for the legend above the curves; the same units below each other.
            panel.Axes.Margins(0, 0, 0.05, 0.3);
            panel.Axes.SetLimitsX(0, stages[^1].Units);
            panel.ShowLegend(Alignment.UpperRight);
            figure.AddPlot(panel);
        }

        figure.SavePng(path, 1000, 1000);
    }

    /// <summary>Marks where the active units are, and what the curve is there.</summary>
    private static void MarkActive(Plot plot, HiddenLayerModel layer, Coordinates[] curve)
    {
        plot.Add.VerticalLine(layer.ActiveUnits, width: 2, color: Colors.Gray, pattern: LinePattern.Dashed);
        foreach (var point in curve.Where(point => point.X == layer.ActiveUnits))
        {
            var marker = plot.Add.Marker(point, MarkerShape.FilledCircle, size: 12, color: Colors.Black);
            marker.LegendText = $"chosen: {layer.ActiveUnits} units, {point.Y:G3}";
        }
    }
}
