using Microsoft.ML;
using ScottPlot;
using ScottPlot.MultiplotLayouts;

namespace Quickstart;

/// <summary>One picture with a column per data set: losses by epoch, where a trainer keeps them, above what the models predict.</summary>
internal static class Picture
{
    private const int PanelSize = 600;

    public static void Draw(MLContext ml, IEnumerable<Entry> entries, string path)
    {
        PlotStyle.UseOwnFont();
        Entry[][] columns = [.. entries.GroupBy(entry => entry.Problem).Select(group => group.ToArray())];
        Plot?[][] rows = [[.. columns.Select(Panels.LearningCurves)], [.. columns.Select(column => Panels.Predictions(ml, column))]];
        rows = [.. rows.Where(row => row.Any(panel => panel is not null))];

        var figure = new Multiplot();
        figure.AddPlots(0);
        var layout = new CustomGrid();
        foreach (var (r, row) in rows.Index())
        {
            foreach (var (c, panel) in row.Index())
            {
                if (panel is null) continue;
                figure.AddPlot(panel);
                layout.Set(panel, new GridCell(r, c, rows.Length, columns.Length));
            }
        }

        figure.Layout = layout;
        figure.SavePng(path, columns.Length * PanelSize, rows.Length * PanelSize);
    }
}
