using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Tabular;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Tabular;

/// <summary>The batched network of a <see cref="TabularNetwork"/>, in Double.</summary>
public sealed class TabularMembersTests
{
    private const int Rows = 24;
    private const int Members = 3;

    private static readonly TabularNetworkDefinition Definition = new()
    {
        Inputs = 7, Outputs = 3, Classes = 3, Members = Members, HiddenSize = 8, HiddenLayers = 2, Activation = TabularActivation.Silu, NumericScaling = NumericScaling.Standard, Knots = 0,
        Frequencies = 4, Scaled = [0, 1, 2, 3], Pairs = [4], Indicators = [], KnownKeys = [12, 20], MaxOneHot = 8, KeyEmbeddingSize = 2,
        Layout = new RowLayout { FeatureWidth = 5, Columns = [new RowColumn("A", 1, 12, false), new RowColumn("B", 1, 20, false)] },
    };

    [Fact]
    public void A_member_is_what_it_would_be_alone()
    {
        using var scope = NewDisposeScope();
        var (x, keys, labels) = Data();
        using var all = Create(Members);
        var table = all.Table!;
        var (parameters, adam) = TabularMemberGroup.Optimize(all, 0.02);
        using var rowAdam = new RowAdam(table, beta2: 0.95);
        var alone = Enumerable.Range(0, Members).Select(member =>
        {
            var single = new TabularMembers(Definition, 1, CPU, ScalarType.Float64);
            single.Exchange(all, member, isTarget: false);
            return (Network: single, Optimizer: TabularMemberGroup.Optimize(single, 0.02), Keys: new RowAdam(single.Table!, beta2: 0.95));
        }).ToArray();

        for (var step = 0; step < 10; step++)
        {
            var outputs = Step(all, parameters, adam, rowAdam, x, keys, labels);
            for (var member = 0; member < Members; member++)
            {
                var (network, (own, optimizer), ownKeys) = alone[member];
                var output = Step(network, own, optimizer, ownKeys, x.narrow(0, member, 1), keys.narrow(0, member, 1), labels.narrow(0, member * Rows, Rows));
                Near(outputs.narrow(0, member, 1), output);
                using var copy = new TabularMembers(Definition, 1, CPU, ScalarType.Float64);
                copy.Exchange(all, member, isTarget: false);
                foreach (var (name, tensor) in copy.state_dict())
                    Near(tensor, network.state_dict()[name]);
            }
        }

        foreach (var (network, (own, optimizer), ownKeys) in alone)
        {
            ownKeys.Dispose();
            optimizer.Dispose();
            own.Dispose();
            network.Dispose();
        }

        adam.Dispose();
        parameters.Dispose();
    }

    [Fact]
    public void The_order_of_members_is_that_of_their_outputs()
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var (x, keys, _) = Data();
        using var all = Create(Members);
        using var turned = new TabularMembers(Definition, Members, CPU, ScalarType.Float64);
        using var one = new TabularMembers(Definition, 1, CPU, ScalarType.Float64);
        int[] order = [2, 0, 1];
        for (var member = 0; member < Members; member++)
        {
            one.Exchange(all, order[member], isTarget: false);
            one.Exchange(turned, member, isTarget: true);
        }

        var index = tensor(order.Select(member => (long)member).ToArray());
        Near(turned.call(x.index_select(0, index), keys.index_select(0, index)), all.call(x, keys).index_select(0, index));
    }

    [Fact]
    public void Numbers_can_change_places_with_their_weights()
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var (x, keys, _) = Data();
        using var all = Create(Members);
        var before = all.call(x, keys);
        long[] order = [2, 0, 3, 1];
        var numbers = tensor(order);

        // [numbers, pair, three periodic functions of each number, keys]
        var inputs = tensor((long[])[.. order, 4, .. Enumerable.Range(0, 3).SelectMany(sum => order.Select(place => 5 + (4L * sum) + place)), .. Enumerable.Range(17, 4).Select(i => (long)i)]);
        var embedding = all.Embedding!;
        foreach (var weight in new Tensor[] { embedding.Frequency, embedding.Phase, embedding.Amplitude, embedding.Offset })
            weight.copy_(weight.index_select(weight.dim() - 1, numbers));
        all.InputScale.copy_(all.InputScale.index_select(2, inputs));
        all.Layers[0].Weight.copy_(all.Layers[0].Weight.index_select(1, inputs));
        var moved = cat([x.narrow(2, 0, 4).index_select(2, numbers), x.narrow(2, 4, 1)], 2);
        Assert.True(all.call(moved, keys).sub(before).abs().max().item<double>() < 1e-12);
    }

    [Fact]
    public void A_weight_of_two_is_two_rows_in_the_gradient()
    {
        using var scope = NewDisposeScope();
        var (x, keys, labels) = Data();
        using var all = Create(Members);
        double[] counts = [.. Enumerable.Range(0, Rows).Select(row => 1.0 + (row % 3))];
        var weights = tensor(counts).div(counts.Average()).repeat(Members);
        var weighted = Gradient(all.call(x, keys), labels, weights);
        var repeat = tensor(Enumerable.Range(0, Rows).SelectMany(row => Enumerable.Repeat((long)row, (int)counts[row])).ToArray());
        var repeated = Gradient(all.call(x.index_select(1, repeat), keys.index_select(1, repeat)), labels.view(Members, Rows).index_select(1, repeat).flatten(), null);
        foreach (var (first, second) in weighted.Zip(repeated))
            Near(first, second);

        Tensor[] Gradient(Tensor outputs, Tensor classes, Tensor? shares) =>
            [.. autograd.grad([TabularMemberGroup.Loss(outputs, classes, shares, 3, 0.1)], [all.InputScale, .. all.Layers.Select(layer => layer.Weight), all.Embedding!.Frequency])];
    }

    [Theory]
    [InlineData(3)]
    [InlineData(0)]
    public void Passes_find_the_gradients_that_torch_finds(int classes)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(11);
        var definition = Definition with
        {
            Classes = classes, Outputs = Math.Max(1, classes), HiddenSize = 24,
            Layout = new RowLayout { FeatureWidth = 5, Columns = [new RowColumn("A", 2, 12, false), new RowColumn("B", 1, 20, false)] }, Inputs = 8,
        };
        using var exact = new TabularMembers(definition, Members, CPU, ScalarType.Float64);
        using var single = new TabularMembers(definition, Members, CPU);
        using (no_grad())
            exact.Initialize(random, 0.3);
        single.Exchange(exact, 0, isTarget: false);
        var x = empty([Rows, 5]).normal_(0, 1, random);
        var keys = cat([randint(0, 13, [Rows, 2], ScalarType.Int64, generator: random), randint(13, 33, [Rows, 1], ScalarType.Int64, generator: random)], 1);
        var labels = classes == 0 ? empty(Rows).normal_(0, 1, random) : randint(0, classes, Rows, ScalarType.Int64, generator: random);
        var weights = empty(Rows).uniform_(0.5, 2, random);
        var (parameters, adam) = TabularMemberGroup.Optimize(single, 0);
        using var rowAdam = new RowAdam(single.Table!);
        const int batch = Rows / 2;
        var passes = new TabularPasses(definition, single, parameters, rowAdam, batch);

        // The second half of the orders.
        long[][] orders = [.. Enumerable.Range(0, Members).Select(member => Enumerable.Range(0, Rows).Select(row => (long)((row * 5) + member) % Rows).ToArray())];
        var loss = passes.Step(new(x, keys, labels, weights), [.. orders.SelectMany(order => order)], batch, null, 0.1);
        var places = tensor(orders.SelectMany(order => order[batch..]).ToArray());
        exact.train();
        using var exactAdam = new RowAdam(exact.Table!);
        var outputs = exact.call(Gather(x.to(ScalarType.Float64)), Gather(keys));
        var (chosen, shares) = (labels.index_select(0, places), weights.to(ScalarType.Float64).index_select(0, places));
        var expected = TabularMemberGroup.Loss(outputs, classes == 0 ? chosen.to(ScalarType.Float64) : chosen, shares, classes, 0.1);
        expected.backward();
        Assert.Equal(expected.item<double>(), loss, 1e-4);
        foreach (var ((name, one), (_, other)) in single.named_parameters().Zip(exact.named_parameters()))
            Assert.True(one.grad!.sub(other.grad!).abs().max().item<double>() < 1e-5 * Math.Max(1, other.grad!.abs().max().item<double>()), name);
        Assert.True(passes.Outputs(new(x, keys, labels, null), TensorMemory.Longs(places)).sub(outputs).abs().max().item<double>() < 1e-4);

        exactAdam.Collect();
        Assert.Equal(exactAdam.SquaredNorm(), rowAdam.SquaredNorm(), 1e-6);
        exactAdam.Step(0.1);
        rowAdam.Step(0.1);
        Assert.True(single.Table!.Weight.sub(exact.Table!.Weight).abs().max().item<double>() < 1e-4);
        adam.Dispose();
        parameters.Dispose();

        Tensor Gather(Tensor rows) => rows.index_select(0, places).view(Members, batch, -1);
    }

    private static Tensor Step(TabularMembers network, FlatParameters parameters, Adam adam, RowAdam rowAdam, Tensor x, Tensor keys, Tensor labels)
    {
        network.train();
        parameters.ZeroGradient();
        rowAdam.Clear();
        var outputs = network.call(x, keys);
        TabularMemberGroup.Loss(outputs, labels, null, 3, 0.1).backward();
        rowAdam.Collect();
        adam.Step(0.01);
        rowAdam.Step(0.01, 0.02);
        return outputs.detach();
    }

    private static TabularMembers Create(int count)
    {
        var network = new TabularMembers(Definition, count, CPU, ScalarType.Float64);
        using var random = new Generator(5);
        using var noGradient = no_grad();
        network.Initialize(random, 0.3);
        var (x, keys, _) = Data();
        network.FitTo(x, keys, random);
        return network;
    }

    private static (Tensor X, Tensor Keys, Tensor Labels) Data()
    {
        using var random = new Generator(9);
        var x = empty([Members, Rows, 5], ScalarType.Float64).normal_(0, 1, random);
        var first = randint(0, 13, [Members, Rows, 1], ScalarType.Int64, generator: random);
        var second = randint(13, 33, [Members, Rows, 1], ScalarType.Int64, generator: random);
        return (x, cat([first, second], 2), randint(0, 3, Members * Rows, ScalarType.Int64, generator: random));
    }

    private static void Near(Tensor first, Tensor second) => Assert.True(first.sub(second).abs().max().item<double>() < 1e-10, $"{first.sub(second).abs().max().item<double>()}");
}
