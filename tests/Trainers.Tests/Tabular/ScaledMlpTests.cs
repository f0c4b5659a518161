using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Tabular;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Tabular;

public class ScaledMlpTests
{
    private const int Width = 4;

    private static readonly ScaledMlp.Options Quick = new() { Width = 16, Blocks = 2, Epochs = 30, BatchSize = 32, LearningRate = 3e-3, Seed = 1 };

    private readonly MLContext _ml = new(1);

    public sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = [];

        public float Target { get; set; }

        public bool Flag { get; set; }

        public string Kind { get; set; } = "";
    }

    [Fact]
    public void Learns_every_task()
    {
        var (train, test) = (Rows(600, 1), Rows(300, 2));
        var regression = _ml.Regression.Trainers.ScaledMlp(Quick with { LabelColumnName = "Target" }).Fit(train);
        var fit = _ml.Regression.Evaluate(regression.Transform(test), "Target").RSquared;
        Assert.True(fit > 0.95, $"R² {fit}");

        var binary = _ml.BinaryClassification.Trainers.ScaledMlp(Quick with { LabelColumnName = "Flag" }).Fit(train);
        var accuracy = _ml.BinaryClassification.Evaluate(binary.Transform(test), "Flag").Accuracy;
        Assert.True(accuracy > 0.93, $"accuracy {accuracy}");

        var chain = _ml.Transforms.Conversion.MapValueToKey("Label", "Kind").Append(_ml.MulticlassClassification.Trainers.ScaledMlp(Quick)).Fit(train);
        accuracy = _ml.MulticlassClassification.Evaluate(chain.Transform(test)).MicroAccuracy;
        Assert.True(accuracy > 0.93, $"accuracy {accuracy}");
    }

    [Fact]
    public void A_saved_model_scores_the_same_bits()
    {
        var data = Rows(200, 3);
        var model = _ml.Regression.Trainers.ScaledMlp(Quick with { LabelColumnName = "Target", Epochs = 2 }).Fit(data);
        using var stream = new MemoryStream();
        _ml.Model.Save(model, data.Schema, stream);
        stream.Position = 0;
        var loaded = new MLContext().Model.Load(stream, out _);
        Assert.Equal(Scores(model, data), Scores(loaded, data));
    }

    [Fact]
    public void The_same_seed_gives_the_same_weights()
    {
        foreach (var mixup in (double[])[0, 0.8])
        {
            var options = Quick with { Epochs = 2, MixupAlpha = mixup };
            Assert.Equal(Weights(options), Weights(options));
            Assert.NotEqual(Weights(options), Weights(options with { Seed = 2 }));
        }

        Assert.NotEqual(Weights(Quick with { Epochs = 2 }), Weights(Quick with { Epochs = 2, MixupAlpha = 0.8 }));
    }

    [Fact]
    public void Batches_in_parts_have_the_same_gradient()
    {
        // A step of plain descent at rate 1 moves the weights by the gradient.
        var options = Quick with
        {
            Optimizer = OptimizerKind.Sgd, Momentum = 0, LearningRate = 1, BatchSize = 256, Epochs = 1, ValidationFraction = 0, LabelSmoothing = 0.3,
        };
        var whole = Weights(options);
        var parts = Weights(options with { MicroBatchSize = 64 });
        Assert.Equal(whole, parts, (a, b) => Math.Abs(a - b) < 1e-5);
        Assert.NotEqual(whole, Weights(options with { BatchSize = 64 }), (a, b) => Math.Abs(a - b) < 1e-5);
    }

    [Fact]
    public void Mixing_a_row_with_nothing_gives_the_plain_loss()
    {
        foreach (var (head, batch) in Batches())
        {
            using var scope = NewDisposeScope();
            using var network = Create(head.Outputs);
            var plain = head.Loss(network.call(batch.Features), batch.Labels, batch.Weights, 0.1).ToSingle();
            var order = tensor(new long[] { 5, 3, 1, 0, 2, 4 });
            Assert.Equal(plain, ScaledMlp.MixedLoss(network, batch, head, 0.1, ones(1), order).ToSingle());
            var swapped = new RowBlock(batch.Features[order], batch.Labels[order], batch.Weights![order]);
            Assert.Equal(
                head.Loss(network.call(swapped.Features), swapped.Labels, swapped.Weights, 0.1).ToSingle(),
                ScaledMlp.MixedLoss(network, batch, head, 0.1, zeros(1), order).ToSingle(), 1e-6);
        }
    }

    [Fact]
    public void Mixed_rows_have_the_gradient_of_mixed_labels()
    {
        using var scope = NewDisposeScope();
        var head = new RegressionHead { LabelMean = 0, LabelScale = 1 };
        var batch = new RowBlock(TestData.Normal(3, 6, Width), TestData.Normal(4, 6), null);
        var order = tensor(new long[] { 5, 3, 1, 0, 2, 4 });
        using ScaledMlpNetwork one = Create(1), two = Create(1);
        ScaledMlp.MixedLoss(one, batch, head, 0, tensor(0.3f), order).backward();
        var mixed = (batch.Features * 0.3f) + (batch.Features[order] * 0.7f);
        head.Loss(two.call(mixed), (batch.Labels * 0.3f) + (batch.Labels[order] * 0.7f)).backward();
        foreach (var (a, b) in one.parameters().Zip(two.parameters()))
            Assert.True((a.grad! - b.grad!).abs().max().ToSingle() < 1e-5);
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.3)]
    public void Smoothed_loss_has_the_entropy_of_its_targets_for_a_floor(double smoothing)
    {
        using var scope = NewDisposeScope();
        const int classes = 5;
        var head = new MulticlassHead { Classes = classes };
        double Target(bool isLabel) => (isLabel ? 1 - smoothing : 0) + (smoothing / classes);
        var floor = -Enumerable.Range(0, classes).Sum(c => Target(c == 2) * Math.Log(Target(c == 2)));
        var labels = full(1, 2, ScalarType.Int64);
        var best = tensor(Enumerable.Range(0, classes).Select(c => (float)Math.Log(Target(c == 2))).ToArray(), [1, classes]);
        Assert.Equal(floor, head.Loss(best, labels, labelSmoothing: smoothing).ToDouble(), 1e-5);
        for (ulong seed = 0; seed < 20; seed++)
            Assert.True(head.Loss(TestData.Normal(seed, 1, classes) * (float)seed, labels, labelSmoothing: smoothing).ToDouble() >= floor);
    }

    [Fact]
    public void Options_out_of_range_are_refused_by_name_range_and_value()
    {
        Refused("option 'Width' must be at least 8 and at most 65536, but was 4", new() { Width = 4 });
        Refused("option 'Blocks' must be at least 1 and at most 64, but was 65", new() { Blocks = 65 });
        Refused("option 'ExpansionFactor' must be at least 1 and at most 8, but was 0", new() { ExpansionFactor = 0 });
        Refused("option 'MixupAlpha' must be at least 0 and at most 100, but was NaN", new() { MixupAlpha = double.NaN });
        Refused("option 'Architecture' must be one of InvertedBottleneck, Standard, but was 7", new() { Architecture = (ScaledMlpArchitecture)7 });
        Refused("option 'Normalization' must be one of Layer, Batch, None, but was -1", new() { Normalization = (ScaledMlpNormalization)(-1) });
        Refused("option 'Activation' must be one of Gelu, Relu, but was 2", new() { Activation = (ScaledMlpActivation)2 });
        Refused("option 'MixupAlpha' must be 0 with the optimiser Lbfgs", new() { MixupAlpha = 0.8, Optimizer = OptimizerKind.Lbfgs });

        var fault = Assert.Throws<ArgumentOutOfRangeException>(() => _ml.Regression.Trainers.ScaledMlp(width: 4));
        Assert.StartsWith("ScaledMlp: option 'Width' must be at least 8", fault.Message, StringComparison.Ordinal);
        OptionRanges.Check(new ScaledMlp.Options(), "ScaledMlp");
    }

    [Fact]
    public void New_options_need_no_name_of_their_type()
    {
        NetworkTrainer<RegressionNetworkModel> regression = _ml.Regression.Trainers.ScaledMlp(new() { Width = 32 });
        NetworkTrainer<BinaryNetworkModel> binary = _ml.BinaryClassification.Trainers.ScaledMlp(new() { Blocks = 3 });
        NetworkTrainer<MulticlassNetworkModel> multiclass = _ml.MulticlassClassification.Trainers.ScaledMlp(new() { MixupAlpha = 0.8 });
        Assert.All<object>([regression, binary, multiclass], Assert.NotNull);
    }

    [Fact]
    public void The_short_form_has_the_defaults_of_the_options()
    {
        var defaults = new ScaledMlp.Options();
        var doors = typeof(ScaledMlpCatalog).GetMethods(BindingFlags.Public | BindingFlags.Static).Where(m => m.GetParameters().Length > 2).ToList();
        Assert.Equal(3, doors.Count);
        Assert.All(doors, door => Assert.All(door.GetParameters().Skip(1), parameter =>
        {
            var option = char.ToUpperInvariant(parameter.Name![0]) + parameter.Name[1..];
            Assert.Equal(typeof(ScaledMlp.Options).GetProperty(option)!.GetValue(defaults), parameter.DefaultValue);
        }));
    }

    private static void Refused(string message, ScaledMlp.Options options) =>
        Assert.Contains(message, Assert.Throws<ArgumentOutOfRangeException>(() => OptionRanges.Check(options, "ScaledMlp")).Message, StringComparison.Ordinal);

    private float[] Weights(ScaledMlp.Options options)
    {
        var model = _ml.BinaryClassification.Trainers.ScaledMlp(options with { LabelColumnName = "Flag" }).Fit(Rows(256, 4)).Model;
        return [.. model.Network.Weights.SelectMany(t => t.Floats.ToArray())];
    }

    private static float[] Scores(ITransformer model, IDataView data) => [.. model.Transform(data).GetColumn<float>("Score")];

    private static IEnumerable<(TaskHead Head, RowBlock Batch)> Batches()
    {
        var features = TestData.Normal(1, 6, Width);
        var weights = tensor(new float[] { 1, 2, 0.5f, 0.5f, 1, 1 });
        yield return (new RegressionHead { LabelMean = 0, LabelScale = 1 }, new(features, TestData.Normal(2, 6), weights));
        yield return (new BinaryHead(), new(features, tensor(new float[] { 0, 1, 1, 0, 1, 0 }), weights));
        yield return (new MulticlassHead { Classes = 3 }, new(features, tensor(new long[] { 0, 1, 2, 0, 1, 2 }), weights));
    }

    private static ScaledMlpNetwork Create(int outputs)
    {
        var network = (ScaledMlpNetwork)new ScaledMlpDefinition
        {
            Inputs = Width,
            Outputs = outputs,
            Width = 8,
            Blocks = 1,
            ExpansionFactor = 2,
            Architecture = ScaledMlpArchitecture.InvertedBottleneck,
            Normalization = ScaledMlpNormalization.Layer,
            Activation = ScaledMlpActivation.Gelu,
            StandardizeInputs = true,
            ClipInputs = true,
        }.Build(CPU);
        using var generator = new Generator(5);
        using var noGradient = no_grad();
        network.Initialize(generator);
        return network;
    }

    private IDataView Rows(int count, ulong seed)
    {
        var random = new DeterministicRandom(seed);
        return _ml.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(_ =>
        {
            float[] x = [.. Enumerable.Range(0, Width).Select(_ => (float)((random.NextDouble() * 4) - 2))];
            return new Row
            {
                Features = x,
                Target = 10 + (3 * x[0]) - (2 * x[1] * x[1]),
                Flag = x[0] * x[1] > 0,
                Kind = x[0] > 0.7f ? "big" : x[1] > 0 ? "medium" : "small",
            };
        }).ToList());
    }
}
