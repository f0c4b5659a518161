using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.RandomFeatures;

/// <summary>Random attention heads: W_m = c·W₀ + G_m with G_m normal, drawn once; c can be changed without drawing again.</summary>
internal sealed class AttentionHeads : IDisposable
{
    public const double DefaultStd = 0.5;

    private readonly Tensor _noise;          // G [M, D, D]
    private readonly Tensor? _bias;          // W₀ [D, D]

    private AttentionHeads(Tensor noise, Tensor? bias) => (_noise, _bias) = (noise, bias);

    /// <summary>What the method asks of its data.</summary>
    public static SetInput Input(IAttentionOptions options) => new(
        options.KeyDimension, options.QueryColumnName is { } query ? [query] : [], options.KeyCountColumnName, nameof(IAttentionOptions.KeyDimension));

    /// <summary>The network without a readout.</summary>
    /// <param name="options">The options.</param>
    /// <param name="sets">How rows lie.</param>
    /// <param name="inputs">Numbers of a row.</param>
    public static RandomAttentionDefinition Define(IAttentionOptions options, SetLayout? sets, int inputs)
    {
        if (sets is null)
            throw new InvalidOperationException("Attention reads sets of keys, but the rows are single vectors.");
        var d = sets.ItemWidth;
        if (sets.Context is [var query] && query.Width != d)
            throw new InvalidOperationException($"The query column '{query.Name}' has {query.Width} slots, but a key has {d}: they must be the same.");
        return new()
        {
            Inputs = inputs,
            Outputs = checked(options.Heads * (d + 1)),
            Heads = options.Heads,
            KeyDimension = d,
            HasQuery = sets.Context.Count > 0,
            QueryMode = options.QueryMode,
            Activation = options.Activation,
            Temperature = options.Temperature,
            Normalize = options.Normalize,
            HasReadout = false,
        };
    }

    /// <summary>Draws heads.</summary>
    /// <param name="options">The laws.</param>
    /// <param name="definition">The network that they are for.</param>
    /// <param name="random">Where numbers are drawn from.</param>
    public static AttentionHeads Draw(IAttentionOptions options, RandomAttentionDefinition definition, Generator random)
    {
        using var scope = NewDisposeScope();
        var width = definition.Width;
        var bias = Bias(options, width);
        var noise = empty(definition.Heads, width, width).normal_(0, 1, random);
        noise.Scale(options.WeightStd);
        return new(noise.DetachFromDisposeScope(), bias?.DetachFromDisposeScope());
    }

    /// <summary>W at a strength of the bias.</summary>
    /// <param name="strength">c.</param>
    /// <returns>Float32 [M, D, D]; the caller owns it.</returns>
    public Tensor At(double strength)
    {
        var weight = _noise.clone();
        if (_bias is not null)
            weight.AddScaled(_bias, strength);
        return weight;
    }

    public void Dispose()
    {
        _noise.Dispose();
        _bias?.Dispose();
    }

    private static Tensor? Bias(IAttentionOptions options, int width)
    {
        switch (options.Bias)
        {
            case AttentionBias.Zero:
                return null;
            case AttentionBias.Identity:
                var identity = eye(width);
                TensorMemory.Floats(identity)[^1] = 0;
                return identity;
            default:
                var values = options.BiasMatrix!.Values;
                return values.Count == width * width
                    ? tensor([.. values.Select(value => (float)value)], [width, width])
                    : throw new InvalidOperationException($"The option 'BiasMatrix' has {values.Count} values; keys of {width - 1} numbers need ({width - 1} + 1)² = {width * width}.");
        }
    }
}
