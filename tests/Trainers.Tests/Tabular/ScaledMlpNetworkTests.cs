using System.Text.Json;
using System.Text.Json.Serialization;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Tabular;
using MlNetMlp.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Tabular;

public class ScaledMlpNetworkTests
{
    private static readonly JsonSerializerOptions Json = new() { Converters = { new JsonStringEnumConverter() } };

    private static readonly ScaledMlpDefinition Small = new()
    {
        Inputs = 7,
        Outputs = 3,
        Width = 16,
        Blocks = 2,
        ExpansionFactor = 2,
        Architecture = ScaledMlpArchitecture.InvertedBottleneck,
        Normalization = ScaledMlpNormalization.Layer,
        Activation = ScaledMlpActivation.Gelu,
        StandardizeInputs = true,
        ClipInputs = true,
    };

    private static readonly ScaledMlpDefinition Plain = Small with
    {
        Architecture = ScaledMlpArchitecture.Standard,
        Normalization = ScaledMlpNormalization.None,
        Activation = ScaledMlpActivation.Relu,
        StandardizeInputs = false,
        ClipInputs = false,
    };

    public static IEnumerable<ScaledMlpDefinition> Variants =>
        from architecture in Enum.GetValues<ScaledMlpArchitecture>()
        from normalization in Enum.GetValues<ScaledMlpNormalization>()
        from activation in Enum.GetValues<ScaledMlpActivation>()
        from inputs in (int[])[0, 1, 2]
        from blocks in (int[])[1, 3]
        select Small with
        {
            Architecture = architecture,
            Normalization = normalization,
            Activation = activation,
            StandardizeInputs = inputs > 0,
            ClipInputs = inputs > 1,
            Blocks = blocks,
            ExpansionFactor = blocks,
        };

    // The published 24, 37, 74 and 124 million.
    [Theory]
    [InlineData(6, 512, 24_657_374)]
    [InlineData(12, 512, 37_261_790)]
    [InlineData(6, 1024, 74_469_342)]
    [InlineData(12, 1024, 124_843_998)]
    public void Has_as_many_parameters_as_the_papers_models(int blocks, int width, long expected)
    {
        var definition = Small with { Inputs = 12_288, Outputs = 11_230, Width = width, Blocks = blocks, ExpansionFactor = 4 };
        Assert.Equal(expected, definition.ParameterCount);
        Assert.Equal(expected + (2 * 12_288), definition.WeightCount);
        using var network = definition.Build(META);
        Assert.Equal(expected, network.parameters().Sum(p => p.numel()));
    }

    [Fact]
    public void Counts_every_value_of_its_state_and_builds_without_memory()
    {
        foreach (var definition in Variants)
        {
            using var scope = NewDisposeScope();
            using var network = definition.Build(META);
            var state = network.state_dict();
            Assert.True(definition.WeightCount == state.Values.Sum(t => t.numel()), $"{definition}: {string.Join(", ", state.Keys)}");
            Assert.Equal(definition.ParameterCount, network.parameters().Sum(p => p.numel()));
            Assert.All(state.Values, t => Assert.Equal(DeviceType.META, t.device_type));
        }
    }

    [Fact]
    public void A_plain_network_of_two_hidden_layers_is_what_everybody_means_by_it()
    {
        using var scope = NewDisposeScope();
        var definition = Plain with { Inputs = 28, Outputs = 1, Width = 64 };
        Assert.Equal((28 * 64) + 64 + (64 * 64) + 64 + 64 + 1, definition.WeightCount);
        using var network = Create(definition, 1);
        var w = network.state_dict();
        var x = TestData.Normal(2, 9, 28);
        var h1 = (x.matmul(w["input.weight"].t()) + w["input.bias"]).clamp_min(0);
        var h2 = (h1.matmul(w["hidden.0.weight"].t()) + w["hidden.0.bias"]).clamp_min(0);
        Assert.Equal(0, Distance(h2.matmul(w["output.weight"].t()) + w["output.bias"], network.call(x)), 1e-6);
    }

    [Fact]
    public void Managed_code_scores_as_the_network_does()
    {
        foreach (var definition in Variants)
        {
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            using var network = Create(definition, 3);
            Disturb(network);
            network.eval();
            var x = TestData.Normal(4, 50, definition.Inputs);
            if (definition.ClipInputs)
                x[7, 3] = 1e30f;
            var expected = network.call(x);
            var scores = new float[50 * definition.Outputs];
            definition.BuildDense(network.ReadWeights().Read())!.Score([.. x.data<float>()], scores);
            var difference = Distance(tensor(scores, expected.shape), expected);
            Assert.True(difference < 1e-5, $"{definition}: {difference}");
        }
    }

    [Fact]
    public void Without_its_blocks_it_is_linear()
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var network = Create(Small with { StandardizeInputs = false, ClipInputs = false }, 5);
        var x = TestData.Normal(6, 20, 7);
        var linear = network.OutputLayer!.call(network.InputLayer.call(x));
        Assert.True(Distance(linear, network.call(x)) > 1e-2);
        foreach (var layer in network.Contractions)
        {
            layer.Weight.zero_();
            layer.Bias.zero_();
        }

        Assert.Equal(0, Distance(linear, network.call(x)), 1e-6);
    }

    [Fact]
    public void No_feature_is_special()
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var network = Create(Small, 7);
        Disturb(network);
        var x = TestData.Normal(8, 20, 7);
        var expected = network.call(x);
        var order = tensor(new long[] { 3, 0, 6, 1, 5, 2, 4 });
        var permuted = x.index_select(1, order);
        Assert.True(Distance(expected, network.call(permuted)) > 1e-2);
        network.InputLayer.Weight.copy_(network.InputLayer.Weight.index_select(1, order));
        foreach (var name in (string[])["mean", "scale"])
            network.state_dict()[name].copy_(network.state_dict()[name].index_select(0, order));
        Assert.Equal(0, Distance(expected, network.call(permuted)), 1e-6);
    }

    [Fact]
    public void Gradients_are_those_of_the_function()
    {
        using var scope = NewDisposeScope();
        using var network = Create(Small, 9);
        Disturb(network);
        network.to(ScalarType.Float64);
        var x = TestData.Normal(10, 12, 7).to(ScalarType.Float64);
        var labels = arange(12, ScalarType.Int64).remainder(3);
        var head = new MulticlassHead { Classes = 3 };
        double Loss() => head.Loss(network.call(x), labels, labelSmoothing: 0.3).ToDouble();

        head.Loss(network.call(x), labels, labelSmoothing: 0.3).backward();
        double error = 0, norm = 0;
        foreach (var parameter in network.parameters())
        {
            var gradient = parameter.grad!.flatten();
            using var noGradient = no_grad();
            var flat = parameter.flatten();
            for (long i = 0; i < flat.numel(); i += 1 + (flat.numel() / 5))
            {
                var value = flat[i].ToDouble();
                flat[i] = value + 1e-5;
                var above = Loss();
                flat[i] = value - 1e-5;
                var below = Loss();
                flat[i] = value;
                var expected = (above - below) / 2e-5;
                error += Math.Pow(expected - gradient[i].ToDouble(), 2);
                norm += expected * expected;
            }
        }

        Assert.True(norm > 1e-4 && Math.Sqrt(error / norm) < 1e-5, $"{error} of {norm}");
    }

    [Fact]
    public void Weights_start_uniform_by_the_inputs_of_their_layer()
    {
        foreach (var architecture in Enum.GetValues<ScaledMlpArchitecture>())
        {
            using var scope = NewDisposeScope();
            using var network = Create(Small with { Inputs = 200, Outputs = 100, Width = 128, Architecture = architecture }, 11);
            foreach (var (name, weight) in network.state_dict().Where(p => p.Value.dim() == 2))
            {
                var bound = 1 / Math.Sqrt(weight.shape[1]);
                Assert.Equal(bound / Math.Sqrt(3), weight.std().ToDouble(), bound * 0.02);
                Assert.Equal(0, weight.mean().ToDouble(), bound * 0.02);
                Assert.InRange(weight.abs().max().ToDouble(), 0.99 * bound, bound);
                var bias = network.state_dict()[name.Replace("weight", "bias", StringComparison.Ordinal)];
                Assert.InRange(bias.abs().max().ToDouble(), 0.8 * bound, bound);
            }

            Assert.All(network.state_dict().Where(p => p.Key.StartsWith("norms", StringComparison.Ordinal)),
                p => Assert.Equal(p.Key.EndsWith("weight", StringComparison.Ordinal) ? 128 : 0, p.Value.abs().sum().ToDouble()));
        }
    }

    [Fact]
    public void Weights_follow_from_the_seed_alone()
    {
        using var scope = NewDisposeScope();
        foreach (var definition in Variants)
        {
            var before = get_rng_state();
            using ScaledMlpNetwork one = Create(definition, 12), two = Create(definition, 12), other = Create(definition, 13);
            Assert.True(before.equal(get_rng_state()).all().item<bool>());
            foreach (var (name, a) in one.state_dict())
            {
                var (b, c) = (two.state_dict()[name], other.state_dict()[name]);
                Assert.True(a.equal(b).all().item<bool>(), name);
                if (a.dim() == 2)
                    Assert.False(a.equal(c).all().item<bool>(), name);
            }
        }
    }

    [Fact]
    public void Inputs_are_standardised_and_bent_within_three_deviations()
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var network = Create(Small with { Inputs = 2, Outputs = 2, Width = 8 }, 14);
        network.SetScaling(new FeatureStatistics([5, -1], [2, 0]));
        network.InputLayer.Weight.zero_();
        network.InputLayer.Bias.zero_();
        network.InputLayer.Weight[0, 0] = 1;
        network.InputLayer.Weight[1, 1] = 1;
        network.OutputLayer!.Weight.zero_();
        network.OutputLayer!.Bias.zero_();
        network.OutputLayer!.Weight[0, 0] = 1;
        network.OutputLayer!.Weight[1, 1] = 1;
        foreach (var layer in network.Contractions)
        {
            layer.Weight.zero_();
            layer.Bias.zero_();
        }

        // (11 - 5) / 2 = 3 becomes 3/√2; a feature that never changed is taken as it is.
        var y = network.call(tensor(new float[,] { { 11, -1 }, { 5, 0 }, { -1e38f, 1e38f } }));
        float[] expected = [3 / MathF.Sqrt(2), 0, 0, 1 / MathF.Sqrt(1 + (1f / 9)), -3, 3];
        Assert.Equal(expected, y.data<float>().ToArray(), (a, b) => Math.Abs(a - b) < 1e-5);
    }

    [Fact]
    public void Batch_normalisation_takes_a_single_row()
    {
        using var scope = NewDisposeScope();
        using var network = Create(Small with { Normalization = ScaledMlpNormalization.Batch }, 15);
        network.train();
        Assert.True(network.call(TestData.Normal(16, 1, 7)).isfinite().all().item<bool>());
    }

    [Fact]
    public void Definitions_survive_their_file_format()
    {
        foreach (var definition in Variants)
            Assert.Equal(definition, JsonSerializer.Deserialize<ScaledMlpDefinition>(JsonSerializer.Serialize(definition, Json), Json));
    }

    private static ScaledMlpNetwork Create(ScaledMlpDefinition definition, ulong seed)
    {
        var network = (ScaledMlpNetwork)definition.Build(CPU);
        using var generator = new Generator(seed);
        using var noGradient = no_grad();
        network.Initialize(generator);
        return network;
    }

    // Initial gains of 1 and shifts of 0 would hide where they are left out.
    private static void Disturb(Network network)
    {
        using var noGradient = no_grad();
        ulong seed = 100;
        foreach (var (name, value) in network.state_dict().Where(p => p.Value.dim() == 1))
        {
            var noise = TestData.Normal(seed++, value.shape);
            if (name.EndsWith("running_var", StringComparison.Ordinal) || name == "scale")
                value.copy_(noise.abs().add_(0.5));
            else
                value.add_(noise, 0.3);
        }
    }

    private static double Distance(Tensor a, Tensor b) => (a.detach() - b.detach()).abs().max().ToDouble();
}
