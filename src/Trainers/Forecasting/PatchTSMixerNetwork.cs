using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Data;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Forecasting;

/// <summary>Shapes and switches of a <see cref="PatchTSMixer"/>'s network, which are its file format.</summary>
public sealed record PatchTSMixerDefinition : PatchTSMixerShape
{
    /// <summary>H, steps that are forecast; 0 where the network predicts one thing of a window.</summary>
    [Range(0, Most)]
    public required int Horizon { get; init; }

    /// <summary>Share of values left out before the head.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public required double HeadDropout { get; init; }

    /// <summary>Steps on both sides that the reconciliation of channels looks at; null for none.</summary>
    [Range(0, Most)]
    public required int? FcmContextLength { get; init; }

    /// <summary>q, steps of a patch of the forecast whose sum is forecast too; null for none.</summary>
    [Range(1, Most)]
    public required int? HierarchyPatch { get; init; }

    /// <inheritdoc/>
    [JsonIgnore]
    public override long MultiplicationsPerRow => base.MultiplicationsPerRow + (long)((Horizon > 0 ? Tracks : 1) * (double)HeadInputs * HeadOutputs);

    /// <inheritdoc/>
    [JsonIgnore]
    public override NetworkDefinition? Body => PatchTSMixerEmbeddingDefinition.Of(this);

    /// <summary>Values that the head reads at once.</summary>
    [JsonIgnore]
    internal long HeadInputs => Horizon > 0 ? (long)PatchCount * DModel : AggregateWidth;

    /// <summary>Values that the head puts out at once: of forecasts means, and then quantiles.</summary>
    [JsonIgnore]
    internal int HeadOutputs => Horizon == 0 || Mode == PatchTSMixerMode.Flatten ? Outputs : Outputs / Channels;

    /// <summary>Sums of patches that the head of the hierarchy puts out at once.</summary>
    [JsonIgnore]
    internal int SumOutputs => HierarchyPatch is { } patch ? Horizon / patch * (Mode == PatchTSMixerMode.Flatten ? Channels : 1) : 0;

    /// <summary>Values that the reconciliation of channels looks at for a step.</summary>
    [JsonIgnore]
    internal long ReconciledWidth => FcmContextLength is { } context ? Channels * ((2L * context) + 1) : 0;

    /// <inheritdoc/>
    public override long WeightCount => BackboneWeightCount + ((HeadInputs + 1) * (HeadOutputs + SumOutputs))
        + (HierarchyPatch is { } patch ? SoftmaxGate.WeightCountOf(2 * patch) + (((2L * patch) + 1) * patch) : 0)
        + (FcmContextLength is null ? 0 : (ReconciledWidth + 1) * (ReconciledWidth + Channels));

    /// <inheritdoc/>
    public override Network Build(Device device) => new PatchTSMixerNetwork(this, device);

    /// <inheritdoc/>
    public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var fault in base.Validate(validationContext))
            yield return fault;
        if (Inputs % Channels == 0 && PatchLength <= Steps && (HeadInputs > Array.MaxLength || ReconciledWidth > Most))
            yield return new ValidationResult("the head is not of a possible size");
        if (Horizon > 0 && Outputs % ((long)Horizon * Channels) != 0)
            yield return new ValidationResult($"'Outputs' is {Outputs}, but {Horizon} steps of {Channels} channels are forecast");
        if (FcmContextLength is not null && Horizon == 0)
            yield return new ValidationResult("'FcmContextLength' must be null where nothing is forecast");
        if (HierarchyPatch is { } patch && (Horizon == 0 || Horizon % patch != 0))
            yield return new ValidationResult($"'HierarchyPatch' is {patch}, which is no part of a forecast of {Horizon} steps");
    }
}

/// <summary>The network of a <see cref="PatchTSMixer"/>.</summary>
internal sealed class PatchTSMixerNetwork : Network
{
    private readonly PatchTSMixerDefinition _definition;
    private readonly PatchTSMixerBackbone backbone;
    private readonly Dense head;
    private readonly Dense? sums;
    private readonly SoftmaxGate? hierarchyGate;
    private readonly Dense? hierarchy;
    private readonly SoftmaxGate? reconcileGate;
    private readonly Dense? reconcile;
    private Generator? _noise;

    public PatchTSMixerNetwork(PatchTSMixerDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        backbone = new PatchTSMixerBackbone(definition, device);
        head = new Dense((int)definition.HeadInputs, definition.HeadOutputs, device);
        if (definition.HierarchyPatch is { } patch)
        {
            sums = new Dense((int)definition.HeadInputs, definition.SumOutputs, device);
            hierarchyGate = new SoftmaxGate(2 * patch, device);
            hierarchy = new Dense(2 * patch, patch, device);
        }

        if (definition.FcmContextLength is not null)
        {
            reconcileGate = new SoftmaxGate((int)definition.ReconciledWidth, device);
            reconcile = new Dense((int)definition.ReconciledWidth, definition.Channels, device);
        }

        RegisterComponents();
    }

    public PatchTSMixerBackbone Backbone => backbone;

    public Dense Head => head;

    public Dense? Sums => sums;

    public Dense? Hierarchy => hierarchy;

    public Dense? ChannelReconciliation => reconcile;

    /// <summary>Where dropout draws from in training; null for none.</summary>
    public Generator? Noise
    {
        set
        {
            _noise = value;
            backbone.Noise = value;
        }
    }

    /// <summary>Whether the mixers stay as they are, and work as after training: the head alone learns.</summary>
    public bool IsFrozen
    {
        get;
        set
        {
            field = value;
            foreach (var parameter in backbone.parameters())
                parameter.requires_grad = !value;
        }
    }

    /// <inheritdoc/>
    public override void train(bool on = true)
    {
        base.train(on);
        if (IsFrozen)
            backbone.eval();
    }

    /// <inheritdoc/>
    public override void Initialize(Generator random)
    {
        backbone.Initialize(random);
        head.Initialize(random);
        sums?.Initialize(random);
        hierarchyGate?.Weigh.Initialize(random);
        hierarchy?.Initialize(random);
        reconcileGate?.Weigh.Initialize(random);
        reconcile?.Initialize(random);
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x) => ForecastWithSums(x).Forecast;

    /// <summary>Forecasts, and the sums of patches of them that the network forecasts by themselves.</summary>
    /// <param name="x">Windows [B, L·C].</param>
    /// <returns>Outputs [B, ·], and Â [B, H/q·C] in the unit of the sums of the mean, or null.</returns>
    public (Tensor Forecast, Tensor? Sums) ForecastWithSums(Tensor x)
    {
        var (channels, horizon, rows) = (_definition.Channels, _definition.Horizon, x.shape[0]);
        var (patches, scaling) = backbone.Cut(x);
        var h = backbone.Mix(patches);
        var noise = training ? _noise : null;
        if (horizon == 0)
            return (head.call(backbone.Aggregate(h).LeaveOut(_definition.HeadDropout, noise)), null);

        var features = h.flatten(2).LeaveOut(_definition.HeadDropout, noise);
        var outputs = head.call(features).view(rows, channels, -1);                                     // [B, C, K·H]: means, then quantiles
        Tensor? ofPatches = null;
        if (sums is not null)
        {
            ofPatches = sums.call(features).view(rows, channels, -1);                                   // Â on the scale of the window: [B, C, H/q]
            outputs = Moved(outputs, ByHierarchy(outputs.narrow(2, 0, horizon), ofPatches));
        }

        if (reconcile is not null)
            outputs = Moved(outputs, ByChannels(outputs.narrow(2, 0, horizon), scaling.Scaled));
        var forecast = scaling.Inverse(outputs).view(rows, channels, -1, horizon).permute(0, 2, 3, 1).flatten(1);       // ŷ = out·scale + loc: [B, K·H·C]
        if (ofPatches is null)
            return (forecast, null);

        // A sum of q steps has q times their location.
        var patch = _definition.HierarchyPatch!.Value;
        return (forecast, scaling.Inverse(ofPatches.Times(1.0 / patch)).Times(patch).transpose(1, 2).flatten(1));
    }

    /// <summary>Means and quantiles [B, C, K·H], all moved by the same [B, C, H].</summary>
    private Tensor Moved(Tensor outputs, Tensor move) =>
        outputs.view(outputs.shape[0], outputs.shape[1], -1, _definition.Horizon).Plus(move.unsqueeze(2)).flatten(2);

    // NOTE[DIFF]: what the gated layer puts out is added to the base forecast, as that of the channels is, so that a layer of zeros leaves it.

    /// <summary>What the base forecasts of a patch [B, C, H] and its sum [B, C, H/q] say of its steps.</summary>
    private Tensor ByHierarchy(Tensor forecast, Tensor ofPatches)
    {
        var granular = forecast.unflatten(2, ofPatches.shape[2], _definition.HierarchyPatch!.Value);    // [B, C, H/q, q]
        var views = cat([granular, ofPatches.unsqueeze(3).expand_as(granular)], 3);
        return hierarchy!.call(hierarchyGate!.call(views)).flatten(2);
    }

    /// <summary>What the base forecasts [B, C, H] of all channels around a step say of it.</summary>
    private Tensor ByChannels(Tensor forecast, Tensor observed)
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

/// <summary>Forecasts whose patches are to have the sums that are forecast of them.</summary>
/// <param name="Horizon">H.</param>
/// <param name="Channels">C.</param>
/// <param name="Patch">q.</param>
internal sealed record PatchHierarchy(int Horizon, int Channels, int Patch)
{
    /// <summary>BU: the sums of the patches of forecasts or labels.</summary>
    /// <param name="values">Values [B, H·C].</param>
    /// <returns>Sums [B, H/q·C].</returns>
    public Tensor BottomUp(Tensor values) => values.view(-1, Horizon / Patch, Patch, Channels).sum([2L]).flatten(1);

    /// <summary>(1/q²)·(L(BU(y), Â) + L(BU(ŷ), Â)), with the squared error for L.</summary>
    /// <param name="forecast">ŷ [B, H·C].</param>
    /// <param name="sums">Â [B, H/q·C].</param>
    /// <param name="labels">y [B, H·C].</param>
    /// <param name="squaredError">L, of rows with weights.</param>
    /// <returns>A scalar.</returns>
    public Tensor Loss(Tensor forecast, Tensor sums, Tensor labels, Func<Tensor, Tensor, Tensor> squaredError) =>
        squaredError(sums, BottomUp(labels)).Plus(squaredError(sums, BottomUp(forecast))).Times(1.0 / ((double)Patch * Patch));
}
