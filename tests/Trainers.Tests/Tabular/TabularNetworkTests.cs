using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Persistence;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Tabular;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Tabular;

/// <summary><see cref="TabularNetwork"/> as a trainer.</summary>
public sealed class TabularNetworkTests
{
    private const int Colours = 40;

    private static readonly MLContext Ml = new(1);

    private static readonly TabularNetwork.Options Small = new() { Members = 2, Folds = 4, HiddenSize = 16, HiddenLayers = 2, Frequencies = 4, Epochs = 4, Seed = 1 };

    private static readonly TabularNetwork.Options WithKeys = Small with { CategoricalColumns = ["Colour", "Shape", "Side", "Tags"] };

    [Fact]
    public void Learns_from_numbers_keys_and_missing_values_alike()
    {
        var (train, test) = (View(Rows(1200, 1)), View(Rows(600, 2)));
        var options = WithKeys with { Epochs = 24 };
        Assert.True(Ml.Regression.Evaluate(Ml.Regression.Trainers.TabularNetwork(options).Fit(train).Transform(test)).RSquared > 0.85);
        Assert.True(Ml.BinaryClassification.Evaluate(Ml.BinaryClassification.Trainers.TabularNetwork(options with { LabelColumnName = "Flag" }).Fit(train).Transform(test), "Flag").AreaUnderRocCurve > 0.95);
        var keyed = Ml.Regression.Trainers.TabularNetwork(options with { FeatureColumnName = null }).Fit(train);
        Assert.True(Ml.Regression.Evaluate(keyed.Transform(test)).RSquared > 0.2);
    }

    [Theory]
    [InlineData(NumericScaling.Quantile, NumericEmbedding.Periodic, TabularActivation.Silu, 8)]
    [InlineData(NumericScaling.Robust, NumericEmbedding.None, TabularActivation.Relu, 0)]
    [InlineData(NumericScaling.Standard, NumericEmbedding.Periodic, TabularActivation.Silu, 1024)]
    [InlineData(NumericScaling.Quantile, NumericEmbedding.None, TabularActivation.Mish, 2)]
    public void Managed_code_scores_as_the_network_does(NumericScaling scaling, NumericEmbedding embedding, TabularActivation activation, int maxOneHot)
    {
        var options = WithKeys with { NumericScaling = scaling, NumericEmbedding = embedding, Activation = activation, MaxOneHot = maxOneHot };
        var rows = Rows(150, 3);
        ITransformer[] models =
        [
            Ml.Regression.Trainers.TabularNetwork(options).Fit(View(rows)), Ml.BinaryClassification.Trainers.TabularNetwork(options with { LabelColumnName = "Flag" }).Fit(View(rows)),
            Ml.MulticlassClassification.Trainers.TabularNetwork(options with { LabelColumnName = "Shape", CategoricalColumns = ["Colour", "Side", "Tags"] }).Fit(View(rows)),
        ];
        foreach (var model in models.Select(model => NetworkModel.Find(model)!))
        {
            using var scope = NewDisposeScope();
            using var network = model.CreateNetwork();
            var x = Laid(rows, model).ToArray();
            var own = new float[rows.Length * model.Outputs];
            Assert.Equal(-1, model.Score(x, own));
            var expected = TensorMemory.ToFloats(network.call(tensor(x, rows.Length, model.Inputs)));
            for (var row = 0; row < rows.Length; row++)
                model.Head.Finish(expected.AsSpan(row * model.Outputs, model.Outputs));
            Assert.All(own.Zip(expected), pair => Assert.Equal(pair.First, pair.Second, 2e-4 * Math.Max(1, Math.Abs(pair.Second))));
        }
    }

    [Fact]
    public void The_spread_is_the_deviation_of_what_the_members_say()
    {
        var options = WithKeys with { OutputSpread = true };
        var rows = Rows(150, 3);
        ITransformer[] models =
        [
            Ml.Regression.Trainers.TabularNetwork(options).Fit(View(rows)), Ml.BinaryClassification.Trainers.TabularNetwork(options with { LabelColumnName = "Flag" }).Fit(View(rows)),
            Ml.MulticlassClassification.Trainers.TabularNetwork(options with { LabelColumnName = "Shape", CategoricalColumns = ["Colour", "Side", "Tags"] }).Fit(View(rows)),
        ];
        foreach (var transformer in models)
        {
            var model = NetworkModel.Find(transformer)!;
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            using var network = (TabularEnsemble)model.CreateNetwork();
            var x = tensor(Laid(rows, model).ToArray(), rows.Length, model.Inputs);
            var (plain, keys) = network.Prepare(x);
            var members = network.Members.Count;
            var outputs = network.Members.call(plain.unsqueeze(0).expand(members, -1, -1), keys?.unsqueeze(0).expand(members, -1, -1));
            var classes = outputs.shape[2] == 1 ? 0 : (int)outputs.shape[2];
            var said = classes == 0 ? outputs.mul(((RegressionHead)model.Head).LabelScale) : outputs.mul(network.state_dict()["temperature"]).softmax(2);
            var mean = said.mean([0L]);
            var raw = network.CallWithAdded(x);
            var column = Enumerable.Range(0, rows.Length).Select(row => (long)row);
            float[] expected = [.. column.Select(row =>
            {
                var predicted = classes == 0 ? 0 : mean[row].argmax().item<long>();
                double[] own = [.. Enumerable.Range(0, members).Select(member => (double)said[member, row, predicted].item<float>())];
                return (float)Math.Sqrt(own.Average(value => Math.Pow(value - own.Average(), 2)));
            })];
            Assert.All(column, row => Assert.Equal(expected[row], raw[row, -1].item<float>(), 2e-4 * Math.Max(1, expected[row])));
            var scorer = model.Definition.BuildScorer(model.Weights.Read())!;
            var own = new float[rows.Length * scorer.Outputs];
            scorer.Score(TensorMemory.Floats(x), own);
            Assert.All(column, row => Assert.Equal(expected[row], own[((row + 1) * scorer.Outputs) - 1], 2e-4 * Math.Max(1, expected[row])));
            Assert.True(expected.Max() > 1e-3);

            float[] spread = [.. transformer.Transform(View(rows)).GetColumn<float[]>("Score.Spread").Select(value => Assert.Single(value))];
            var file = new MemoryStream();
            Ml.Model.Save(transformer, View(rows).Schema, file);
            file.Position = 0;
            Assert.Equal(spread, Ml.Model.Load(file, out _).Transform(View(rows)).GetColumn<float[]>("Score.Spread").Select(value => value[0]));
        }

        Assert.DoesNotContain(Ml.Regression.Trainers.TabularNetwork(WithKeys).Fit(View(rows)).Transform(View(rows)).Schema, column => column.Name == "Score.Spread");
    }

    [Fact]
    public void A_missing_key_one_that_is_new_and_one_beyond_the_count_are_the_same()
    {
        // Of forty colours training sees thirty.
        var rows = Rows(200, 4);
        foreach (var row in rows)
            row.Colour = (row.Colour % 30) + 1;
        var model = Ml.Regression.Trainers.TabularNetwork(WithKeys).Fit(View(rows));
        foreach (var set in new Action<Row, uint>[] { (row, key) => row.Colour = key, (row, key) => row.Tags = [key, 2] })
        {
            var scores = new uint[] { 0, 35, 900 }.Select(key =>
            {
                var row = Rows(1, 5)[0];
                set(row, key);
                return Scores(model, View([row], 1000))[0];
            }).ToArray();
            Assert.Equal(scores[0], scores[1]);
            Assert.Equal(scores[0], scores[2]);
        }
    }

    [Fact]
    public void A_number_that_training_never_missed_is_the_median_where_it_is_missing()
    {
        var rows = Numbers(101, 3, (random, i) => (float)random.NextNormal());
        var model = Ml.Regression.Trainers.TabularNetwork(Small).Fit(rows.View);
        var median = rows.Rows.Select(row => row.Features[1]).Order().ElementAt(50);
        var (missing, filled) = (Scores(model, Plain([[0.3f, float.NaN, 1]])), Scores(model, Plain([[0.3f, median, 1]])));
        Assert.Equal(filled, missing);
        var without = Scores(model, Plain([[float.NaN, float.NaN, float.NaN], [float.PositiveInfinity, float.NegativeInfinity, float.MaxValue]]));
        Assert.All(without, score => Assert.True(float.IsFinite(score)));
    }

    [Fact]
    public void A_number_that_training_missed_at_times_says_so()
    {
        // What is missing is all that there is to learn.
        var rows = Numbers(300, 2, (random, i) => random.NextDouble() < 0.3 ? float.NaN : (float)random.NextNormal());
        foreach (var row in rows.Rows)
            row.Label = float.IsNaN(row.Features[0]) ? 1 : 0;
        var model = Ml.Regression.Trainers.TabularNetwork(Small with { Epochs = 40 }).Fit(rows.View);
        Assert.True(Ml.Regression.Evaluate(model.Transform(rows.View)).RSquared > 0.9);
    }

    [Fact]
    public void Constant_columns_powers_of_two_and_the_two_values_of_a_number_change_no_weight()
    {
        var rows = Numbers(160, 3, (random, i) => i == 2 ? random.Next(2) : (float)random.NextNormal());
        var expected = Weights(rows.Rows.Select(row => row.Features));
        Equal(expected, Weights(rows.Rows.Select(row => new[] { row.Features[0], row.Features[1], row.Features[2], 7 })));
        Equal(expected, Weights(rows.Rows.Select(row => new[] { row.Features[0], row.Features[1], row.Features[2], float.NaN })));
        Equal(expected, Weights(rows.Rows.Select(row => new[] { 4 * row.Features[0], row.Features[1], row.Features[2] })));
        Equal(expected, Weights(rows.Rows.Select(row => new[] { row.Features[0], row.Features[1], row.Features[2] == 0 ? 5 : 9 })));

        // The sign of a slope is no rounding.
        Assert.NotEqual(expected.First().Values, Weights(rows.Rows.Select(row => new[] { -row.Features[0], row.Features[1], row.Features[2] })).First().Values);

        (string Name, float[] Values)[] Weights(IEnumerable<float[]> features)
        {
            var view = Ml.Data.LoadFromEnumerable(rows.Rows.Zip(features, (row, x) => new PlainRow { Features = x, Label = row.Label }), PlainSchema(features.First().Length));
            var network = Ml.Regression.Trainers.TabularNetwork(Small).Fit(view).Model.Network;
            return [.. network.Weights.Where(tensor => tensor.Name.StartsWith("members.", StringComparison.Ordinal)).Select(tensor => (tensor.Name, tensor.Floats.ToArray()))];
        }

        static void Equal((string Name, float[] Values)[] first, (string Name, float[] Values)[] second)
        {
            foreach (var (one, other) in first.Zip(second))
                Assert.Equal(one.Values, other.Values);
        }
    }

    [Fact]
    public void Scaled_numbers_depend_on_ranks_not_on_units()
    {
        // Multiples of a 64th, so that 3·x + 5 is exact.
        var random = new Random(3);
        float[] x = [.. Enumerable.Range(0, 900).Select(_ => MathF.Round(64 * (float)random.NextNormal()) / 64)];
        var z = Scaled(x, x);
        Assert.All(z.Zip(Scaled([.. x.Select(value => (3 * value) + 5)], [.. x.Select(value => (3 * value) + 5)])), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        Assert.Equal(z, Scaled([.. x.Select(value => 4 * value)], [.. x.Select(value => 4 * value)]));
        var cubes = x.Select(value => value * value * value).ToArray();
        Assert.True(z.Zip(Scaled(cubes, cubes)).Average(pair => Math.Abs(pair.First - pair.Second)) < 0.05);
        Assert.True(z.Max() < 5.2 && z.Min() > -5.2);

        static float[] Scaled(float[] fitted, float[] values)
        {
            using var scope = NewDisposeScope();
            var inputs = new TabularInputs(fitted, null, 1, null, NumericScaling.Quantile, static () => { });
            var knots = inputs.Positions.Length;
            return TensorMemory.ToFloats(Networks.InputKnots.Map(tensor(values, values.Length, 1), tensor(inputs.Positions, 1, knots), tensor(inputs.Values, 1, knots)));
        }
    }

    [Fact]
    public void Weights_of_two_are_weights_of_one_and_rows_of_weight_zero_are_none()
    {
        var rows = Rows(120, 6);
        var options = WithKeys with { ExampleWeightColumnName = "Weight" };
        var expected = Scores(Ml.Regression.Trainers.TabularNetwork(WithKeys).Fit(View(rows)), View(rows));
        Assert.Equal(expected, Scored(2));
        Array.ForEach(rows, row => row.Weight = 1);
        var more = Rows(30, 7);
        Array.ForEach(more, row => row.Weight = 0);
        Assert.Equal(expected, Scores(Ml.Regression.Trainers.TabularNetwork(options).Fit(View([.. rows, .. more])), View(rows)));

        float[] Scored(float weight)
        {
            Array.ForEach(rows, row => row.Weight = weight);
            return Scores(Ml.Regression.Trainers.TabularNetwork(options).Fit(View(rows)), View(rows));
        }
    }

    [Fact]
    public void Bad_tables_train_and_score_finite_numbers()
    {
        var random = new Random(1);
        (string Name, float[][] Features, float[] Labels)[] tables =
        [
            ("a column without a value", [.. Range(60).Select(i => new[] { float.NaN, i % 7 })], [.. Range(60).Select(i => (float)(i % 7))]),
            ("constant columns alone", [.. Range(60).Select(i => new[] { 3f, 4 })], [.. Range(60).Select(i => (float)i)]),
            ("one row again and again", [.. Range(60).Select(i => new[] { 1.5f, 2, 3 })], [.. Range(60).Select(_ => 5f)]),
            ("two rows", [[1, 2], [3, 4]], [1, 2]),
            ("one row", [[1, 2]], [1]),
            ("one feature", [.. Range(60).Select(i => new[] { (float)i })], [.. Range(60).Select(i => (float)i)]),
            ("large labels", [.. Range(60).Select(i => new[] { (float)i })], [.. Range(60).Select(i => i * 1e30f)]),
            ("small labels", [.. Range(60).Select(i => new[] { (float)i })], [.. Range(60).Select(i => i * 1e-30f)]),
            ("large features", [.. Range(60).Select(i => new[] { i * 5e36f, -i * 5e36f })], [.. Range(60).Select(i => (float)i)]),
            ("small features", [.. Range(60).Select(i => new[] { i * 1e-42f, i * 1e-30f })], [.. Range(60).Select(i => (float)i)]),
            ("infinite features", [.. Range(60).Select(i => new[] { i % 3 == 0 ? float.PositiveInfinity : i, i % 5 == 0 ? float.NegativeInfinity : float.NaN })], [.. Range(60).Select(i => (float)i)]),
            ("ten thousand features", [.. Range(60).Select(_ => Range(10_000).Select(_ => (float)random.NextNormal()).ToArray())], [.. Range(60).Select(i => (float)i)]),
        ];
        foreach (var (name, features, labels) in tables)
        {
            foreach (var scaling in Enum.GetValues<NumericScaling>())
            {
                var view = Ml.Data.LoadFromEnumerable(features.Zip(labels, (x, y) => new PlainRow { Features = x, Label = y }), PlainSchema(features[0].Length));
                var model = Ml.Regression.Trainers.TabularNetwork(Small with { NumericScaling = scaling, Epochs = 2 });
                float[] scores = [];
                var fault = Record.Exception(() => scores = Scores(model.Fit(view), view));
                Assert.True(fault is null, $"{name}, {scaling}: {fault}");

                // Labels are standardised and back, which rounds.
                var rounding = 1e-6f * (labels.Max() - labels.Min());
                Assert.True(scores.All(score => float.IsFinite(score) && score >= labels.Min() - rounding && score <= labels.Max() + rounding), $"{name}, {scaling}: {string.Join(' ', scores.Take(5))}");
            }
        }
    }

    [Fact]
    public void Whole_numbers_say_what_real_ones_do()
    {
        var rows = Range(300).Select(i => new PlainRow { Features = [i % 10, 1_000_000 + (i % 3)], Label = (i % 10) + (10 * (i % 3)) }).ToArray();
        var view = Ml.Data.LoadFromEnumerable(rows, PlainSchema(2));
        Assert.True(Ml.Regression.Evaluate(Ml.Regression.Trainers.TabularNetwork(Small with { Epochs = 60 }).Fit(view).Transform(view)).RSquared > 0.98);
    }

    [Fact]
    public void One_row_of_a_class_among_ten_thousand_leaves_probabilities_right()
    {
        var random = new Random(2);
        var rows = Range(10_000).Select(i => new PlainRow { Features = [(float)random.NextNormal(), (float)random.NextNormal()], Flag = i == 17 }).ToArray();
        var view = Ml.Data.LoadFromEnumerable(rows, PlainSchema(2));
        var model = Ml.BinaryClassification.Trainers.TabularNetwork(Small with { LabelColumnName = "Flag" }).Fit(view);
        var probabilities = model.Transform(view).GetColumn<float>("Probability").ToArray();
        Assert.All(probabilities, probability => Assert.InRange(probability, 0, 0.5f));
        Assert.InRange(probabilities.Average(), 0, 0.02);
    }

    [Fact]
    public void A_column_of_a_million_keys_takes_memory_for_those_that_are_there()
    {
        var rows = Rows(300, 8);
        var random = new Random(4);
        foreach (var row in rows)
            row.Colour = (uint)random.Next(1, 1_000_001);
        var model = Ml.Regression.Trainers.TabularNetwork(WithKeys).Fit(View(rows, 1_000_000));
        Assert.InRange(model.Model.Network.WeightCount, 1, 50_000);
        Assert.All(Scores(model, View(rows, 1_000_000)), score => Assert.True(float.IsFinite(score)));
    }

    [Fact]
    public void One_member_and_one_fold_will_do_and_rows_of_their_own_can_judge()
    {
        var rows = Rows(200, 9);
        foreach (var options in new[] { WithKeys with { Members = 1 }, WithKeys with { Folds = 1 }, WithKeys with { Folds = 1, ValidationFraction = 0 }, WithKeys with { Members = 5, Folds = 3 } })
        {
            var curve = Ml.Regression.Trainers.TabularNetwork(options).Fit(View(rows)).Model.Network.LearningCurve;
            Assert.Equal(options.Folds == 1 && options.ValidationFraction == 0 ? 4 : 8, curve.Points.Count);
            Assert.Equal(options.Folds == 1 && options.ValidationFraction == 0, curve.Points[0].ValidationLoss is null);
        }

        var judged = Ml.Regression.Trainers.TabularNetwork(WithKeys).Fit(View(rows), View(Rows(50, 10)));
        Assert.All(judged.Model.Network.LearningCurve.Points, point => Assert.NotNull(point.ValidationLoss));
    }

    [Fact]
    public void Of_two_trials_that_which_judges_better_is_kept_or_both_where_their_mean_is_better_still()
    {
        var kept = new List<string>();
        foreach (var (waves, noise, count, epochs, seed) in new[] { (0.5, 0.5, 400, 20, 1), (6, 0.5, 400, 20, 1), (3, 1, 200, 10, 1), (3, 1, 200, 10, 2), (1, 0.6, 200, 10, 1), (1, 0.6, 200, 10, 2) })
        {
            var rows = Waves(waves, noise, count);
            var options = Small with { Epochs = epochs, Seed = seed };
            var both = Ml.Regression.Trainers.TabularNetwork(options).Fit(rows.View);
            var single = new[] { options with { FrequencyScale = 0.1 }, options with { FrequencyScale = 1, Dropout = 0 } }.Select(some => Ml.Regression.Trainers.TabularNetwork(some).Fit(rows.View)).ToArray();
            Assert.Equal([.. single.SelectMany(Losses)], Losses(both));
            var definition = (TabularNetworkDefinition)both.Model.Network.Definition;
            if (definition.Members == 2 * options.Members)
            {
                kept.Add("both");
                Assert.All(Scores(both).Zip(Scores(single[0]).Zip(Scores(single[1]), (one, other) => (one + other) / 2)), pair => Assert.Equal(pair.Second, pair.First, 1e-5));
                continue;
            }

            Assert.Equal(options.Members, definition.Members);
            var better = Losses(single[0]).Min() < Losses(single[1]).Min() ? 0 : 1;
            kept.Add(better == 0 ? "low" : "high");
            Assert.Equal(Scores(single[better]), Scores(both));
            Assert.NotEqual(Scores(single[1 - better]), Scores(both));

            float[] Scores(ITransformer model) => [.. model.Transform(rows.View).GetColumn<float>("Score")];
        }

        Assert.Equal(["low", "high"], kept[..2]);
        Assert.Contains("both", kept);

        static double?[] Losses(NetworkPredictionTransformer<RegressionNetworkModel> model) => [.. model.Model.Network.LearningCurve.Points.Select(point => point.ValidationLoss)];
    }

    [Fact]
    public void What_both_trials_made_goes_on_and_is_trained_on_all_rows()
    {
        var rows = Waves(2, 0.8, 200);
        var options = Small with { LabelColumnName = "Flag", Epochs = 10 };
        var (model, seed) = Range(20).Select(i => (Ml.BinaryClassification.Trainers.TabularNetwork(options with { Seed = i }).Fit(rows.View), i)).First(fit => Members(fit.Item1) == 2 * options.Members);
        options = options with { Seed = seed };
        Assert.Equal(2 * options.Members, Members(Ml.BinaryClassification.Trainers.TabularNetwork(options).Fit(rows.View, model.Model)));
        Assert.Equal(2 * options.Members, Members(Ml.BinaryClassification.Trainers.TabularNetwork(options with { TrainOnAllRows = true }).Fit(rows.View)));
        var scored = Ml.BinaryClassification.Trainers.TabularNetwork(options with { OutOfFold = true }).Fit(rows.View);
        Assert.Contains(Members(scored), new[] { options.Folds, 2 * options.Folds });
        Assert.Equal(200, TabularNetwork.GetOutOfFoldScores(scored).Length);

        static int Members(NetworkPredictionTransformer<BinaryNetworkModel> fitted) => ((TabularNetworkDefinition)fitted.Model.Network.Definition).Members;
    }

    [Fact]
    public void The_epoch_that_judges_best_is_kept()
    {
        var rows = Numbers(200, 3, (random, i) => (float)random.NextNormal());
        Array.ForEach(rows.Rows, row => row.Flag = (row.Features[0] > 0) ^ (row.Features[1] > 1));
        foreach (var selection in Enum.GetValues<EpochSelection>())
        {
            var curve = Ml.BinaryClassification.Trainers.TabularNetwork(Small with { LabelColumnName = "Flag", Selection = selection, Epochs = 12 }).Fit(rows.View).Model.Network.LearningCurve;
            double Judged(Training.LearningCurvePoint point) => selection switch
            {
                EpochSelection.LogLoss => point.ValidationLoss!.Value,
                EpochSelection.ErrorRate => Math.Max(1 - point.Metric!.Value, 0.5 / 100),
                EpochSelection.Last => -point.Epoch,
                _ => point.ValidationLoss!.Value * Math.Max(1 - point.Metric!.Value, 0.5 / 100),
            };
            Assert.Equal(curve.Points.OrderBy(Judged).ThenByDescending(point => point.Epoch).First().Epoch, curve.BestEpoch);
        }
    }

    [Fact]
    public void Scores_of_rows_by_members_that_did_not_train_on_them_know_nothing_of_random_labels()
    {
        const int count = 400;
        var rows = Numbers(count, 6, (random, i) => (float)random.NextNormal());
        var random = new Random(8);
        Array.ForEach(rows.Rows, row => row.Flag = random.Next(2) == 1);
        var options = Small with { LabelColumnName = "Flag", OutOfFold = true, Dropout = 0, HiddenSize = 64, Epochs = 40, Selection = EpochSelection.Last };
        var model = Ml.BinaryClassification.Trainers.TabularNetwork(options).Fit(rows.View);
        using var stream = new MemoryStream();
        Ml.Model.Save(model, rows.View.Schema, stream);
        var scores = TabularNetwork.GetOutOfFoldScores(new MLContext().Model.Load(stream, out _));
        Assert.Equal(count, scores.Length);
        Assert.Equal(scores, TabularNetwork.GetOutOfFoldScores(model));
        var most = Math.Max(rows.Rows.Count(row => row.Flag), rows.Rows.Count(row => !row.Flag)) / (double)count;
        var accuracy = scores.Zip(rows.Rows).Count(pair => pair.First[0] > 0 == pair.Second.Flag) / (double)count;
        Assert.InRange(accuracy, 1 - most - 0.075, most + 0.075);
        Assert.True(Ml.BinaryClassification.Evaluate(model.Transform(rows.View), "Flag").Accuracy > most + 0.15);
        Assert.Throws<ArgumentException>(() => TabularNetwork.GetOutOfFoldScores(Ml.BinaryClassification.Trainers.TabularNetwork(Small with { LabelColumnName = "Flag" }).Fit(rows.View)));
    }

    [Fact]
    public void A_last_fit_on_all_rows_keeps_epoch_and_calibration()
    {
        var rows = Rows(200, 12);
        var options = WithKeys with { LabelColumnName = "Flag", Epochs = 8 };
        var (once, again) = (Fit(options), Fit(options with { TrainOnAllRows = true }));
        Assert.Equal(once.LearningCurve, again.LearningCurve);
        Assert.Equal(Tensor(once, "temperature"), Tensor(again, "temperature"));
        Assert.NotEqual(Tensor(once, "members.output.weight"), Tensor(again, "members.output.weight"));
        Assert.Null(Ml.Regression.Trainers.TabularNetwork(WithKeys with { TrainOnAllRows = true }).Fit(View(rows)).Model.Network.LearningCurve.Points[0].ValidationLoss);

        TrainedNetwork Fit(TabularNetwork.Options some) => Ml.BinaryClassification.Trainers.TabularNetwork(some).Fit(View(rows)).Model.Network;

        static float[] Tensor(TrainedNetwork network, string name) => network.Weights.Single(tensor => tensor.Name == name).Floats.ToArray();
    }

    [Fact]
    public void Rows_beyond_the_memory_budget_are_drawn_at_random_and_keep_within_it()
    {
        var rows = Numbers(12_000, 40, (random, i) => (float)random.NextNormal());
        var (ml, lines) = (new MLContext(1), new List<string>());
        ml.Log += (_, line) => lines.Add(line.Message);
        var model = ml.Regression.Trainers.TabularNetwork(Small with { MemoryBudget = 1_000_000, Epochs = 3 }).Fit(rows.View);
        Assert.Contains(lines, line => line.Contains("12000 rows do not fit", StringComparison.Ordinal));
        Assert.True(Ml.Regression.Evaluate(model.Transform(rows.View)).RSquared > 0.8);
    }

    [Fact]
    public void Time_that_is_short_shortens_the_training()
    {
        var rows = Rows(400, 11);
        var curve = Ml.Regression.Trainers.TabularNetwork(WithKeys with { Epochs = 5000, MaxTrainingTime = TimeSpan.FromSeconds(0.5) }).Fit(View(rows)).Model.Network.LearningCurve;
        Assert.InRange(curve.Points.Count, 1, 4999);
    }

    [Fact]
    public void Options_that_do_not_fit_each_other_are_refused_by_name()
    {
        (TabularNetwork.Options Options, string Name)[] wrong =
        [
            (Small with { CategoricalColumns = ["A", "A"] }, "CategoricalColumns"), (Small with { CategoricalColumns = ["Label"] }, "CategoricalColumns"),
            (Small with { CategoricalColumns = [""] }, "CategoricalColumns"), (Small with { MaxTrainingTime = TimeSpan.Zero }, "MaxTrainingTime"), (Small with { OutOfFold = true, Folds = 1 }, "OutOfFold"),
        ];
        foreach (var (options, name) in wrong)
            Assert.Contains($"'{name}'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.Regression.Trainers.TabularNetwork(options)).Message, StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentException>(() => Ml.Regression.Trainers.TabularNetwork(Small with { FeatureColumnName = null }));
        var all = TabularNetwork.Options.Fast with { CategoricalColumns = ["A"], MaxTrainingTime = TimeSpan.FromMinutes(1), BatchSize = 64, LearningRate = 0.1 };
        Assert.Equal(all, NetworkOptions.FromJson<TabularNetwork.Options>(all.ToJson()));
    }

    private static IEnumerable<int> Range(int count) => Enumerable.Range(0, count);

    private static float[] Scores(NetworkPredictionTransformer<RegressionNetworkModel> model, IDataView data) => [.. model.Transform(data).GetColumn<float>("Score")];

    // Rows as the network reads them.
    private static IEnumerable<float> Laid(Row[] rows, TrainedNetwork model)
    {
        var tags = model.Layout!.Columns.Single(column => column.Name == "Tags").Width;
        foreach (var row in rows)
        {
            foreach (var x in row.Features)
                yield return x;
            foreach (var column in model.Layout.Columns)
            {
                foreach (var key in column.Name switch { "Colour" => [row.Colour], "Shape" => [row.Shape], "Side" => [row.Side], _ => row.Tags.Concat(Enumerable.Repeat(0u, tags)).Take(tags).ToArray() })
                    yield return key;
            }
        }
    }

    private static Row[] Rows(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Range(count).Select(_ =>
        {
            float[] x = [(float)random.NextNormal(), random.NextDouble() < 0.2 ? float.NaN : (float)Math.Exp(random.NextNormal()), random.Next(2), 3];
            var row = new Row { Features = x, Colour = (uint)random.Next(0, Colours + 1), Shape = (uint)random.Next(1, 4), Side = (uint)random.Next(0, 3), Tags = [.. Range(random.Next(0, 4)).Select(_ => (uint)random.Next(1, 16))] };
            row.Label = (float)(Math.Sin(2 * x[0]) + (float.IsNaN(x[1]) ? 1 : 0) + x[2] + (row.Colour % 2) + (row.Shape == 2 ? 1 : 0) + row.Side + (0.1 * random.NextNormal()));
            row.Flag = row.Label > 3;
            return row;
        })];
    }

    private static IDataView View(Row[] rows, int colours = Colours)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, 4);
        schema[nameof(Row.Colour)].ColumnType = new KeyDataViewType(typeof(uint), colours);
        schema[nameof(Row.Shape)].ColumnType = new KeyDataViewType(typeof(uint), 3);
        schema[nameof(Row.Side)].ColumnType = new KeyDataViewType(typeof(uint), 2);
        schema[nameof(Row.Tags)].ColumnType = new VectorDataViewType(new KeyDataViewType(typeof(uint), Math.Max(15, colours)));
        return Ml.Data.LoadFromEnumerable(rows, schema);
    }

    private static (PlainRow[] Rows, IDataView View) Waves(double frequency, double noise, int count)
    {
        var random = new Random(5);
        var rows = Numbers(count, 2, (random, i) => (float)random.NextNormal());
        foreach (var row in rows.Rows)
        {
            row.Label = (float)(Math.Sin(frequency * row.Features[0]) + (noise * random.NextNormal()));
            row.Flag = row.Label > 0;
        }

        return rows;
    }

    private static (PlainRow[] Rows, IDataView View) Numbers(int count, int width, Func<Random, int, float> value)
    {
        var random = new Random(width);
        PlainRow[] rows = [.. Range(count).Select(_ =>
        {
            float[] x = [.. Range(width).Select(i => value(random, i))];
            return new PlainRow { Features = x, Label = x[0] + (0.1f * (float)random.NextNormal()) };
        })];
        return (rows, Ml.Data.LoadFromEnumerable(rows, PlainSchema(width)));
    }

    private static IDataView Plain(float[][] rows) => Ml.Data.LoadFromEnumerable(rows.Select(x => new PlainRow { Features = x }), PlainSchema(rows[0].Length));

    private static SchemaDefinition PlainSchema(int width)
    {
        var schema = SchemaDefinition.Create(typeof(PlainRow));
        schema[nameof(PlainRow.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, width);
        return schema;
    }

    private sealed class PlainRow
    {
        public float[] Features { get; set; } = [];

        public float Label { get; set; }

        public bool Flag { get; set; }
    }

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public uint Colour { get; set; }

        public uint Shape { get; set; }

        public uint Side { get; set; }

        public uint[] Tags { get; set; } = [];

        public float Label { get; set; }

        public bool Flag { get; set; }

        public float Weight { get; set; }
    }
}
