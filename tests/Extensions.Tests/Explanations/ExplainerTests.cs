using Microsoft.ML.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;

namespace MlNetMlp.Tests.Explanations;

/// <summary>Exact properties of contributions, on networks whose weights are given.</summary>
public sealed class ExplainerTests
{
    private const int Inputs = 4;
    private const int Rows = 50;

    private static readonly ExplanationOptions Plain = new() { Method = ExplanationMethod.Gradient };

    [Fact]
    public void Gradients_are_central_differences_of_the_network_in_double_precision()
    {
        var network = new Weights(Activation.Tanh, units: 7);
        var x = Normal(5, Rows * Inputs);
        var found = Explain(network.Trained(), Plain, x);
        for (var row = 0; row < Rows; row++)
        {
            for (var j = 0; j < Inputs; j++)
            {
                const double step = 1e-5;
                double[] point = [.. x.AsSpan(row * Inputs, Inputs).ToArray().Select(value => (double)value)];
                double At(double move) => network.Value([.. point.Select((value, i) => i == j ? value + move : value)]);
                var slope = (At(step) - At(-step)) / (2 * step);
                Assert.Equal(slope, found[row][j], 1e-5 * Math.Max(1, Math.Abs(slope)));
            }
        }
    }

    [Fact]
    public void Integrated_gradients_add_up_to_the_change_of_the_score()
    {
        var network = new Weights(Activation.Tanh, units: 7);
        var x = Normal(5, Rows * Inputs);
        var baseline = Normal(6, Inputs);
        var found = Explain(
            network.Trained(), new() { Steps = 64, Baseline = ExplanationBaseline.Vector, BaselineVector = baseline, AddConvergenceDelta = true }, x);
        for (var row = 0; row < Rows; row++)
        {
            var change = network.Value(Doubles(x.AsSpan(row * Inputs, Inputs))) - network.Value(Doubles(baseline));
            var sum = found[row][..Inputs].Sum(value => (double)value);
            Assert.Equal(change, sum, 1e-4 * Math.Max(1, Math.Abs(change)));
            Assert.Equal(sum - change, found[row][Inputs], 1e-4);
        }
    }

    [Fact]
    public void One_node_is_exact_on_a_linear_network_as_is_the_gradient_times_the_input()
    {
        var network = new Weights(Activation.Identity, units: 3);
        var x = Normal(5, Rows * Inputs);
        var integrated = Explain(network.Trained(), new() { Steps = 1 }, x);
        var product = Explain(network.Trained(), Plain with { Method = ExplanationMethod.GradientTimesInput }, x);
        for (var row = 0; row < Rows; row++)
        {
            var change = network.Value(Doubles(x.AsSpan(row * Inputs, Inputs))) - network.Value(new double[Inputs]);
            Assert.Equal(change, integrated[row].Sum(value => (double)value), 1e-5);
            Near(product[row], integrated[row], 1e-5);
        }
    }

    [Fact]
    public void Without_biases_a_rectified_network_is_homogeneous()
    {
        var network = new Weights(Activation.Relu, units: 9, hasBias: false);
        var x = Normal(5, Rows * Inputs);
        var integrated = Explain(network.Trained(), new(), x);
        var product = Explain(network.Trained(), Plain with { Method = ExplanationMethod.GradientTimesInput }, x);
        for (var row = 0; row < Rows; row++)
            Near(product[row], integrated[row], 1e-5);
    }

    [Fact]
    public void Smoothing_leaves_the_gradient_of_a_linear_network_as_it_is()
    {
        var network = new Weights(Activation.Identity, units: 3).Trained();
        var x = Normal(5, Rows * Inputs);
        var gradient = Explain(network, Plain, x);
        var smooth = Explain(network, Plain with { Method = ExplanationMethod.SmoothGrad, Samples = 5 }, x);
        for (var row = 0; row < Rows; row++)
            Near(gradient[row], smooth[row], 1e-5);
    }

    [Fact]
    public void Finite_differences_are_unbiased_on_a_linear_network()
    {
        var network = new Weights(Activation.Identity, units: 3).Trained();
        var x = Normal(5, Inputs);
        const int draws = 400;
        var gradient = Explain(network, Plain, x)[0];
        var found = Enumerable.Range(0, draws)
            .Select(seed => Explain(network, Plain with { Method = ExplanationMethod.SmoothedFiniteDifference, Samples = 8, Seed = seed }, x)[0]).ToArray();
        for (var j = 0; j < Inputs; j++)
        {
            var mean = found.Average(row => (double)row[j]);
            var error = Math.Sqrt(found.Average(row => Math.Pow(row[j] - mean, 2)) / draws);
            Assert.InRange((mean - gradient[j]) / error, -4, 4);
        }
    }

    [Fact]
    public void A_row_is_told_the_same_in_every_block()
    {
        var network = new Weights(Activation.Tanh, units: 7, outputs: 3).Trained();
        var x = Normal(5, Rows * Inputs);
        foreach (var method in Enum.GetValues<ExplanationMethod>())
        {
            var options = Plain with { Method = method, Samples = 40 };
            using var explainer = Explainer(network, options);
            var together = Run(explainer, x, 0);
            for (var row = 0; row < Rows; row += 7)
                Near(together[row], Run(explainer, x.AsSpan(row * Inputs, Inputs).ToArray(), row)[0], 1e-5);
        }
    }

    [Fact]
    public void Each_class_is_told_and_the_predicted_one_named()
    {
        const int classes = 3;
        var network = new Weights(Activation.Tanh, units: 7, outputs: classes).Trained();
        var x = Normal(5, Rows * Inputs);
        var all = Explain(network, Plain with { Target = ExplanationTarget.AllClasses }, x);
        var predicted = Explain(network, Plain, x);
        var scores = new float[Rows * classes];
        Assert.Equal(-1, network.Score(x, scores));
        for (var row = 0; row < Rows; row++)
        {
            var best = Array.IndexOf(scores, scores.AsSpan(row * classes, classes).ToArray().Max(), row * classes) - (row * classes);
            Assert.Equal(best, predicted[row][Inputs]);
            Near(all[row].AsSpan(best * Inputs, Inputs).ToArray(), predicted[row][..Inputs], 1e-6);
        }

        // Probabilities add up to one, so their gradients add up to nothing.
        var probabilities = Explain(network, Plain with { Target = ExplanationTarget.AllClasses, Output = ExplainedOutput.Probability }, x);
        Assert.All(probabilities, row => Assert.All(Enumerable.Range(0, Inputs), j => Assert.Equal(0, row[j] + row[Inputs + j] + row[(2 * Inputs) + j], 1e-6)));
    }

    [Fact]
    public void The_label_turns_the_sign_of_a_logit_and_the_loss_falls_where_it_rises()
    {
        var network = new Weights(Activation.Tanh, units: 7).Trained(new BinaryHead());
        var x = Normal(5, Rows * Inputs);
        float[] labels = [.. Enumerable.Range(0, Rows).Select(row => row % 2f)];
        var score = Explain(network, Plain, x);
        var own = Explain(network, Plain with { Target = ExplanationTarget.TrueLabel }, x, labels);
        var loss = Explain(network, Plain with { Output = ExplainedOutput.Loss }, x, labels);
        var scores = new float[Rows];
        Assert.Equal(-1, network.Score(x, scores));
        for (var row = 0; row < Rows; row++)
        {
            var sign = labels[row] == 1 ? 1 : -1;
            Near([.. score[row].Select(value => value * sign)], own[row], 1e-6);
            var share = -sign / (1 + Math.Exp(sign * scores[row]));
            Near([.. score[row].Select(value => (float)(value * share))], loss[row], 1e-5);
        }

        Assert.Contains("class 3", Assert.Throws<InvalidOperationException>(() => Explain(network, Plain with { Target = ExplanationTarget.TrueLabel }, x, [.. labels.Select(_ => 2f)])).Message, StringComparison.Ordinal);
        Assert.Contains("missing", Assert.Throws<InvalidOperationException>(() => Explain(network, Plain with { Target = ExplanationTarget.TrueLabel }, x, [.. labels.Select(_ => float.NaN)])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Contributions_are_grouped_left_out_and_normalised()
    {
        var network = new Weights(Activation.Tanh, units: 7).Trained();
        var x = Normal(5, Rows * Inputs);
        var plain = Explain(network, Plain, x);
        var grouped = Explain(network, Plain with { GroupBySlotPrefix = "." }, x, names: ["Make.Ford", "Age", "Make.Opel", "Color.Red"]);
        var few = Explain(network, Plain with { NumberOfPositiveContributions = 1, NumberOfNegativeContributions = 0 }, x);
        var absolute = Explain(network, Plain with { Absolute = true, Normalize = true }, x);
        for (var row = 0; row < Rows; row++)
        {
            var values = plain[row];
            Near([values[0] + values[2], values[1], values[3]], grouped[row], 1e-6);
            Near([.. values.Select(value => value > 0 && value == values.Max() ? value : 0)], few[row], 0);
            var greatest = values.Max(Math.Abs);
            Near([.. values.Select(value => Math.Abs(value) / greatest)], absolute[row], 1e-6);
        }
    }

    [Fact]
    public void Nodes_integrate_polynomials()
    {
        foreach (var count in (int[])[1, 2, 5, 32, 1024])
        {
            var (nodes, weights) = GaussLegendre.Of(count);
            Assert.Equal(1, weights.Sum(), 1e-13);
            Assert.Equal(nodes.Order(), nodes);
            for (var power = 0; power < Math.Min(2 * count, 40); power++)
                Assert.Equal(1.0 / (power + 1), nodes.Zip(weights, (node, weight) => weight * Math.Pow(node, power)).Sum(), 1e-13);
        }
    }

    [Fact]
    public void What_is_saved_is_checked_when_it_is_read()
    {
        var state = State(new());
        var copy = ExplanationState.Read(state.Write());
        Assert.Equal(state.Write(), copy.Write());
        foreach (var (from, to) in new[] { ("\"steps\": 32", "\"steps\": 0"), ("\"mean\"", "\"means\""), ("\"minimum\": [", "\"minimum\": [ 1,") })
        {
            var text = System.Text.Encoding.UTF8.GetString(state.Write());
            Assert.Contains(from, text, StringComparison.Ordinal);
            Assert.Throws<ModelFormatException>(() => ExplanationState.Read(System.Text.Encoding.UTF8.GetBytes(text.Replace(from, to, StringComparison.Ordinal))));
        }
    }

    private static ExplanationState State(ExplanationOptions options, string[]? names = null) => new(
        options, [.. Enumerable.Repeat(-1f, Inputs)], [.. Enumerable.Repeat(1f, Inputs)], new float[Inputs], names);

    private static NetworkExplainer Explainer(TrainedNetwork network, ExplanationOptions options, string[]? names = null) => new(State(options, names), network);

    private static float[][] Explain(TrainedNetwork network, ExplanationOptions options, float[] x, float[]? labels = null, string[]? names = null)
    {
        using var explainer = Explainer(network, options, names);
        return Run(explainer, x, 0, labels);
    }

    private static float[][] Run(NetworkExplainer explainer, float[] x, int firstId, float[]? labels = null)
    {
        var ids = Enumerable.Range(firstId, x.Length / Inputs).Select(id => new DataViewRowId((ulong)id, 0)).ToArray();
        var values = new float[ids.Length * explainer.Outputs];
        Assert.Equal(-1, explainer.Compute(new(x, labels ?? [], ids), values));
        return [.. values.Chunk(explainer.Outputs)];
    }

    private static void Near(float[] expected, float[] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], tolerance * Math.Max(1, Math.Abs(expected[i])));
    }

    private static double[] Doubles(ReadOnlySpan<float> values) => [.. values.ToArray().Select(value => (double)value)];

    private static float[] Normal(int seed, int count)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }

    /// <summary>One hidden layer whose values can be computed in double precision, too.</summary>
    private sealed class Weights(Activation activation, int units, int outputs = 1, bool hasBias = true)
    {
        private readonly float[] _a = Normal(1, units * Inputs);
        private readonly float[] _bias = hasBias ? Normal(2, units) : new float[units];
        private readonly float[] _c = Normal(3, outputs * units);
        private readonly float[] _outputBias = hasBias ? Normal(4, outputs) : new float[outputs];

        public TrainedNetwork Trained(TaskHead? head = null)
        {
            using var scope = TorchSharp.torch.NewDisposeScope();
            var builder = new HiddenLayerBuilder(Inputs, units, activation, new double[outputs], 1, null);
            builder.Add(new(_a, _bias, _c, _outputBias), 1);
            using var network = builder.Build(1);
            head ??= outputs == 1 ? new RegressionHead { LabelMean = 0, LabelScale = 1 } : new MulticlassHead { Classes = outputs };
            return new(network.Definition, network.ReadWeights(), head) { MethodName = "Test" };
        }

        public double Value(double[] x)
        {
            var sum = (double)_outputBias[0];
            for (var unit = 0; unit < units; unit++)
            {
                var z = _bias[unit] + Enumerable.Range(0, Inputs).Sum(j => _a[(unit * Inputs) + j] * x[j]);
                sum += _c[unit] * activation switch { Activation.Tanh => Math.Tanh(z), Activation.Relu => Math.Max(0, z), _ => z };
            }

            return sum;
        }
    }
}
