using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Boosting;
using MlNetMlp.Interop;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Boosting;

public class GradientBoostedNetworkTests
{
    private const int Width = 4;

    private static readonly GradientBoostedNetwork.Options Quick = new()
    {
        TotalUnits = 30, UnitsPerStep = 2, Restarts = 1, LearningRate = 0.3, Subsample = 0.5, StepIterations = 40, EarlyStoppingRounds = 0,
        Activation = GradientBoostedNetworkActivation.Logistic, Seed = 1,
    };

    private static readonly GradientBoostedNetwork.Options Plain = Quick with { Subsample = 1, L2 = 0, ValidationFraction = 0 };

    private readonly MLContext _ml = new(1);

    public sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = [];

        public float Label { get; set; }

        public bool Flag { get; set; }

        public string Kind { get; set; } = "";
    }

    public sealed class WeightedRow
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = [];

        public bool Flag { get; set; }

        public float Weight { get; set; }
    }

    [Fact]
    public void Learns_every_task()
    {
        var (train, test, options) = (View(Rows(800, 1)), View(Rows(300, 2)), Quick with { TotalUnits = 60 });
        var fit = _ml.Regression.Evaluate(Regression(options, train).Transform(test)).RSquared;
        Assert.True(fit > 0.95, $"R² {fit}");
        var accuracy = _ml.BinaryClassification.Evaluate(Binary(options, train).Transform(test), "Flag").Accuracy;
        Assert.True(accuracy > 0.93, $"accuracy {accuracy}");
        accuracy = _ml.MulticlassClassification.Evaluate(Multiclass(options, train).Transform(test)).MicroAccuracy;
        Assert.True(accuracy > 0.93, $"accuracy {accuracy}");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void The_fused_network_of_each_prefix_has_the_loss_of_the_staged_sum(int restarts)
    {
        var rows = Rows(300, 3);
        foreach (var model in Models(Quick with { ValidationFraction = 0, Restarts = restarts }, View(rows)))
        {
            using var scope = NewDisposeScope();
            var whole = HiddenLayerModel.Find(model)!;
            var labels = Labels(model, rows);
            Assert.Equal(16, whole.StagedLosses.Count);
            foreach (var staged in whole.StagedLosses)
            {
                using var network = whole.Truncate(staged.Units).Network.CreateNetwork();
                var loss = whole.Network.Head.Loss(network.call(Features(rows)), labels).ToDouble();
                Assert.Equal(staged.TrainingLoss, loss, 1e-5);
            }
        }
    }

    [Fact]
    public void Without_units_there_is_the_constant()
    {
        // 70 of 100 rows are true.
        var rows = Rows(100, 4).Select((row, i) => new Row { Features = row.Features, Label = row.Label, Flag = i % 10 < 7, Kind = row.Kind }).ToList();
        var options = Plain with { TotalUnits = 4 };
        Assert.Equal(rows.Average(row => row.Label), Scores(_ml.Model.ChangeActiveUnits(Regression(options, View(rows)), 0), rows)[0], 1e-4);
        Assert.Equal(Math.Log(7.0 / 3), Scores(_ml.Model.ChangeActiveUnits(Binary(options, View(rows)), 0), rows)[^1], 1e-5);
        var classes = _ml.Model.ChangeActiveUnits(Multiclass(options, View(rows)), 0).Transform(View(rows)).GetColumn<float[]>("Score").First();
        Assert.All(classes, p => Assert.Equal(1.0 / 3, p, 1e-6));
    }

    [Theory]
    [InlineData(1.0, 40, GradientBoostedNetworkActivation.Logistic)]
    [InlineData(0.1, 40, GradientBoostedNetworkActivation.Tanh)]
    [InlineData(1.0, 1, GradientBoostedNetworkActivation.Relu)]
    public void No_step_raises_a_squared_training_loss(double learningRate, int iterations, GradientBoostedNetworkActivation activation)
    {
        // With one iteration many a fit is worse than none, and is solved again.
        var options = Plain with { LearningRate = learningRate, StepIterations = iterations, Activation = activation, TotalUnits = 80 };
        var losses = HiddenLayerModel.Find(Regression(options, View(Rows(200, 5))))!.StagedLosses.Select(s => s.TrainingLoss).ToArray();
        Assert.True(losses.Zip(losses.Skip(1)).All(pair => pair.Second <= pair.First + 1e-7), string.Join(' ', losses));
        Assert.True(losses[^1] < 0.5);
    }

    [Fact]
    public void One_step_of_all_units_is_plain_minimisation()
    {
        using var scope = NewDisposeScope();
        var rows = Rows(150, 6);
        var (j, iterations) = (6, 12);
        var model = Regression(Plain with { TotalUnits = j, UnitsPerStep = j, LearningRate = 1, StepIterations = iterations, L2 = 1e-3, StandardizeInputs = false, InputKnots = 0 }, View(rows));

        var (x, y) = (Features(rows).to(ScalarType.Float64), Labels(model, rows).to(ScalarType.Float64));
        using var streams = new RandomStreams(1, CPU);
        var start = empty((j * (Width + 2)) + 1, ScalarType.Float64).uniform_(-1, 1, streams.Weights);
        start.narrow(0, 0, j * (Width + 1)).mul_(Math.Sqrt(2.0 / (Width + j)));
        start.narrow(0, j * (Width + 1), j + 1).mul_(Math.Sqrt(2.0 / (j + 1)));
        Tensor Output(Tensor p) => x.matmul(p.narrow(0, 0, j * Width).view(j, Width).t()).add(p.narrow(0, j * Width, j)).sigmoid()
            .matmul(p.narrow(0, j * (Width + 1), j)).add(p.narrow(0, j * (Width + 2), 1));
        Tensor Loss(Tensor p) => Output(p).sub(y - y.mean()).square().mean().div(2)
            .add((p.narrow(0, 0, j * Width).square().sum() + p.narrow(0, j * (Width + 1), j).square().sum()) * (1e-3 / 2 / rows.Count));
        LbfgsMinimizer.Minimize(
            start,
            gradient =>
            {
                var point = start.detach().clone().requires_grad_();
                var loss = Loss(point);
                loss.backward();
                gradient.copy_(point.grad!);
                return loss.ToDouble();
            },
            new LbfgsSettings { MaxIterations = iterations, GradientTolerance = 1e-5, RelativeTolerance = 0 });

        using var network = HiddenLayerModel.Find(model)!.Network.CreateNetwork();
        var difference = (network.call(Features(rows)).flatten().to(ScalarType.Float64) - (Output(start) + y.mean())).abs().max().ToDouble();
        Assert.True(difference < 1e-3, $"{difference}");
    }

    [Fact]
    public void Active_units_survive_a_file_and_can_be_raised_again()
    {
        var rows = Rows(200, 7);
        foreach (var model in Models(Quick with { ValidationFraction = 0 }, View(rows)))
        {
            var slim = _ml.Model.ChangeActiveUnits(model, 11);
            Assert.Equal(10, HiddenLayerModel.Find(slim)!.ActiveUnits);
            Assert.Equal(30, HiddenLayerModel.Find(model)!.ActiveUnits);
            using var stream = new MemoryStream();
            _ml.Model.Save(slim, View(rows).Schema, stream);
            stream.Position = 0;
            var loaded = new MLContext().Model.Load(stream, out _);
            var layer = HiddenLayerModel.Find(loaded)!;
            Assert.Equal((10, 30, 2, 15), (layer.ActiveUnits, layer.HiddenUnits, layer.UnitsPerStep, layer.StepSizes.Count));
            Assert.Equal(AllScores(slim, rows), AllScores(loaded, rows));
            Assert.Equal(AllScores(slim, rows), AllScores(_ml.Model.TruncateHiddenUnits(model, 10), rows));
            Assert.NotEqual(AllScores(model, rows), AllScores(loaded, rows));
            Assert.Equal(AllScores(model, rows), AllScores(_ml.Model.ChangeActiveUnits(loaded, 30), rows));
            Assert.Equal(AllScores(model, rows), AllScores(_ml.Model.TruncateHiddenUnits(model, 30), rows));
            Assert.Throws<ArgumentOutOfRangeException>(() => _ml.Model.ChangeActiveUnits(loaded, 31));
            Assert.Equal(10, HiddenLayerModel.Find(_ml.Model.TruncateHiddenUnits(loaded, 10))!.HiddenUnits);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(20)]
    public void Plain_matrices_score_as_the_model_does(int knots)
    {
        var rows = Rows(100, 8);
        var options = Quick with { InputKnots = knots };
        foreach (var model in (ITransformer[])[Regression(options, View(rows)), Binary(options, View(rows))])
        {
            using var scope = NewDisposeScope();
            var layer = HiddenLayerModel.Find(model)!;
            var (w1, b1, w2, b2) = layer.ToWeights();
            var inputs = layer.InputKnots is { } map ? cat([Features(rows), map.Map(Features(rows))], 1) : Features(rows);
            Assert.Equal(knots > 0 ? 2 * Width : Width, w1.GetLength(1));
            var scores = Scores(model, rows);
            var spread = scores.Max() - scores.Min();
            for (var i = 0; i < rows.Count; i++)
            {
                var score = b2[0];
                for (var j = 0; j < b1.Length; j++)
                    score += w2[0, j] / (1 + Math.Exp(-b1[j] - Enumerable.Range(0, w1.GetLength(1)).Sum(d => w1[j, d] * inputs[i, d].ToDouble())));
                Assert.Equal(score, scores[i], 1e-5 * spread);
            }
        }
    }

    [Fact]
    public void Knots_make_scores_follow_the_order_of_a_feature_of_any_scale()
    {
        // Without knots a feature that spans ten powers of ten is one value and an outlier.
        var rows = Rows(300, 8).Select(row => new Row { Features = [.. row.Features.Select(x => MathF.Exp(4 * x))], Label = MathF.Tanh(2 * row.Features[0]) }).ToList();
        var options = Plain with { TotalUnits = 40, UnitsPerStep = 4 };
        double Error(int knots)
        {
            var scores = Scores(Regression(options with { InputKnots = knots }, View(rows)), rows);
            return Math.Sqrt(rows.Select((row, i) => Math.Pow(row.Label - scores[i], 2)).Average());
        }

        Assert.True(Error(64) < Error(0) / 2, $"{Error(64)} with knots and {Error(0)} without");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(1025)]
    public void Too_few_or_too_many_knots_are_refused(int knots) =>
        Assert.Contains("'InputKnots'", Assert.ThrowsAny<ArgumentException>(() => Regression(Quick with { InputKnots = knots }, View(Rows(20, 1)))).Message);

    [Fact]
    public void The_same_seed_gives_the_same_model_and_a_sample_another()
    {
        var data = View(Rows(200, 9));
        Assert.Equal(Weights(Quick), Weights(Quick));
        Assert.NotEqual(Weights(Quick), Weights(Quick with { Seed = 2 }));
        Assert.NotEqual(Weights(Quick), Weights(Quick with { Subsample = 0.7 }));

        float[] Weights(GradientBoostedNetwork.Options options) => [.. HiddenLayerModel.Find(Binary(options, data))!.Network.Weights.SelectMany(t => t.Floats.ToArray())];
    }

    [Theory]
    [InlineData(0.5)]
    [InlineData(1.0)]
    public void The_first_of_several_sums_is_the_one_without_restarts(double subsample)
    {
        var data = View(Rows(200, 9));
        var options = Quick with { ValidationFraction = 0, Subsample = subsample };
        var (one, three) = (HiddenLayerModel.Find(Binary(options, data))!, HiddenLayerModel.Find(Binary(options with { Restarts = 3 }, data))!);
        Assert.Equal((30, 2, 90, 6), (one.HiddenUnits, one.UnitsPerStep, three.HiddenUnits, three.UnitsPerStep));
        var ((w1, b1, w2, _), (v1, c1, v2, _)) = (one.ToWeights(), three.ToWeights());
        for (var unit = 0; unit < 30; unit++)
        {
            var place = (unit / 2 * 6) + (unit % 2);
            Assert.Equal(b1[unit], c1[place]);
            Assert.Equal(w2[0, unit] / 3, v2[0, place], 1e-6 * Math.Abs(w2[0, unit]));
            Assert.All(Enumerable.Range(0, Width), d => Assert.Equal(w1[unit, d], v1[place, d]));
            Assert.NotEqual(c1[place], c1[place + 2]);
            Assert.NotEqual(c1[place + 2], c1[place + 4]);
        }
    }

    [Fact]
    public void The_number_of_threads_changes_no_bit_of_several_sums()
    {
        var data = View(Rows(300, 21));
        var before = get_num_threads();
        try
        {
            Assert.Equal(Weights(1), Weights(2));
        }
        finally
        {
            set_num_threads(before);
        }

        float[] Weights(int threads)
        {
            set_num_threads(threads);
            return [.. HiddenLayerModel.Find(Multiclass(Quick with { Restarts = 3, TotalUnits = 10 }, data))!.Network.Weights.SelectMany(t => t.Floats.ToArray())];
        }
    }

    [Fact]
    public void Weights_are_repeated_rows_where_nothing_is_standardised_or_held_out()
    {
        // Classes, since labels of regression are standardised by rows.
        var rows = Rows(120, 20);
        var options = Plain with { TotalUnits = 10, StepIterations = 4, StandardizeInputs = false, LabelColumnName = "Flag" };
        var weighted = _ml.Data.LoadFromEnumerable(rows.Select((row, i) => new WeightedRow { Features = row.Features, Flag = row.Flag, Weight = 1 + (i % 3) }).ToList());
        var repeated = View([.. rows.SelectMany((row, i) => Enumerable.Repeat(row, 1 + (i % 3)))]);
        var one = _ml.BinaryClassification.Trainers.GradientBoostedNetwork(options with { ExampleWeightColumnName = "Weight" }).Fit(weighted);
        Assert.Equal(Scores(Binary(options, repeated), rows), Scores(one, rows), (a, b) => Math.Abs(a - b) < 1e-3);
        Assert.NotEqual(Scores(Binary(options, View(rows)), rows), Scores(one, rows), (a, b) => Math.Abs(a - b) < 1e-2);
    }

    [Fact]
    public void The_prefix_with_the_least_loss_on_rows_held_out_is_active()
    {
        var rows = Rows(200, 10);
        var random = new DeterministicRandom(3);
        foreach (var row in rows)
            row.Label += 8 * (float)random.NextDouble();
        var layer = HiddenLayerModel.Find(Regression(Quick with { TotalUnits = 120, LearningRate = 1, ValidationFraction = 0.3 }, View(rows)))!;
        Assert.Equal(120, layer.HiddenUnits);
        Assert.InRange(layer.ActiveUnits, 1, 60);
        Assert.Equal(layer.StagedLosses.MinBy(staged => staged.ValidationLoss)!.Units, layer.ActiveUnits);

        // Nothing can be learned of labels that are noise, and the constant is a prefix too.
        foreach (var row in rows)
            row.Label = (float)random.NextDouble();
        layer = HiddenLayerModel.Find(Regression(Quick with { LearningRate = 1, ValidationFraction = 0.5, EarlyStoppingRounds = 5 }, View(rows)))!;
        Assert.InRange(layer.ActiveUnits, 0, 10);
        Assert.Equal(layer.ActiveUnits + 10, layer.HiddenUnits);
        Assert.Contains("for 5 steps", layer.Network.LearningCurve.StopReason, StringComparison.Ordinal);
    }

    [Fact]
    public void Several_sums_go_on_from_an_earlier_model()
    {
        var rows = Rows(300, 11);
        var options = Plain with { TotalUnits = 10, Restarts = 2 };
        var first = Regression(options, View(rows));
        var second = Regression(options with { InitialModel = first, Seed = 2 }, View(rows));
        var layer = HiddenLayerModel.Find(second)!;
        Assert.Equal((40, 40, 4), (layer.HiddenUnits, layer.ActiveUnits, layer.UnitsPerStep));
        Assert.Equal(Scores(first, rows), Scores(_ml.Model.ChangeActiveUnits(second, 20), rows), (a, b) => Math.Abs(a - b) < 1e-4);
        Assert.True(layer.StagedLosses[^1].TrainingLoss < layer.StagedLosses[5].TrainingLoss);
        var fault = Assert.Throws<InvalidOperationException>(() => Regression(options with { InitialModel = first, Restarts = 3 }, View(rows)));
        Assert.Contains("steps of 6 units", fault.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Each_sum_goes_on_from_its_own_part_so_that_rows_it_holds_out_stay_unseen(bool isCut)
    {
        var rows = Rows(200, 11);
        var random = new DeterministicRandom(3);
        foreach (var row in rows)
            row.Label += 8 * (float)random.NextDouble();
        var options = Quick with { Restarts = 3, ValidationFraction = 0.3 };
        foreach (var model in Models(options, View(rows)))
        {
            var first = isCut ? _ml.Model.ChangeActiveUnits(model, 30) : _ml.Model.ChangeActiveUnits(model, 90);
            var standing = options with { InitialModel = first, TotalUnits = 2, LearningRate = 1e-9, StepIterations = 1 };
            ITransformer second = model switch
            {
                ISingleFeaturePredictionTransformer<RegressionNetworkModel> => Regression(standing, View(rows)),
                ISingleFeaturePredictionTransformer<BinaryNetworkModel> => Binary(standing, View(rows)),
                _ => Multiclass(standing, View(rows)),
            };
            var losses = HiddenLayerModel.Find(second)!.StagedLosses;
            Assert.Equal(isCut ? 7 : 17, losses.Count);
            Assert.Equal(losses[^2].ValidationLoss!.Value, losses[^1].ValidationLoss!.Value, 1e-4 * losses[^2].ValidationLoss!.Value);
            Assert.True(losses[^1].ValidationLoss > 1.02 * losses[^1].TrainingLoss, "the rows held out are no more surprising than the others");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0.5)]
    public void A_step_leaves_no_tensor_behind(double subsample)
    {
        var live = new List<long>();
        var options = Quick with
        {
            Subsample = subsample,
            Progress = new Watcher(report =>
            {
                if (report.IsEndOfEpoch)
                    live.Add(DisposeScopeManager.Statistics.ThreadTotalLiveCount);
            }),
        };
        var models = Models(options, View(Rows(200, 1))).Length;
        Assert.Equal(15 * models, live.Count);
        Assert.All(live.Chunk(15), fit => Assert.Single(fit.Distinct()));
    }

    [Fact]
    public void Of_a_fraction_too_small_for_a_row_none_is_held_out_and_it_is_said()
    {
        var messages = new List<string>();
        _ml.Log += (_, log) => messages.Add(log.Message);
        var layer = HiddenLayerModel.Find(Regression(Quick with { ValidationFraction = 0.1, TotalUnits = 4 }, View(Rows(9, 1))))!;
        Assert.Equal(4, layer.ActiveUnits);
        Assert.All(layer.StagedLosses, stage => Assert.Null(stage.ValidationLoss));
        Assert.Contains(messages, message => message.Contains("No rows are held out: 10 % of 9 are none", StringComparison.Ordinal));
    }

    [Fact]
    public void Rows_that_the_user_holds_out_are_the_only_ones()
    {
        var (rows, held) = (Rows(200, 11), Rows(60, 12));
        var given = HiddenLayerModel.Find(Regression(Quick with { Restarts = 2, ValidationData = View(held) }, View(rows)))!;
        var none = HiddenLayerModel.Find(Regression(Quick with { Restarts = 2, ValidationFraction = 0 }, View(rows)))!;
        Assert.Equal(none.StagedLosses.Select(stage => stage.TrainingLoss), given.StagedLosses.Select(stage => stage.TrainingLoss));
        using var scope = NewDisposeScope();
        foreach (var stage in given.StagedLosses)
        {
            using var network = given.Truncate(stage.Units).Network.CreateNetwork();
            var head = (Networks.RegressionHead)given.Network.Head;
            var labels = tensor(held.Select(row => (float)((row.Label - head.LabelMean) / head.LabelScale)).ToArray());
            Assert.Equal(stage.ValidationLoss!.Value, head.Loss(network.call(Features(held)), labels).ToDouble(), 1e-5);
        }
    }

    [Fact]
    public void Training_goes_on_from_an_earlier_model()
    {
        var rows = Rows(300, 11);
        foreach (var loaded in (bool[])[false, true])
        {
            var options = Plain with { TotalUnits = 10 };
            ITransformer first = Binary(options, View(rows));
            if (loaded)
            {
                using var stream = new MemoryStream();
                _ml.Model.Save(first, View(rows).Schema, stream);
                stream.Position = 0;
                first = _ml.Model.Load(stream, out _);
            }

            var second = Binary(options with { InitialModel = first, Seed = 2 }, View(rows));
            var layer = HiddenLayerModel.Find(second)!;
            Assert.Equal((20, 20), (layer.HiddenUnits, layer.ActiveUnits));
            Assert.Equal(Scores(first, rows), Scores(_ml.Model.ChangeActiveUnits(second, 10), rows), (a, b) => Math.Abs(a - b) < 1e-5);
            Assert.Equal(Enumerable.Range(0, 11).Select(t => 2 * t), layer.StagedLosses.Select(staged => staged.Units));
            Assert.Equal(HiddenLayerModel.Find(first)!.StagedLosses, layer.StagedLosses.Take(6));
            Assert.True(layer.StagedLosses[^1].TrainingLoss < layer.StagedLosses[5].TrainingLoss);
            var fault = Assert.Throws<InvalidOperationException>(() => Binary(options with { InitialModel = first, UnitsPerStep = 5 }, View(rows)));
            Assert.Contains("steps of 5 units", fault.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_constant_label_gives_the_constant_and_says_so()
    {
        var rows = Rows(50, 12);
        rows.ForEach(row => row.Label = 7);
        var messages = new List<string>();
        _ml.Log += (_, log) => messages.Add(log.Message);
        var model = Regression(Quick, View(rows));
        Assert.Contains(messages, message => message.Contains("residuals have vanished after 0 steps", StringComparison.Ordinal));
        Assert.Equal(0, HiddenLayerModel.Find(model)!.HiddenUnits);
        Assert.All(Scores(model, rows), score => Assert.Equal(7, score, 1e-6));
        using var stream = new MemoryStream();
        _ml.Model.Save(model, View(rows).Schema, stream);
        stream.Position = 0;
        Assert.Equal(Scores(model, rows), Scores(_ml.Model.Load(stream, out _), rows));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Rows_that_do_not_fit_memory_give_the_same_model(int restarts)
    {
        var data = View(Rows(50_000, 13));
        var options = Quick with { TotalUnits = 6, Subsample = 0.02, ValidationFraction = 0, StandardizeInputs = false, Restarts = restarts };
        Assert.Equal(Weights(options), Weights(options with { MemoryBudget = 1_000_000 }));

        float[] Weights(GradientBoostedNetwork.Options options) => [.. HiddenLayerModel.Find(Regression(options, data))!.Network.Weights.SelectMany(t => t.Floats.ToArray())];
    }

    [Fact]
    public void A_class_without_rows_keeps_its_score()
    {
        var keys = _ml.Data.LoadFromEnumerable(new[] { "small", "medium", "huge", "big" }.Select(kind => new Row { Label = 0, Kind = kind, Features = new float[Width] }).ToList());
        var map = _ml.Transforms.Conversion.MapValueToKey("Label", "Kind", keyData: _ml.Transforms.SelectColumns("Kind").Fit(keys).Transform(keys));
        var (train, test) = (View(Rows(400, 14)), View(Rows(100, 15)));
        var model = map.Append(_ml.MulticlassClassification.Trainers.GradientBoostedNetwork(Quick)).Fit(train);
        var scored = model.Transform(test);
        Assert.All(scored.GetColumn<float[]>("Score"), p => Assert.True(p.Length == 4 && p[2] < 0.1, string.Join(' ', p)));
        Assert.True(_ml.MulticlassClassification.Evaluate(scored).MicroAccuracy > 0.9);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Cancelled_training_keeps_the_best_so_far_where_that_is_wanted(int restarts)
    {
        using var source = new CancellationTokenSource();
        var progress = new Watcher(report =>
        {
            if (report.Epoch == 3 && report.IsEndOfEpoch)
                source.Cancel();
        });
        var options = Quick with { Progress = progress, CancellationToken = source.Token, ValidationFraction = 0, Restarts = restarts };
        var layer = HiddenLayerModel.Find(Regression(options with { KeepBestWhenCancelled = true }, View(Rows(200, 16))))!;
        Assert.Equal((6 * restarts, 6 * restarts), (layer.HiddenUnits, layer.ActiveUnits));
        Assert.ThrowsAny<OperationCanceledException>(() => Regression(options, View(Rows(200, 16))));
    }

    [Fact]
    public void Adam_fits_steps_too()
    {
        var (train, test) = (View(Rows(600, 17)), View(Rows(300, 18)));
        var fit = _ml.Regression.Evaluate(Regression(Quick with { Solver = GradientBoostedNetworkSolver.Adam, StepIterations = 200 }, train).Transform(test)).RSquared;
        Assert.True(fit > 0.9, $"R² {fit}");
    }

    [Fact]
    public void Options_out_of_range_are_refused_by_name_range_and_value()
    {
        Refused("option 'TotalUnits' must be at least 1 and at most 10000, but was 0", new() { TotalUnits = 0 });
        Refused("option 'UnitsPerStep' must be at most 'TotalUnits', 8, but was 9", new() { TotalUnits = 8, UnitsPerStep = 9 });
        Refused("option 'LearningRate' must be greater than 0 and at most 1, but was 0", new() { LearningRate = 0 });
        Refused("option 'Restarts' must be at least 1 and at most 64, but was 65", new() { Restarts = 65 });
        Refused("option 'Subsample' must be greater than 0 and at most 1, but was 1.5", new() { Subsample = 1.5 });
        Refused("option 'Tolerance' must be at least 0, but was -1", new() { Tolerance = -1 });
        Refused("option 'Solver' must be one of Lbfgs, Adam, but was 2", new() { Solver = (GradientBoostedNetworkSolver)2 });
        OptionRanges.Check(new GradientBoostedNetwork.Options(), "GradientBoostedNetwork");
        var fault = Assert.Throws<InvalidOperationException>(() => Regression(Quick with { Subsample = 0.001 }, View(Rows(100, 19))));
        Assert.Contains("'Subsample' is 0.001, which leaves none of the 90 training rows", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_short_form_has_the_defaults_of_the_options()
    {
        var defaults = new GradientBoostedNetwork.Options();
        var doors = typeof(GradientBoostedNetworkCatalog).GetMethods(BindingFlags.Public | BindingFlags.Static).Where(m => m.GetParameters().Length > 2).ToList();
        Assert.Equal(3, doors.Count);
        Assert.All(doors, door => Assert.All(door.GetParameters().Skip(1), parameter =>
        {
            var option = char.ToUpperInvariant(parameter.Name![0]) + parameter.Name[1..];
            Assert.Equal(typeof(GradientBoostedNetwork.Options).GetProperty(option)!.GetValue(defaults), parameter.DefaultValue);
        }));
    }

    private static void Refused(string message, GradientBoostedNetwork.Options options) =>
        Assert.Contains(message, Assert.Throws<ArgumentOutOfRangeException>(() => OptionRanges.Check(options, "GradientBoostedNetwork")).Message, StringComparison.Ordinal);

    private NetworkPredictionTransformer<RegressionNetworkModel> Regression(GradientBoostedNetwork.Options options, IDataView data) =>
        _ml.Regression.Trainers.GradientBoostedNetwork(options).Fit(data);

    private NetworkPredictionTransformer<BinaryNetworkModel> Binary(GradientBoostedNetwork.Options options, IDataView data) =>
        _ml.BinaryClassification.Trainers.GradientBoostedNetwork(options with { LabelColumnName = "Flag" }).Fit(data);

    private TransformerChain<NetworkPredictionTransformer<MulticlassNetworkModel>> Multiclass(GradientBoostedNetwork.Options options, IDataView data) =>
        _ml.Transforms.Conversion.MapValueToKey("Label", "Kind").Append(_ml.MulticlassClassification.Trainers.GradientBoostedNetwork(options)).Fit(data);

    private ITransformer[] Models(GradientBoostedNetwork.Options options, IDataView data) => [Regression(options, data), Binary(options, data), Multiclass(options, data)];

    private float[] Scores(ITransformer model, List<Row> rows) => [.. model.Transform(View(rows)).GetColumn<float>("Score")];

    private float[] AllScores(ITransformer model, List<Row> rows)
    {
        var scored = model.Transform(View(rows));
        return scored.Schema["Score"].Type is VectorDataViewType ? [.. scored.GetColumn<float[]>("Score").SelectMany(row => row)] : [.. scored.GetColumn<float>("Score")];
    }

    private static Tensor Features(List<Row> rows) => tensor(rows.SelectMany(row => row.Features).ToArray(), [rows.Count, Width]);

    private Tensor Labels(ITransformer model, List<Row> rows) => HiddenLayerModel.Find(model)!.Network.Head switch
    {
        Networks.RegressionHead head => tensor(rows.Select(row => (float)((row.Label - head.LabelMean) / head.LabelScale)).ToArray()),
        Networks.BinaryHead => tensor(rows.Select(row => row.Flag ? 1f : 0f).ToArray()),
        _ => tensor(model.Transform(View(rows)).GetColumn<uint>("Label").Select(key => key - 1L).ToArray()),
    };

    private IDataView View(List<Row> rows) => _ml.Data.LoadFromEnumerable(rows);

    private static List<Row> Rows(int count, ulong seed)
    {
        var random = new DeterministicRandom(seed);
        return [.. Enumerable.Range(0, count).Select(_ =>
        {
            float[] x = [.. Enumerable.Range(0, Width).Select(_ => (float)((random.NextDouble() * 4) - 2))];
            return new Row
            {
                Features = x,
                Label = 10 + (3 * x[0]) - (2 * x[1] * x[1]),
                Flag = x[0] * x[1] > 0,
                Kind = x[0] > 0.7f ? "big" : x[1] > 0 ? "medium" : "small",
            };
        })];
    }

    private sealed class Watcher(Action<TrainingProgress> heard) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => heard(value);
    }
}
