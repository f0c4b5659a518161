using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Data and options that cannot be used: the error says which column, row or option, what was found and what was expected.</summary>
public class BadInputTests
{
    private static readonly MLContext Ml = new(1);

    private static readonly string[] Names = ["Features", "Target", "Flag", "Kind", "Weight", "Held", "Number"];

    public sealed class Odd
    {
        [VectorType(3)]
        public float[] Features { get; set; } = [];

        public float[] Loose { get; set; } = [];

        [VectorType(3)]
        public string[] Words { get; set; } = [];

        [VectorType(3)]
        public double[] Doubles { get; set; } = [];

        public float Scalar { get; set; }

        public string Text { get; set; } = "";

        public bool Flag { get; set; }

        public double Real { get; set; }

        public int Whole { get; set; }

        [KeyType(3)]
        public uint Key { get; set; }

        public DateTime Time { get; set; }
    }

    private static IDataView Odds(Action<Odd, int>? change = null)
    {
        var random = new DeterministicRandom(5);
        var rows = new List<Odd>();
        for (var i = 0; i < 60; i++)
        {
            float[] x = [(float)random.NextDouble(), (float)random.NextDouble(), (float)random.NextDouble()];
            var row = new Odd
            {
                Features = x,
                Loose = x,
                Words = ["a", "b", "c"],
                Doubles = [x[0], x[1], x[2]],
                Scalar = x[0],
                Text = "text",
                Flag = i % 2 == 0,
                Real = x[1],
                Whole = i % 2,
                Key = (uint)(i % 3),
                Time = DateTime.UnixEpoch,
            };
            change?.Invoke(row, i);
            rows.Add(row);
        }

        return Ml.Data.LoadFromEnumerable(rows);
    }

    private static IEstimator<ITransformer> Trainer(TaskKind task, PlainMlp.Options options) => task switch
    {
        TaskKind.Regression => Ml.Regression.Trainers.CreateTrainer(new PlainMlp(options)),
        TaskKind.Binary => Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(options)),
        TaskKind.MultiOutputRegression => Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(options)),
        _ => Ml.MulticlassClassification.Trainers.CreateTrainer(new PlainMlp(options)),
    };

    private static PlainMlp.Options Options(string label, string feature = "Features") =>
        new() { LabelColumnName = label, FeatureColumnName = feature, Epochs = 2, Hidden = 4, Seed = 1 };

    /// <summary>The same fault is found before any data are read, in a trainer alone and in a chain, and again when it is fitted.</summary>
    private static void RefusedEverywhere(TaskKind task, PlainMlp.Options options, IDataView data, params string[] parts)
    {
        var trainer = Trainer(task, options);
        var schema = Shape(data.Schema);
        var chain = Ml.Transforms.CopyColumns("Copy", data.Schema[0].Name).Append(trainer);
        Action[] attempts = [() => trainer.GetOutputSchema(schema), () => trainer.Fit(data), () => chain.GetOutputSchema(schema), () => chain.Fit(data)];
        foreach (var attempt in attempts)
        {
            var e = Assert.Throws<ArgumentOutOfRangeException>(attempt);
            Assert.Equal("schema", e.ParamName);
            Assert.All(parts, part => Assert.Contains(part, e.Message, StringComparison.Ordinal));
        }
    }

    // What a chain hands its estimators; ML.NET keeps the way there to itself.
    private static SchemaShape Shape(DataViewSchema schema) =>
        (SchemaShape)typeof(SchemaShape).GetMethod("Create", BindingFlags.Static | BindingFlags.NonPublic)!.Invoke(null, [schema])!;

    private static void RefusedInFit(IEstimator<ITransformer> trainer, IDataView data, params string[] parts)
    {
        var e = Assert.Throws<InvalidOperationException>(() => trainer.Fit(data));
        Assert.All(parts, part => Assert.Contains(part, e.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void A_missing_column_is_named_among_those_that_are_there()
    {
        var data = Rows.View(Ml, 20);
        var there = string.Join(", ", Names.Select(name => $"'{name}'"));
        foreach (var task in Fitted.Tasks)
        {
            RefusedEverywhere(task, Options("Target", "None"), data, "no column 'None' to be the feature column", "'Target'", "'Number'");
            RefusedEverywhere(task, Options("None"), data, "no column 'None' to be the label column", "'Features'");
        }

        RefusedEverywhere(TaskKind.Regression, Options("Target") with { ExampleWeightColumnName = "None" }, data, "no column 'None' to be the example weight column");
        RefusedEverywhere(TaskKind.Regression, Options("Target") with { ValidationColumnName = "None" }, data, "no column 'None' to be the validation column");
        var e = Assert.Throws<ArgumentOutOfRangeException>(() => Trainer(TaskKind.Regression, Options("None")).Fit(data));
        Assert.Contains($"Columns are: {there}.", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Scalar", "Single")]
    [InlineData("Text", "String")]
    [InlineData("Words", "String")]
    [InlineData("Key", "Key")]
    [InlineData("Time", "DateTime")]
    [InlineData("Flag", "Boolean")]
    public void A_feature_column_of_another_type_is_refused(string column, string found) =>
        RefusedEverywhere(TaskKind.Regression, Options("Real", column), Odds(), $"The feature column '{column}' must be a vector of numbers (best Single), but is", found);

    [Fact]
    public void A_feature_vector_of_unknown_size_is_refused() =>
        RefusedEverywhere(TaskKind.Regression, Options("Real", "Loose"), Odds(), "The feature column 'Loose' must be a vector of known size", "Transforms.Concatenate");

    [Theory]
    [InlineData(TaskKind.Regression, "Text", "a number")]
    [InlineData(TaskKind.Regression, "Features", "a number")]
    [InlineData(TaskKind.Regression, "Key", "a number")]
    [InlineData(TaskKind.Regression, "Flag", "a number")]
    [InlineData(TaskKind.Regression, "Time", "a number")]
    [InlineData(TaskKind.Binary, "Text", "Boolean")]
    [InlineData(TaskKind.Binary, "Key", "Boolean")]
    [InlineData(TaskKind.Binary, "Features", "Boolean")]
    [InlineData(TaskKind.Multiclass, "Text", "MapValueToKey")]
    [InlineData(TaskKind.Multiclass, "Scalar", "MapValueToKey")]
    [InlineData(TaskKind.Multiclass, "Flag", "MapValueToKey")]
    [InlineData(TaskKind.Multiclass, "Features", "MapValueToKey")]
    public void A_label_of_another_type_is_refused(TaskKind task, string column, string expected) =>
        RefusedEverywhere(task, Options(column), Odds(), $"The label column '{column}' must be", expected, "but is");

    [Theory]
    [InlineData("Text")]
    [InlineData("Features")]
    [InlineData("Key")]
    [InlineData("Time")]
    public void A_weight_or_validation_column_of_another_type_is_refused(string column)
    {
        RefusedEverywhere(TaskKind.Regression, Options("Real") with { ExampleWeightColumnName = column }, Odds(), $"The example weight column '{column}' must be a number or Boolean, but is");
        RefusedEverywhere(TaskKind.Regression, Options("Real") with { ValidationColumnName = column }, Odds(), $"The validation column '{column}' must be a number or Boolean, but is");
    }

    [Theory]
    [InlineData("Real")]
    [InlineData("Whole")]
    [InlineData("Scalar")]
    public void Numbers_of_every_type_are_labels_and_features(string label)
    {
        var model = Trainer(TaskKind.Regression, Options(label, "Doubles")).Fit(Odds());

        Assert.All(Fitted.Scores(model, Odds()), score => Assert.True(float.IsFinite(score)));
    }

    [Fact]
    public void No_rows_are_refused()
    {
        foreach (var (task, label) in new[] { (TaskKind.Regression, "Target"), (TaskKind.Binary, "Flag") })
            RefusedInFit(Trainer(task, Options(label)), Rows.View(Ml, 0), "There are no rows to train on.");
        RefusedInFit(Trainer(TaskKind.Multiclass, Options("Key")), Ml.Data.FilterRowsByColumn(Odds(), "Scalar", 5), "There are no rows to train on.");
    }

    [Fact]
    public void Labels_that_are_all_missing_are_counted()
    {
        RefusedInFit(Trainer(TaskKind.Regression, Options("Scalar")), Odds((row, _) => row.Scalar = float.NaN), "the label 'Scalar' is missing in all 60 rows");
        RefusedInFit(Trainer(TaskKind.Binary, Options("Scalar")), Odds((row, _) => row.Scalar = float.NaN), "the label 'Scalar' is missing in all 60 rows");
        RefusedInFit(Trainer(TaskKind.Multiclass, Options("Key")), Odds((row, _) => row.Key = 7), "the label 'Key' is missing in all 60 rows");
    }

    [Fact]
    public void One_class_is_refused()
    {
        RefusedInFit(Trainer(TaskKind.Binary, Options("Flag")), Odds((row, _) => row.Flag = true), "The label 'Flag' is true in all 60 rows", "at least two classes");
        RefusedInFit(Trainer(TaskKind.Multiclass, Options("Key")), Odds((row, _) => row.Key = 1), "The label 'Key' is key 2 in all 60 rows");
        var chain = Ml.Transforms.Conversion.MapValueToKey("Label", "Text").Append(Trainer(TaskKind.Multiclass, Options("Label")));
        RefusedInFit(chain, Odds(), "'text'");
    }

    [Theory]
    [InlineData(0.5f)]
    [InlineData(-1f)]
    [InlineData(2f)]
    public void A_number_that_is_no_class_is_refused(float value) =>
        RefusedInFit(
            Trainer(TaskKind.Binary, Options("Scalar")),
            Odds((row, i) => row.Scalar = i == 7 ? value : i % 2),
            "The label column 'Scalar' is " + value.ToString(System.Globalization.CultureInfo.InvariantCulture), "must be 0 or 1");

    [Fact]
    public void Numbers_that_are_not_finite_are_refused_with_their_row()
    {
        RefusedInFit(Trainer(TaskKind.Regression, Options("Scalar")), Odds((row, i) => row.Scalar = i == 7 ? float.PositiveInfinity : 1), "The label column 'Scalar' is Infinity in row 7");
        RefusedInFit(Trainer(TaskKind.Regression, Options("Real")), Odds((row, i) => row.Features[2] = i == 9 ? float.NaN : row.Features[2]), "Column 'Features', row 9, slot 2 is NaN");
        foreach (var bad in new[] { -1f, float.NaN, float.NegativeInfinity })
        {
            RefusedInFit(
                Trainer(TaskKind.Regression, Options("Real") with { ExampleWeightColumnName = "Scalar" }),
                Odds((row, i) => row.Scalar = i == 11 ? bad : 1),
                "The example weight column 'Scalar' is", "in row 11");
        }
    }

    [Fact]
    public void Weights_that_are_all_zero_are_refused() =>
        RefusedInFit(
            Trainer(TaskKind.Regression, Options("Real") with { ExampleWeightColumnName = "Scalar" }), Odds((row, _) => row.Scalar = 0), "the example weight is 0 in all 60 rows");

    [Fact]
    public void A_validation_column_that_is_always_true_is_refused() =>
        RefusedInFit(
            Trainer(TaskKind.Regression, Options("Real") with { ValidationColumnName = "Flag" }), Odds((row, _) => row.Flag = true), "The validation column 'Flag' is true in all rows");

    [Fact]
    public void A_class_that_training_never_saw_is_scored_and_evaluated()
    {
        var training = Rows.Make(300).Where(row => row.Kind != "big").ToList();
        var model = Ml.Transforms.Conversion.MapValueToKey("Key", "Kind")
            .Append(Trainer(TaskKind.Multiclass, Options("Key")))
            .Append(Ml.Transforms.Conversion.MapKeyToValue("Answer", "PredictedLabel"))
            .Fit(Rows.View(Ml, training));
        var other = Rows.Make(100, seed: 3);
        Assert.Contains(other, row => row.Kind == "big");

        var scored = model.Transform(Rows.View(Ml, other));

        Assert.Equal(200, Fitted.Scores(model, Rows.View(Ml, other)).Length);
        Assert.All(scored.GetColumn<string>("Answer"), answer => Assert.Contains(answer, new[] { "small", "medium" }));
        var metrics = Ml.MulticlassClassification.Evaluate(scored, "Key");
        Assert.InRange(metrics.MicroAccuracy, 0.01, 1);
        using var engine = Ml.Model.CreatePredictionEngine<Rows.Row, Answered>(model);
        Assert.Contains(engine.Predict(other.First(row => row.Kind == "big")).Answer, new[] { "small", "medium" });
    }

    public sealed class Answered
    {
        public string Answer { get; set; } = "";
    }

    public sealed class Scored
    {
        public float Score { get; set; }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rows_of_another_width_are_refused(bool isDense)
    {
        var trainer = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Options("Real") with { IsDense = isDense }));
        var model = trainer.Fit(Odds());
        var wide = Ml.Transforms.Concatenate("Features", "Features", "Scalar").Fit(Odds()).Transform(Odds());

        foreach (Action attempt in new Action[] { () => model.Transform(wide), () => model.GetOutputSchema(wide.Schema), () => trainer.Fit(Odds(), wide) })
        {
            var e = Assert.Throws<ArgumentOutOfRangeException>(attempt);
            Assert.Contains("The feature column 'Features' has 4 slots, but the model was trained on 3.", e.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_model_says_what_is_wrong_with_a_feature_column_as_its_trainer_does()
    {
        ITransformer model = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Options("Real"))).Fit(Odds());
        (string Message, IEstimator<ITransformer> Change)[] cases =
        [
            ("There is no column 'Features' to be the feature column. Columns are: 'Loose', ", Ml.Transforms.DropColumns("Features")),
            ("The feature column 'Features' must be a vector of numbers (best Single), but is String.", Ml.Transforms.CopyColumns("Features", "Text")),
            ("The feature column 'Features' must be a vector of known size, but is VarVector<Single>.", Ml.Transforms.CopyColumns("Features", "Loose")),
        ];
        foreach (var (message, change) in cases)
        {
            var data = change.Fit(Odds()).Transform(Odds());
            Action[] attempts = [() => model.Transform(data), () => model.GetOutputSchema(data.Schema), () => model.GetRowToRowMapper(data.Schema)];
            Assert.All(attempts, attempt => Assert.Contains(message, Assert.Throws<ArgumentOutOfRangeException>(attempt).Message, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Validation_data_of_other_columns_or_classes_are_refused()
    {
        var trainer = Ml.MulticlassClassification.Trainers.CreateTrainer(new PlainMlp(Options("Key")));
        var training = Keyed(Rows.Make(60));

        Assert.Contains("'Key'", Assert.Throws<ArgumentOutOfRangeException>(() => trainer.Fit(training, Rows.View(Ml, 30))).Message, StringComparison.Ordinal);

        // The same classes under other numbers would be judged wrong without a word.
        var reversed = Rows.Make(60).AsEnumerable().Reverse().OrderBy(row => row.Kind).ToList();
        var e = Assert.Throws<ArgumentOutOfRangeException>(() => trainer.Fit(training, Keyed(reversed)));
        Assert.Contains("validation", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => trainer.Fit(Keyed([.. Rows.Make(60).Where(row => row.Kind != "big")]), training));
        Assert.NotNull(trainer.Fit(training, Keyed(Rows.Make(60))));

        var none = Assert.Throws<InvalidOperationException>(() => trainer.Fit(training, Ml.Data.FilterRowsByColumn(training, "Weight", 99)));
        Assert.Contains("validation data", none.Message, StringComparison.Ordinal);

        static IDataView Keyed(List<Rows.Row> rows) => Ml.Transforms.Conversion.MapValueToKey("Key", "Kind").Fit(Rows.View(Ml, rows)).Transform(Rows.View(Ml, rows));
    }

    [Fact]
    public void Validation_labels_that_are_no_class_are_refused()
    {
        var trainer = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Options("Scalar")));

        var e = Assert.Throws<InvalidOperationException>(() => trainer.Fit(Odds((row, i) => row.Scalar = i % 2), Odds((row, i) => row.Scalar = i % 3)));

        Assert.Contains("The label column 'Scalar' is 2", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(float.NaN, true)]
    [InlineData(float.NaN, false)]
    [InlineData(float.PositiveInfinity, true)]
    [InlineData(float.NegativeInfinity, false)]
    public void Features_that_are_not_finite_are_named_when_rows_are_scored(float bad, bool isDense)
    {
        var model = Trainer(TaskKind.Regression, Options("Target") with { IsDense = isDense }).Fit(Rows.View(Ml, 60));

        // In the first block, and far behind it.
        foreach (var row in new[] { 0, 63, 64, 2_500 })
        {
            var rows = Rows.Make(3_000);
            rows[row].Features[3] = bad;
            var e = Assert.Throws<InvalidOperationException>(() => model.Transform(Rows.View(Ml, rows)).GetColumn<float>("Score").Count());
            Assert.Contains($"Column 'Features', row {row}, slot 3 is {bad.ToString(System.Globalization.CultureInfo.InvariantCulture)}", e.Message, StringComparison.Ordinal);
        }

        using var engine = Ml.Model.CreatePredictionEngine<Rows.Row, Scored>(model);
        var good = Rows.Make(1)[0];
        var expected = engine.Predict(good).Score;
        var ill = Rows.Make(1)[0];
        ill.Features[3] = bad;
        Assert.Contains("Column 'Features', row ", Assert.Throws<InvalidOperationException>(() => engine.Predict(ill)).Message, StringComparison.Ordinal);
        Assert.Contains(", slot 3 is ", Assert.Throws<InvalidOperationException>(() => engine.Predict(ill)).Message, StringComparison.Ordinal);
        Assert.Equal(expected, engine.Predict(good).Score);
    }

    [Fact]
    public void The_name_of_a_bad_slot_is_told()
    {
        var model = Fitted.Model(TaskKind.Regression);
        var rows = Rows.Make(10);
        rows[4].Weight = float.NaN;

        var e = Assert.Throws<InvalidOperationException>(() => Fitted.Scores(model, Rows.View(Ml, rows)));

        Assert.Contains("row 4, slot 6 ('Weight') is NaN", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rows_that_are_not_scored_are_not_judged()
    {
        var model = Fitted.Model(TaskKind.Regression);
        var rows = Rows.Make(10);
        rows[4].Features[0] = float.NaN;

        Assert.Equal(10, model.Transform(Rows.View(Ml, rows)).GetColumn<float>("Target").Count());
    }

    [Fact]
    public void Scores_that_overflow_are_refused_with_their_row()
    {
        var model = Trainer(TaskKind.Regression, Options("Target")).Fit(Rows.View(Ml, 60));
        var rows = Rows.Make(100);
        rows[70].Features = [.. rows[70].Features.Select((_, i) => i % 2 == 0 ? float.MaxValue : -float.MaxValue)];

        var e = Assert.Throws<InvalidOperationException>(() => model.Transform(Rows.View(Ml, rows)).GetColumn<float>("Score").Count());

        Assert.Contains("score of row 70 is not finite", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_method_that_accepts_missing_values_gets_them()
    {
        // This one maps a missing value to a missing score, so that what is refused is the score and no longer the feature.
        var options = Options("Target") with { AcceptsMissing = true };
        var model = Trainer(TaskKind.Regression, options).Fit(Rows.View(Ml, 60));
        var rows = Rows.Make(10);
        rows[4].Features[0] = float.NaN;

        Assert.True(NetworkModel.Find(model)!.AcceptsMissingValues);
        Assert.True(NetworkModel.Find(ModelZip.Load(ModelZip.Save(model, Rows.View(Ml, 1))))!.AcceptsMissingValues);
        var e = Assert.Throws<InvalidOperationException>(() => model.Transform(Rows.View(Ml, rows)).GetColumn<float>("Score").Count());
        Assert.Contains("score of row 4 is not finite", e.Message, StringComparison.Ordinal);
    }

    public static TheoryData<PlainMlp.Options, string> Wrong => new()
    {
        { Options("Target") with { Epochs = 0 }, "option 'Epochs' must be at least 1 and at most 1000000, but was 0" },
        { Options("Target") with { Hidden = 0 }, "option 'Hidden' must be at least 1 and at most 100000, but was 0" },
        { Options("Target") with { LearningRate = double.NaN }, "option 'LearningRate' must be greater than 0" },
        { Options("Target") with { LearningRate = 0 }, "option 'LearningRate'" },
        { Options("Target") with { Momentum = 1 }, "option 'Momentum'" },
        { Options("Target") with { ValidationFraction = 1 }, "option 'ValidationFraction'" },
        { Options("Target") with { LabelSmoothing = -0.1 }, "option 'LabelSmoothing'" },
        { Options("Target") with { Seed = -1 }, "option 'Seed'" },
        { Options("Target") with { MemoryBudget = 10 }, "option 'MemoryBudget'" },
        { Options("Target") with { GradientClipNorm = double.PositiveInfinity }, "option 'GradientClipNorm'" },
        { Options("Target") with { Schedule = null! }, "option 'Schedule' must be given, but was null" },
        { Options("Target") with { Optimizer = (MlNetMlp.Training.OptimizerKind)99 }, "option 'Optimizer' must be one of" },
        { Options("") , "option 'LabelColumnName' must be given" },
        { Options("Target", null!), "option 'FeatureColumnName' must be given" },
        { Options("Target") with { Epochs = -1, BatchSize = -1 }, "PlainMlp: 2 options are out of range" },
        { Options("Target") with { ValidationColumnName = "Held", ValidationData = Rows.View(Ml, 5) }, "only one of the options" },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void An_option_out_of_its_range_is_refused_when_the_trainer_is_made(PlainMlp.Options options, string message)
    {
        foreach (var task in Fitted.Tasks)
        {
            var e = Assert.Throws<ArgumentOutOfRangeException>(() => Trainer(task, options));
            Assert.Equal("options", e.ParamName);
            Assert.StartsWith("PlainMlp: ", e.Message, StringComparison.Ordinal);
            Assert.Contains(message, e.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Class_weights_must_fit_the_task()
    {
        var e = Assert.Throws<ArgumentOutOfRangeException>(() => Trainer(TaskKind.Regression, Options("Target") with { ClassWeights = ClassWeights.Balanced }));
        Assert.Contains("'ClassWeights' must be null for regression", e.Message, StringComparison.Ordinal);

        e = Assert.Throws<ArgumentOutOfRangeException>(() => Trainer(TaskKind.Binary, Options("Flag") with { ClassWeights = ClassWeights.Of(1, 2, 3) }).Fit(Odds()));
        Assert.Contains("'ClassWeights' must have one weight for each of the 2 classes, but has 3", e.Message, StringComparison.Ordinal);

        RefusedInFit(
            Trainer(TaskKind.Multiclass, Options("Key") with { ClassWeights = ClassWeights.Of(0, 0, 5) }), Odds((row, i) => row.Key = (uint)(i % 2)), "class weights leave no row");
    }

    [Fact]
    public void An_initial_model_must_be_a_network_of_the_same_kind()
    {
        var other = Ml.Transforms.CopyColumns("Copy", "Target").Fit(Rows.View(Ml, 10));
        var binary = Trainer(TaskKind.Binary, Options("Flag")).Fit(Rows.View(Ml, 60));
        var regression = Trainer(TaskKind.Regression, Options("Target")).Fit(Rows.View(Ml, 60));

        Refused(other, "'InitialModel' holds no network");
        Refused(new TransformerChain<ITransformer>(other), "'InitialModel' holds no network");
        Refused(binary, "'InitialModel' holds a PlainMlp for BinaryHead", "a PlainMlp for Regression cannot go on from");
        RefusedInFit(Trainer(TaskKind.Regression, Options("Target") with { InitialModel = regression, Hidden = 5 }), Rows.View(Ml, 60), "'InitialModel' holds another network");

        static void Refused(ITransformer initial, params string[] parts) =>
            RefusedInFit(Trainer(TaskKind.Regression, Options("Target") with { InitialModel = initial }), Rows.View(Ml, 60), parts);
    }

    [Fact]
    public void Null_is_refused()
    {
        var trainer = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Options("Target")));
        Assert.Throws<ArgumentNullException>(() => trainer.Fit(null!));
        Assert.Throws<ArgumentNullException>(() => trainer.Fit(Rows.View(Ml, 60), (IDataView)null!));
        Assert.Throws<ArgumentNullException>(() => trainer.GetOutputSchema(null!));
        Assert.Throws<ArgumentNullException>(() => Ml.Regression.Trainers.CreateTrainer(null!));
    }
}
