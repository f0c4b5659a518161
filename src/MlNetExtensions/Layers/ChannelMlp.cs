using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>Two dense layers with GELU between, applied to each token: what convolutions of 1 x 1 are. It widens the channels and narrows them again.</summary>
public sealed class ChannelMlp : nn.Module
{
    private readonly Dense expand;
    private readonly Dense contract;

    /// <summary>Creates the layers, whose weights are not yet set.</summary>
    /// <param name="channels">Values of a token.</param>
    /// <param name="ratio">How many times that it is wide inside.</param>
    /// <param name="device">Where the weights are.</param>
    public ChannelMlp(int channels, int ratio, Device device)
        : base(nameof(ChannelMlp))
    {
        (expand, contract) = (new Dense(channels, ratio * channels, device), new Dense(ratio * channels, channels, device));
        RegisterComponents();
    }

    /// <summary>Number of values of both layers.</summary>
    /// <param name="channels">Values of a token.</param>
    /// <param name="ratio">How many times that it is wide inside.</param>
    /// <returns>The number.</returns>
    public static long WeightCount(int channels, int ratio) => (2L * ratio * channels * channels) + ((ratio + 1L) * channels);

    /// <summary>Draws weights from a normal distribution without tails; biases are 0.</summary>
    /// <param name="random">The stream of random numbers.</param>
    public void Initialize(Generator random)
    {
        using var noGradient = no_grad();
        foreach (var layer in new[] { expand, contract })
        {
            InitialWeights.Dense(layer.Weight, random);
            using var zeroed = layer.Bias.zero_();
        }
    }

    /// <summary>Applies the layers.</summary>
    /// <param name="tokens">Tokens [rows, height, width, channels].</param>
    /// <param name="dropRate">Share of values that are dropped after each layer; 0 outside of training.</param>
    /// <param name="random">Which ones; only used where some are.</param>
    /// <returns>Tokens of the same shape.</returns>
    public Tensor Forward(Tensor tokens, double dropRate = 0, Generator? random = null)
    {
        using var scope = NewDisposeScope();
        var inside = nn.functional.gelu(expand.call(tokens)).LeaveOut(dropRate, random);
        return contract.call(inside).LeaveOut(dropRate, random).MoveToOuterDisposeScope();
    }
}
