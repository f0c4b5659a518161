using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Explain;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Explain;

/// <summary>Training on moved rows, and what moves them.</summary>
public sealed class AdversariallyRobustNetworkTests
{
    private const int Inputs = 10;

    [Theory]
    [InlineData(PerturbationNorm.L2, false)]
    [InlineData(PerturbationNorm.L2, true)]
    [InlineData(PerturbationNorm.LInf, false)]
    [InlineData(PerturbationNorm.LInf, true)]
    public void Attacks_stay_in_the_ball_and_the_box_and_raise_the_loss(PerturbationNorm norm, bool randomStart)
    {
        const double radius = 0.4;
        using var scope = NewDisposeScope();
        using var generator = new Generator(1, CPU);
        using var network = Network(hidden: 32);
        using var unit = tensor([.. Enumerable.Range(0, Inputs).Select(i => i == 3 ? 0f : i == 4 ? 2f : 1f)]);
        var batch = new RowBlock(TestData.Normal(2, 200, Inputs).CutTo(-1, 1), randint(0, 3, [200], ScalarType.Int64, generator: generator), null);
        var attack = new ProjectedGradient(norm, 8, RandomStart: randomStart, Least: -1, Greatest: 1);
        var head = new MulticlassHead { Classes = 3 };

        var moved = attack.Move(network, head, batch, unit, radius, generator);

        Assert.False(moved.requires_grad);
        Assert.True(moved.abs().max().ToDouble() <= 1);
        var move = moved.sub(batch.Features).div(unit).nan_to_num(0, 0, 0);
        Assert.Equal(0, moved.sub(batch.Features).select(1, 3).abs().max().ToDouble());
        var size = norm == PerturbationNorm.L2 ? move.Norms([1]) : move.abs().amax([1]);
        Assert.True(size.max().ToDouble() <= radius * (1 + 1e-6));
        Assert.True(size.mean().ToDouble() > 0.8 * radius);
        using var noGradient = no_grad();
        var risen = Losses(moved).ge(Losses(batch.Features)).to(ScalarType.Float32).mean().ToDouble();
        Assert.True(risen >= 0.95, $"The loss rises in {risen:P0} of the rows only.");

        Tensor Losses(Tensor x) => nn.functional.cross_entropy(network.call(x), batch.Labels, reduction: nn.Reduction.None);
    }

    [Theory]
    [InlineData(PerturbationNorm.L2)]
    [InlineData(PerturbationNorm.LInf)]
    public void Rows_outside_of_the_box_stay_in_the_ball_and_go_no_further_out(PerturbationNorm norm)
    {
        const double radius = 0.4;
        using var scope = NewDisposeScope();
        using var generator = new Generator(1, CPU);
        using var network = Network(hidden: 32);
        using var unit = ones(Inputs);
        var features = TestData.Normal(2, 200, Inputs).Times(2);
        var batch = new RowBlock(features, randint(0, 3, [200], ScalarType.Int64, generator: generator), null);

        var moved = new ProjectedGradient(norm, 8, Least: -1, Greatest: 1).Move(network, new MulticlassHead { Classes = 3 }, batch, unit, radius, generator);

        var move = moved.sub(features);
        Assert.True(features.abs().max().ToDouble() > 2);
        Assert.True((norm == PerturbationNorm.L2 ? move.Norms([1]) : move.abs().amax([1])).max().ToDouble() <= radius * (1 + 1e-5));
        Assert.False(moved.abs().sub(features.abs().AtLeast(1)).IsAbove(0).any().item<bool>());
    }

    [Fact]
    public void Rows_where_every_unit_is_dead_are_moved_too()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1, CPU);
        using var network = Network(hidden: 4);
        using (no_grad())
        {
            foreach (var parameter in network.parameters())
                parameter.zero_();
        }

        using var unit = ones(Inputs);
        var batch = new RowBlock(zeros(5, Inputs), zeros(5, ScalarType.Int64), null);
        var moved = new ProjectedGradient(PerturbationNorm.L2, 3).Move(network, new MulticlassHead { Classes = 3 }, batch, unit, 1, generator);
        Assert.True(moved.Norms([1]).min().ToDouble() > 0.05);
    }

    [Fact]
    public void Without_a_radius_it_is_ordinary_training_to_the_bit()
    {
        var ml = new MLContext(1);
        var data = Signal(ml, 300, 1);
        var options = Options with { Epochs = 3, Epsilon = 0 };
        var plain = ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(options).Fit(data);
        var attacked = ml.BinaryClassification.Trainers.CreateTrainer(new Unmoved(options)).Fit(data);
        Assert.Equal(Scores(plain, data), Scores(attacked, data));
        var robust = ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(options with { Epsilon = 0.1 }).Fit(data);
        Assert.NotEqual(Scores(plain, data), Scores(robust, data));
    }

    [Fact]
    public void The_radius_rises_from_zero_over_the_first_epochs()
    {
        var ml = new MLContext(1);
        var data = Signal(ml, 300, 1);
        var options = Options with { Epochs = 1, BatchSize = 300, Epsilon = 0.5, EpsilonWarmupEpochs = 1 };
        float[] Trained(AdversariallyRobustNetwork.Options options) => Scores(ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(options).Fit(data), data);

        // The first batch, of all rows here, is not moved; the one of the second epoch is moved by all of ε.
        Assert.Equal(Trained(options with { Epsilon = 0 }), Trained(options));
        Assert.NotEqual(Trained(options), Trained(options with { EpsilonWarmupEpochs = 0 }));
        Assert.NotEqual(Trained(options with { Epsilon = 0, Epochs = 2 }), Trained(options with { Epochs = 2 }));
    }

    [Theory]
    [InlineData(0.5, false)]
    [InlineData(50, true)]
    [InlineData(1e-5, true)]
    public void A_radius_out_of_all_proportion_to_the_features_is_warned_of(double epsilon, bool isWarned)
    {
        var ml = new MLContext(1);
        var lines = new List<string>();
        ml.Log += (_, e) => lines.Add(e.Message);
        ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(Options with { Epochs = 1, Epsilon = epsilon }).Fit(Signal(ml, 100, 1));

        Assert.Contains(lines, line => line.Contains("Features deviate by", StringComparison.Ordinal));
        Assert.Equal(isWarned, lines.Exists(line => line.Contains("Warning: ε is", StringComparison.Ordinal) && line.Contains("'Epsilon'", StringComparison.Ordinal)));
    }

    /// <summary>A signal of ±1 in one of ten places: a robust network's gradients point at it, those of an ordinary one at everything else.</summary>
    [Fact]
    [Trait("Category", "Heavy")]
    public void Gradients_of_a_robust_network_point_at_the_signal()
    {
        var ml = new MLContext(1);
        var (train, test) = (Signal(ml, 10_000, 1), Signal(ml, 1000, 2));
        var options = Options with
        {
            HiddenUnits = 500, HiddenLayers = 1, Norm = PerturbationNorm.LInf, Epsilon = 0.3, Epochs = 40, BatchSize = 250, LearningRate = 3e-3, StandardizeInputs = false, Seed = 1,
        };
        var robust = ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(options).Fit(train);
        Assert.Equal(1, ml.BinaryClassification.Evaluate(robust.Transform(test)).Accuracy);
        var (top, bottom) = Ranks(ml, robust, test);
        Assert.True(top >= 0.95, $"The greatest gradient is that of the signal in {top:P1} of the rows.");
        Assert.True(bottom <= 0.02, $"The least gradient is that of the signal in {bottom:P1} of the rows.");
        Assert.True(MeanCosine(ml, robust, test) >= 0.9);
        var report = ml.BinaryClassification.EvaluateRobustness(test, robust, new() { Unit = PerturbationUnit.One, Radii = [0.25] });
        Assert.True(report.Points[0].AttackedAccuracy > 0.99);

        var ordinary = ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(options with { Epsilon = 0, Epochs = 10 }).Fit(train);
        var (_, lowest) = Ranks(ml, ordinary, test);
        Assert.True(lowest > 0.3, $"The least gradient of an ordinary network is that of the signal in {lowest:P1} of the rows.");
    }

    [Fact]
    public void Images_go_through_convolutions_and_a_file()
    {
        var ml = new MLContext(1);
        var data = Signal(ml, 200, 1);
        var options = Options with { ImageShape = new(2, 5), HiddenUnits = 8, HiddenLayers = 1, Epochs = 2, Epsilon = 0.1 };
        var model = ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(options).Fit(data);
        using var stream = new MemoryStream();
        ml.Model.Save(model, data.Schema, stream);
        stream.Position = 0;
        Assert.Equal(Scores(model, data), Scores(new MLContext().Model.Load(stream, out _), data));

        var error = Assert.Throws<InvalidOperationException>(() => ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(options with { ImageShape = new(3, 5) }).Fit(data));
        Assert.Contains("'ImageShape' is 3 x 5 x 1, which are 15 values, but rows have 10 features", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_out_of_their_range_are_named()
    {
        var trainers = new MLContext(1).Regression.Trainers;
        Refused(new() { HiddenUnits = 0 }, "'HiddenUnits'");
        Refused(new() { ImageShape = new(0, 3) }, "'ImageShape.Height'");
        Refused(new() { InputMin = 1, InputMax = 0 }, "'InputMin'");
        Refused(new() { Epsilon = -1 }, "'Epsilon'");
        Refused(new() { Optimizer = OptimizerKind.Lbfgs }, "'Optimizer'");

        void Refused(AdversariallyRobustNetwork.Options options, string what) =>
            Assert.Contains(what, Assert.Throws<ArgumentOutOfRangeException>(() => trainers.AdversariallyRobustNetwork(options)).Message, StringComparison.Ordinal);
    }

    private static AdversariallyRobustNetwork.Options Options => new() { HiddenUnits = 16, HiddenLayers = 1, BatchSize = 50, Seed = 1 };

    private static RobustNetwork Network(int hidden)
    {
        using var random = new Generator(3, CPU);
        var network = new RobustNetwork(new() { Inputs = Inputs, Outputs = 3, HiddenUnits = hidden, HiddenLayers = 1, Image = null, StandardizeInputs = false }, CPU);
        using var noGradient = no_grad();
        network.Initialize(random);
        return network;
    }

    private static (double Top, double Bottom) Ranks(MLContext ml, ITransformer model, IDataView rows)
    {
        var explained = ml.Transforms.ExplainPrediction(model, new() { Method = Explanations.ExplanationMethod.Gradient, Absolute = true }).Fit(rows).Transform(rows);
        var gradients = explained.GetColumn<float[]>("FeatureContributions").ToArray();
        var features = explained.GetColumn<float[]>("Features").ToArray();
        double top = 0, bottom = 0;
        for (var row = 0; row < features.Length; row++)
        {
            var signal = gradients[row][Array.FindIndex(features[row], value => value != 0)];
            top += signal == gradients[row].Max() ? 1 : 0;
            bottom += signal == gradients[row].Min() ? 1 : 0;
        }

        return (top / features.Length, bottom / features.Length);
    }

    // Of a row that is nothing but its signal the cosine is that entry of the gradient over the gradient's length.
    private static double MeanCosine(MLContext ml, ITransformer model, IDataView rows)
    {
        var explained = ml.Transforms.ExplainPrediction(model, new() { Method = Explanations.ExplanationMethod.Gradient }).Fit(rows).Transform(rows);
        return explained.GetColumn<float[]>("FeatureContributions").Zip(explained.GetColumn<float[]>("Features"), (gradient, features) =>
            Math.Abs(gradient.Zip(features, (g, x) => g * x).Sum()) / Math.Sqrt(gradient.Sum(g => (double)g * g))).Average();
    }

    private static float[] Scores(ITransformer model, IDataView data) => [.. model.Transform(data).GetColumn<float>("Score")];

    private static IDataView Signal(MLContext ml, int count, int seed)
    {
        var random = new Random(seed);
        return ml.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(_ =>
        {
            var row = new Row { Label = random.Next(2) == 1 };
            row.Features[random.Next(Inputs)] = row.Label ? 1 : -1;
            return row;
        }).ToArray());
    }

    private sealed class Row
    {
        [VectorType(Inputs)]
        public float[] Features { get; set; } = new float[Inputs];

        public bool Label { get; set; }
    }

    /// <summary>The same network trained by the shared loop alone.</summary>
    private sealed class Unmoved(AdversariallyRobustNetwork.Options options) : INetworkMethod
    {
        public string Name => nameof(Unmoved);

        NetworkOptions INetworkMethod.Options => options;

        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var network = (RobustNetwork)run.Create(new RobustNetworkDefinition
            {
                Inputs = data.FeatureCount, Outputs = head.Outputs, HiddenUnits = options.HiddenUnits, HiddenLayers = options.HiddenLayers, Image = null, StandardizeInputs = true,
            });
            network.Standardize(data.Statistics);
            run.Minimize(network, data, head, options.ToSettings(data.RowCount));
            return network;
        }
    }
}
