using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Methods;

/// <summary>Gradients, bounds and attacks of trained networks.</summary>
public sealed class RobustnessTests
{
    private const int Inputs = 3;

    [Theory]
    [InlineData(Activation.Tanh)]
    [InlineData(Activation.Gelu)]
    public void Gradients_are_those_of_raw_features(Activation activation)
    {
        using var scope = NewDisposeScope();
        using var model = new DifferentiableModel(Network(activation, outputs: 2, units: 7));
        var x = Normal(3, 5, Inputs);
        var (values, gradients) = model.Gradient(x, outputs => outputs.select(1, 1));

        Assert.True(values.sub(model.Forward(x).select(1, 1)).abs().max().ToDouble() < 1e-6);
        Assert.False(gradients.requires_grad);
        for (var j = 0; j < Inputs; j++)
        {
            var step = zeros(Inputs);
            step[j] = 1e-2f;
            var difference = model.Forward(x.Plus(step)).sub(model.Forward(x.sub(step))).select(1, 1).Times(50);
            Assert.True(difference.sub(gradients[.., j]).abs().max().ToDouble() < 2e-3);
        }
    }

    [Fact]
    public void Bounds_are_below_all_points_of_the_box_and_attained_where_no_unit_changes_sign()
    {
        using var scope = NewDisposeScope();
        var trained = Network(Activation.Relu, outputs: 2, units: 9);
        using var model = new DifferentiableModel(trained);
        using var bounds = HiddenLayerBounds.Of(trained)!;
        var (x, combination) = (Normal(3, 40, Inputs), Normal(4, 40, 2).to(ScalarType.Float64));
        foreach (var size in new[] { 1e-4, 0.3 })
        {
            var radius = tensor(new[] { size, 2 * size, 0 });
            var (least, moves) = bounds.Least(x, combination, radius);
            Assert.True(moves.abs().sub(radius).max().ToDouble() < 1e-6);
            var reached = Value(moves);
            Assert.True(reached.sub(least).min().ToDouble() > -1e-5);
            for (ulong seed = 10; seed < 40; seed++)
                Assert.True(Value(Normal(seed, 40, Inputs).sign().mul(radius.to(ScalarType.Float32))).sub(least).min().ToDouble() > -1e-5);

            // In tiny boxes hardly any unit changes sign.
            var attained = reached.sub(least).abs().lt(full_like(least, 1e-5)).sum(0L).item<long>();
            Assert.InRange(attained, size < 0.01 ? 39 : 0, 40);
        }

        Tensor Value(Tensor move) => model.Forward(x.Plus(move)).to(ScalarType.Float64).mul(combination).sum(1L);
    }

    [Fact]
    public void Of_a_linear_model_attack_and_bound_are_the_exact_worst_case()
    {
        // One unit that is active everywhere: f = w·x.
        float[] w = [1, -2, 0.5f];
        using var scope = NewDisposeScope();
        var builder = new HiddenLayerBuilder(Inputs, 1, Activation.Relu, [-100.0]);
        builder.Add(new(w, [100], [1], [0]), 1);
        using var network = builder.Build(1);
        var trained = new TrainedNetwork(network.Definition, network.ReadWeights(), new BinaryHead()) { MethodName = "Test" };
        var x = Normal(5, 200, Inputs);
        var f = x.mv(tensor(w));
        float[] labels = [.. f.data<float>().ToArray().Select((value, i) => value > 0 ^ i % 10 == 0 ? 1f : 0f)];
        var options = new RobustnessOptions { Radii = [0.4, 0, 0.1], Unit = PerturbationUnit.Of(1, 0.5f, 0) };
        using var evaluation = new RobustnessEvaluation(trained, options);
        var report = evaluation.Run(new(x, labels, new([0, 0, 0], [1, 1, 1])));

        Assert.Equal(0.9, report.CleanAccuracy, 1e-9);
        Assert.Equal([0, 0.1, 0.4], report.Points.Select(point => point.Radius));
        foreach (var point in report.Points)
        {
            var reach = point.Radius * (1 + 1);
            var expected = f.data<float>().ToArray().Select((value, i) => (labels[i] > 0 ? value : -value) > reach).Count(isRight => isRight) / 200.0;
            Assert.Equal(expected, point.AttackedAccuracy, 1e-9);
            Assert.True(point.IsExact);
        }
    }

    [Fact]
    public void Accuracy_falls_with_the_radius_and_is_never_below_what_is_certain()
    {
        using var scope = NewDisposeScope();
        foreach (var (activation, outputs) in new[] { (Activation.Relu, 1), (Activation.Relu, 4), (Activation.Tanh, 4) })
        {
            var trained = Network(activation, outputs, units: 12);
            var x = Normal(6, 150, Inputs);
            using var model = new DifferentiableModel(trained);
            var f = model.Forward(x);
            float[] labels = outputs == 1
                ? [.. f.flatten().data<float>().ToArray().Select(value => value > 0 ? 1f : 0f)]
                : [.. f.argmax(1).data<long>().ToArray().Select(value => (float)value)];
            using var evaluation = new RobustnessEvaluation(trained, new() { Radii = [0, 0.01, 0.1, 1, 5] });
            var points = evaluation.Run(new(x, labels, new([0, 0, 0], [1, 1, 1]))).Points;

            Assert.Equal(1, points[0].AttackedAccuracy);
            Assert.True(points[^1].AttackedAccuracy < 0.9);
            Assert.Equal(points.Select(point => point.AttackedAccuracy).OrderDescending(), points.Select(point => point.AttackedAccuracy));
            if (activation == Activation.Relu)
                Assert.All(points, point => Assert.True(point.CertifiedAccuracy <= point.AttackedAccuracy));
            else
                Assert.All(points, point => Assert.Null(point.CertifiedAccuracy));
        }
    }

    [Fact]
    public void Bad_options_are_refused_by_name()
    {
        foreach (var (name, options) in new (string, RobustnessOptions)[]
        {
            ("Radii", new() { Radii = [0.1, -1] }), ("Radii", new() { Radii = [double.NaN] }), ("Steps", new() { Steps = 0 }), ("StepSize", new() { StepSize = 0 }),
            ("Restarts", new() { Restarts = 0 }), ("Seed", new() { Seed = -1 }),
        })
        {
            Assert.Contains($"'{name}'", Assert.Throws<ArgumentOutOfRangeException>(() => OptionRanges.Check(options, "Test")).Message, StringComparison.Ordinal);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => PerturbationUnit.Of(1, -1));
        Assert.Throws<ArgumentException>(() => PerturbationUnit.Of(1, 2).For(new([0, 0, 0], [1, 1, 1])));
        Assert.Equal(PerturbationUnit.Of(1, 2), PerturbationUnit.Of(1, 2));
        Assert.NotEqual(PerturbationUnit.One, PerturbationUnit.StandardDeviation);
    }

    private static Tensor Normal(ulong seed, params long[] shape)
    {
        using var generator = new Generator(seed);
        return empty(shape).normal_(0, 1, generator);
    }

    private static TrainedNetwork Network(Activation activation, int outputs, int units)
    {
        using var scope = NewDisposeScope();
        float[] Values(ulong seed, int count) => Normal(seed, count).data<float>().ToArray();
        var builder = new HiddenLayerBuilder(Inputs, units, activation, new double[outputs], 1, ([0.3f, -0.2f, 0], [0.7f, 1.5f, 1]));
        builder.Add(new(Values(1, units * Inputs), Values(2, units), Values(3, outputs * units), Values(4, outputs)), 1);
        using var network = builder.Build(1);
        TaskHead head = outputs == 1 ? new BinaryHead() : new MulticlassHead { Classes = outputs };
        return new(network.Definition, network.ReadWeights(), head) { MethodName = "Test" };
    }
}
