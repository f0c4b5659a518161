using System.ComponentModel.DataAnnotations;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Scoring;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Networks;

public class HiddenLayerTests
{
    private const int Inputs = 3;
    private const int Outputs = 2;
    private const int UnitsPerStep = 4;
    private const int Steps = 5;
    private const double OutputScale = 2;

    private static readonly double[] Constant = [0.3, -1.2];

    private static readonly (float[], float[]) Scaling = ([1, -2, 0.5f], [0.5f, 2, 1]);

    public static TheoryData<Activation> Activations => [.. Enum.GetValues<Activation>()];

    [Theory]
    [MemberData(nameof(Activations))]
    public void Every_prefix_is_the_sum_of_its_steps(Activation activation)
    {
        using var scope = NewDisposeScope();
        var x = Training.Networks.Normal(1, ScalarType.Float32, 20, Inputs);
        var standardized = (x.to(ScalarType.Float64) - tensor(Scaling.Item1)) * tensor(Scaling.Item2);
        var builder = Builder(activation, out var steps);
        var sum = tensor(Constant).repeat(20, 1);
        using var all = builder.Build(Steps);
        for (var t = 0; t <= Steps; t++)
        {
            using var network = builder.Build(t);
            var definition = (HiddenLayerDefinition)network.Definition;
            Assert.Equal((Steps * UnitsPerStep, t * UnitsPerStep, t), (definition.Units, definition.ActiveUnits, definition.ActiveSteps));
            Assert.Equal(definition.WeightCount, network.state_dict().Values.Sum(tensor => tensor.numel()));
            var forward = network.call(x).to(ScalarType.Float64);
            Assert.True((forward - (sum * OutputScale)).abs().max().ToDouble() < 1e-5);
            var scores = new float[20 * Outputs];
            definition.BuildDense(network.ReadWeights().Read())!.Score([.. x.data<float>()], scores);
            Assert.True((tensor(scores, [20, Outputs]) - forward).abs().max().ToDouble() < 1e-5);
            if (t < Steps)
                sum += steps[t](standardized);
        }
    }

    [Fact]
    public void A_view_cuts_and_raises_without_touching_the_model()
    {
        using var scope = NewDisposeScope();
        var model = Model(Steps);
        var half = model.WithActiveUnits(9);
        Assert.Equal((8, 20, 4, 5), (half.ActiveUnits, half.HiddenUnits, half.UnitsPerStep, half.StepSizes.Count));
        Assert.Equal((20, 20), (model.ActiveUnits, model.HiddenUnits));
        var cut = model.Truncate(8);
        Assert.Equal((8, 8, 2), (cut.ActiveUnits, cut.HiddenUnits, cut.StepSizes.Count));
        Assert.Equal(Scores(half), Scores(cut));
        Assert.Equal(Scores(model), Scores(half.WithActiveUnits(20)));
        Assert.Equal(Scores(model), Scores(model.Truncate(20)));
        Assert.Equal(Scores(model.Truncate(0)), Scores(model.WithActiveUnits(0)));
        Assert.Equal(Constant.Select(f => (float)(f * OutputScale)), Scores(model.Truncate(0))[..Outputs], (a, b) => Math.Abs(a - b) < 1e-6);
        Assert.Throws<ArgumentOutOfRangeException>(() => model.Truncate(21));
        Assert.Throws<ArgumentOutOfRangeException>(() => model.WithActiveUnits(-1));
    }

    [Fact]
    public void A_builder_goes_on_from_the_active_steps()
    {
        using var scope = NewDisposeScope();
        var builder = Builder(Activation.Tanh, out _);
        using var earlier = builder.Build(3);
        var again = HiddenLayerBuilder.From(earlier, OutputScale)!;
        Assert.Equal((3, Inputs, UnitsPerStep, Activation.Tanh), (again.Steps, again.Inputs, again.UnitsPerStep, again.Activation));
        using var network = again.Build(3);
        var x = Training.Networks.Normal(1, ScalarType.Float32, 20, Inputs);
        Assert.Equal(earlier.call(x).data<float>(), network.call(x).data<float>());
    }

    [Fact]
    public void A_mean_of_builders_is_the_mean_of_their_networks()
    {
        using var scope = NewDisposeScope();
        var x = Training.Networks.Normal(1, ScalarType.Float32, 20, Inputs);
        var parts = Enumerable.Range(0, 3).Select(_ => new HiddenLayerBuilder(Inputs, UnitsPerStep, Activation.Tanh, Constant, OutputScale, Scaling)).ToArray();
        var whole = new HiddenLayerBuilder(Inputs, 3 * UnitsPerStep, Activation.Tanh, Constant, OutputScale, Scaling);
        for (var t = 0; t < Steps; t++)
        {
            HiddenLayerStep[] steps = [.. parts.Select((_, r) => Step((ulong)(10 + (3 * t) + r)))];
            double[] sizes = [0.5, -0.3, t];
            foreach (var (part, step, size) in parts.Zip(steps, sizes))
                part.Add(step, size);
            whole.AddMean(steps, sizes);
        }

        for (var t = 0; t <= Steps; t++)
        {
            using var network = whole.Build(t);
            var mean = stack(parts.Select(part => part.Build(t).call(x)), 0).mean([0L]);
            Assert.True((network.call(x) - mean).abs().max().ToDouble() < 1e-5);
        }

        foreach (var (part, r) in parts.Select((part, r) => (part, r)))
        {
            using var own = part.Build(Steps);
            var bias = new HiddenLayerWeights((HiddenLayerDefinition)own.Definition, own.ReadWeights().Read()).Biases[(Steps * Outputs)..].ToArray();
            using var taken = whole.BuildPart(r, parts.Length, bias);
            Assert.True((taken.call(x) - own.call(x)).abs().max().ToDouble() < 1e-5);
        }

        static HiddenLayerStep Step(ulong seed) => new(
            Values(seed, UnitsPerStep * Inputs), Values(seed + 100, UnitsPerStep), Values(seed + 200, Outputs * UnitsPerStep), Values(seed + 300, Outputs));

        static float[] Values(ulong seed, int count) => [.. Training.Networks.Normal(seed, ScalarType.Float32, count).data<float>()];
    }

    [Fact]
    public void Sizes_that_do_not_fit_each_other_are_refused()
    {
        var good = (HiddenLayerDefinition)Builder(Activation.Relu, out _).Build(2).Definition;
        OptionRanges.Check(good, "definition");
        Refused(good with { Units = 19 }, "'Units' must be a multiple of 'UnitsPerStep', but they are 19 and 4");
        Refused(good with { ActiveUnits = 24 }, "'ActiveUnits' must be a multiple of 4 up to 20, but is 24");
        Refused(good with { ActiveUnits = 7 }, "'ActiveUnits' must be a multiple of 4 up to 20, but is 7");
        Refused(good with { UnitsPerStep = 0 }, "'UnitsPerStep' must be at least 1");
        Refused(good with { Activation = (Activation)77 }, "'Activation' must be one of");
        Assert.Empty(good.Validate(new ValidationContext(good)));

        static void Refused(HiddenLayerDefinition definition, string message) => Assert.Contains(
            message, Assert.Throws<ArgumentOutOfRangeException>(() => OptionRanges.Check(definition, "definition")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Models_of_other_networks_have_no_such_view()
    {
        Assert.Null(HiddenLayerModel.Find(Support.Fitted.Model(TaskKind.Regression)));
        Assert.Null(HiddenLayerModel.Find(null));
    }

    private static HiddenLayerModel Model(int activeSteps)
    {
        using var network = Builder(Activation.Sigmoid, out _).Build(activeSteps);
        return HiddenLayerModel.Of(new TrainedNetwork(network.Definition, network.ReadWeights(), new PlainHead()) { MethodName = "test" })!;
    }

    private static float[] Scores(HiddenLayerModel model)
    {
        float[] rows = [.. Enumerable.Range(0, 10 * Inputs).Select(i => (float)Math.Sin(i))];
        var scores = new float[10 * Outputs];
        Assert.Equal(-1, model.Network.Score(rows, scores));
        return scores;
    }

    private static HiddenLayerBuilder Builder(Activation activation, out List<Func<Tensor, Tensor>> steps)
    {
        var builder = new HiddenLayerBuilder(Inputs, UnitsPerStep, activation, Constant, OutputScale, Scaling);
        steps = [];
        for (var t = 0; t < Steps; t++)
        {
            float[] Draw(int count, int part) => [.. Training.Networks.Normal((ulong)((10 * t) + part), ScalarType.Float32, count).data<float>()];
            var (a, bias, c, outputBias) = (Draw(UnitsPerStep * Inputs, 1), Draw(UnitsPerStep, 2), Draw(Outputs * UnitsPerStep, 3), Draw(Outputs, 4));
            var rho = 0.7 / (t + 1);
            var weights = (A: tensor(a, [UnitsPerStep, Inputs]), Bias: tensor(bias), C: tensor(c, [Outputs, UnitsPerStep]), OutputBias: tensor(outputBias));
            steps.Add(x => HiddenLayerNetwork.Apply(activation, x.matmul(weights.A.to(ScalarType.Float64).t()) + weights.Bias)
                .matmul(weights.C.to(ScalarType.Float64).t()).add(weights.OutputBias).mul(rho));
            builder.Add(new(a, bias, [.. c], outputBias), rho);
        }

        return builder;
    }

    private sealed record PlainHead : TaskHead
    {
        public override int Outputs => HiddenLayerTests.Outputs;

        public override string MetricName => "none";

        public override double MetricSum(Tensor outputs, Tensor labels) => 0;

        public override void Finish(Span<float> outputs)
        {
        }

        protected override Tensor RowLosses(Tensor outputs, Tensor labels, double labelSmoothing) => outputs;

        protected override Tensor MeanLoss(Tensor outputs, Tensor labels, double labelSmoothing) => outputs;
    }
}
