using System.ComponentModel.DataAnnotations;
using MlNetMlp.Layers;
using MlNetMlp.Runtime;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Vision;

/// <summary>Mixes nothing: each token stays as it is.</summary>
public sealed record IdentityMixer : TokenMixer
{
    /// <inheritdoc/>
    public override bool IsBlindToPositions => true;

    /// <inheritdoc/>
    public override long WeightCount(int channels, TokenGrid grid) => 0;

    /// <inheritdoc/>
    public override long Multiplications(int channels, TokenGrid grid) => 0;

    /// <inheritdoc/>
    public override TokenMixerLayer Build(int channels, TokenGrid grid, Device device) => new Layer();

    private sealed class Layer() : TokenMixerLayer(nameof(IdentityMixer))
    {
        public override Tensor forward(Tensor input) => input.alias();
    }
}

/// <summary>
/// The mean of the tokens in a window around each, less the token itself; what is added back past the branch makes it the mean. Nothing is trained.
/// </summary>
public sealed record PoolingMixer : TokenMixer, IValidatableObject
{
    /// <summary>Height and width of the window, odd, in [1, 63]; 3 by default.</summary>
    [Range(1, 63)]
    public int Size { get; init; } = 3;

    /// <inheritdoc/>
    public override long WeightCount(int channels, TokenGrid grid) => 0;

    /// <inheritdoc/>
    public override long Multiplications(int channels, TokenGrid grid) => (long)grid.Count * channels * Size * Size;

    /// <inheritdoc/>
    public override TokenMixerLayer Build(int channels, TokenGrid grid, Device device) => new Layer(Size);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Size % 2 == 0)
            yield return new($"'Size' of a pooling mixer must be odd, but was {Size}");
    }

    private sealed class Layer(int size) : TokenMixerLayer(nameof(PoolingMixer))
    {
        private readonly long[] _window = [size, size];
        private readonly long[] _padding = [size / 2, size / 2];

        public override Tensor forward(Tensor input)
        {
            // Zeros around the grid must not count: the means at the border would be too small.
            using var planes = input.permute(0, 3, 1, 2);
            using var means = functional.avg_pool2d(planes, _window, [1, 1], _padding, count_include_pad: false);
            using var tokens = means.permute(0, 2, 3, 1);
            return tokens.sub(input);
        }
    }
}

/// <summary>Attention of each token to all: softmax(Q·Kᵀ/√d)·V in heads of d channels, then a dense layer.</summary>
public sealed record AttentionMixer : TokenMixer
{
    /// <summary>d, channels of a head, in [1, 1024], of which the channels of a token must be a multiple; 32 by default.</summary>
    [Range(1, 1024)]
    public int HeadDim { get; init; } = 32;

    /// <inheritdoc/>
    public override TokenNorm BestNorm => TokenNorm.Token;

    /// <inheritdoc/>
    public override bool IsBlindToPositions => true;

    /// <inheritdoc/>
    public override string? Fault(int channels, TokenGrid grid) =>
        channels % HeadDim == 0 ? null : $"attention with heads of {HeadDim} channels needs a multiple of them, but tokens have {channels}";

    /// <inheritdoc/>
    public override long WeightCount(int channels, TokenGrid grid) => ((4L * channels) + 1) * channels;

    /// <inheritdoc/>
    public override long Multiplications(int channels, TokenGrid grid) => (4L * channels * channels * grid.Count) + (2L * channels * grid.Count * grid.Count);

    /// <inheritdoc/>
    public override TokenMixerLayer Build(int channels, TokenGrid grid, Device device) => new Layer(channels, HeadDim, device);

    private sealed class Layer : TokenMixerLayer
    {
        private readonly int _headDim;
        private readonly Parameter qkv;
        private readonly Networks.Dense projection;

        public Layer(int channels, int headDim, Device device)
            : base(nameof(AttentionMixer))
        {
            _headDim = headDim;
            qkv = new Parameter(empty(3 * channels, channels, device: device));
            projection = new(channels, channels, device);
            RegisterComponents();
        }

        public override void Initialize(Generator random)
        {
            InitialWeights.Dense(qkv, random);
            InitialWeights.Dense(projection.Weight, random);
            using var noGradient = no_grad();
            using var zeroed = projection.Bias.zero_();
        }

        public override Tensor forward(Tensor input)
        {
            using var scope = NewDisposeScope();
            var (rows, channels) = (input.shape[0], input.shape[3]);
            var parts = functional.linear(input, qkv).view(rows, -1, 3, channels / _headDim, _headDim).permute(2, 0, 3, 1, 4);     // [3, rows, heads, tokens, d]
            var mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2]);
            return projection.call(mixed.transpose(1, 2).reshape(input.shape)).MoveToOuterDisposeScope();
        }
    }
}

/// <summary>One dense layer over the places of the grid, the same for all channels, without a bias.</summary>
public sealed record SpatialFcMixer : TokenMixer
{
    /// <inheritdoc/>
    public override long WeightCount(int channels, TokenGrid grid) => (long)grid.Count * grid.Count;

    /// <inheritdoc/>
    public override long Multiplications(int channels, TokenGrid grid) => (long)grid.Count * grid.Count * channels;

    /// <inheritdoc/>
    public override TokenMixerLayer Build(int channels, TokenGrid grid, Device device) => new Layer(grid, device);

    private sealed class Layer : TokenMixerLayer
    {
        private readonly Parameter weight;

        public Layer(TokenGrid grid, Device device)
            : base(nameof(SpatialFcMixer))
        {
            weight = new Parameter(empty(grid.Count, grid.Count, device: device));
            RegisterComponents();
        }

        public override void Initialize(Generator random) => InitialWeights.Dense(weight, random);

        public override Tensor forward(Tensor input) => Grid.Mix(input, weight);
    }
}

/// <summary>One fixed random matrix over the places of the grid, the same for all channels, whose rows are softmax of normal numbers. It is not trained.</summary>
public sealed record RandomMatrixMixer : TokenMixer
{
    /// <inheritdoc/>
    public override long WeightCount(int channels, TokenGrid grid) => (long)grid.Count * grid.Count;

    /// <inheritdoc/>
    public override long Multiplications(int channels, TokenGrid grid) => (long)grid.Count * grid.Count * channels;

    /// <inheritdoc/>
    public override TokenMixerLayer Build(int channels, TokenGrid grid, Device device) => new Layer(grid, device);

    private sealed class Layer : TokenMixerLayer
    {
        private readonly Tensor matrix;

        public Layer(TokenGrid grid, Device device)
            : base(nameof(RandomMatrixMixer))
        {
            matrix = empty(grid.Count, grid.Count, device: device);
            RegisterComponents();
        }

        public override void Initialize(Generator random)
        {
            using var noGradient = no_grad();
            using var normal = empty(matrix.shape).normal_(0, 1, random);
            using var rows = normal.softmax(1);
            matrix.copy_(rows);
        }

        public override Tensor forward(Tensor input) => Grid.Mix(input, matrix);
    }
}

/// <summary>A convolution of each channel by a kernel of its own, without a bias.</summary>
public sealed record DepthwiseConvMixer : TokenMixer, IValidatableObject
{
    /// <summary>Height and width of a kernel, odd, in [1, 63]; 3 by default. Where tokens stand in one row, so do the values of a kernel.</summary>
    [Range(1, 63)]
    public int Kernel { get; init; } = 3;

    /// <inheritdoc/>
    public override long WeightCount(int channels, TokenGrid grid) => (long)RowsOver(grid) * Kernel * channels;

    /// <inheritdoc/>
    public override long Multiplications(int channels, TokenGrid grid) => WeightCount(channels, grid) * grid.Count;

    /// <inheritdoc/>
    public override TokenMixerLayer Build(int channels, TokenGrid grid, Device device) => new Layer(channels, RowsOver(grid), Kernel, device);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Kernel % 2 == 0)
            yield return new($"'Kernel' of a convolution of channels must be odd, but was {Kernel}");
    }

    // Rows of a kernel above and below the only row of tokens would see nothing but zeros.
    private int RowsOver(TokenGrid grid) => grid.Height == 1 ? 1 : Kernel;

    private sealed class Layer : TokenMixerLayer
    {
        private readonly long[] _padding;
        private readonly Parameter weight;

        public Layer(int channels, int rows, int kernel, Device device)
            : base(nameof(DepthwiseConvMixer))
        {
            _padding = [rows / 2, kernel / 2];
            weight = new Parameter(empty(channels, 1, rows, kernel, device: device));
            RegisterComponents();
        }

        public override void Initialize(Generator random)
        {
            using var noGradient = no_grad();
            var bound = 1 / Math.Sqrt(weight.shape[2] * weight.shape[3]);
            weight.uniform_(-bound, bound, random);
        }

        public override Tensor forward(Tensor input)
        {
            using var planes = input.permute(0, 3, 1, 2);
            using var mixed = functional.conv2d(planes, weight, padding: _padding, groups: weight.shape[0]);
            return mixed.permute(0, 2, 3, 1);
        }
    }
}

/// <summary>What mixers over whole grids share.</summary>
internal static class Grid
{
    /// <summary>Each token becomes a sum of all, with the weights of its row: channel by channel, in one product for all rows of the batch.</summary>
    public static Tensor Mix(Tensor tokens, Tensor weights)
    {
        using var scope = NewDisposeScope();
        var (rows, channels) = (tokens.shape[0], tokens.shape[3]);
        var places = tokens.view(rows, -1, channels).transpose(1, 2);
        return functional.linear(places, weights).transpose(1, 2).reshape(tokens.shape).MoveToOuterDisposeScope();
    }
}
