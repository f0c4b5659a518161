using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Forecasting;

/// <summary>Shapes and switches of a network that gives a window as a vector: a <see cref="PatchTSMixer"/> without its head.</summary>
public sealed record PatchTSMixerEmbeddingDefinition : PatchTSMixerShape
{
    /// <summary>Whether the layer that tells masked patches stands in it, from which pretraining can go on.</summary>
    public required bool HasReconstruction { get; init; }

    /// <summary>Share of values left out before that layer.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public required double HeadDropout { get; init; }

    /// <inheritdoc/>
    public override long WeightCount => BackboneWeightCount + (HasReconstruction ? (DModel + 1L) * PatchWidth : 0);

    /// <summary>The network of a shape up to its head.</summary>
    /// <param name="shape">The shape.</param>
    /// <returns>The definition.</returns>
    internal static PatchTSMixerEmbeddingDefinition Of(PatchTSMixerShape shape) => new()
    {
        Inputs = shape.Inputs,
        Outputs = (int)shape.AggregateWidth,
        Channels = shape.Channels,
        PatchLength = shape.PatchLength,
        PatchStride = shape.PatchStride,
        DModel = shape.DModel,
        ExpansionFactor = shape.ExpansionFactor,
        NumLayers = shape.NumLayers,
        Dropout = shape.Dropout,
        Mode = shape.Mode,
        GatedAttention = shape.GatedAttention,
        Norm = shape.Norm,
        Scaling = shape.Scaling,
        HeadAggregation = shape.HeadAggregation,
        HasReconstruction = false,
        HeadDropout = 0,
    };

    /// <inheritdoc/>
    public override Network Build(Device device) => new PatchTSMixerEmbeddingNetwork(this, device);

    /// <inheritdoc/>
    public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var fault in base.Validate(validationContext))
            yield return fault;
        if (Inputs % Channels == 0 && PatchLength <= Steps && Outputs != AggregateWidth)
            yield return new ValidationResult($"'Outputs' is {Outputs}, but a window is {AggregateWidth} numbers");
    }
}

/// <summary>A window as a vector, and its patches as what is told of them where some are masked.</summary>
internal sealed class PatchTSMixerEmbeddingNetwork : Network
{
    private readonly PatchTSMixerEmbeddingDefinition _definition;
    private readonly PatchTSMixerBackbone backbone;
    private readonly Dense? reconstruct;
    private Generator? _noise;

    public PatchTSMixerEmbeddingNetwork(PatchTSMixerEmbeddingDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        backbone = new PatchTSMixerBackbone(definition, device);
        reconstruct = definition.HasReconstruction ? new Dense(definition.DModel, definition.PatchWidth, device) : null;
        RegisterComponents();
    }

    public PatchTSMixerBackbone Backbone => backbone;

    /// <summary>Where dropout draws from in training; null for none.</summary>
    public Generator? Noise
    {
        set
        {
            _noise = value;
            backbone.Noise = value;
        }
    }

    /// <inheritdoc/>
    public override void Initialize(Generator random)
    {
        backbone.Initialize(random);
        reconstruct?.Initialize(random);
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x) => backbone.Aggregate(backbone.Mix(backbone.Cut(x).Patches));

    /// <summary>What is told of the patches of windows of which some are masked, and what they are.</summary>
    /// <param name="x">Windows [B, L·C].</param>
    /// <param name="mask">1 for a masked patch, else 0: [B, C or 1, n].</param>
    /// <returns>Both [B, C, n, p], on the scale of each window.</returns>
    public (Tensor Told, Tensor Patches) Reconstruct(Tensor x, Tensor mask)
    {
        var patches = backbone.Cut(x).Patches;
        var h = backbone.Mix(patches.mul(mask.unsqueeze(3).neg().Plus(1)));
        return (reconstruct!.call(h.LeaveOut(_definition.HeadDropout, training ? _noise : null)), patches);
    }
}

/// <summary>Which patches of windows are masked.</summary>
internal static class PatchMasks
{
    /// <summary>Masks patches at random, as many in each window and track.</summary>
    /// <param name="rows">B, windows.</param>
    /// <param name="tracks">Channels that have masks of their own; 1 for one that all of them share.</param>
    /// <param name="patches">n.</param>
    /// <param name="masked">How many are masked.</param>
    /// <param name="random">The stream of random numbers.</param>
    /// <param name="device">Its device.</param>
    /// <returns>1 for a masked patch, else 0: [B, tracks, n].</returns>
    public static Tensor Random(long rows, long tracks, int patches, int masked, Generator random, Device device)
    {
        using var order = empty(rows, tracks, patches, device: device).uniform_(0, 1, random);
        var (values, places) = order.topk(masked, 2);
        using (values)
        using (places)
        using (var marks = ones(rows, tracks, masked, device: device))
            return zeros(rows, tracks, patches, device: device).scatter_(2, places, marks);
    }

    /// <summary>Masks the last patches, whose number is drawn for each window.</summary>
    /// <param name="rows">B, windows.</param>
    /// <param name="patches">n.</param>
    /// <param name="numbers">The numbers that there are, each as likely as every other.</param>
    /// <param name="random">The stream of random numbers.</param>
    /// <param name="device">Its device.</param>
    /// <returns>1 for a masked patch, else 0: [B, 1, n].</returns>
    public static Tensor Last(long rows, int patches, IReadOnlyList<int> numbers, Generator random, Device device)
    {
        using var scope = NewDisposeScope();
        var firsts = tensor([.. numbers.Select(number => (float)(patches - number))], device: device);
        var drawn = empty(rows, device: device).uniform_(0, 1, random).Times(numbers.Count).floor().clamp(0, numbers.Count - 1).to_type(ScalarType.Int64);
        var places = arange(0, patches, ScalarType.Float32, device);
        return places.ge(firsts.index_select(0, drawn).unsqueeze(1)).to_type(ScalarType.Float32).unsqueeze(1).MoveToOuterDisposeScope();
    }

    /// <summary>The squared error of masked patches alone, averaged over those of each window.</summary>
    /// <param name="told">What is told of the patches [B, C, n, p].</param>
    /// <param name="patches">The patches [B, C, n, p].</param>
    /// <param name="mask">1 for a masked patch, else 0: [B, C or 1, n].</param>
    /// <returns>Errors [B].</returns>
    public static Tensor RowLosses(Tensor told, Tensor patches, Tensor mask)
    {
        var errors = told.sub(patches);
        var whole = mask.expand(-1, patches.shape[1], -1);
        return errors.mul(errors).mean([3L]).mul(whole).sum([1L, 2L]).div(whole.sum([1L, 2L]));
    }
}
