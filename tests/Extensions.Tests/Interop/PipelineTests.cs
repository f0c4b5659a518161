using System.Reflection;
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

    [Fact]
    public void CrossValidatesWithWeightsBehindACache()
    {
        var options = Small("Target") with { ExampleWeightColumnName = "Weight" };
        var pipeline = Ml.Transforms.NormalizeMinMax("Features").AppendCacheCheckpoint(Ml)
            .Append(Ml.Regression.Trainers.CreateTrainer(new PlainMlp(options)));

        var folds = Ml.Regression.CrossValidate(Rows.View(Ml, 1500), pipeline, 3, "Target");

        Assert.Equal(3, folds.Count);
        Assert.All(folds, fold => Assert.True(fold.Metrics.RSquared > 0.9, $"R² {fold.Metrics.RSquared}"));
    }

    [Fact]
    public void PermutationFeatureImportanceFindsTheFeaturesThatCount()
    {
        var data = Rows.View(Ml, 1000);
        var model = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Small("Target"))).Fit(data);

        var importance = Ml.Regression.PermutationFeatureImportance(model, data, "Target");

        var loss = importance.Select(slot => slot.MeanAbsoluteError.Mean).ToArray();
        Assert.Equal(Rows.Width, loss.Length);
        Assert.All(loss[2..], other => Assert.True(Math.Min(loss[0], loss[1]) > 10 * Math.Abs(other)));
    }

    [Fact]
    public void PredictionEngineGivesTheScoresOfTheDataViewToTheBit()
    {
        var rows = Rows.Make(300);
        foreach (var dense in (bool[])[true, false])
        {
            var model = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Small("Flag") with { IsDense = dense })).Fit(Rows.View(Ml, rows));
            var scored = Ml.Data.CreateEnumerable<Prediction>(model.Transform(Rows.View(Ml, rows)), reuseRowObject: false).ToArray();
            using var engine = Ml.Model.CreatePredictionEngine<Rows.Row, Prediction>(model);

            for (var i = 0; i < rows.Count; i++)
            {
                var single = engine.Predict(rows[i]);
                Assert.Equal(scored[i].PredictedLabel, single.PredictedLabel);
                if (dense)
                    Assert.Equal((scored[i].Score, scored[i].Probability), (single.Score, single.Probability));
                else
                    Assert.InRange(single.Score, scored[i].Score - (2e-6f * (1 + MathF.Abs(scored[i].Score))), scored[i].Score + (2e-6f * (1 + MathF.Abs(scored[i].Score))));
            }
        }
    }

    [Fact]
    public void MetaTrainersTakeNetworks()
    {
        var data = Ml.Transforms.Conversion.MapValueToKey("Key", "Kind").Fit(Rows.View(Ml, 900)).Transform(Rows.View(Ml, 900));
        var binary = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Small("Key") with { Epochs = 15 }));

        var oneVersusAll = Ml.MulticlassClassification.Trainers.OneVersusAll(binary, "Key").Fit(data);
        var coupled = Ml.MulticlassClassification.Trainers.PairwiseCoupling(binary, "Key").Fit(data);

        Assert.True(Ml.MulticlassClassification.Evaluate(oneVersusAll.Transform(data), "Key").MicroAccuracy > 0.85);
        Assert.True(Ml.MulticlassClassification.Evaluate(coupled.Transform(data), "Key").MicroAccuracy > 0.85);
    }

    [Fact]
    public void ScoresCanBeCalibratedAndTheThresholdMoved()
    {
        var data = Rows.View(Ml, 1000);
        var model = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Small("Flag"))).Fit(data);

        var calibrated = Ml.BinaryClassification.Calibrators.Platt("Flag").Fit(model.Transform(data)).Transform(model.Transform(data));
        Assert.True(Ml.BinaryClassification.Evaluate(calibrated, "Flag").Accuracy > 0.95);

        var strict = Ml.BinaryClassification.ChangeModelThreshold(model, 3f);
        var scores = strict.Transform(data).GetColumn<float>("Score").ToArray();
        Assert.Equal(scores.Select(score => score > 3), strict.Transform(data).GetColumn<bool>("PredictedLabel"));
        Assert.Contains(scores, score => score is > 0 and < 3);
    }

    [Theory]
    [InlineData("Target")]
    [InlineData("Flag")]
    [InlineData("Key")]
    public void TheSchemaPromisedIsTheSchemaDelivered(string label)
    {
        var data = Ml.Transforms.Conversion.MapValueToKey("Key", "Kind").Fit(Rows.View(Ml, 200)).Transform(Rows.View(Ml, 200));
        var options = new PlainMlp(Small(label) with { Epochs = 1 });
        IEstimator<ITransformer> trainer = label switch
        {
            "Target" => Ml.Regression.Trainers.CreateTrainer(options),
            "Flag" => Ml.BinaryClassification.Trainers.CreateTrainer(options),
            _ => Ml.MulticlassClassification.Trainers.CreateTrainer(options),
        };

        var promised = trainer.GetOutputSchema(ShapeOf(data.Schema)).ToDictionary(column => column.Name);
        var delivered = ShapeOf(trainer.Fit(data).Transform(data).Schema).ToDictionary(column => column.Name);

        Assert.Equal(promised.Keys.Order(), delivered.Keys.Order());
        foreach (var (name, column) in promised)
        {
            Assert.Equal((column.Kind, column.ItemType.ToString(), column.IsKey), (delivered[name].Kind, delivered[name].ItemType.ToString(), delivered[name].IsKey));
            Assert.Subset(column.Annotations.Select(a => a.Name).ToHashSet(), delivered[name].Annotations.Select(a => a.Name).Where(a => name is "Score" or "Probability" or "PredictedLabel").ToHashSet());
        }
    }

    [Fact]
    public void TheLogNamesDeviceAndLibTorch()
    {
        var ml = new MLContext(1);
        var lines = new List<string>();
        ml.Log += (_, line) => lines.Add(line.Message);

        ml.Regression.Trainers.CreateTrainer(new PlainMlp(Small("Target") with { Epochs = 1 })).Fit(Rows.View(ml, 100));

        Assert.Contains(lines, line => line.Contains("CPU", StringComparison.Ordinal) && line.Contains("libtorch", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("100 rows of 5 features", StringComparison.Ordinal));
    }

    [Fact]
    public void AGpuThatIsNotThereIsAnErrorOrTheCpuAsTheContextSays()
    {
        var wanted = new MLContext(1) { GpuDeviceId = 99, FallbackToCpu = false };
        var error = Assert.Throws<InvalidOperationException>(
            () => wanted.Regression.Trainers.CreateTrainer(new PlainMlp(Small("Target"))).Fit(Rows.View(wanted, 100)));
        Assert.Contains("GPU 99", error.Message, StringComparison.Ordinal);

        var lenient = new MLContext(1) { GpuDeviceId = 99, FallbackToCpu = true };
        Assert.NotNull(lenient.Regression.Trainers.CreateTrainer(new PlainMlp(Small("Target") with { Epochs = 1 })).Fit(Rows.View(lenient, 100)));
    }

    // What a chain of estimators passes on is made by a method that ML.NET keeps to itself.
    private static SchemaShape ShapeOf(DataViewSchema schema) =>
        (SchemaShape)typeof(SchemaShape).GetMethod("Create", BindingFlags.Static | BindingFlags.NonPublic)!.Invoke(null, [schema])!;

    private sealed class Prediction
    {
        public float Score { get; set; }

        public float Probability { get; set; }

        public bool PredictedLabel { get; set; }
    }
}
