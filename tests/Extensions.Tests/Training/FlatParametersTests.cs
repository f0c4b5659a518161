using MlNetMlp.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Training;

public class FlatParametersTests
{
    private readonly Tensor _x = Networks.Normal(100, ScalarType.Float32, 11, 5);
    private readonly Tensor _y = Networks.Normal(101, ScalarType.Float32, 11, 3);

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void BackwardAddsIntoTheFlatGradient(ScalarType type)
    {
        using var plain = Networks.Perceptron(1, type);
        using var network = Networks.Perceptron(1, type);
        var (x, y) = (_x.to(type), _y.to(type));
        using FlatParameters flat = new(network);
        for (var pass = 1; pass <= 3; pass++)
        {
            Networks.Backward(plain, x, y);
            Networks.Backward(network, x, y);
            flat.ThrowIfDetached();
            AssertSameGradients(plain, network);
        }
        Assert.Equal(flat.Gradient.norm().ToDouble(), Math.Sqrt(plain.parameters().Sum(p => p.grad!.square().sum().ToDouble())), 1e-5);
        flat.ZeroGradient();
        Assert.All(network.parameters(), p => Assert.Equal(0, p.grad!.abs().max().ToDouble()));
        Assert.Equal(0, flat.GradientNorm());
    }

    [Fact]
    public void ValuesAreTheParametersAndMatricesComeFirst()
    {
        using var network = Networks.Perceptron(2);
        var before = network.parameters().Select(Networks.Numbers).ToArray();
        using FlatParameters flat = new(network);
        Assert.Equal(5 * 7 + 7 + 7 + 7 + 7 * 3 + 3, flat.Count);
        Assert.Equal(5 * 7 + 7 * 3, flat.DecayedCount);
        Assert.Equal(before, network.parameters().Select(Networks.Numbers));
        flat.Values.fill_(2);
        Assert.All(network.parameters(), p => Assert.Equal(2, p.min().ToDouble()));
        using FlatParameters all = new(network, (name, _) => name != "second.bias");
        Assert.Equal(all.Count - 3, all.DecayedCount);
    }

    [Fact]
    public void TiedParametersAreLaidOnceAndGetBothGradients()
    {
        using Tied network = new(), loose = new();
        using (torch.no_grad())
            loose.First.weight!.copy_(network.First.weight!);
        loose.Second.weight = torch.nn.Parameter(network.First.weight!.detach().clone());
        network.Second.weight = network.First.weight;
        using FlatParameters flat = new(network);
        Assert.Equal(16, flat.Count);
        var x = Networks.Normal(3, ScalarType.Float32, 6, 4);
        Networks.Backward(network, x, x);
        Networks.Backward(loose, x, x);
        using var expected = loose.First.weight!.grad! + loose.Second.weight!.grad!;
        Assert.Equal(Networks.Numbers(expected.flatten()), Networks.Numbers(flat.Gradient), (a, b) => Math.Abs(a - b) < 1e-6);
    }

    [Fact]
    public void FrozenParametersAreLeftAlone()
    {
        using var network = Networks.Perceptron(4);
        var frozen = network.named_parameters().First(p => p.name == "first.weight").parameter;
        frozen.requires_grad = false;
        var before = Networks.Numbers(frozen);
        using FlatParameters flat = new(network);
        Assert.Equal(7 + 7 + 7 + 7 * 3 + 3, flat.Count);
        flat.Values.zero_();
        Networks.Backward(network, _x, _y);
        Assert.Equal(before, Networks.Numbers(frozen));
        Assert.Null(frozen.grad);
    }

    [Fact]
    public void EarlierGradientsSurvive()
    {
        using var network = Networks.Perceptron(5);
        Networks.Backward(network, _x, _y);
        var before = network.parameters().Select(p => Networks.Numbers(p.grad!)).ToArray();
        using FlatParameters flat = new(network);
        Assert.Equal(before, network.parameters().Select(p => Networks.Numbers(p.grad!)));
    }

    [Fact]
    public void ClippingScalesOnlyWhatIsTooLong()
    {
        using var network = Networks.Perceptron(6);
        using FlatParameters flat = new(network);
        flat.ClipGradient(1);
        Assert.Equal(0, flat.GradientNorm());
        flat.Gradient.fill_(0.01);
        var norm = flat.GradientNorm();
        flat.ClipGradient(2 * norm);
        Assert.Equal(norm, flat.GradientNorm());
        flat.ClipGradient(norm / 3);
        Assert.Equal(norm / 3, flat.GradientNorm(), 1e-6);
        Assert.Throws<ArgumentOutOfRangeException>(() => flat.ClipGradient(0));
    }

    [Fact]
    public void RestoreBringsBackWeightsAndRunningStatistics()
    {
        using var network = nn.Sequential(("linear", nn.Linear(5, 3)), ("norm", nn.BatchNorm1d(3)));
        using FlatParameters flat = new(network);
        Assert.Throws<InvalidOperationException>(flat.Restore);
        Networks.Backward(network, _x, _y);
        flat.Snapshot();
        network.forward(_x * 3).Dispose();
        flat.Values.add_(1);
        flat.Snapshot();
        var best = network.state_dict().ToDictionary(e => e.Key, e => e.Value.detach().clone());
        network.forward(_x * 5).Dispose();
        flat.Values.zero_();
        flat.Restore();
        Assert.All(network.state_dict(), e => Assert.True(best[e.Key].equal(e.Value).all().item<bool>(), e.Key));
    }

    [Fact]
    public void TheModuleLivesOnAfterDisposal()
    {
        using var network = Networks.Perceptron(7);
        var before = Networks.Numbers(network.forward(_x));
        using (FlatParameters flat = new(network))
            Networks.Backward(network, _x, _y);
        Assert.Equal(before, Networks.Numbers(network.forward(_x)));
        Assert.All(network.parameters(), p => Assert.Null(p.grad));
        Networks.Backward(network, _x, _y);
        Assert.All(network.parameters(), p => Assert.NotNull(p.grad));
    }

    [Fact]
    public void LosingTheViewsIsNoticed()
    {
        using var network = Networks.Perceptron(8);
        using FlatParameters flat = new(network);
        flat.ThrowIfDetached();
        network.zero_grad();
        Assert.Contains("'first.weight'", Assert.Throws<InvalidOperationException>(flat.ThrowIfDetached).Message);
    }

    [Fact]
    public void MixedTypesAreRefusedByName()
    {
        using var network = Networks.Perceptron(9);
        network.named_children().First(c => c.name == "second").module.to(ScalarType.Float64);
        Assert.Contains("'second.weight'", Assert.Throws<ArgumentException>(() => new FlatParameters(network)).Message);
        using var none = nn.Tanh();
        Assert.Throws<ArgumentException>(() => new FlatParameters(none));
    }

    private static void AssertSameGradients(nn.Module expected, nn.Module actual)
    {
        foreach (var (e, a) in expected.parameters().Zip(actual.parameters()))
            Assert.True(Networks.MaxDifference(e.grad!, a.grad!) < 1e-6);
    }

    private sealed class Tied : nn.Module<Tensor, Tensor>
    {
        public Tied()
            : base(nameof(Tied))
        {
            RegisterComponents();
        }

        public Linear First { get; } = nn.Linear(4, 4, hasBias: false);

        public Linear Second { get; } = nn.Linear(4, 4, hasBias: false);

        public override Tensor forward(Tensor input) => Second.forward(First.forward(input));

        public override IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true) =>
            [("First.weight", First.weight!), ("Second.weight", Second.weight!)];

        public override IEnumerable<Parameter> parameters(bool recurse = true) => named_parameters().Select(p => p.parameter);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Groups_are_trained_at_rates_of_their_own(bool isManaged)
    {
        using var network = Networks.Perceptron(1, ScalarType.Float64);
        using var expected = Networks.Perceptron(1, ScalarType.Float64);
        using var grouped = new FlatParameters(network, rateFactor: static (name, _) => name.StartsWith("second", StringComparison.Ordinal) ? 3 : 1) { UpdateInManagedCode = isManaged };
        using var plain = new FlatParameters(expected);
        Assert.Equal(4, grouped.Groups.Count);
        Assert.Equal(grouped.Count, grouped.Groups[^1].End);
        Assert.Equal(plain.DecayedCount, grouped.DecayedCount);
        using var adam = new MlNetMlp.Training.Adam(grouped, weightDecay: 0.1);
        using var slow = new MlNetMlp.Training.Adam(plain, weightDecay: 0.1);
        using var x = Networks.Normal(4, ScalarType.Float64, 6, 5);
        using var y = Networks.Normal(5, ScalarType.Float64, 6, 3);
        var before = network.named_parameters().ToDictionary(p => p.name, p => p.parameter.clone());
        grouped.ZeroGradient();
        plain.ZeroGradient();
        Networks.Backward(network, x, y);
        Networks.Backward(expected, x, y);
        adam.Step(0.01);
        slow.Step(0.01);
        foreach (var ((name, own), (_, other)) in network.named_parameters().Zip(expected.named_parameters()))
        {
            using var scope = torch.NewDisposeScope();
            var factor = name.StartsWith("second", StringComparison.Ordinal) ? 3 : 1;
            Assert.True(own.sub(before[name]).sub(other.sub(before[name]).mul(factor)).abs().max().item<double>() < 1e-12, name);
        }

        foreach (var tensor in before.Values)
            tensor.Dispose();
    }
}
