using MlNetMlp.Networks;
using MlNetMlp.Recommendation;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Recommendation;

/// <summary>The network of <see cref="FinalMlp"/>: gates, streams and the bilinear form.</summary>
public sealed class FinalMlpNetworkTests
{
    private const int D1 = 8;
    private const int D2 = 4;

    private static readonly RowLayout Layout = new()
    {
        FeatureWidth = 2,
        Columns = [new("user", 1, 6, false), new("item", 1, 5, false), new("tags", 3, 4, true)],
    };

    private static readonly FinalMlpDefinition Plain = new()
    {
        Inputs = Layout.Width, Outputs = 1, Layout = Layout, EmbeddingDim = 3, Stream1 = [10, D1], Stream2 = [D2], Dropout1 = 0, Dropout2 = 0, BatchNorm = false,
        GateUnits = [7], Gate1Context = [0], Heads = 2, HasRare = false,
    };

    [Fact]
    public void A_gate_whose_last_layer_is_zero_leaves_all_as_it_is()
    {
        using var scope = NewDisposeScope();
        using var gated = Create(Plain);
        using var plain = Create(Plain with { GateUnits = null });
        foreach (var gate in new[] { gated.Gate1!, gated.Gate2! })
            Zero(gate.Last.Weight, gate.Last.Bias);
        var rows = Rows(9);
        foreach (var gate in new[] { gated.Gate1!, gated.Gate2! })
            Assert.All(TensorMemory.ToFloats(gate.call(rows)), value => Assert.Equal(1, value));
        Share(gated, plain);
        Assert.Equal(Scores(plain, rows), Scores(gated, rows));
    }

    [Fact]
    public void Without_weights_in_the_bilinear_form_it_is_the_sum_of_two_streams_to_the_bit()
    {
        using var scope = NewDisposeScope();
        using var final = Create(Plain with { GateUnits = null });
        using var dual = Create(Plain with { GateUnits = null, Heads = 0 });
        Assert.NotEqual(Scores(final, Rows(9)), Scores(dual, Rows(9)));
        Zero(final.Bilinear!);
        Share(final, dual);
        Assert.Equal(Scores(dual, Rows(9)), Scores(final, Rows(9)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Heads_are_a_bilinear_form_with_a_matrix_of_blocks(int heads)
    {
        using var scope = NewDisposeScope();
        using var network = Create(Plain with { Heads = heads });
        var (o1, o2) = (TestData.Normal(1, 20, D1), TestData.Normal(2, 20, D2));
        var blocks = zeros(D1, D2);
        for (var j = 0; j < heads; j++)
            blocks.narrow(0, j * D1 / heads, D1 / heads).narrow(1, j * D2 / heads, D2 / heads).copy_(network.Bilinear![j].detach());
        var expected = einsum("bi,ij,bj->b", o1, blocks, o2);
        Assert.Equal(TensorMemory.ToFloats(expected), TensorMemory.ToFloats(network.Interaction(o1, o2)), (x, y) => Math.Abs(x - y) < 1e-5);
        Assert.Equal(D1 * D2 / heads, network.Bilinear!.numel());
    }

    [Fact]
    public void Streams_can_change_places()
    {
        using var scope = NewDisposeScope();
        var one = Plain with { Stream1 = [10, D1], Stream2 = [6, D2] };
        using var first = Create(one);
        using var second = Create(one with { Stream1 = one.Stream2, Stream2 = one.Stream1, Gate1Context = one.Gate2Context, Gate2Context = one.Gate1Context });
        var weights = first.state_dict();
        using (no_grad())
        {
            foreach (var (name, tensor) in second.state_dict())
            {
                var source = weights[Swap(name)];
                tensor.copy_(name == "bilinear" ? source.transpose(1, 2) : source);
            }
        }

        Assert.Equal(Scores(first, Rows(12)), Scores(second, Rows(12)), (x, y) => Math.Abs(x - y) < 1e-6);

        static string Swap(string name)
        {
            var end = name.IndexOf('.', StringComparison.Ordinal);
            if (end < 0)
                return name;
            var (part, rest) = (name[..end], name[end..]);
            return (part.EndsWith('1') ? part[..^1] + "2" : part.EndsWith('2') ? part[..^1] + "1" : part) + rest;
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Gradients_are_those_of_finite_differences_also_of_the_vectors_of_keys(bool isNormalized)
    {
        using var scope = NewDisposeScope();
        using var network = Create(Plain with { Gate1Context = [], Gate2Context = [1, 2], BatchNorm = isNormalized });

        // A bias of zero and a row of missing keys meet where a rectified unit has no derivative.
        using (no_grad())
        {
            foreach (var (_, bias) in network.named_parameters().Where(part => part.name.EndsWith("bias", StringComparison.Ordinal)))
                bias.uniform_(0.1, 0.5);
        }

        network.to(ScalarType.Float64);
        network.train();
        var (rows, target) = (Rows(16).to(ScalarType.Float64), TestData.Normal(5, 16, 1).to(ScalarType.Float64));
        var tables = network.modules().OfType<RowTable>().ToArray();
        Array.ForEach(tables, table => table.IsRecording = true);
        Loss().backward();
        var parts = network.named_parameters().Select(part => (part.name, Values: (Tensor)part.parameter, Gradient: part.parameter.grad!)).ToList();
        foreach (var table in tables)
        {
            var gradient = zeros_like(table.Weight);
            table.TakeGradients((index, rows) => gradient.index_add_(0, index, rows, 1));
            table.IsRecording = false;
            parts.Add(("keys", table.Weight, gradient));
        }

        foreach (var (name, values, gradient) in parts)
        {
            // Normalisation takes every bias before it away.
            if (isNormalized && name.StartsWith("stream", StringComparison.Ordinal) && name.Contains("layers", StringComparison.Ordinal) && name.EndsWith("bias", StringComparison.Ordinal))
                continue;

            // Along the gradient itself the loss rises by its length.
            using var noGradient = no_grad();
            var length = gradient.norm().item<double>();
            Assert.True(length > 0, $"no gradient reaches {name}");
            var step = gradient.div(length).mul(1e-6);
            var before = values.clone();
            values.copy_(before.add(step));
            var above = Loss().item<double>();
            values.copy_(before.sub(step));
            var below = Loss().item<double>();
            values.copy_(before);
            Assert.True(Math.Abs(((above - below) / 2e-6 / length) - 1) < 1e-4, $"{name}: {(above - below) / 2e-6} against {length}");
        }

        Tensor Loss() => network.call(rows).sub(target).square().sum();
    }

    [Fact]
    public void Gates_lie_within_0_and_2_and_are_told_by_field()
    {
        using var scope = NewDisposeScope();
        using var network = Create(Plain);
        using (no_grad())
            network.Gate1!.Last.Bias.normal_(0, 5);
        using var gates = (FinalMlpNetwork)(Plain with { IsGates = true, Outputs = 2 * Plain.Fields }).Build(CPU);
        Assert.All(gates.state_dict(), pair => Assert.Contains(pair.Key, network.state_dict().Keys));
        using (no_grad())
        {
            foreach (var (name, tensor) in gates.state_dict())
                tensor.copy_(network.state_dict()[name]);
        }

        var means = gates.call(Rows(6));
        Assert.Equal([6, 10], means.shape);
        Assert.All(TensorMemory.ToFloats(means), value => Assert.InRange(value, 0, 2));
        Assert.Equal(network.Gate1!.call(Rows(6)).view(6, 5, 3).mean([2L])[2, 1].item<float>(), means[2, 1].item<float>(), 1e-6f);
        Assert.Equal("user, stream 1", gates.Definition.OutputNames![2]);
    }

    [Fact]
    public void The_number_of_weights_is_known_beforehand()
    {
        foreach (var definition in new[]
        {
            Plain, Plain with { GateUnits = null }, Plain with { GateUnits = [], Gate2Context = [1, 2] }, Plain with { BatchNorm = true, HasRare = true, Heads = 0 },
            Plain with { IsGates = true, Outputs = 10 }, Plain with { Layout = Layout with { FeatureWidth = 0 }, Inputs = 5 },
        })
        {
            using var network = definition.Build(META);
            Assert.Equal(definition.WeightCount, network.state_dict().Values.Sum(tensor => tensor.numel()));
        }
    }

    private static FinalMlpNetwork Create(FinalMlpDefinition definition)
    {
        var network = (FinalMlpNetwork)definition.Build(CPU);
        using var random = new Generator(3);
        network.Initialize(random);
        network.Keys.Initialize(random, 1);
        network.eval();
        return network;
    }

    // The features and five columns of keys, with missing and unknown ones among them.
    private static Tensor Rows(int count)
    {
        var random = new Random(4);
        return tensor(
            Enumerable.Range(0, count).SelectMany(_ => (float[])[(float)random.NextDouble(), (float)random.NextDouble(), random.Next(8), random.Next(7), random.Next(6), random.Next(6), 0]).ToArray(),
            [count, Layout.Width]);
    }

    private static float[] Scores(Network network, Tensor rows) => TensorMemory.ToFloats(network.call(rows));

    private static void Share(Network from, Network to)
    {
        using var noGradient = no_grad();
        var weights = from.state_dict();
        foreach (var (name, tensor) in to.state_dict())
            tensor.copy_(weights[name]);
    }

    private static void Zero(params Tensor[] tensors)
    {
        using var noGradient = no_grad();
        Array.ForEach(tensors, tensor => tensor.zero_());
    }
}
