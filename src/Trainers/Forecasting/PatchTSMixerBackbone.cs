using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Data;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Forecasting;

/// <summary>How the channels of a <see cref="PatchTSMixer"/> meet.</summary>
public enum PatchTSMixerMode
{
    /// <summary>Not at all: each channel is forecast from itself, all by the same weights.</summary>
    CommonChannel,

    /// <summary>Each layer begins with a mixer over channels.</summary>
    MixChannel,

    /// <summary>A patch holds all channels, and there is no axis of channels.</summary>
    Flatten,
}

/// <summary>What becomes of the patches of a channel where a window is one thing.</summary>
public enum PatchTSMixerHeadAggregation
{
    /// <summary>The greatest value of each feature.</summary>
    MaxPool,

    /// <summary>The mean of each feature.</summary>
    AvgPool,

    /// <summary>The last patch.</summary>
    UseLast,

    /// <summary>All of them, side by side.</summary>
    None,
}

/// <summary>Shapes and switches of all networks of a <see cref="PatchTSMixer"/> up to their heads, which are part of their file format.</summary>
public abstract record PatchTSMixerShape : NetworkDefinition, IValidatableObject
{
    private protected const int Most = 1 << 16;

    /// <summary>C, number of channels of a window.</summary>
    [Range(1, 1 << 24)]
    public required int Channels { get; init; }

    /// <summary>p, steps of a patch.</summary>
    [Range(1, Most)]
    public required int PatchLength { get; init; }

    /// <summary>s, steps from one patch to the next.</summary>
    [Range(1, Most)]
    public required int PatchStride { get; init; }

    /// <summary>d, features of a patch.</summary>
    [Range(1, Most)]
    public required int DModel { get; init; }

    /// <summary>E, how many times an axis the MLP over it is wide inside.</summary>
    [Range(1, 16)]
    public required int ExpansionFactor { get; init; }

    /// <summary>Number of layers.</summary>
    [Range(1, 64)]
    public required int NumLayers { get; init; }

    /// <summary>Share of values left out in the mixers.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public required double Dropout { get; init; }

    /// <summary>How channels meet.</summary>
    public required PatchTSMixerMode Mode { get; init; }

    /// <summary>Whether the mixers have gates.</summary>
    public required bool GatedAttention { get; init; }

    /// <summary>What the patches are normalised by.</summary>
    public required TokenNorm Norm { get; init; }

    /// <summary>What each channel of a window is scaled by.</summary>
    public required InstanceScale Scaling { get; init; }

    /// <summary>What becomes of the patches where a window is one thing.</summary>
    public required PatchTSMixerHeadAggregation HeadAggregation { get; init; }

    /// <inheritdoc/>
    [JsonIgnore]
    public override long MultiplicationsPerRow => (long)(((double)Tracks * PatchCount * PatchWidth * DModel)
        + (NumLayers * Mixers.Sum(mixer => (double)Tracks * PatchCount * DModel / mixer.Size * mixer.Multiplications)));

    /// <inheritdoc/>
    [JsonIgnore]
    public override long WidestLayer => (long)Tracks * PatchCount * DModel * ExpansionFactor;

    /// <summary>L, steps of a window.</summary>
    [JsonIgnore]
    internal int Steps => Inputs / Channels;

    /// <summary>n, number of patches.</summary>
    [JsonIgnore]
    internal int PatchCount => Patches.Count(Steps, PatchLength, PatchStride);

    /// <summary>Size of the axis of channels.</summary>
    [JsonIgnore]
    internal int Tracks => Mode == PatchTSMixerMode.Flatten ? 1 : Channels;

    /// <summary>Numbers of a patch: p, or C·p where it holds all channels.</summary>
    [JsonIgnore]
    internal int PatchWidth => Mode == PatchTSMixerMode.Flatten ? Channels * PatchLength : PatchLength;

    /// <summary>Values of a window as one thing.</summary>
    [JsonIgnore]
    internal long AggregateWidth => (long)Tracks * DModel * (HeadAggregation == PatchTSMixerHeadAggregation.None ? PatchCount : 1);

    /// <summary>The mixers of a layer, in their order: over channels where they mix, over patches where there are several, over features.</summary>
    [JsonIgnore]
    internal IReadOnlyList<AxisMixerShape> Mixers
    {
        get
        {
            var after = GatedAttention ? GatePlace.AfterMlp : GatePlace.None;
            var mixers = new List<AxisMixerShape>();
            if (Mode == PatchTSMixerMode.MixChannel)
                mixers.Add(Over(1, Channels, GatedAttention ? GatePlace.BeforeMlp : GatePlace.None));
            if (PatchCount > 1)
                mixers.Add(Over(2, PatchCount, after));
            mixers.Add(Over(3, DModel, after));
            return mixers;

            AxisMixerShape Over(int axis, int size, GatePlace gate) => new(axis, size, DModel, ExpansionFactor, gate, Norm, Dropout);
        }
    }

    /// <summary>Number of values up to the head.</summary>
    [JsonIgnore]
    internal long BackboneWeightCount => (2L * Channels) + ((PatchWidth + 1L) * DModel) + (NumLayers * Mixers.Sum(mixer => mixer.WeightCount));

    /// <inheritdoc/>
    public virtual IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Inputs % Channels != 0)
            yield return new ValidationResult($"'Inputs' is {Inputs}, which is no whole number of steps of {Channels} channels");
        else if (PatchLength > Steps)
            yield return new ValidationResult($"'PatchLength' is {PatchLength}, longer than the window of {Steps} steps");
        if (PatchStride > PatchLength)
            yield return new ValidationResult($"'PatchStride' is {PatchStride}, more than 'PatchLength', {PatchLength}");
    }

    /// <summary>What has to be the same for one network to begin with the mixers of another, by name.</summary>
    internal IEnumerable<(string Name, string Value)> MixerShape()
    {
        yield return ("steps of a patch", $"{PatchLength}");
        yield return ("patches", $"{PatchCount}");
        yield return ("DModel", $"{DModel}");
        yield return ("ExpansionFactor", $"{ExpansionFactor}");
        yield return ("NumLayers", $"{NumLayers}");
        yield return ("Mode", $"{Mode}");
        yield return ("GatedAttention", $"{GatedAttention}");
        yield return ("Norm", $"{Norm}");
        if (Mode != PatchTSMixerMode.CommonChannel)
            yield return ("channels", $"{Channels}");
    }
}

/// <summary>What all networks of a <see cref="PatchTSMixer"/> do before their heads: windows to patches, patches to features.</summary>
internal sealed class PatchTSMixerBackbone : nn.Module
{
    private readonly PatchTSMixerShape _shape;
    private readonly Tensor mean;
    private readonly Tensor scale;
    private readonly Dense embed;
    private readonly ModuleList<AxisMixer> mixers = [];
    private Generator? _noise;

    public PatchTSMixerBackbone(PatchTSMixerShape shape, Device device)
        : base(nameof(PatchTSMixerBackbone))
    {
        _shape = shape;
        (mean, scale) = (zeros(shape.Channels, device: device), ones(shape.Channels, device: device));
        embed = new Dense(shape.PatchWidth, shape.DModel, device);
        for (var layer = 0; layer < shape.NumLayers; layer++)
        {
            foreach (var mixer in shape.Mixers)
                mixers.Add(new AxisMixer(mixer, device));
        }

        RegisterComponents();
    }

    public IReadOnlyList<AxisMixer> Mixers => [.. mixers];

    public Dense Embedding => embed;

    /// <summary>Where dropout draws from in training; null for none.</summary>
    public Generator? Noise
    {
        get => training ? _noise : null;
        set
        {
            _noise = value;
            foreach (var mixer in mixers)
                mixer.Noise = value;
        }
    }

    public void Initialize(Generator random)
    {
        embed.Initialize(random);
        foreach (var mixer in mixers)
            mixer.Initialize(random);
    }

    /// <summary>Whether a tensor of a network's state is a weight of this part that is learned, and not a scaling of channels, which belongs to the data.</summary>
    /// <param name="name">Name of the tensor in the network, where this part is called <c>backbone</c>.</param>
    public static bool IsLearned(string name) => name.StartsWith("backbone.embed.", StringComparison.Ordinal) || name.StartsWith("backbone.mixers.", StringComparison.Ordinal);

    /// <summary>Fixes how channels are standardised: by all steps of the training windows together.</summary>
    /// <param name="statistics">Means and deviations of the numbers of a window.</param>
    public void SetScaling(FeatureStatistics statistics)
    {
        var (channels, steps) = (_shape.Channels, _shape.Steps);
        var (means, factors) = (new float[channels], new float[channels]);
        for (var c = 0; c < channels; c++)
        {
            var places = Enumerable.Range(0, steps).Select(t => (t * channels) + c).ToArray();
            var average = places.Average(i => (double)statistics.Mean[i]);
            var variance = places.Average(i => Math.Pow(statistics.StandardDeviation[i], 2) + Math.Pow(statistics.Mean[i] - average, 2));
            (means[c], factors[c]) = ((float)average, Math.Sqrt(variance) is var deviation && deviation > 1e-6 * Math.Abs(average) ? (float)(1 / deviation) : 1);
        }

        using var noGradient = no_grad();
        using Tensor newMean = tensor(means), newScale = tensor(factors);
        mean.copy_(newMean);
        scale.copy_(newScale);
    }

    /// <summary>Cuts windows [B, L·C] into patches [B, C, n, p] on one scale, or [B, 1, n, C·p] where a patch holds all channels.</summary>
    public (Tensor Patches, InstanceScaling Scaling) Cut(Tensor windows)
    {
        var window = windows.view(-1, _shape.Steps, _shape.Channels).sub(mean).mul(scale).transpose(1, 2).contiguous();     // X: [B, C, L]
        var scaling = InstanceScaling.Of(window, _shape.Scaling);                                                           // Z = (X − loc)/scale
        var patches = Patches.Of(scaling.Scaled, _shape.PatchLength, _shape.PatchStride);
        return (_shape.Mode == PatchTSMixerMode.Flatten ? patches.transpose(1, 2).flatten(2).unsqueeze(1) : patches, scaling);
    }

    /// <summary>Makes features of patches and mixes them: H [B, C, n, d].</summary>
    public Tensor Mix(Tensor patches)
    {
        var h = embed.call(patches);
        foreach (var mixer in mixers)
            h = mixer.call(h);
        return h;
    }

    /// <summary>All channels of a window as one vector: [B, C·d], or [B, C·n·d].</summary>
    public Tensor Aggregate(Tensor h) => _shape.HeadAggregation switch
    {
        PatchTSMixerHeadAggregation.MaxPool => h.amax([2L]).flatten(1),
        PatchTSMixerHeadAggregation.AvgPool => h.mean([2L]).flatten(1),
        PatchTSMixerHeadAggregation.UseLast => h.select(2, _shape.PatchCount - 1).flatten(1),
        _ => h.flatten(1),
    };
}
