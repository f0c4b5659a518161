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

/// <summary>What becomes of the patches of a channel where a <see cref="PatchTSMixer"/> predicts one thing of a window.</summary>
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

/// <summary>Shapes and switches of a <see cref="PatchTSMixer"/>'s network, which are its file format.</summary>
public sealed record PatchTSMixerDefinition : NetworkDefinition, IValidatableObject
{
    private const int Most = 1 << 16;

    /// <summary>C, number of channels of a window.</summary>
    [Range(1, 1 << 24)]
    public required int Channels { get; init; }

    /// <summary>H, steps that are forecast; 0 where the network predicts one thing of a window.</summary>
    [Range(0, Most)]
    public required int Horizon { get; init; }

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

    /// <summary>Share of values left out before the head.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public required double HeadDropout { get; init; }

    /// <summary>How channels meet.</summary>
    public required PatchTSMixerMode Mode { get; init; }

    /// <summary>Whether the mixers have gates.</summary>
    public required bool GatedAttention { get; init; }

    /// <summary>What the patches are normalised by.</summary>
    public required TokenNorm Norm { get; init; }

    /// <summary>What each channel of a window is scaled by.</summary>
    public required InstanceScale Scaling { get; init; }

    /// <summary>What becomes of the patches where one thing is predicted of a window.</summary>
    public required PatchTSMixerHeadAggregation HeadAggregation { get; init; }

    /// <summary>Steps on both sides that the reconciliation of channels looks at; null for none.</summary>
    [Range(0, Most)]
    public required int? FcmContextLength { get; init; }

    /// <inheritdoc/>
    [JsonIgnore]
    public override long MultiplicationsPerRow => (long)(((double)Tracks * PatchCount * PatchWidth * DModel)
        + (NumLayers * Mixers.Sum(mixer => (double)Tracks * PatchCount * DModel / mixer.Size * mixer.Multiplications))
        + ((Horizon > 0 ? Tracks : 1) * (double)HeadInputs * HeadOutputs));

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

    /// <summary>Values that the head reads at once.</summary>
    [JsonIgnore]
    internal long HeadInputs => Horizon > 0 ? (long)PatchCount * DModel : (long)Tracks * DModel * (HeadAggregation == PatchTSMixerHeadAggregation.None ? PatchCount : 1);

    /// <summary>Values that the head puts out at once.</summary>
    [JsonIgnore]
    internal int HeadOutputs => Horizon == 0 ? Outputs : Mode == PatchTSMixerMode.Flatten ? Outputs : Outputs / Channels;

    /// <summary>Values that the reconciliation looks at for a step.</summary>
    [JsonIgnore]
    internal long ReconciledWidth => FcmContextLength is { } context ? Channels * ((2L * context) + 1) : 0;

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

    /// <inheritdoc/>
    public override long WeightCount =>
        (2L * Channels) + ((PatchWidth + 1L) * DModel) + (NumLayers * Mixers.Sum(mixer => mixer.WeightCount)) + ((HeadInputs + 1) * HeadOutputs)
        + (FcmContextLength is null ? 0 : (ReconciledWidth + 1) * (ReconciledWidth + Channels));

    /// <inheritdoc/>
    public override Network Build(Device device) => new PatchTSMixerNetwork(this, device);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Inputs % Channels != 0)
            yield return new ValidationResult($"'Inputs' is {Inputs}, which is no whole number of steps of {Channels} channels");
        else if (PatchLength > Steps)
            yield return new ValidationResult($"'PatchLength' is {PatchLength}, longer than the window of {Steps} steps");
        else if (HeadInputs > Array.MaxLength || ReconciledWidth > Most)
            yield return new ValidationResult("the head is not of a possible size");
        if (PatchStride > PatchLength)
            yield return new ValidationResult($"'PatchStride' is {PatchStride}, more than 'PatchLength', {PatchLength}");
        if (Horizon > 0 && Outputs % ((long)Horizon * Channels) != 0)
            yield return new ValidationResult($"'Outputs' is {Outputs}, but {Horizon} steps of {Channels} channels are forecast");
        if (FcmContextLength is not null && Horizon == 0)
            yield return new ValidationResult("'FcmContextLength' must be null where nothing is forecast");
    }
}

/// <summary>The network of a <see cref="PatchTSMixer"/>.</summary>
internal sealed class PatchTSMixerNetwork : Network
{
    private readonly PatchTSMixerDefinition _definition;
    private readonly Tensor mean;
    private readonly Tensor scale;
    private readonly Dense embed;
    private readonly ModuleList<AxisMixer> mixers = [];
    private readonly Dense head;
    private readonly SoftmaxGate? reconcileGate;
    private readonly Dense? reconcile;
    private Generator? _noise;

    public PatchTSMixerNetwork(PatchTSMixerDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        (mean, scale) = (zeros(definition.Channels, device: device), ones(definition.Channels, device: device));
        embed = new Dense(definition.PatchWidth, definition.DModel, device);
        for (var layer = 0; layer < definition.NumLayers; layer++)
        {
            foreach (var shape in definition.Mixers)
                mixers.Add(new AxisMixer(shape, device));
        }

        head = new Dense((int)definition.HeadInputs, definition.HeadOutputs, device);
        if (definition.FcmContextLength is not null)
        {
            reconcileGate = new SoftmaxGate((int)definition.ReconciledWidth, device);
            reconcile = new Dense((int)definition.ReconciledWidth, definition.Channels, device);
        }

        RegisterComponents();
    }

    public IReadOnlyList<AxisMixer> Mixers => [.. mixers];

    public Dense Embedding => embed;

    public Dense Head => head;

    public Dense? ChannelReconciliation => reconcile;

    /// <summary>Where dropout draws from in training; null for none.</summary>
    public Generator? Noise
    {
        set
        {
            _noise = value;
            foreach (var mixer in mixers)
                mixer.Noise = value;
        }
    }

    /// <inheritdoc/>
    public override void Initialize(Generator random)
    {
        embed.Initialize(random);
        foreach (var mixer in mixers)
            mixer.Initialize(random);
        head.Initialize(random);
        reconcileGate?.Weigh.Initialize(random);
        reconcile?.Initialize(random);
    }

    /// <summary>Fixes how channels are standardised: by all steps of the training windows together.</summary>
    /// <param name="statistics">Means and deviations of the numbers of a window.</param>
    public void SetScaling(FeatureStatistics statistics)
    {
        var (channels, steps) = (_definition.Channels, _definition.Steps);
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

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        var (channels, steps) = (_definition.Channels, _definition.Steps);
        var window = x.view(-1, steps, channels).sub(mean).mul(scale).transpose(1, 2).contiguous();     // X: [B, C, L]
        var scaling = InstanceScaling.Of(window, _definition.Scaling);                                  // Z = (X − loc)/scale
        var patches = Patches.Of(scaling.Scaled, _definition.PatchLength, _definition.PatchStride);     // [B, C, n, p]
        if (_definition.Mode == PatchTSMixerMode.Flatten)
            patches = patches.transpose(1, 2).flatten(2).unsqueeze(1);                                  // [B, 1, n, C·p]
        var h = embed.call(patches);                                                                    // H: [B, C, n, d]
        foreach (var mixer in mixers)
            h = mixer.call(h);
        var noise = training ? _noise : null;
        if (_definition.Horizon == 0)
            return head.call(Aggregate(h).LeaveOut(_definition.HeadDropout, noise));

        var outputs = head.call(h.flatten(2).LeaveOut(_definition.HeadDropout, noise))                  // [B, C, K·H]: means, then quantiles
            .view(x.shape[0], channels, -1);
        if (reconcile is not null)
            outputs = Moved(outputs, Reconciliation(outputs.narrow(2, 0, _definition.Horizon), scaling.Scaled));
        return scaling.Inverse(outputs).view(x.shape[0], channels, -1, _definition.Horizon)             // ŷ = out·scale + loc: [B, K·H·C]
            .permute(0, 2, 3, 1).flatten(1);
    }

    /// <summary>All channels of a window as one vector: [B, C·d], or [B, C·n·d].</summary>
    private Tensor Aggregate(Tensor h) => _definition.HeadAggregation switch
    {
        PatchTSMixerHeadAggregation.MaxPool => h.amax([2L]).flatten(1),
        PatchTSMixerHeadAggregation.AvgPool => h.mean([2L]).flatten(1),
        PatchTSMixerHeadAggregation.UseLast => h.select(2, _definition.PatchCount - 1).flatten(1),
        _ => h.flatten(1),
    };

    /// <summary>Means and quantiles [B, C, K·H], all moved by the same [B, C, H].</summary>
    private Tensor Moved(Tensor outputs, Tensor move) =>
        outputs.view(outputs.shape[0], outputs.shape[1], -1, _definition.Horizon).Plus(move.unsqueeze(2)).flatten(2);

    /// <summary>What the base forecasts [B, C, H] of all channels around a step say of it.</summary>
    private Tensor Reconciliation(Tensor forecast, Tensor observed)
    {
        var context = _definition.FcmContextLength!.Value;
        var around = forecast;
        if (context > 0)
        {
            var past = observed.narrow(2, observed.shape[2] - context, context);
            around = cat([past, forecast, zeros_like(past)], 2);
        }

        var views = around.unfold(2, (2 * context) + 1, 1).transpose(1, 2).flatten(2);                  // [B, H, C·(2·ctx + 1)]
        return reconcile!.call(reconcileGate!.call(views)).transpose(1, 2);
    }
}
