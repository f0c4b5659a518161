using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Pictures;
using MlNetMlp.Tabular;

namespace Explain;

/// <summary>What a network of 30 measures looks at, row by row and on the whole, beside ML.NET's own explanations.</summary>
internal static class BreastCancer
{
    public static void Run(MLContext ml, ExplanationReport report, string folder)
    {
        var file = Path.Combine(AppContext.BaseDirectory, "data", "breast_cancer.csv");
        var names = File.ReadLines(file).First().Split(',')[..30];
        var columns = names.Select((name, i) => new TextLoader.Column(name, DataKind.Single, i)).Append(new("Label", DataKind.Boolean, 30));
        var rows = ml.Data.LoadFromTextFile(file, [.. columns], separatorChar: ',', hasHeader: true);
        var split = ml.Data.TrainTestSplit(rows, testFraction: 0.25, seed: 1);
        var features = ml.Transforms.Concatenate("Features", names).Append(ml.Transforms.NormalizeMeanVariance("Features", fixZero: false)).Fit(split.TrainSet);
        var (train, test) = (features.Transform(split.TrainSet), features.Transform(split.TestSet));

        // A model with its explanation is one file: rows of raw columns go in, predictions and contributions come out.
        var options = new ScaledMlp.Options { Width = 32, Epochs = 40, Seed = 1 };
        var network = ml.BinaryClassification.Trainers.ScaledMlp(options).Fit(train);
        var explain = ml.Transforms.ExplainPrediction(network).Fit(train);
        var path = Path.Combine(folder, "breast-cancer.zip");
        ModelFile.Save(ml, features.Append(network).Append(explain), rows.Schema, path);
        var ours = ModelFile.Load(ml, path, out _).Transform(split.TestSet);
        Console.WriteLine($"breast cancer, accuracy of the network {ml.BinaryClassification.Evaluate(ours).Accuracy:0.000}");

        var permuted = ml.BinaryClassification.PermutationFeatureImportanceNonCalibrated(network, test, permutationCount: 10);
        float[] attribution = MeanAbsolute(ours), importance = [.. names.Select(name => (float)-permuted[name].AreaUnderRocCurve.Mean)];
        Console.WriteLine($"rank correlation of its mean |contribution| with its permutation importance {RankCorrelation(attribution, importance):0.00}");

        // Of a linear model the slopes, found by its scores alone, times the features are what ML.NET calculates.
        var linear = ml.BinaryClassification.Trainers.SdcaLogisticRegression().Fit(train);
        var theirs = ml.Transforms.CalculateFeatureContribution(linear, 30, 30, normalize: false).Fit(test).Transform(test);
        var slopes = ml.Transforms.ExplainPrediction(linear, new() { Method = ExplanationMethod.SmoothedFiniteDifference, Samples = 1000 }).Fit(train).Transform(test);
        float[] contribution = MeanAbsolute(theirs), product = MeanAbsolute(slopes, times: "Features");
        Console.WriteLine($"rank correlation with CalculateFeatureContribution of a linear model {RankCorrelation(attribution, contribution):0.00}; of the linear model's own slopes times features {RankCorrelation(product, contribution):0.00}");

        report.Add("Breast cancer: the first row", "What speaks for and against malignant.", ExplanationPicture.Bars(ours, 0))
            .Add("Breast cancer: mean |contribution| of the network", "Integrated gradients of the test rows.", ExplanationPicture.Bars(names, attribution))
            .Add("Breast cancer: permutation importance of the network", "Loss of area under the curve.", ExplanationPicture.Bars(names, importance))
            .Add("Breast cancer: mean |contribution| of a linear model", "CalculateFeatureContribution.", ExplanationPicture.Bars(names, contribution))
            .Add("Breast cancer: slopes times features of the same linear model", "ExplainPrediction by scores alone.", ExplanationPicture.Bars(names, product));

        // Whether to believe it: networks trained on the features ranked first and last.
        var byLabel = ml.Transforms.ExplainPrediction(network, new() { Target = ExplanationTarget.TrueLabel }).Fit(train);
        var retrained = ml.Model.EvaluateDiffRoar(
            byLabel, seed => ml.BinaryClassification.Trainers.ScaledMlp(options with { Seed = seed }), train, test, new() { Levels = [0.5, 0.2, 0.1, 0.05], Repeats = 2 });
        Console.WriteLine($"accuracy of networks trained on the features ranked first minus last: {string.Join(", ", retrained.Points.Select(point => $"{point.Mean:+0.000;-0.000} with {point.Level:P0}"))}");
        report.Add("Breast cancer: trained on the features ranked first and last", "Explanations are to be believed where the first are worth more.", ExplanationPicture.DiffRoar(retrained));
    }

    private static float[] MeanAbsolute(IDataView explained, string? times = null)
    {
        float[][] rows = [.. explained.GetColumn<float[]>("FeatureContributions")];
        float[][] factors = times is null ? [.. rows.Select(row => row.Select(_ => 1f).ToArray())] : [.. explained.GetColumn<float[]>(times)];
        return [.. rows[0].Select((_, slot) => rows.Zip(factors, (row, factor) => Math.Abs(row[slot] * factor[slot])).Average())];
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
