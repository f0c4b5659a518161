using System.Text.Json.Serialization;
using MlNetMlp.Persistence;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>
/// A way to mix the tokens of an image: the record that builds the layer, for any number of channels and any grid. Options hold it and model files store it, so its properties
/// are a file format; put their ranges as <see cref="System.ComponentModel.DataAnnotations.RangeAttribute"/> on them. The set of mixers is open: every public sealed record
/// that derives from this one, in any assembly that uses this library, is a mixer.
/// </summary>
[JsonConverter(typeof(OpenRecordConverter<TokenMixer>))]
public abstract record TokenMixer
{
    /// <summary>What the tokens are best normalised by before they are mixed; all values of a row together by default.</summary>
    [JsonIgnore]
    public virtual TokenNorm BestNorm => TokenNorm.Row;

    /// <summary>Whether the mixer does the same wherever tokens stand, so that only a map of positions tells it where they do; false by default.</summary>
    [JsonIgnore]
    public virtual bool IsBlindToPositions => false;

    /// <summary>What keeps the mixer from tokens of some size.</summary>
    /// <param name="channels">Values of a token.</param>
    /// <param name="grid">The grid.</param>
    /// <returns>What to say, or null (the default) where nothing does.</returns>
    public virtual string? Fault(int channels, TokenGrid grid) => null;

    /// <summary>Number of values of all tensors in the state dictionary of the layer, those that are not trained included.</summary>
    /// <param name="channels">Values of a token.</param>
    /// <param name="grid">The grid.</param>
    /// <returns>The number.</returns>
    public abstract long WeightCount(int channels, TokenGrid grid);

    /// <summary>Multiplications for the tokens of one row.</summary>
    /// <param name="channels">Values of a token.</param>
    /// <param name="grid">The grid.</param>
    /// <returns>About how many.</returns>
    public abstract long Multiplications(int channels, TokenGrid grid);

    /// <summary>Builds the layer with weights that are not yet set.</summary>
    /// <param name="channels">Values of a token.</param>
    /// <param name="grid">The grid.</param>
    /// <param name="device">Where all parameters and buffers are to be.</param>
    /// <returns>The layer.</returns>
    public abstract TokenMixerLayer Build(int channels, TokenGrid grid, Device device);
}

/// <summary>A layer that mixes tokens: [rows, height, width, channels] in and out. Rows must not depend on each other.</summary>
/// <param name="name">Name of the layer.</param>
public abstract class TokenMixerLayer(string name) : nn.Module<Tensor, Tensor>(name)
{
    /// <summary>Sets all weights to initial values, drawn from the given stream and from nothing else; nothing by default.</summary>
    /// <param name="random">The stream of random numbers, on the CPU.</param>
    public virtual void Initialize(Generator random)
    {
    }
}
