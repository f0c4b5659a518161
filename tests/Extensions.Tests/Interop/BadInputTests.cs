using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Bad input gives an error that names the column, the row and what was expected.</summary>
public class BadInputTests
{
    private static readonly MLContext Ml = new(1);

    [Theory]
    [InlineData("Nowhere", "Target", "There is no column 'Nowhere' to be the feature column. Columns are: 'Features', 'Target'")]
    [InlineData("Features", "Nowhere", "There is no column 'Nowhere' to be the label column")]
    [InlineData("Target", "Target", "The feature column 'Target' must be a vector of numbers")]
    [InlineData("Kind", "Target", "The feature column 'Kind' must be a vector of numbers")]
    [InlineData("Features", "Kind", "The label column 'Kind' must be a number (best Single)")]
    [InlineData("Features", "Features", "The label column 'Features' must be a number")]
    public void AWrongColumnIsNamed(string feature, string label, string message)
    {
        var trainer = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small(label) with { FeatureColumnName = feature }));

        var error = Assert.Throws<ArgumentOutOfRangeException>(() => trainer.Fit(Rows.View(Ml, 20)));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        error = Assert.Throws<ArgumentOutOfRangeException>(() => Ml.Transforms.CopyColumns("Copy", "Target").Append(trainer).Fit(Rows.View(Ml, 20)));
        Assert.Contains(message.Split(". ")[0], error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void LabelsOfTheWrongTaskAreRefused()
    {
        Assert.Contains("must be Boolean", Assert.Throws<ArgumentOutOfRangeException>(() => Ml.BinaryClassification.Trainers.CreateTrainer(
            new PlainMlp(PipelineTests.Small("Kind"))).Fit(Rows.View(Ml, 20))).Message, StringComparison.Ordinal);
        Assert.Contains("MapValueToKey", Assert.Throws<ArgumentOutOfRangeException>(() => Ml.MulticlassClassification.Trainers.CreateTrainer(
            new PlainMlp(PipelineTests.Small("Kind"))).Fit(Rows.View(Ml, 20))).Message, StringComparison.Ordinal);
        Assert.Contains("must be a number or Boolean", Assert.Throws<ArgumentOutOfRangeException>(() => Ml.Regression.Trainers.CreateTrainer(
            new PlainMlp(PipelineTests.Small("Target") with { ExampleWeightColumnName = "Kind" })).Fit(Rows.View(Ml, 20))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void DataThatCannotBeTrainedOnAreRefused()
    {
        var regression = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Target")));
        Assert.Contains("There are no rows to train on", Failure(() => regression.Fit(Rows.View(Ml, []))), StringComparison.Ordinal);

        var unlabelled = Rows.Make(30);
        unlabelled.ForEach(row => row.Target = float.NaN);
        Assert.Contains("the label 'Target' is missing in all 30 rows", Failure(() => regression.Fit(Rows.View(Ml, unlabelled))), StringComparison.Ordinal);

        var oneSided = Rows.Make(30).Where(row => row.Flag);
        var binary = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Flag")));
        Assert.Contains("The label 'Flag' is true in all", Failure(() => binary.Fit(Rows.View(Ml, oneSided))), StringComparison.Ordinal);

        var broken = Rows.Make(30);
        broken[17].Features[3] = float.NaN;
        Assert.Contains("Column 'Features', row 17, slot 3 is NaN", Failure(() => regression.Fit(Rows.View(Ml, broken))), StringComparison.Ordinal);

        var wild = Rows.Make(30);
        wild[5].Target = float.PositiveInfinity;
        Assert.Contains("The label column 'Target' is Infinity in row 5", Failure(() => regression.Fit(Rows.View(Ml, wild))), StringComparison.Ordinal);

        var negative = Rows.Make(30);
        negative[7].Weight = -1;
        Assert.Contains("is -1 in row 7", Failure(() => Ml.Regression.Trainers.CreateTrainer(
            new PlainMlp(PipelineTests.Small("Target") with { ExampleWeightColumnName = "Weight" })).Fit(Rows.View(Ml, negative))), StringComparison.Ordinal);
    }

    [Fact]
    public void RowsWithoutALabelAreSkippedAndCounted()
    {
        var ml = new MLContext(1);
        var lines = new List<string>();
        ml.Log += (_, line) => lines.Add(line.Message);
        var rows = Rows.Make(100);
        rows[3].Target = rows[50].Target = float.NaN;

        ml.Regression.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Target") with { Epochs = 1 })).Fit(Rows.View(ml, rows));

        Assert.Contains(lines, line => line.Contains("2 rows without a label were skipped.", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("98 rows of 5 features", StringComparison.Ordinal));
    }

    [Fact]
    public void WhatCannotBeScoredIsRefusedByCursorAndEngine()
    {
        var model = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Target") with { Epochs = 1 })).Fit(Rows.View(Ml, 100));

        var narrow = Ml.Transforms.Concatenate("Features", "Target", "Weight").Fit(Rows.View(Ml, 10)).Transform(Rows.View(Ml, 10));
        Assert.ThrowsAny<ArgumentOutOfRangeException>(() => model.Transform(narrow).GetColumn<float>("Score").ToArray());

        var broken = Rows.Make(200);
        broken[130].Features[2] = float.PositiveInfinity;
        Assert.Contains("Column 'Features', row 130, slot 2 is Infinity", Failure(() => model.Transform(Rows.View(Ml, broken)).GetColumn<float>("Score").ToArray()), StringComparison.Ordinal);
        using var engine = Ml.Model.CreatePredictionEngine<Rows.Row, Scored>(model);
        Assert.Contains("slot 2 is Infinity", Failure(() => engine.Predict(broken[130])), StringComparison.Ordinal);
    }

    [Fact]
    public void MissingValuesAreTakenWhereTheMethodTakesThem()
    {
        var broken = Rows.Make(200);
        broken[130].Features[2] = float.NaN;
        var clean = Rows.Make(200);
        var model = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Target") with { Epochs = 1, AcceptsMissing = true })).Fit(Rows.View(Ml, clean));

        // The plain network makes NaN of NaN, which is still never handed out silently.
        Assert.Contains("score of row 130 is not finite", Failure(() => model.Transform(Rows.View(Ml, broken)).GetColumn<float>("Score").ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public void AClassUnseenInTrainingIsNoLabelAtScoring()
    {
        var pipeline = Ml.Transforms.Conversion.MapValueToKey("Key", "Kind")
            .Append(Ml.MulticlassClassification.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Key") with { Epochs = 5 })));
        var model = pipeline.Fit(Rows.View(Ml, 500));
        var rows = Rows.Make(300, seed: 2);
        rows[0].Kind = "unheard of";

        var metrics = Ml.MulticlassClassification.Evaluate(model.Transform(Rows.View(Ml, rows)), "Key");

        Assert.InRange(metrics.MicroAccuracy, 0.5, 1);
        Assert.Equal(300, model.Transform(Rows.View(Ml, rows)).GetColumn<uint>("PredictedLabel").Count(key => key > 0));
    }

    [Fact]
    public void OptionsAreCheckedWhenTheTrainerIsMadeAllAtOnce()
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => Ml.Regression.Trainers.CreateTrainer(
            new PlainMlp(new() { LearningRate = -1, Epochs = 0, ValidationFraction = double.NaN, Hidden = 0 })));
        foreach (var part in (string[])["PlainMlp", "'LearningRate' must be greater than 0", "but was -1", "'Epochs' must be at least 1", "'ValidationFraction'", "NaN", "'Hidden'"])
            Assert.Contains(part, error.Message, StringComparison.Ordinal);

        Assert.Contains("'ClassWeights'", Assert.Throws<ArgumentOutOfRangeException>(() => Ml.Regression.Trainers.CreateTrainer(
            new PlainMlp(new() { ClassWeights = ClassWeights.Balanced }))).Message, StringComparison.Ordinal);
        Assert.Contains("one weight for each of the 2 classes, but has 3", Assert.Throws<ArgumentOutOfRangeException>(() => Ml.BinaryClassification.Trainers.CreateTrainer(
            new PlainMlp(PipelineTests.Small("Flag") with { ClassWeights = ClassWeights.Of(1, 2, 3) })).Fit(Rows.View(Ml, 50))).Message, StringComparison.Ordinal);
    }

    private static string Failure(Func<object> action) => Assert.ThrowsAny<Exception>(action).GetBaseException().Message;

    private sealed class Scored
    {
        public float Score { get; set; }
    }
}
