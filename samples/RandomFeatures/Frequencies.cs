using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.RandomFeatures;

namespace RandomFeatures;

/// <summary>A wave that no width helps a narrow range of weights to learn: what the diagnostic says, and what the search does about it.</summary>
internal static class Frequencies
{
    public sealed class Point
    {
        [VectorType(1)]
        public float[] Features { get; set; } = [];

        public float Label { get; set; }
    }

    public static void Run(MLContext ml)
    {
        var rows = ml.Data.LoadFromEnumerable(Wave(400));
        var test = ml.Data.LoadFromEnumerable(Wave(1001));
        var options = new RandomFeatureNetwork.Options { Activation = RandomActivation.Gaussian, HiddenUnits = 400 };

        var report = ml.Regression.EvaluateBandwidth(rows, options with { WeightScale = 1 });
        Console.WriteLine("sin 20πx, errors of rows left out (1: nothing learned), by the scale of the weights and the number of units:");
        var widths = report.Points.Select(point => point.Units).Distinct().Order().ToArray();
        Console.WriteLine($"{"scale",8}{string.Concat(widths.Select(width => $"{width,10}"))}");
        foreach (var scale in report.Points.GroupBy(point => point.Scale))
            Console.WriteLine($"{scale.Key,8:G4}{string.Concat(scale.OrderBy(point => point.Units).Select(point => $"{point.ValidationError,10:F4}"))}");
        foreach (var finding in report.Findings)
            Console.WriteLine($"at scale {report.Scale}: {finding}");

        foreach (var scale in new double?[] { 1, null })
        {
            var model = ml.Regression.Trainers.RandomFeatureNetwork(options with { WeightScale = scale }).Fit(rows);
            var error = ml.Regression.Evaluate(model.Transform(test)).RootMeanSquaredError;
            var chosen = RandomFeatureNetwork.GetDiagnostics(model)!.Scale;
            Console.WriteLine($"{(scale is null ? $"scale searched for: {chosen:G4}" : $"scale given: {scale:G4}"),-26} RMSE {error:F4} on 1,001 other points");
        }
    }

    private static Point[] Wave(int count) =>
    [
        .. Enumerable.Range(0, count).Select(i => -1 + (2.0 * i / (count - 1))).Select(x => new Point { Features = [(float)x], Label = (float)Math.Sin(20 * Math.PI * x) }),
    ];
}
