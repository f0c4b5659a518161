using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Causal;
using MlNetMlp.Conformance;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using MlNetMlp.Tabular;

namespace MlNetMlp.Tests.Causal;

/// <summary><see cref="TransTee"/> as a trainer.</summary>
public sealed class TransTeeTests
{
    private static readonly MLContext Ml = new(1);

    private static readonly TransTee.Options Small = new()
    {
        TreatmentColumnName = "Treated", EmbedDim = 8, FeedForwardDim = 8, Epochs = 15, LearningRate = 1e-2, Dropout = 0, BatchSize = 100, Seed = 1,
    };

    private static readonly IDataView Train = TreatmentRows.View(Ml);
    private static readonly IDataView Test = TreatmentRows.View(Ml, 50, 2);

    [Fact]
    public void Learns_an_effect_that_the_groups_hide()
    {
        var model = Ml.CausalInference.Trainers.TransTee(Small with { Epochs = 60 }).Fit(Train);
        var rows = TreatmentRows.Make(400, 1);
        var naive = rows.Where(row => row.Treated).Average(row => row.Label) - rows.Where(row => !row.Treated).Average(row => row.Label);
        var metrics = Ml.CausalInference.Evaluate(model.Transform(Train), "Truth");
        Assert.True(Math.Abs(naive - metrics.TrueEffects[0]) > 1, $"groups differ by {naive}");
        Assert.True(metrics.AteError < 0.25, $"ATE error {metrics.AteError}");
        Assert.True(metrics.Pehe < 0.6, $"PEHE {metrics.Pehe}");
    }

    [Fact]
    public void Strong_selection_misleads_less_than_a_difference_of_groups()
    {
        var (train, test) = (Selected(400, 1), Selected(400, 2));
        var groups = train.Where(row => row.Treated).Average(row => row.Label) - train.Where(row => !row.Treated).Average(row => row.Label);

        var naive = Pehe(test, _ => groups);
        var own = Pehe(Small with { Epochs = 60 }, train, test);

        Assert.True(naive > 2, $"groups differ by {groups}");
        Assert.True(own < 0.3 * naive, $"PEHE {own}, of the difference of groups {naive}");
    }

    // An S-learner is one network for covariates and treatment; here of two plain layers, with the same optimiser and as many epochs.
    [Fact]
    [Trait("Category", "Heavy")]
    public void Strong_selection_misleads_less_than_it_does_an_S_learner()
    {
        var (train, test) = (Selected(600, 1), Selected(400, 2));
        var options = new TransTee.Options { TreatmentColumnName = "Treated", Seed = 1 };
        var inputs = Ml.Transforms.Conversion.ConvertType("Arm", "Treated").Append(Ml.Transforms.Concatenate("All", "Features", "Arm"));
        var learner = inputs.Append(Ml.Regression.Trainers.ScaledMlp(new ScaledMlp.Options
        {
            FeatureColumnName = "All", Width = 50, Blocks = 2, Architecture = ScaledMlpArchitecture.Standard, Normalization = ScaledMlpNormalization.None, Activation = ScaledMlpActivation.Relu,
            LearningRate = options.LearningRate, WeightDecay = options.WeightDecay, Schedule = options.Schedule, Epochs = options.Epochs, Patience = options.Patience, BatchSize = 512, Seed = 1,
        })).Fit(Ml.Data.LoadFromEnumerable(train));
        var (with, without) = (Under(true), Under(false));

        var (own, single) = (Pehe(options, train, test), Pehe(test, i => with[i] - without[i]));

        Assert.True(own <= single, $"PEHE {own}, of the S-learner {single}");

        float[] Under(bool treated) => [.. learner.Transform(Ml.Data.LoadFromEnumerable(test.Select(row => new TreatmentRow { Features = row.Features, Treated = treated }))).GetColumn<float>("Score")];
    }

    private static double Pehe(TransTee.Options options, TreatmentRow[] train, TreatmentRow[] test) =>
        Ml.CausalInference.Evaluate(Ml.CausalInference.Trainers.TransTee(options).Fit(Ml.Data.LoadFromEnumerable(train)).Transform(Ml.Data.LoadFromEnumerable(test)), "Truth").Pehe;

    private static double Pehe(TreatmentRow[] test, Func<int, double> effect) => Math.Sqrt(test.Select((row, i) => Math.Pow(effect(i) - (row.Truth[1] - row.Truth[0]), 2)).Average());

    /// <summary>Nearly all rows with a great first covariate are treated, and few others.</summary>
    private static TreatmentRow[] Selected(int count, int seed)
    {
        var random = new Random(seed + 10);
        var rows = TreatmentRows.Make(count, seed);
        foreach (var row in rows)
        {
            row.Treated = random.NextDouble() < 1 / (1 + Math.Exp(-3 * row.Features[0]));
            row.Label = (float)(row.Truth[row.Treated ? 1 : 0] + (0.3 * random.NextNormal()));
        }

        return rows;
    }

    [Fact]
    public void A_missing_covariate_is_looked_at_by_nobody()
    {
        var rows = TreatmentRows.Make(300, 1);
        for (var i = 0; i < rows.Length; i++)
        {
            // The third covariate says nothing; where it is missing, it is so in all the ways that there are.
            if (i % 3 == 0)
                rows[i].Features[2] = i % 2 == 0 ? float.NaN : float.PositiveInfinity;
        }

        var data = Ml.Data.LoadFromEnumerable(rows);
        Assert.Contains("'Features'", Assert.ThrowsAny<InvalidOperationException>(() => Ml.CausalInference.Trainers.TransTee(Small).Fit(data)).Message, StringComparison.Ordinal);
        var options = Small with { AcceptMissing = true, Epochs = 40 };
        var model = Ml.CausalInference.Trainers.TransTee(options).Fit(data);
        Assert.True(Ml.CausalInference.Evaluate(model.Transform(data), "Truth").AteError < 0.4);
        var weights = Ml.Transforms.CovariateAttention(model).Fit(data).Transform(data).GetColumn<float[]>("CovariateAttention").ToArray();
        Assert.All(weights.Where((_, i) => i % 3 == 0), row => Assert.Equal(0, row[2]));
        Assert.All(weights.Where((_, i) => i % 3 != 0), row => Assert.True(row[2] > 0));
        Assert.All(weights, row => Assert.Equal(1, row.Sum(), 1e-5f));

        using var stream = new MemoryStream();
        Ml.Model.Save(model, data.Schema, stream);
        var nothing = Ml.Data.LoadFromEnumerable([new TreatmentRow { Features = [float.NaN, float.NaN, float.NaN] }, rows[3]]);
        var scores = model.Transform(nothing).GetColumn<float[]>("PotentialOutcomes").ToArray();
        Assert.All(scores.SelectMany(row => row), outcome => Assert.True(float.IsFinite(outcome)));
        Assert.Equal(scores, new MLContext().Model.Load(stream, out _).Transform(nothing).GetColumn<float[]>("PotentialOutcomes"));

        // Doses may not be missing where outcomes are learned.
        rows[5].Dose = float.NaN;
        Assert.Contains("'Dose'", Assert.ThrowsAny<InvalidOperationException>(
            () => Ml.CausalInference.Trainers.TransTee(options with { TreatmentColumnName = "Dose", ValidationFraction = 0 }).Fit(data)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Columns_of_a_Boolean_treatment_follow_from_the_potential_outcomes()
    {
        var scored = Ml.CausalInference.Trainers.TransTee(Small).Fit(Train).Transform(Test);
        var outcomes = scored.GetColumn<float[]>("PotentialOutcomes").ToArray();
        Assert.Equal(outcomes.Select(row => row[1] - row[0]), scored.GetColumn<float>("Effect"));
        Assert.Equal(outcomes.Select(row => row[1] > row[0] ? 2u : 1u), scored.GetColumn<uint>("BestTreatment"));
        Assert.Equal(outcomes.Zip(scored.GetColumn<bool>("Treated"), (row, treated) => row[treated ? 1 : 0]), scored.GetColumn<float>("Score"));
        Assert.Equal(["false", "true"], Slots(scored, "PotentialOutcomes"));
        VBuffer<ReadOnlyMemory<char>> names = default;
        scored.Schema["BestTreatment"].GetKeyValues(ref names);
        Assert.Equal(["false", "true"], names.DenseValues().Select(name => name.ToString()));
    }

    [Fact]
    public void Columns_of_keys_are_measured_against_the_treatment_of_reference()
    {
        var scored = Ml.CausalInference.Trainers.TransTee(Small with { TreatmentColumnName = "Arm", ReferenceArm = "2" }).Fit(Train).Transform(Test);
        var outcomes = scored.GetColumn<float[]>("PotentialOutcomes").ToArray();
        var effects = scored.GetColumn<float[]>("Effect").ToArray();
        for (var row = 0; row < outcomes.Length; row++)
            Assert.Equal([outcomes[row][0] - outcomes[row][1], outcomes[row][2] - outcomes[row][1]], effects[row]);
        Assert.Equal(["1", "3"], Slots(scored, "Effect"));
        Assert.Equal(outcomes.Select(row => (uint)Array.IndexOf(row, row.Max()) + 1), scored.GetColumn<uint>("BestTreatment"));
        Assert.Equal(outcomes.Zip(scored.GetColumn<uint>("Arm"), (row, arm) => row[arm - 1]), scored.GetColumn<float>("Score"));
    }

    [Fact]
    public void Columns_of_a_dose_are_those_of_the_grid()
    {
        var model = Ml.CausalInference.Trainers.TransTee(Small with { TreatmentColumnName = "Dose", DoseGrid = 5 }).Fit(Train);
        var doses = model.Model.Treatments.Doses;
        var all = Train.GetColumn<float>("Dose").Order().ToArray();
        Assert.Equal(5, doses.Count);
        Assert.InRange(doses[0], all[1], all[12]);
        Assert.InRange(doses[4], all[^13], all[^2]);
        var scored = model.Transform(Test);
        var responses = scored.GetColumn<float[]>("DoseResponse").ToArray();
        Assert.Equal(doses.Select(dose => dose.ToString(CultureInfo.InvariantCulture)), Slots(scored, "DoseResponse"));
        Assert.Equal(responses.Select(row => doses[Array.IndexOf(row, row.Max())]), scored.GetColumn<float>("BestDose"));

        // The score of a row that has had a dose of the grid is its response there.
        var moved = Ml.Data.LoadFromEnumerable(TreatmentRows.Make(50, 2).Select(row => { row.Dose = doses[3]; return row; }));
        Assert.All(model.Transform(moved).GetColumn<float>("Score").Zip(responses, (score, row) => score - row[3]), error => Assert.Equal(0, error, 1e-5));

        var given = Ml.CausalInference.Trainers.TransTee(Small with { TreatmentColumnName = "Dose", Doses = [-1, 0, 0.25f], Epochs = 1 }).Fit(Train);
        Assert.Equal([-1, 0, 0.25f], given.Model.Treatments.Doses);
    }

    [Fact]
    public void Outcomes_that_are_yes_or_no_are_probabilities()
    {
        var model = Ml.CausalInference.Trainers.TransTee(Small with { LabelColumnName = "Success" }).Fit(Train);
        Assert.Equal("accuracy", model.Model.Network.Head.MetricName);
        var scored = model.Transform(Test);
        Assert.All(scored.GetColumn<float[]>("PotentialOutcomes").SelectMany(row => row), value => Assert.InRange(value, float.Epsilon, 1));
        var right = scored.GetColumn<float>("Score").Zip(scored.GetColumn<bool>("Success"), (score, success) => score > 0.5f == success).Count(isRight => isRight);
        Assert.True(right >= 35, $"{right} of 50 are right");
    }

    [Theory]
    [InlineData("Treated")]
    [InlineData("Arm")]
    [InlineData("Dose")]
    public void Rows_without_a_treatment_have_all_columns_but_a_score(string treatment)
    {
        var model = Ml.CausalInference.Trainers.TransTee(Small with { TreatmentColumnName = treatment, Epochs = 3 }).Fit(Train);
        var bare = Ml.Transforms.DropColumns(treatment).Fit(Test).Transform(Test);
        var column = treatment == "Dose" ? "DoseResponse" : "PotentialOutcomes";
        var scored = model.Transform(bare);
        Assert.All(scored.GetColumn<float>("Score"), score => Assert.True(float.IsNaN(score)));
        Assert.Equal(model.Transform(Test).GetColumn<float[]>(column).SelectMany(row => row), scored.GetColumn<float[]>(column).SelectMany(row => row), (a, b) => Math.Abs(a - b) < 1e-6f);
        var attention = Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.Transforms.CovariateAttention(model).Fit(bare).Transform(bare));
        Assert.Contains($"'{treatment}'", attention.Message, StringComparison.Ordinal);
        Assert.Contains($"'{treatment}'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.CausalInference.Trainers.TransTee(Small with { TreatmentColumnName = treatment }).Fit(bare)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_arm_has_no_score()
    {
        var model = Ml.CausalInference.Trainers.TransTee(Small with { TreatmentColumnName = "Arm", Epochs = 3 }).Fit(Train);
        var rows = TreatmentRows.Make(2, 3);
        rows[1].Arm = 3;
        var scores = model.Transform(Ml.Data.LoadFromEnumerable(rows)).GetColumn<float>("Score").ToArray();
        Assert.True(float.IsFinite(scores[0]) && float.IsNaN(scores[1]));
        Assert.Contains("'Arm'", Assert.ThrowsAny<InvalidOperationException>(
            () => Ml.CausalInference.Trainers.TransTee(Small with { TreatmentColumnName = "Arm", ValidationFraction = 0 }).Fit(Ml.Data.LoadFromEnumerable(rows))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Treated")]
    [InlineData("Arm")]
    [InlineData("Dose")]
    public void A_saved_model_scores_the_same_bits_and_so_does_a_second_fit(string treatment)
    {
        var options = Small with { TreatmentColumnName = treatment, Epochs = 3, Dropout = 0.1, Regularizer = TreatmentRegularizer.Treatment };
        var model = Ml.CausalInference.Trainers.TransTee(options).Fit(Train);
        using var stream = new MemoryStream();
        Ml.Model.Save(model, Train.Schema, stream);
        var loaded = new MLContext().Model.Load(stream, out _);
        Assert.Equal(Rows(model, treatment), Rows(loaded, treatment));
        Assert.Equal(Rows(model, treatment), Rows(Ml.CausalInference.Trainers.TransTee(options).Fit(Train), treatment));
        Assert.Equal(model.Model.Treatments, Assert.IsType<NetworkPredictionTransformer<TreatmentModel>>(loaded).Model.Treatments);
    }

    [Fact]
    public void An_engine_predicts_what_a_view_holds()
    {
        var model = Ml.CausalInference.Trainers.TransTee(Small).Fit(Train);
        using var engine = Ml.Model.CreatePredictionEngine<TreatmentRow, Scored>(model);
        var expected = Ml.Data.CreateEnumerable<Scored>(model.Transform(Test), reuseRowObject: false).ToArray();
        foreach (var (row, want) in TreatmentRows.Make(50, 2).Zip(expected))
        {
            var found = engine.Predict(row);
            Assert.Equal(want.Score, found.Score, 1e-5f);
            Assert.Equal(want.Effect, found.Effect, 1e-5f);
            Assert.Equal(want.BestTreatment, found.BestTreatment);
            Assert.Equal(want.PotentialOutcomes, found.PotentialOutcomes, (a, b) => Math.Abs(a - b) < 1e-5f);
        }
    }

    [Fact]
    public void An_engine_scores_rows_that_have_no_treatment()
    {
        var model = Ml.CausalInference.Trainers.TransTee(Small with { Epochs = 3 }).Fit(Train);
        using var engine = Ml.Model.CreatePredictionEngine<Bare, Scored>(model);
        using var full = Ml.Model.CreatePredictionEngine<TreatmentRow, Scored>(model);
        var row = TreatmentRows.Make(1, 4)[0];
        var found = engine.Predict(new() { Features = row.Features });
        Assert.Equal(full.Predict(row).PotentialOutcomes, found.PotentialOutcomes);
        Assert.True(float.IsNaN(found.Score));
    }

    [Fact]
    public void The_score_can_be_judged_as_one_of_regression()
    {
        var model = Ml.CausalInference.Trainers.TransTee(Small with { Epochs = 60 }).Fit(Train);
        Assert.True(Ml.Regression.Evaluate(model.Transform(Test)).RSquared > 0.9);
    }

    [Theory]
    [InlineData("Treated")]
    [InlineData("Arm")]
    [InlineData("Dose")]
    public void The_columns_are_those_that_the_trainer_promises(string treatment)
    {
        var trainer = Ml.CausalInference.Trainers.TransTee(Small with { TreatmentColumnName = treatment, Epochs = 1 });
        var promised = trainer.GetOutputSchema(Trial.Shape(Train.Schema));
        var made = Trial.Shape(trainer.Fit(Train).GetOutputSchema(Train.Schema));
        Assert.Equal(SchemaText.Of(made), SchemaText.Of(promised));
    }

    [Fact]
    public void Attention_to_covariates_is_a_column_that_adds_up_to_one()
    {
        var model = Ml.CausalInference.Trainers.TransTee(Small with { Layers = 2 }).Fit(Train);
        var weights = Ml.Transforms.CovariateAttention(model).Fit(Test).Transform(Test).GetColumn<float[]>("CovariateAttention").ToArray();
        Assert.All(weights, row => Assert.Equal(1, row.Sum(), 1e-5f));
        Assert.All(weights.SelectMany(row => row), weight => Assert.InRange(weight, 0, 1));
        Assert.NotEqual(weights[0], weights[1]);
    }

    [Fact]
    public void Columns_of_keys_are_covariates_too()
    {
        static IDataView View(int count, int seed) => Ml.Data.LoadFromEnumerable(TreatmentRows.Make(count, seed).Select((row, i) =>
        {
            // The treatment adds a number that only the key tells.
            row.Arm = (uint)(i % 3);
            row.Label = row.Features[0] + (row.Treated ? 2 * row.Arm : 0);
            return row;
        }));
        var options = Small with { CategoricalColumns = ["Arm"], Epochs = 60 };
        var model = Ml.CausalInference.Trainers.TransTee(options).Fit(View(400, 1));
        var scored = model.Transform(View(100, 2));
        Assert.All(scored.GetColumn<float>("Effect").Zip(scored.GetColumn<uint>("Arm")), pair => Assert.Equal(2 * (pair.Second - 1f), pair.First, 0.7f));

        using var stream = new MemoryStream();
        Ml.Model.Save(model, Train.Schema, stream);
        Assert.Equal(Rows(model, "Treated"), Rows(new MLContext().Model.Load(stream, out _), "Treated"));
        var attention = Ml.Transforms.CovariateAttention(model).Fit(Test).Transform(Test);
        Assert.Equal(["feature 0", "feature 1", "feature 2", "Arm"], Slots(attention, "CovariateAttention"));
        Assert.All(attention.GetColumn<float[]>("CovariateAttention"), row => Assert.Equal(1, row.Sum(), 1e-5f));

        // A covariate is no treatment: rows must have it.
        Assert.Contains("'Arm'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => model.Transform(Ml.Transforms.DropColumns("Arm").Fit(Test).Transform(Test))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_weight_a_regulariser_is_none_and_with_weight_it_is_not()
    {
        var options = Small with { Epochs = 3 };
        var none = Rows(Ml.CausalInference.Trainers.TransTee(options).Fit(Train), "Treated");
        Assert.Equal(none, Rows(Ml.CausalInference.Trainers.TransTee(options with { Regularizer = TreatmentRegularizer.Treatment, RegularizerWeight = 0 }).Fit(Train), "Treated"));
        Assert.NotEqual(none, Rows(Ml.CausalInference.Trainers.TransTee(options with { Regularizer = TreatmentRegularizer.Treatment }).Fit(Train), "Treated"));
    }

    [Theory]
    [InlineData(TreatmentRegularizer.Treatment)]
    [InlineData(TreatmentRegularizer.ProbabilisticTreatment)]
    public void Regularised_tokens_tell_less_of_the_dose(TreatmentRegularizer regularizer)
    {
        // What π knows beyond a constant: with hardly any weight the tokens let it see the dose.
        var rows = TreatmentRows.Make(400, 1);
        var (open, hidden) = (Known(rows, regularizer, 1e-6), Known(rows, regularizer, 4));
        Assert.True(open > 0.05, $"π knows {open}");
        Assert.True(hidden < 0.5 * open, $"π knows {hidden} of {open}");
    }

    [Fact]
    public void Of_a_dose_that_has_nothing_to_do_with_the_row_the_loss_is_its_variance()
    {
        var rows = TreatmentRows.Make(2000, 1);
        var random = new Random(5);
        foreach (var row in rows)
            row.Dose = (float)(3 + (2 * random.NextNormal()));
        Assert.InRange(Known(rows, TreatmentRegularizer.Treatment, 1), -0.03, 0.03);
    }

    private static double Known(TreatmentRow[] rows, TreatmentRegularizer regularizer, double alpha)
    {
        var options = Small with { TreatmentColumnName = "Dose", Regularizer = regularizer, RegularizerWeight = alpha, Epochs = 24_000 / rows.Length, ValidationFraction = 0 };
        var model = Ml.CausalInference.Trainers.TransTee(options).Fit(Ml.Data.LoadFromEnumerable(rows));
        using var network = (TransTeeNetwork)model.Model.Network.CreateNetwork();
        using var scope = TorchSharp.torch.NewDisposeScope();
        float[] values = [.. rows.SelectMany(row => row.Features.Append(row.Dose))];
        return network.ConstantLoss() - network.TreatmentLoss(TorchSharp.torch.tensor(values, [rows.Length, 4])).item<float>();
    }

    [Fact]
    public void Treatments_that_are_all_the_same_are_refused()
    {
        var rows = TreatmentRows.Make(50, 1);
        foreach (var row in rows)
            (row.Treated, row.Arm, row.Dose) = (true, 2, 0.5f);
        foreach (var treatment in new[] { "Treated", "Arm", "Dose" })
        {
            var error = Assert.ThrowsAny<InvalidOperationException>(() => Ml.CausalInference.Trainers.TransTee(Small with { TreatmentColumnName = treatment }).Fit(Ml.Data.LoadFromEnumerable(rows)));
            Assert.Contains($"'{treatment}'", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Options_and_columns_that_do_not_fit_are_refused_by_name()
    {
        (TransTee.Options Options, string Name)[] wrong =
        [
            (Small with { Heads = 3 }, "Heads"), (Small with { FeatureColumnName = null }, "FeatureColumnName"), (Small with { TreatmentColumnName = "Label" }, "TreatmentColumnName"),
            (Small with { Doses = [1] }, "Doses"), (Small with { Doses = [1, 1] }, "Doses"), (Small with { DoseGrid = 1 }, "DoseGrid"), (Small with { Dropout = 1 }, "Dropout"),
            (Small with { RegularizerWeight = -1 }, "RegularizerWeight"), (Small with { CategoricalColumns = ["Treated"] }, "CategoricalColumns"),
            (Small with { CategoricalColumns = ["Arm", "Arm"] }, "CategoricalColumns"), (Small with { CategoricalColumns = ["Arm"], Optimizer = Training.OptimizerKind.Sgd }, "Optimizer"), (Small with { InitStdCovariate = 0 }, "InitStdCovariate"),
        ];
        foreach (var (options, name) in wrong)
            Assert.Contains($"'{name}'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.CausalInference.Trainers.TransTee(options)).Message, StringComparison.Ordinal);
        Assert.Equal(Small, NetworkOptions.FromJson<TransTee.Options>(Small.ToJson()));
        Assert.Equal(Small with { Doses = [0, 1.5f] }, NetworkOptions.FromJson<TransTee.Options>((Small with { Doses = [0, 1.5f] }).ToJson()));

        foreach (var (options, name) in ((TransTee.Options, string)[])
            [(Small with { TreatmentColumnName = "Truth" }, "Truth"), (Small with { TreatmentColumnName = "Nothing" }, "Nothing"), (Small with { LabelColumnName = "Truth" }, "Truth"), (Small with { LabelColumnName = "Arm" }, "Arm")])
        {
            Assert.Contains($"'{name}'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.CausalInference.Trainers.TransTee(options).Fit(Train)).Message, StringComparison.Ordinal);
            Assert.Contains($"'{name}'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.CausalInference.Trainers.TransTee(options).GetOutputSchema(Trial.Shape(Train.Schema))).Message, StringComparison.Ordinal);
        }

        Assert.Contains("'ReferenceArm'", Assert.ThrowsAny<InvalidOperationException>(
            () => Ml.CausalInference.Trainers.TransTee(Small with { TreatmentColumnName = "Arm", ReferenceArm = "9" }).Fit(Train)).Message, StringComparison.Ordinal);
        Assert.Contains("CausalInference", Assert.ThrowsAny<ArgumentException>(() => Ml.Regression.Trainers.CreateTrainer(new TransTee(Small))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Validation_data_must_mean_the_same_and_are_used()
    {
        var model = Ml.CausalInference.Trainers.TransTee(Small with { Epochs = 3 }).Fit(Train, Test);
        Assert.All(model.Model.Network.LearningCurve.Points, point => Assert.NotNull(point.ValidationLoss));
        Assert.Equal(400, model.Model.Treatments.ArmRows.Sum());

        var other = Ml.Transforms.CopyColumns("Label", "Success").Fit(Test).Transform(Test);
        Assert.Contains("'Label'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.CausalInference.Trainers.TransTee(Small).Fit(Train, other)).Message, StringComparison.Ordinal);
        var bare = Ml.Transforms.DropColumns("Treated").Fit(Test).Transform(Test);
        Assert.Contains("'Treated'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.CausalInference.Trainers.TransTee(Small).Fit(Train, bare)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Training_goes_on_from_a_model()
    {
        var trainer = Ml.CausalInference.Trainers.TransTee(Small with { Epochs = 3 });
        var first = trainer.Fit(Train);
        var second = trainer.Fit(Test, first.Model);
        Assert.Equal(first.Model.Treatments, second.Model.Treatments);
        Assert.Equal(((Networks.TreatmentHead)first.Model.Network.Head).Outcome, ((Networks.TreatmentHead)second.Model.Network.Head).Outcome);
        Assert.NotEqual(Rows(first, "Treated"), Rows(second, "Treated"));
    }

    private static float[] Rows(ITransformer model, string treatment) =>
        [.. model.Transform(Test).GetColumn<float[]>(treatment == "Dose" ? "DoseResponse" : "PotentialOutcomes").SelectMany(row => row), .. model.Transform(Test).GetColumn<float>("Score")];

    private static string[] Slots(IDataView data, string column)
    {
        VBuffer<ReadOnlyMemory<char>> names = default;
        data.Schema[column].GetSlotNames(ref names);
        return [.. names.DenseValues().Select(name => name.ToString())];
    }

    private sealed class Bare
    {
        [VectorType(3)]
        public float[] Features { get; set; } = [];
    }

    private sealed class Scored
    {
        public float Score { get; set; }

        public float Effect { get; set; }

        public float[] PotentialOutcomes { get; set; } = [];

        [KeyType(2)]
        public uint BestTreatment { get; set; }
    }
}
