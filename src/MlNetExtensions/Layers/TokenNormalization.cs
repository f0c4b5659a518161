using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>What tokens are normalised by.</summary>
public enum TokenNorm
{
    /// <summary>Mean and deviation of all values of a row, those of all tokens and channels: group normalisation with one group.</summary>
    Row,

    /// <summary>Mean and deviation of the channels of each token: layer normalisation.</summary>
    Token,

    /// <summary>Mean and deviation of each channel over the rows of a batch and their tokens; over the training rows once trained.</summary>
    Batch,

    /// <summary>Nothing.</summary>
    None,
}

/// <summary>Normalises tokens [rows, ..., channels], with a trained gain and shift of each channel.</summary>
public sealed class TokenNormalization : nn.Module<Tensor, Tensor>
{
    private const double Epsilon = 1e-5;

    private readonly TokenNorm _norm;
    private readonly Parameter? weight;
    private readonly Parameter? bias;
    private readonly Tensor? running_mean;
    private readonly Tensor? running_var;

    /// <summary>Creates a layer whose weights are not yet set.</summary>
    /// <param name="norm">What to normalise by.</param>
    /// <param name="channels">Values of a token.</param>
    /// <param name="device">Where the weights are.</param>
    public TokenNormalization(TokenNorm norm, int channels, Device device)
        : base(nameof(TokenNormalization))
    {
        _norm = norm;
        if (norm != TokenNorm.None)
            (weight, bias) = (new Parameter(empty(channels, device: device)), new Parameter(empty(channels, device: device)));
        if (norm == TokenNorm.Batch)
            (running_mean, running_var) = (empty(channels, device: device), empty(channels, device: device));
        RegisterComponents();
    }

    /// <summary>Number of values of a layer's tensors.</summary>
    /// <param name="norm">What is normalised by.</param>
    /// <param name="channels">Values of a token.</param>
    /// <returns>The number.</returns>
    public static long WeightCount(TokenNorm norm, int channels) => norm switch
    {
        TokenNorm.None => 0,
        TokenNorm.Batch => BatchNormalization.WeightCountOf(channels),
        _ => 2L * channels,
    };

    /// <summary>Sets gains to 1 and shifts to 0.</summary>
    public void Initialize()
    {
        using var noGradient = no_grad();
        foreach (var (name, tensor) in state_dict())
            tensor.zero_().Shift(name is "weight" or "running_var" ? 1 : 0);
    }

    /// <summary>Normalises.</summary>
    /// <param name="input">Tokens [rows, ..., channels].</param>
    /// <returns>Tokens of the same shape.</returns>
    public override Tensor forward(Tensor input)
    {
        var shape = input.shape;
        switch (_norm)
        {
            case TokenNorm.Row:
                // Gains repeated for the tokens of one row cost a row's memory; multiplied to the result they would take two more passes over a batch. TorchSharp's own
                // group normalisation leaves its gains unset (0.107).
                var places = shape[1..];
                using (var gain = weight!.expand(places))
                using (var shift = bias!.expand(places))
                    return nn.functional.layer_norm(input, places, gain, shift, Epsilon);
            case TokenNorm.Token:
                return nn.functional.layer_norm(input, [shape[^1]], weight, bias, Epsilon);
            case TokenNorm.Batch:
                using (var tokens = input.reshape(-1, shape[^1]))
                using (var normalized = BatchNormalization.Apply(tokens, running_mean!, running_var!, weight!, bias!, training))
                    return normalized.view(shape);
            default:
                return input.alias();
        }
    }
}
