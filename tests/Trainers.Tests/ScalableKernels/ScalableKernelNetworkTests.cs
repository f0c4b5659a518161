using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Runtime;
using MlNetMlp.ScalableKernels;
using MlNetMlp.Tests.RandomFeatures;
using MlNetMlp.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;
using Row = MlNetMlp.Tests.RandomFeatures.RandomFeatureNetworkTests.Row;

namespace MlNetMlp.Tests.ScalableKernels;

public sealed class ScalableKernelNetworkTests
{
    private static readonly FourierSpectrum Waves = new([new(0.2, 1), new(0.5, 0, -0.5)]);

    private static readonly ScalableKernelNetwork.Options Plain = new() { FeatureCount = 40, L2 = 1e-6, ValidationFraction = 0, Seed = 1, Spectrum = Waves };

    private readonly MLContext _ml = new(1);

    [Theory]
    [InlineData(ScalableKernel.ReluArcCos, 1)]
    [InlineData(ScalableKernel.ReluArcCos, 3)]
    [InlineData(ScalableKernel.Cosine, 1)]
    [InlineData(ScalableKernel.Sine, 2)]
    [InlineData(ScalableKernel.CustomFourier, 1)]
    [InlineData(ScalableKernel.TaylorSeries, 2)]
    public void Closed_form_is_ridge_regression_on_its_features(ScalableKernel kernel, int depth)
    {
        using var scope = NewDisposeScope();
        var rows = RandomFeatureNetworkTests.Rows(200);
        var model = Regression(Plain with { Kernel = kernel, Depth = depth, Width = 10 }, rows);
        var view = _ml.Transforms.CreateFeaturizer("Phi", model).Fit(View(rows)).Transform(View(rows));
        var h = tensor(view.GetColumn<float[]>("Phi").SelectMany(row => row).Select(value => (double)value).ToArray(), [rows.Length, 40]);
        var y = tensor(rows.Select(row => (double)row.Label).ToArray()).unsqueeze(1);
        var (hc, yc) = (h.sub(h.mean([0L])), y.sub(y.mean()));
        var gram = hc.t().mm(hc);
        var penalty = linalg.eigvalsh(gram).max().ToDouble() * 1e-6;
        var c = linalg.solve(gram.Plus(eye(40, dtype: ScalarType.Float64).Times(penalty)), hc.t().mm(yc));
        Near(hc.mm(c).Plus(y.mean()).flatten().data<double>().ToArray().Select(x => (float)x), Scores(model, rows), 3e-5);
    }

    [Theory]
    [InlineData(ScalableKernel.ReluArcCos, 1, 0)]
    [InlineData(ScalableKernel.ReluArcCos, 3, -0.3)]
    [InlineData(ScalableKernel.ReluArcCos, 1, 0.2)]
    [InlineData(ScalableKernel.Cosine, 2, 0)]
    [InlineData(ScalableKernel.CustomFourier, 1, 0)]
    [InlineData(ScalableKernel.TaylorSeries, 2, 0)]
    public void Comes_back_from_a_file_and_scores_as_its_formula_says(ScalableKernel kernel, int depth, double floor)
    {
        using var scope = NewDisposeScope();
        var rows = RandomFeatureNetworkTests.Rows(80);
        foreach (var mode in Enum.GetValues<ScalableKernelMode>())
        {
            var model = Regression(Plain with { Kernel = kernel, Depth = depth, Width = 7, FloorConstant = floor, Mode = mode, Epochs = 2 }, rows);
            var loaded = Reload(model);
            Assert.Equal(Scores(model, rows), Scores(loaded, rows));

            var trained = NetworkModel.Find(loaded)!;
            var head = (MlNetMlp.Networks.RegressionHead)trained.Head;
            using var network = trained.CreateNetwork();
            var outputs = network.call(tensor(rows.SelectMany(row => row.Features).ToArray(), [rows.Length, 3]));
            Near(outputs.flatten().data<float>().ToArray().Select(y => (float)((y * head.LabelScale) + head.LabelMean)), Scores(loaded, rows), 1e-5);
            Assert.Equal(trained.Weights.Sum(tensor => tensor.Floats.Length), trained.WeightCount);
        }
    }

    [Fact]
    public void Matrices_alone_are_trained_and_have_the_right_gradient()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        var definition = (Plain with { FeatureCount = 12, Width = 5 }).Define(3, outputs: 2, depth: 2, width: 5);
        var network = (ScalableKernelStack)definition.Build(CPU);
        using (no_grad())
            network.Initialize(random);
        network.to(ScalarType.Float64);
        Assert.Equal(["bias", "layers.0.weight", "layers.1.weight"], network.named_parameters().Select(parameter => parameter.name));
        Assert.Equal(definition.TrainableCount, network.parameters().Sum(parameter => parameter.numel()));

        var (x, target) = (TestData.Normal(2, 20, 3).to(ScalarType.Float64), TestData.Normal(3, 20, 2).to(ScalarType.Float64));
        Tensor Loss() => nn.functional.mse_loss(network.call(x), target);
        Loss().backward();
        foreach (var parameter in network.parameters())
        {
            var gradient = parameter.grad!.flatten().data<double>().ToArray();
            using var noGradient = no_grad();
            var values = parameter.view(-1);
            for (var i = 0; i < gradient.Length; i += 3)
            {
                const double step = 1e-5;
                double At(double change)
                {
                    values[i].Shift(change);
                    var loss = Loss().ToDouble();
                    values[i].Shift(-change);
                    return loss;
                }

                Assert.Equal((At(step) - At(-step)) / (2 * step), gradient[i], 1e-7);
            }
        }
    }

    [Fact]
    public void A_closed_form_says_that_it_keeps_no_checkpoint_and_leaves_the_file_alone()
    {
        var file = Path.GetTempFileName();
        File.WriteAllText(file, "somebody's own");
        var lines = new List<string>();
        _ml.Log += (_, log) => lines.Add(log.Message);

        Regression(Plain with { Mode = ScalableKernelMode.ClosedForm, CheckpointFile = file }, RandomFeatureNetworkTests.Rows(80));

        Assert.Contains(lines, line => line.Contains("nothing was written to the option 'CheckpointFile'", StringComparison.Ordinal));
        Assert.Equal("somebody's own", File.ReadAllText(file));
        File.Delete(file);
    }

    [Theory]
    [InlineData(ScalableKernelMode.ClosedForm)]
    [InlineData(ScalableKernelMode.Gradient)]
    public void What_was_drawn_depends_on_the_seed_and_on_nothing_that_is_learned(ScalableKernelMode mode)
    {
        var rows = RandomFeatureNetworkTests.Rows(80);
        var other = rows.Select(row => new Row { Features = row.Features, Label = -row.Label * row.Label, Weight = 1 }).ToArray();
        var options = Plain with { Mode = mode, Kernel = ScalableKernel.CustomFourier, Epochs = 3, Depth = 2, Width = 6 };
        var model = Regression(options, rows);
        foreach (var name in new[] { "layers.0.projection", "layers.1.projection", "layers.0.spectrum", "layers.1.spectrum" })
        {
            Assert.Equal(Values(model, name), Values(Regression(options, other), name));
            Assert.Equal(Values(model, name), Values(Regression(options with { Epochs = 9, L2 = 1 }, rows), name));
            Assert.NotEqual(Values(model, name), Values(Regression(options with { Seed = 2 }, rows), name));
        }

        Assert.NotEqual(Values(model, "layers.1.weight"), Values(Regression(options, other), "layers.1.weight"));
        var before = Values(Regression(options with { Mode = ScalableKernelMode.ClosedForm }, rows), "layers.0.weight");
        Assert.Equal(mode == ScalableKernelMode.ClosedForm, before.SequenceEqual(Values(model, "layers.0.weight")));
    }

    [Fact]
    public void Counts_its_values()
    {
        var rows = RandomFeatureNetworkTests.Rows(60);
        var several = _ml.Transforms.Conversion.MapValueToKey("Key", "Kind")
            .Append(_ml.MulticlassClassification.Trainers.ScalableKernelNetwork(Plain with { LabelColumnName = "Key" })).Fit(View(rows));
        Assert.Equal(new ScalableKernelSize((40 * 3) + 3, (40 * 4) + 6), ScalableKernelNetwork.GetSize(Reload(several)));
        var deep = Plain with { Mode = ScalableKernelMode.Gradient, Depth = 3, Width = 5, Epochs = 1 };
        Assert.Equal(new ScalableKernelSize((2 * 5 * 40) + 41, (40 * 4) + (2 * 40 * 6) + 6), ScalableKernelNetwork.GetSize(Regression(deep, rows)));
        Assert.Equal(41, ScalableKernelNetwork.GetSize(Regression(deep with { Mode = ScalableKernelMode.ClosedForm }, rows))!.Trained);
        Assert.Null(ScalableKernelNetwork.GetSize(_ml.Regression.Trainers.ScaledMlp(epochs: 1).Fit(View(rows))));
    }

    [Fact]
    public void All_ways_to_solve_agree()
    {
        var rows = RandomFeatureNetworkTests.Rows(120);
        var bySums = Scores(Regression(Plain with { FeatureCount = 200, L2 = 1e-5, KeepSums = true }, rows.Concat(rows).ToArray()), rows);
        Near(bySums, Scores(Regression(Plain with { FeatureCount = 200, L2 = 1e-5, KeepSums = false }, rows), rows), 1e-4);
    }

    [Fact]
    public void More_rows_give_the_model_of_all_at_once()
    {
        var rows = RandomFeatureNetworkTests.Rows(600);
        var trainer = _ml.Regression.Trainers.ScalableKernelNetwork(Plain);
        var start = trainer.Fit(View(rows[..60]));
        var atOnce = trainer.Fit(View(rows[60..]), start.Model);
        var inParts = trainer.Fit(View(rows[200..]), trainer.Fit(View(rows[60..200]), start.Model).Model);
        Near(Scores(atOnce, rows), Scores(inParts, rows), 1e-5);
        Assert.NotEqual(Scores(start, rows), Scores(atOnce, rows));

        // What is solved for can be trained on by gradients, too.
        var further = Regression(Plain with { Mode = ScalableKernelMode.Gradient, Epochs = 1, LearningRate = 1e-9, InitialModel = atOnce }, rows);
        Near(Scores(atOnce, rows), Scores(further, rows), 1e-4);
    }

    [Theory]
    [InlineData(ScalableKernelMode.ClosedForm, ScalableKernel.ReluArcCos, ScalableKernelReadout.LeastSquares, 1)]
    [InlineData(ScalableKernelMode.ClosedForm, ScalableKernel.ReluArcCos, ScalableKernelReadout.CrossEntropy, 1)]
    [InlineData(ScalableKernelMode.ClosedForm, ScalableKernel.Sine, ScalableKernelReadout.LeastSquares, 1)]
    [InlineData(ScalableKernelMode.ClosedForm, ScalableKernel.TaylorSeries, ScalableKernelReadout.LeastSquares, 1)]
    [InlineData(ScalableKernelMode.ClosedForm, ScalableKernel.ReluArcCos, ScalableKernelReadout.LeastSquares, 2)]
    [InlineData(ScalableKernelMode.Gradient, ScalableKernel.ReluArcCos, ScalableKernelReadout.LeastSquares, 2)]
    public void Learns_every_task(ScalableKernelMode mode, ScalableKernel kernel, ScalableKernelReadout readout, int depth)
    {
        var (train, test) = (View(RandomFeatureNetworkTests.Rows(800)), View(RandomFeatureNetworkTests.Rows(300, seed: 2)));
        var options = new ScalableKernelNetwork.Options
        {
            FeatureCount = 200, Seed = 1, Mode = mode, Kernel = kernel, Readout = readout, Depth = depth, LearningRate = 2e-2,
        };
        if (readout == ScalableKernelReadout.LeastSquares)
        {
            var regression = _ml.Regression.Evaluate(_ml.Regression.Trainers.ScalableKernelNetwork(options).Fit(train).Transform(test));
            Assert.True(regression.RSquared > 0.8, $"R² {regression.RSquared}");
        }

        var binary = _ml.BinaryClassification.Evaluate(
            _ml.BinaryClassification.Trainers.ScalableKernelNetwork(options with { LabelColumnName = "Flag" }).Fit(train).Transform(test), "Flag");
        Assert.True(binary.Accuracy > 0.88, $"accuracy {binary.Accuracy}");
        Assert.True(binary.LogLoss < 0.45, $"log loss {binary.LogLoss}");
        var several = _ml.MulticlassClassification.Evaluate(
            _ml.Transforms.Conversion.MapValueToKey("Key", "Kind")
                .Append(_ml.MulticlassClassification.Trainers.ScalableKernelNetwork(options with { LabelColumnName = "Key" })).Fit(train).Transform(test), "Key");
        Assert.True(several.MicroAccuracy > 0.88, $"accuracy {several.MicroAccuracy}");
        Assert.True(several.LogLoss < 0.4, $"log loss {several.LogLoss}");
    }

    [Fact]
    public void What_cannot_be_is_refused_with_the_option_that_says_so()
    {
        var rows = RandomFeatureNetworkTests.Rows(50);
        Refused("Readout", () => Regression(Plain with { Readout = ScalableKernelReadout.CrossEntropy }, rows));
        Refused("Spectrum", () => Regression(Plain with { Kernel = ScalableKernel.CustomFourier, Spectrum = null }, rows));
        Refused("Terms", () => Regression(Plain with { Kernel = ScalableKernel.CustomFourier, Spectrum = new([]) }, rows));
        Refused("FeatureCount", () => Regression(Plain with { Kernel = ScalableKernel.TaylorSeries, FeatureCount = 3 }, rows));
        Refused("Coefficients", () => Regression(Plain with { Kernel = ScalableKernel.TaylorSeries, Series = new([0, double.NaN]) }, rows));
        Refused("InitialModel", () => Regression(Plain with { InitialModel = Regression(Plain with { KeepSums = false }, rows) }, rows));
        Refused("InitialModel", () => Regression(Plain with { InitialModel = Regression(Plain with { FeatureCount = 41 }, rows) }, rows));
    }

    private static void Refused(string option, Action action)
    {
        var error = Assert.ThrowsAny<Exception>(action);
        Assert.True(error is InvalidOperationException or ArgumentOutOfRangeException, $"{error}");
        Assert.Contains(option, error.Message, StringComparison.Ordinal);
    }

    private static float[] Values(ITransformer model, string name)
    {
        Assert.True(NetworkModel.Find(model)!.Weights.TryGet(name, out var weights));
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

    private NetworkPredictionTransformer<RegressionNetworkModel> Regression(ScalableKernelNetwork.Options options, Row[] rows) =>
        _ml.Regression.Trainers.ScalableKernelNetwork(options).Fit(View(rows));

    private float[] Scores(ITransformer model, IEnumerable<Row> rows) => [.. model.Transform(View(rows)).GetColumn<float>("Score")];

    private ITransformer Reload(ITransformer model)
    {
        using var stream = new MemoryStream();
        _ml.Model.Save(model, null, stream);
        return new MLContext(1).Model.Load(stream, out _);
    }

    private IDataView View(IEnumerable<Row> rows) => _ml.Data.LoadFromEnumerable(rows);
}
