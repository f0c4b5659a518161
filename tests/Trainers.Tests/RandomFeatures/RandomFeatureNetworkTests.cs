using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.RandomFeatures;

public sealed class RandomFeatureNetworkTests
{
    private const int Width = 3;

    // Without a search and a split: what is fitted is what the formulas say.
    private static readonly RandomFeatureNetwork.Options Plain = new()
    {
        HiddenUnits = 40, WeightScale = 1.5, L2 = 1e-6, ValidationFraction = 0, Diagnose = false, Seed = 1,
    };

    private readonly MLContext _ml = new(1);

    public sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = [];

        public float Label { get; set; }

        public bool Flag { get; set; }

        public string Kind { get; set; } = "";

        public float Weight { get; set; }
    }

    [Theory]
    [InlineData(12)]
    [InlineData(63)]
    public void Few_rows_are_enough(int count)
    {
        var random = new Random(1);
        var rows = Enumerable.Range(0, count).Select(_ => new Row { Features = [.. Enumerable.Range(0, Width).Select(_ => (float)random.NextDouble())], Label = (float)random.NextDouble() }).ToArray();

        var view = _ml.Data.LoadFromEnumerable(rows);
        var model = _ml.Regression.Trainers.RandomFeatureNetwork(new() { HiddenUnits = 8, Seed = 1 }).Fit(view);

        Assert.All(model.Transform(view).GetColumn<float>("Score"), score => Assert.True(float.IsFinite(score)));
    }

    [Theory]
    [InlineData(RandomActivation.Tanh, RandomWeightDistribution.Uniform)]
    [InlineData(RandomActivation.Logistic, RandomWeightDistribution.Gaussian)]
    [InlineData(RandomActivation.Gaussian, RandomWeightDistribution.Sphere)]
    [InlineData(RandomActivation.Relu, RandomWeightDistribution.DataPairs)]
    [InlineData(RandomActivation.Sine, RandomWeightDistribution.Gaussian)]
    [InlineData(RandomActivation.Cosine, RandomWeightDistribution.Uniform)]
    [InlineData(RandomActivation.Step, RandomWeightDistribution.Uniform)]
    [InlineData(RandomActivation.Softplus, RandomWeightDistribution.Uniform)]
    public void Is_ridge_regression_on_its_exported_units(RandomActivation activation, RandomWeightDistribution law)
    {
        using var scope = NewDisposeScope();
        var rows = Rows(200);
        var model = Regression(Plain with { Activation = activation, WeightDistribution = law }, rows);
        Near(IndependentRidge(model, rows, 1e-6), Scores(model, rows), 2e-5);
        Assert.Equal(40, HiddenLayerModel.Find(model)!.ActiveUnits);
    }

    [Fact]
    public void All_solvers_agree()
    {
        var rows = Rows(120);
        var expected = Scores(Regression(Plain with { HiddenUnits = 60, L2 = 0.5, L2Unit = RandomFeatureNetworkPenaltyUnit.Absolute }, rows), rows);
        foreach (var solver in new[] { RandomFeatureNetworkSolver.NormalEquations, RandomFeatureNetworkSolver.Dual, RandomFeatureNetworkSolver.ConjugateGradient })
        {
            var options = Plain with { HiddenUnits = 60, L2 = 0.5, L2Unit = RandomFeatureNetworkPenaltyUnit.Absolute, Solver = solver };
            Near(expected, Scores(Regression(options, rows), rows), solver == RandomFeatureNetworkSolver.ConjugateGradient ? 1e-4 : 1e-5);
        }

        // Fewer rows than units: the penalty that cross-validation chooses is the same from both sides.
        var wide = Plain with { HiddenUnits = 300, L2 = null, KeepSums = false };
        Near(
            Scores(Regression(wide with { Solver = RandomFeatureNetworkSolver.NormalEquations }, rows), rows),
            Scores(Regression(wide with { Solver = RandomFeatureNetworkSolver.Dual }, rows), rows), 2e-3);
    }

    [Fact]
    public void Interpolates_without_a_penalty_and_is_the_mean_with_a_great_one()
    {
        var rows = Rows(30);
        Near(rows.Select(row => row.Label), Scores(Regression(Plain with { HiddenUnits = 200, WeightScale = 4, L2 = 0 }, rows), rows), 2e-3);
        var mean = rows.Average(row => row.Label);
        Near(rows.Select(_ => mean), Scores(Regression(Plain with { L2 = 1e12 }, rows), rows), 1e-5);
    }

    [Fact]
    public void Comes_back_from_a_file_and_is_a_plain_network()
    {
        using var scope = NewDisposeScope();
        var rows = Rows(100);
        var model = Regression(Plain, rows);
        Assert.Equal(Scores(model, rows), Scores(Reload(model), rows));

        var (w1, b1, w2, b2) = HiddenLayerModel.Find(Reload(model))!.ToWeights();
        var h = Features(rows).to(ScalarType.Float64).mm(tensor(w1).t()).add(tensor(b1), 1).tanh();
        Near(h.mm(tensor(w2).t()).add(tensor(b2), 1).flatten().data<double>().ToArray().Select(x => (float)x), Scores(model, rows), 2e-5);
    }

    [Fact]
    public void The_order_of_rows_changes_nothing_but_rounding()
    {
        var rows = Rows(150);
        var other = rows.Reverse().ToArray();
        Near(Scores(Regression(Plain, rows), rows), Scores(Regression(Plain, other), rows), 2e-5);
    }

    [Fact]
    public void Twice_the_scale_of_rectified_units_is_undone_by_the_readout()
    {
        var rows = Rows(150);
        var options = Plain with { Activation = RandomActivation.Relu, L2 = 0.3, L2Unit = RandomFeatureNetworkPenaltyUnit.Absolute };
        Near(Scores(Regression(options, rows), rows), Scores(Regression(options with { WeightScale = 3, L2 = 1.2 }, rows), rows), 2e-5);
    }

    [Fact]
    public void A_streamed_set_gives_the_model_of_the_same_rows_in_memory()
    {
        var rows = Rows(60_000);

        // Means and deviations are added up in other groups where rows are streamed.
        var options = Plain with { HiddenUnits = 20, StandardizeInputs = false, BiasScale = 1.5 };
        var streamed = Regression(options with { MemoryBudget = 1_000_000 }, rows);
        Assert.Equal(Scores(Regression(options, rows), rows[..100]), Scores(streamed, rows[..100]));
    }

    [Fact]
    public void The_hidden_units_depend_on_the_seed_and_not_on_the_labels()
    {
        var rows = Rows(80);
        var other = rows.Select(row => new Row { Features = row.Features, Label = -row.Label * row.Label, Weight = 1 }).ToArray();
        var hidden = Hidden(Regression(Plain, rows));
        Assert.Equal(hidden, Hidden(Regression(Plain, other)));
        Assert.Equal(hidden, Hidden(Regression(Plain with { L2 = 1 }, rows)));
        Assert.NotEqual(hidden, Hidden(Regression(Plain with { Seed = 2 }, rows)));
    }

    [Fact]
    public void Constant_features_and_constant_labels_are_no_trouble()
    {
        var rows = Rows(60);
        foreach (var row in rows)
            row.Features[1] = 7;
        var model = Regression(Plain, rows);
        var moved = rows.Select(row => new Row { Features = [row.Features[0], 1000, row.Features[2]] }).ToArray();
        Assert.Equal(Scores(model, rows), Scores(model, moved));

        foreach (var row in rows)
            row.Label = 5;
        Near(rows.Select(_ => 5f), Scores(Regression(Plain with { L2 = null }, rows), rows), 1e-6);
    }

    [Theory]
    [InlineData(RandomFeatureNetworkSolver.Auto, 0.9)]
    [InlineData(RandomFeatureNetworkSolver.CrossEntropy, 0.9)]
    public void Learns_every_task(RandomFeatureNetworkSolver solver, double accuracy)
    {
        var (train, test) = (View(Rows(800)), View(Rows(300, seed: 2)));
        var options = new RandomFeatureNetwork.Options { HiddenUnits = 150, Seed = 1, Solver = solver };
        if (solver == RandomFeatureNetworkSolver.Auto)
        {
            var regression = _ml.Regression.Evaluate(_ml.Regression.Trainers.RandomFeatureNetwork(options).Fit(train).Transform(test));
            Assert.True(regression.RSquared > 0.9, $"R² {regression.RSquared}");
        }

        var binary = _ml.BinaryClassification.Evaluate(
            _ml.BinaryClassification.Trainers.RandomFeatureNetwork(options with { LabelColumnName = "Flag" }).Fit(train).Transform(test), "Flag");
        Assert.True(binary.Accuracy > accuracy, $"accuracy {binary.Accuracy}");
        Assert.True(binary.LogLoss < 0.3, $"log loss {binary.LogLoss}");
        var several = _ml.MulticlassClassification.Evaluate(Keys(test, _ml.Transforms.Conversion.MapValueToKey("Key", "Kind")
            .Append(_ml.MulticlassClassification.Trainers.RandomFeatureNetwork(options with { LabelColumnName = "Key" })).Fit(train)), "Key");
        Assert.True(several.MicroAccuracy > accuracy, $"accuracy {several.MicroAccuracy}");
        Assert.True(several.LogLoss < 0.3, $"log loss {several.LogLoss}");

        static IDataView Keys(IDataView view, ITransformer model) => model.Transform(view);
    }

    [Fact]
    public void The_lasso_leaves_fewer_units_and_a_smaller_file()
    {
        var (rows, test) = (Rows(600), View(Rows(300, seed: 2)));
        var options = Plain with { HiddenUnits = 200, L2 = null };
        var (full, sparse) = (Regression(options, rows), Regression(options with { L1 = 1e-3 }, rows));
        var units = HiddenLayerModel.Find(sparse)!.HiddenUnits;
        Assert.InRange(units, 3, 100);
        Assert.True(_ml.Regression.Evaluate(sparse.Transform(test)).RSquared > 0.9);
        Assert.True(Save(sparse).Length < Save(full).Length / 3);
        Assert.Equal(Scores(sparse, rows), Scores(Reload(sparse), rows));
        Assert.True(HiddenLayerModel.Find(Regression(options with { L1 = 0.05 }, rows))!.HiddenUnits < units);
    }

    [Fact]
    public void Several_numbers_are_as_good_as_each_alone()
    {
        var rows = Rows(200);
        var both = _ml.Transforms.CopyColumns("Double", "Label").Append(_ml.Transforms.Concatenate("Labels", "Label", "Double"))
            .Append(_ml.Regression.Trainers.RandomFeatureNetworkMultiOutput(Plain with { LabelColumnName = "Labels" })).Fit(View(rows));
        var expected = Scores(Regression(Plain, rows), rows);
        var scores = both.Transform(View(rows)).GetColumn<float[]>("Score").ToArray();
        Near(expected, scores.Select(score => score[0]), 1e-5);
        Near(expected, scores.Select(score => score[1]), 1e-5);
    }

    [Fact]
    public void What_cannot_be_is_refused_with_the_option_that_says_so()
    {
        var rows = Rows(50);
        Refused("Solver", () => Regression(Plain with { Solver = RandomFeatureNetworkSolver.CrossEntropy }, rows));
        Refused("L1", () => Regression(Plain with { Solver = RandomFeatureNetworkSolver.Dual, L1 = 0.1 }, rows));
        Refused("LargestScale", () => Regression(Plain with { LargestScale = 0.1 }, rows));
    }

    private static void Refused(string option, Action action)
    {
        var error = Assert.ThrowsAny<Exception>(action);
        Assert.True(error is InvalidOperationException or ArgumentOutOfRangeException, $"{error}");
        Assert.Contains($"'{option}'", error.Message, StringComparison.Ordinal);
    }

    // In double precision, from the weights that the model shows.
    private static float[] IndependentRidge(ITransformer model, Row[] rows, double relative)
    {
        var layer = HiddenLayerModel.Find(model)!;
        var (w1, b1, _, _) = layer.ToWeights();
        var z = Features(rows).to(ScalarType.Float64).mm(tensor(w1).t()).add(tensor(b1), 1);
        var h = ((MlNetMlp.Networks.HiddenLayerDefinition)layer.Network.Definition).Activation switch
        {
            MlNetMlp.Scoring.Activation.Tanh => z.tanh(),
            MlNetMlp.Scoring.Activation.Sigmoid => z.sigmoid(),
            MlNetMlp.Scoring.Activation.Gaussian => z.mul(z).mul(tensor(-0.5)).exp(),
            MlNetMlp.Scoring.Activation.Relu => nn.functional.relu(z),
            MlNetMlp.Scoring.Activation.Sine => z.sin(),
            MlNetMlp.Scoring.Activation.Cosine => z.cos(),
            MlNetMlp.Scoring.Activation.Step => z.sign().add(tensor(1.0), 1).mul(tensor(0.5)),
            _ => z.exp().log1p(),
        };
        var y = tensor(rows.Select(row => (double)row.Label).ToArray()).unsqueeze(1);
        var (hc, yc) = (h.sub(h.mean([0L])), y.sub(y.mean()));
        var gram = hc.t().mm(hc);
        var penalty = linalg.eigvalsh(gram).max().ToDouble() * relative;
        var c = linalg.solve(gram.add(eye(gram.shape[0], dtype: ScalarType.Float64).mul(tensor(penalty)), 1), hc.t().mm(yc));
        return [.. hc.mm(c).add(y.mean(), 1).flatten().data<double>().ToArray().Select(x => (float)x)];
    }

    private static float[] Hidden(ITransformer model)
    {
        Assert.True(NetworkModel.Find(model)!.Weights.TryGet("hidden.weight", out var weights));
        return weights!.Floats.ToArray();
    }

    private static void Near(IEnumerable<float> expected, IEnumerable<float> actual, double tolerance)
    {
        var (e, a) = (expected.ToArray(), actual.ToArray());
        Assert.Equal(e.Length, a.Length);
        var size = e.Max(Math.Abs);
        for (var i = 0; i < e.Length; i++)
            Assert.True(Math.Abs(e[i] - a[i]) <= tolerance * size, $"row {i}: {e[i]} and {a[i]}");
    }

    private NetworkPredictionTransformer<RegressionNetworkModel> Regression(RandomFeatureNetwork.Options options, Row[] rows) =>
        _ml.Regression.Trainers.RandomFeatureNetwork(options).Fit(View(rows));

    private float[] Scores(ITransformer model, IEnumerable<Row> rows) => [.. model.Transform(View(rows)).GetColumn<float>("Score")];

    private byte[] Save(ITransformer model)
    {
        using var stream = new MemoryStream();
        _ml.Model.Save(model, null, stream);
        return stream.ToArray();
    }

    private ITransformer Reload(ITransformer model) => new MLContext(1).Model.Load(new MemoryStream(Save(model)), out _);

    private IDataView View(IEnumerable<Row> rows) => _ml.Data.LoadFromEnumerable(rows);

    private static Tensor Features(Row[] rows) => tensor(rows.SelectMany(row => row.Features).ToArray(), [rows.Length, Width]);

    internal static Row[] Rows(int count, ulong seed = 1)
    {
        using var scope = NewDisposeScope();
        var numbers = TestData.Normal(seed, count, Width + 1).data<float>().ToArray();
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            var x = numbers[(i * (Width + 1))..((i * (Width + 1)) + Width)];
            var y = 20 + (3 * MathF.Sin(2 * x[0])) + (x[1] * x[2]) + (0.1f * numbers[(i * (Width + 1)) + Width]);
            return new Row { Features = [x[0], 10 + (5 * x[1]), x[2]], Label = y, Flag = y > 20, Kind = x[0] > MathF.Max(x[1], x[2]) ? "first" : x[1] > x[2] ? "second" : "third", Weight = 1 + (i % 3) };
        })];
    }
}
