using ScottPlot;

namespace Quickstart;

/// <summary>How the samples' plots look: fonts, colours, sizes and lines.</summary>
internal static class PlotStyle
{
    private const string Font = "Quickstart Sans";

    private static readonly ScottPlot.Palettes.Category10 Palette = new();

    /// <summary>The picture looks the same everywhere, and has text at all where no fonts are installed.</summary>
    public static void UseOwnFont()
    {
        var folder = Path.Combine(AppContext.BaseDirectory, "fonts");
        Fonts.AddFontFile(Font, Path.Combine(folder, "DejaVuSans.ttf"));
        Fonts.AddFontFile(Font, Path.Combine(folder, "DejaVuSans-Bold.ttf"), bold: true);
        Fonts.Default = Font;
    }

    public static Color SeriesColor(int index) => Palette.GetColor(index);

    public static Plot Panel(string title, string xLabel, string yLabel)
    {
        var plot = new Plot();
        plot.Title(title, size: 18);
        plot.XLabel(xLabel, size: 15);
        plot.YLabel(yLabel, size: 15);
        plot.Axes.Bottom.TickLabelStyle.FontSize = plot.Axes.Left.TickLabelStyle.FontSize = 14;
        plot.Axes.Left.MinimumSize = 80;
        plot.Axes.Left.Label.OffsetX = 12;
        plot.Axes.Right.MinimumSize = 25;
        plot.Axes.Bottom.MinimumSize = 70;
        plot.Axes.Bottom.Label.OffsetY = -12;
        plot.Legend.FontSize = 14;
        return plot;
    }

    public static void Line(Plot plot, string name, IEnumerable<Coordinates> points, Color color, LinePattern pattern = default)
    {
        var line = plot.Add.ScatterLine(points.ToArray(), color);
        line.LegendText = name;
        line.LinePattern = pattern;
        line.LineWidth = 2;
    }
}
