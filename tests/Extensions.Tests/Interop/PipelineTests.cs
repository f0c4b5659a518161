using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>What users of ML.NET do with a trainer.</summary>
public class PipelineTests
{
    private static readonly MLContext Ml = new(1);

    public static PlainMlp.Options Small(string label) => new() { LabelColumnName = label, Epochs = 30, Hidden = 16, LearningRate = 0.01 };

    [Fact]
    public void RegressionLearnsAndEvaluates()
    {
        var model = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Small("Target"))).Fit(Rows.View(Ml, 2000));

        var metrics = Ml.Regression.Evaluate(model.Transform(Rows.View(Ml, 500, seed: 2)), "Target");

        Assert.True(metrics.RSquared > 0.95, $"R² {metrics.RSquared}");
    }

    [Fact]
    public void BinaryLearnsAndEvaluates()
    {
        var model = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Small("Flag"))).Fit(Rows.View(Ml, 2000));

        var metrics = Ml.BinaryClassification.Evaluate(model.Transform(Rows.View(Ml, 500, seed: 2)), "Flag");

        Assert.True(metrics.Accuracy > 0.95, $"accuracy {metrics.Accuracy}");
        Assert.True(metrics.LogLoss < 0.3, $"log loss {metrics.LogLoss}");
    }

    [Fact]
    public void MulticlassLearnsAndGivesBackTheNames()
    {
        var pipeline = Ml.Transforms.Conversion.MapValueToKey("Key", "Kind")
            .Append(Ml.MulticlassClassification.Trainers.CreateTrainer(new PlainMlp(Small("Key"))))
            .Append(Ml.Transforms.Conversion.MapKeyToValue("Answer", "PredictedLabel"));
        var model = pipeline.Fit(Rows.View(Ml, 2000));
        var scored = model.Transform(Rows.View(Ml, 500, seed: 2));

        var metrics = Ml.MulticlassClassification.Evaluate(scored, "Key");
        Assert.True(metrics.MicroAccuracy > 0.9, $"accuracy {metrics.MicroAccuracy}");
        var right = scored.GetColumn<string>("Answer").Zip(scored.GetColumn<string>("Kind"), (a, b) => a == b).Average(same => same ? 1.0 : 0);
        Assert.Equal(metrics.MicroAccuracy, right, 6);
        VBuffer<ReadOnlyMemory<char>> names = default;
        scored.Schema["Score"].GetSlotNames(ref names);
        Assert.Equal(Rows.Make(2000).Select(row => row.Kind).Distinct(), names.DenseValues().Select(name => name.ToString()));
    }
}
