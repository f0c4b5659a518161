using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Pictures;

namespace Explain;

/// <summary>Which pixels speak for the digit that a network reads.</summary>
internal static class Digits
{
    private const int Shown = 4;

    public static void Run(MLContext ml, ExplanationReport report)
    {
        var file = Path.Combine(AppContext.BaseDirectory, "data", "digits.csv");
        TextLoader.Column[] columns = [new("Features", DataKind.Single, 0, 63), new("Digit", DataKind.Single, 64)];
        var rows = ml.Data.LoadFromTextFile(file, columns, separatorChar: ',', hasHeader: true);
        var split = ml.Data.TrainTestSplit(ml.Transforms.Conversion.MapValueToKey("Label", "Digit").Fit(rows).Transform(rows), testFraction: 0.25, seed: 1);
        var network = ml.MulticlassClassification.Trainers.ScaledMlp(new() { Seed = 1 }).Fit(split.TrainSet);
        Console.WriteLine($"digits, accuracy of the network {ml.MulticlassClassification.Evaluate(network.Transform(split.TestSet)).MicroAccuracy:0.000}");

        var contributions = ml.Transforms.ExplainPrediction(network).Fit(split.TrainSet).Transform(ml.Data.TakeRows(split.TestSet, Shown));
        var explained = ml.Transforms.Conversion.MapKeyToValue("Read", "ExplainedClass").Fit(contributions).Transform(contributions);
        var read = explained.GetColumn<float>("Read").ToArray();
        foreach (var (pixels, i) in explained.GetColumn<float[]>("FeatureContributions").Select((pixels, i) => (pixels, i)))
            report.Add($"Digit {i + 1}, read as {read[i]}", "Red pixels speak for it, blue ones against.", ExplanationPicture.HeatMap(pixels, 8, 8));
    }
}
