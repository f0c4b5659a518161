using MlNetMlp.Layers;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Layers;

public sealed class LayerTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Generator _random = new(7);

    static LayerTests() => LibTorch.Load();

    public void Dispose()
    {
        _random.Dispose();
        _scope.Dispose();
    }

    [Fact]
    public void Truncated_normals_have_their_deviation_and_no_tails()
    {
        var drawn = empty(400, 500);
        InitialWeights.TruncatedNormal(drawn, _random, 0.5);

        // The standard error of a mean of 200,000 is 0.0011, that of the deviation less.
        Assert.Equal(0, drawn.mean().ToDouble(), 0.004);
        Assert.Equal(0.5, drawn.std().ToDouble(), 0.003);
        Assert.InRange(drawn.abs().max().ToDouble(), 1.12, 1.138);
        Assert.True(drawn.unique().output.numel() > 100_000);

        // Dense layers of n inputs deviate by 1/√(3·n).
        var weight = empty(5000, 48);
        InitialWeights.Dense(weight, _random);
        Assert.Equal(1 / 12.0, weight.std().ToDouble(), 0.0005);
    }

    [Fact]
    public void Gains_are_set_and_a_row_is_normalised_as_a_whole()
    {
        foreach (var norm in Enum.GetValues<TokenNorm>())
        {
            using var layer = new TokenNormalization(norm, 3, CPU);
            layer.Initialize();
            Assert.Equal(TokenNormalization.WeightCount(norm, 3), layer.state_dict().Values.Sum(t => t.numel()));
            Assert.All(layer.state_dict(), pair => Assert.Equal(pair.Key is "weight" or "running_var" ? 1 : 0, pair.Value.mean().ToDouble()));
        }

        using var row = Normalization(TokenNorm.Row, gains: true);
        var x = Normal(4, 5, 6, 3);
        var planes = x.permute(0, 3, 1, 2);
        var deviation = planes.flatten(1).std(1, unbiased: false).view(4, 1, 1, 1);
        var expected = (planes - planes.flatten(1).mean([1]).view(4, 1, 1, 1)) / deviation;
        expected = (expected * tensor(new[] { 1f, 2, 3 }).view(3, 1, 1)) + tensor(new[] { 0.5f, 0, -1 }).view(3, 1, 1);
        Near(expected.permute(0, 2, 3, 1), row.call(x), 1e-4);
    }

    [Fact]
    public void Norm_of_rows_forgets_scale_and_offset_of_a_row_and_norm_of_tokens_does_not_forget_those_of_a_channel()
    {
        using var row = Normalization(TokenNorm.Row);
        using var token = Normalization(TokenNorm.Token);
        var x = Normal(4, 5, 6, 3);
        var moved = (x * tensor(new[] { 2f, 3, 4, 5 }).view(4, 1, 1, 1)) + tensor(new[] { -1f, 0, 1, 7 }).view(4, 1, 1, 1);
        var channels = x * tensor(new[] { 1f, 5, 0.2f });

        Near(row.call(x), row.call(moved), 1e-4);
        Assert.True((token.call(x) - row.call(x)).abs().max().ToDouble() > 0.1);
        Assert.True((token.call(channels) - token.call(x)).abs().max().ToDouble() > 0.1);

        // A factor of one token is all the same to it, and not to the norm of the row.
        var louder = x.clone();
        louder[0, 0, 0].mul_(9);
        Near(token.call(x), token.call(louder), 1e-4);
        Assert.True((row.call(louder) - row.call(x)).abs().max().ToDouble() > 0.1);
    }

    [Fact]
    public void Norm_of_batches_learns_the_channels_and_takes_a_single_token()
    {
        using var batch = Normalization(TokenNorm.Batch);
        var x = Normal(64, 4, 4, 3) * 2 + 5;
        var normalized = batch.call(x);
        Assert.Equal(0, normalized.mean([0, 1, 2]).abs().max().ToDouble(), 1e-5);
        Assert.Equal(0.5, batch.state_dict()["running_mean"].mean().ToDouble(), 0.05);
        Assert.True(batch.call(Normal(1, 1, 1, 3)).isfinite().all().item<bool>());
    }

    [Fact]
    public void Channel_mlps_are_convolutions_of_one_pixel()
    {
        using var mlp = new ChannelMlp(3, 4, CPU);
        mlp.Initialize(_random);
        var x = Normal(2, 5, 6, 3);
        var state = mlp.state_dict();
        Assert.Equal(ChannelMlp.WeightCount(3, 4), state.Values.Sum(t => t.numel()));
        var inside = nn.functional.gelu(nn.functional.conv2d(x.permute(0, 3, 1, 2), state["expand.weight"].view(12, 3, 1, 1), state["expand.bias"]));
        var expected = nn.functional.conv2d(inside, state["contract.weight"].view(3, 12, 1, 1), state["contract.bias"]).permute(0, 2, 3, 1);
        Near(expected, mlp.Forward(x), 1e-6);
    }

    [Fact]
    public void Dropping_leaves_the_mean_as_it_is()
    {
        using var mlp = new ChannelMlp(8, 1, CPU);
        mlp.Initialize(_random);
        using (no_grad())
            mlp.state_dict()["contract.bias"].copy_(ones(8));
        var x = zeros(5000, 1, 1, 8);

        var dropped = mlp.Forward(x, 0.25, _random);

        // Kept values become 4/3, dropped ones 0.
        Assert.Equal([0f, 4 / 3f], [.. TensorMemory.ToFloats(dropped).Distinct().Order()], (a, b) => Math.Abs(a - b) < 1e-6);
        Assert.Equal(1, dropped.mean().ToDouble(), 3 * Math.Sqrt(1 / 3.0 / 40_000));
    }

    [Fact]
    public void Branches_are_left_out_as_often_as_they_shall_and_what_stays_makes_up_for_it()
    {
        const int rows = 10_000;
        double[] rates = [0, 0.1, 0.4];
        var factors = ResidualBranch.DropFactors(rates, rows, _random);
        Assert.Equal([3, rows, 1, 1, 1], factors.shape);
        for (var i = 0; i < rates.Length; i++)
        {
            var (drawn, kept) = (factors[i], 1 / (1 - rates[i]));
            Assert.Equal(0, drawn.mul(drawn - kept).abs().max().ToDouble(), 1e-6);
            Assert.Equal(1, drawn.mean().ToDouble(), (3 * Math.Sqrt(rates[i] / (1 - rates[i]) / rows)) + 1e-6);
        }
    }

    [Fact]
    public void A_branch_is_added_with_its_factors()
    {
        var (x, branch) = (Normal(4, 2, 3, 5), Normal(4, 2, 3, 5));
        var (scale, factors) = (Normal(5), tensor(new[] { 0f, 2, 2, 0 }).view(4, 1, 1, 1));
        Near(x + branch, ResidualBranch.Add(x, branch), 0);
        Near(x + (branch * scale), ResidualBranch.Add(x, branch, scale), 1e-6);
        Near(x + (branch * factors), ResidualBranch.Add(x, branch, null, factors), 1e-6);
        Near(x + (branch * scale * factors), ResidualBranch.Add(x, branch, scale, factors), 1e-6);
        Near(branch * scale, ResidualBranch.Add(null, branch, scale), 0);
        Near(branch, ResidualBranch.Add(null, branch), 0);
    }

    private static TokenNormalization Normalization(TokenNorm norm, bool gains = false)
    {
        var layer = new TokenNormalization(norm, 3, CPU);
        layer.Initialize();
        using var noGradient = no_grad();
        if (gains)
        {
            layer.state_dict()["weight"].copy_(tensor(new[] { 1f, 2, 3 }));
            layer.state_dict()["bias"].copy_(tensor(new[] { 0.5f, 0, -1 }));
        }

        return layer;
    }

    private Tensor Normal(params long[] shape) => empty(shape).normal_(0, 1, _random);

    private static void Near(Tensor expected, Tensor actual, double tolerance)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.True((expected - actual).abs().max().ToDouble() <= tolerance, $"{(expected - actual).abs().max().ToDouble()} > {tolerance}");
    }
}
