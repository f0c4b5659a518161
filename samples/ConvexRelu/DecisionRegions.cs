using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Convex;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Tabular;
using ScottPlot;
using ScottPlot.MultiplotLayouts;
using static Quickstart.PlotStyle;

namespace ConvexReluSample;

/// <summary>Two features, so that one can look at it: what plain, convex and robust training make of the same points, and how they hold under attack.</summary>
internal static class DecisionRegions
{
    private const int Pixels = 200;
    private const double Limit = 3;
    private const double Radius = 0.3;

    public static void Run(MLContext ml, string path)
    {
        var points = Points(160, seed: 1);
        var (train, test) = (ml.Data.LoadFromEnumerable(points), ml.Data.LoadFromEnumerable(Points(500, seed: 2)));
        var trainers = ml.BinaryClassification.Trainers;
        UseOwnFont();
        var figure = new Multiplot { Layout = new Columns() };
        figure.AddPlots(0);
        Console.WriteLine($"{"two features, test points",-52}{"as they are",14}{"moved by 0.3",14}{"for certain",14}");
        foreach (var (name, trainer) in new (string, IEstimator<ITransformer>)[]
        {
            ("plain: ScaledMlp", trainers.ScaledMlp(new ScaledMlp.Options())),
            ("convex: ConvexRelu", trainers.ConvexRelu(new ConvexRelu.Options { PatternSource = ConvexReluPatternSource.GaussianPlusTrainedNetwork, ValidationFraction = 0 })),
            ("robust: RobustConvexRelu", trainers.RobustConvexRelu(new RobustConvexRelu.Options { Epsilon = Radius, Unit = PerturbationUnit.One, ValidationFraction = 0 })),
        })
        {
            var model = trainer.Fit(train);
            var report = ml.BinaryClassification.EvaluateRobustness(test, model, new RobustnessOptions { Radii = [Radius], Unit = PerturbationUnit.One });
            var certain = report.Points[0].CertifiedAccuracy is { } share ? $"{share:P1}" : "unknown";
            Console.WriteLine($"{name,-52}{report.CleanAccuracy,14:P1}{report.Points[0].AttackedAccuracy,14:P1}{certain,14}");
            figure.AddPlot(Draw(ml, name, model, points));
        }

        figure.SavePng(path, 1650, 600);
        Console.WriteLine($"Decision regions: {path}");
    }

    private static Plot Draw(MLContext ml, string name, ITransformer model, Point[] points)
    {
        var plot = Panel(name, "first feature", "second feature");
        var grid = Enumerable.Range(0, Pixels * Pixels).Select(i => new Point { Features = [Place(i % Pixels), -Place(i / Pixels)] });
        var probabilities = model.Transform(ml.Data.LoadFromEnumerable(grid)).GetColumn<float>("Probability").ToArray();
        var image = new double[Pixels, Pixels];
        Buffer.BlockCopy(probabilities.Select(p => (double)p).ToArray(), 0, image, 0, sizeof(double) * probabilities.Length);
        var map = plot.Add.Heatmap(image);
        map.Colormap = new ScottPlot.Colormaps.CustomInterpolated([SeriesColor(0), Colors.White, SeriesColor(1)]);
        map.ManualRange = new(0, 1);
        map.Position = new CoordinateRect(-Limit, Limit, -Limit, Limit);
        map.Opacity = 0.75;
        foreach (var (label, text) in new[] { (true, "yes"), (false, "no") })
        {
            var markers = plot.Add.Markers(points.Where(point => point.Label == label).Select(point => new Coordinates(point.Features[0], point.Features[1])).ToArray());
            (markers.Color, markers.MarkerSize, markers.LegendText) = (SeriesColor(label ? 1 : 0).Darken(0.4), 7, text);
        }

        plot.Axes.SetLimits(-Limit, Limit, -Limit, Limit);
        plot.ShowLegend(Alignment.UpperRight);
        return plot;
    }

    private static float Place(int pixel) => (float)((((pixel + 0.5) / Pixels) - 0.5) * 2 * Limit);

    // Two half moons, one inside of the other.
    private static Point[] Points(int count, int seed)
    {
        var random = new Random(seed);
        return
        [
            .. Enumerable.Range(0, count).Select(i =>
            {
                var (isFirst, angle) = (i % 2 == 0, Math.PI * random.NextDouble());
                var (x, y) = isFirst ? ((2 * Math.Cos(angle)) - 1, (2 * Math.Sin(angle)) - 0.5) : (1 - (2 * Math.Cos(angle)), 0.5 - (2 * Math.Sin(angle)));
                return new Point { Features = [(float)(x + Noise()), (float)(y + Noise())], Label = isFirst };
            }),
        ];

        double Noise() => 0.25 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
    }

    private sealed class Point
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [];

        public bool Label { get; set; }
    }
}
