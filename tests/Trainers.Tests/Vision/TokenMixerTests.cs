using MlNetMlp.Layers;
using MlNetMlp.Tests.Support;
using MlNetMlp.Vision;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Vision;

public sealed class TokenMixerTests : IDisposable
{
    private const int Channels = 8;

    private static readonly TokenGrid Square = new(5, 6);

    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<TokenMixer> All =>
        [new IdentityMixer(), new PoolingMixer(), new PoolingMixer { Size = 5 }, new AttentionMixer { HeadDim = 4 }, new SpatialFcMixer(), new RandomMatrixMixer(), new DepthwiseConvMixer()];

    public void Dispose() => _scope.Dispose();

    [Theory]
    [MemberData(nameof(All))]
    public void Mixers_count_their_values_keep_rows_apart_and_build_without_memory(TokenMixer mixer)
    {
        using (var empty = mixer.Build(Channels, Square, META))
        {
            Assert.Equal(mixer.WeightCount(Channels, Square), empty.state_dict().Values.Sum(t => t.numel()));
            Assert.All(empty.state_dict().Values, t => Assert.Equal(DeviceType.META, t.device_type));
        }

        using var layer = Layer(mixer);
        var x = TestData.Normal(2, 3, 5, 6, Channels);
        var all = layer.call(x);
        Assert.Equal(x.shape, all.shape);
        for (var i = 0; i < 3; i++)
            Near(all[i], layer.call(x.narrow(0, i, 1))[0], 1e-6);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Gradients_are_those_of_differences(TokenMixer mixer)
    {
        using var layer = Layer(mixer);
        layer.to(ScalarType.Float64);
        var (x, seed) = (TestData.Normal(2, 2, 5, 6, Channels).to(ScalarType.Float64).requires_grad_(), TestData.Normal(3, 2, 5, 6, Channels).to(ScalarType.Float64));
        (layer.call(x) * seed).sum().backward();

        var step = TestData.Normal(4, 2, 5, 6, Channels).to(ScalarType.Float64) * 1e-6;
        using var noGradient = no_grad();
        var expected = ((layer.call(x + step) - layer.call(x - step)) * seed).sum().ToDouble() / 2;
        Assert.Equal(expected, (x.grad! * step).sum().ToDouble(), 1e-6 * Math.Abs(expected) + 1e-11);
    }

    [Fact]
    public void Pooling_of_a_constant_is_exactly_nothing()
    {
        using var layer = Layer(new PoolingMixer());

        // Of this constant no sum and no mean is rounded. With zeros around the grid counted, the corners would be 5/9 of it too small.
        Assert.Equal(0, layer.call(full([1, 5, 6, Channels], 3.5f)).abs().max().item<float>());
        Assert.Equal(0, layer.call(full([1, 5, 6, Channels], 3.7f)).abs().max().item<float>(), 1e-6);
    }

    [Fact]
    public void Pooling_is_a_box_whose_border_is_renormalised_and_knows_no_direction()
    {
        using var layer = Layer(new PoolingMixer());
        var x = TestData.Normal(2, 2, 5, 6, Channels);
        var expected = zeros_like(x);
        for (var i = 0; i < 5; i++)
        {
            for (var j = 0; j < 6; j++)
            {
                var (top, left) = (Math.Max(0, i - 1), Math.Max(0, j - 1));
                var window = x.narrow(1, top, Math.Min(5, i + 2) - top).narrow(2, left, Math.Min(6, j + 2) - left);
                expected[TensorIndex.Colon, i, j] = window.mean([1, 2]) - x[TensorIndex.Colon, i, j];
            }
        }

        Near(expected, layer.call(x), 1e-5);
        Near(layer.call(x).flip(1), layer.call(x.flip(1)), 1e-6);
        Near(layer.call(x).flip(2), layer.call(x.flip(2)), 1e-6);
        Near(layer.call(x).transpose(1, 2), layer.call(x.transpose(1, 2).contiguous()), 1e-6);
    }

    [Fact]
    public void Attention_is_what_the_loop_says_and_follows_its_tokens()
    {
        using var layer = Layer(new AttentionMixer { HeadDim = 4 }).to(ScalarType.Float64);
        var state = layer.state_dict();
        using (no_grad())
        {
            // Small weights would make all tokens look alike.
            state["qkv"].mul_(4);
            state["projection.weight"].mul_(4);
            state["projection.bias"].copy_(TestData.Normal(5, Channels));
        }

        var x = TestData.Normal(2, 2, 5, 6, Channels).to(ScalarType.Float64);
        var tokens = x.view(2, 30, Channels);
        var qkv = tokens.matmul(state["qkv"].t());
        var mixed = zeros([2, 30, Channels], ScalarType.Float64);
        for (var row = 0; row < 2; row++)
        {
            for (var head = 0; head < 2; head++)
            {
                Tensor Part(int i) => qkv[row].narrow(1, (i * Channels) + (head * 4), 4);
                for (var token = 0; token < 30; token++)
                {
                    var weights = (Part(1).matmul(Part(0)[token]) / 2).exp();
                    mixed[row, token].narrow(0, head * 4, 4).copy_((weights.unsqueeze(1) * Part(2)).sum(0L) / weights.sum());
                }
            }
        }

        var expected = (mixed.matmul(state["projection.weight"].t()) + state["projection.bias"]).view(x.shape);
        Near(expected, layer.call(x), 1e-12);

        using var random = new Generator(3);
        var order = randperm(30, generator: random);
        var permuted = tokens.index_select(1, order).view(x.shape);
        Near(layer.call(x).view(2, 30, Channels).index_select(1, order), layer.call(permuted).view(2, 30, Channels), 1e-12);
        Assert.True((layer.call(x) - layer.call(permuted)).abs().max().item<double>() > 0.1);
    }

    [Fact]
    public void Mixers_over_the_grid_are_sums_of_tokens()
    {
        var x = TestData.Normal(2, 2, 5, 6, Channels);
        foreach (var (mixer, name) in new (TokenMixer, string)[] { (new SpatialFcMixer(), "weight"), (new RandomMatrixMixer(), "matrix") })
        {
            using var layer = Layer(mixer);
            var expected = einsum("ij,bjc->bic", layer.state_dict()[name], x.view(2, 30, Channels)).view(x.shape);
            Near(expected, layer.call(x), 1e-5);
        }
    }

    [Fact]
    public void The_random_matrix_has_rows_of_sum_one_and_no_parameter()
    {
        using var layer = Layer(new RandomMatrixMixer());
        Assert.Empty(layer.parameters());
        var matrix = Assert.Single(layer.buffers());
        Near(ones(30), matrix.sum(1L), 1e-6);
        Assert.True(matrix.std().ToDouble() > 0.01);
    }

    [Fact]
    public void Channels_are_convolved_each_by_its_own_kernel()
    {
        using var layer = Layer(new DepthwiseConvMixer());
        var x = TestData.Normal(2, 2, 5, 6, Channels);
        var kernels = layer.state_dict()["weight"];
        for (var channel = 0; channel < Channels; channel++)
        {
            var plane = x.select(3, channel).unsqueeze(1);
            Near(nn.functional.conv2d(plane, kernels.narrow(0, channel, 1), padding: [1, 1]).squeeze(1), layer.call(x).select(3, channel), 1e-5);
        }
    }

    private static TokenMixerLayer Layer(TokenMixer mixer)
    {
        using var random = new Generator(11);
        var layer = mixer.Build(Channels, Square, CPU);
        layer.Initialize(random);
        return layer;
    }

    private static void Near(Tensor expected, Tensor actual, double tolerance)
    {
        Assert.Equal(expected.shape, actual.shape);
        var difference = (expected - actual).abs().max().ToDouble();
        Assert.True(difference <= tolerance, $"{difference} > {tolerance}");
    }
}
