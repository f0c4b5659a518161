using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Pictures;

namespace Explain;

/// <summary>What a network of 30 measures looks at, row by row and on the whole, beside ML.NET's own explanations.</summary>
internal static class BreastCancer
{
    public static void Run(MLContext ml, ExplanationReport report)
    {
        var file = Path.Combine(AppContext.BaseDirectory, "data", "breast_cancer.csv");
        var names = File.ReadLines(file).First().Split(',')[..30];
        var columns = names.Select((name, i) => new TextLoader.Column(name, DataKind.Single, i)).Append(new("Label", DataKind.Boolean, 30));
        var rows = ml.Data.LoadFromTextFile(file, [.. columns], separatorChar: ',', hasHeader: true);
        var prepared = ml.Transforms.Concatenate("Features", names).Append(ml.Transforms.NormalizeMeanVariance("Features", fixZero: false)).Fit(rows).Transform(rows);
        var split = ml.Data.TrainTestSplit(prepared, testFraction: 0.25, seed: 1);

        var network = ml.BinaryClassification.Trainers.ScaledMlp(new() { Seed = 1 }).Fit(split.TrainSet);
        var linear = ml.BinaryClassification.Trainers.SdcaLogisticRegression().Fit(split.TrainSet);
        var ours = ml.Transforms.ExplainPrediction(network).Fit(split.TrainSet).Transform(split.TestSet);
        var theirs = ml.Transforms.CalculateFeatureContribution(linear, 30, 30, normalize: false).Fit(split.TestSet).Transform(split.TestSet);
        var permuted = ml.BinaryClassification.PermutationFeatureImportanceNonCalibrated(network, split.TestSet, permutationCount: 10);

        float[] attribution = MeanAbsolute(ours), contribution = MeanAbsolute(theirs);
        float[] importance = [.. names.Select(name => (float)-permuted[name].AreaUnderRocCurve.Mean)];
        Console.WriteLine($"breast cancer, accuracy of the network {ml.BinaryClassification.EvaluateNonCalibrated(network.Transform(split.TestSet)).Accuracy:0.000}");
        Console.WriteLine($"rank correlation of its mean |contribution| with its permutation importance {RankCorrelation(attribution, importance):0.00}, "
            + $"with CalculateFeatureContribution of a linear model {RankCorrelation(attribution, contribution):0.00}");
        report.Add("Breast cancer: mean |contribution| of the network", "Integrated gradients of the test rows.", ExplanationPicture.Bars(names, attribution))
            .Add("Breast cancer: permutation importance of the network", "Loss of area under the curve.", ExplanationPicture.Bars(names, importance))
            .Add("Breast cancer: mean |contribution| of a linear model", "CalculateFeatureContribution.", ExplanationPicture.Bars(names, contribution))
            .Add("Breast cancer: the first row", "What speaks for and against true.", ExplanationPicture.Bars(ours, 0));
    }

    private static float[] MeanAbsolute(IDataView explained)
    {
        float[][] rows = [.. explained.GetColumn<float[]>("FeatureContributions")];
        return [.. rows[0].Select((_, slot) => rows.Average(row => Math.Abs(row[slot])))];
    }

    private static double RankCorrelation(float[] a, float[] b)
    {
        var (first, second) = (Ranks(a), Ranks(b));
        var mean = first.Average();
        var covariance = first.Zip(second, (x, y) => (x - mean) * (y - mean)).Sum();
        return covariance / Math.Sqrt(first.Sum(x => (x - mean) * (x - mean)) * second.Sum(y => (y - mean) * (y - mean)));

        // Equal values share the mean of their ranks.
        static double[] Ranks(float[] values) => [.. values.Select(value => values.Count(other => other < value) + ((values.Count(other => other == value) - 1) / 2.0))];
    }
}
