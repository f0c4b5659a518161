using System.ComponentModel.DataAnnotations;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Training;

namespace MlNetMlp.Forecasting;

/// <summary>What <see cref="PatchTSMixer"/> and <see cref="PatchTSMixerPretrain"/> have in common: the shape of the network up to its head.</summary>
public abstract record PatchTSMixerOptions : GradientTrainedOptions
{
    /// <summary>Sets the defaults of both.</summary>
    protected PatchTSMixerOptions()
    {
        // NOTE[DIFF]: a rate of 1e-3 with 64 windows a batch, where the published recipe has 1e-4 with 32: it takes a tenth of the steps.
        BatchSize = 64;
        Epochs = 20;
        Patience = 5;
    }

    /// <summary>
    /// C, channels of a window, in [1, 2^24], where windows stand in a column; 1 by default. Forecasts have those of their columns, and do not look at it.
    /// </summary>
    [Range(1, 1 << 24)]
    public int Channels { get; init; } = 1;

    /// <summary>p, steps of a patch, in [1, 65536]; 8 by default, 16 in the paper's long windows. It must not be longer than the window.</summary>
    [Range(1, 1 << 16)]
    public int PatchLength { get; init; } = 8;

    /// <summary>
    /// s, steps from one patch to the next, in [1, 65536] and at most <see cref="PatchLength"/>, which null (the default) stands for.
    /// </summary>
    [Range(1, 1 << 16)]
    public int? PatchStride { get; init; }

    // NOTE[DIFF]: d = 32, where the library has 8 and the recipe for hourly data 48: two to eight times p is the advice.

    /// <summary>d, features of a patch, in [1, 65536]; 32 by default. Two to eight times <see cref="PatchLength"/> is a good choice.</summary>
    [Range(1, 1 << 16)]
    public int DModel { get; init; } = 32;

    /// <summary>E, how many times an axis the MLP over it is wide inside, in [1, 16]; 2 by default.</summary>
    [Range(1, 16)]
    public int ExpansionFactor { get; init; } = 2;

    /// <summary>Number of layers, in [1, 64]; 3 by default.</summary>
    [Range(1, 64)]
    public int NumLayers { get; init; } = 3;

    /// <summary>Share of values left out in the mixers in training, in [0, 1); 0.2 by default, 0.5 in the recipe for hourly data.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public double Dropout { get; init; } = 0.2;

    /// <summary>Share of values left out before the head in training, in [0, 1); 0.2 by default, 0.7 in the recipe for hourly data.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public double HeadDropout { get; init; } = 0.2;

    /// <summary>How channels meet; <see cref="PatchTSMixerMode.CommonChannel"/> by default: each is forecast from itself, all by the same weights.</summary>
    public PatchTSMixerMode Mode { get; init; } = PatchTSMixerMode.CommonChannel;

    /// <summary>Whether mixers have gates; true by default, as in the paper.</summary>
    public bool GatedAttention { get; init; } = true;

    /// <summary>What patches are normalised by; <see cref="TokenNorm.Token"/> by default.</summary>
    public TokenNorm Norm { get; init; } = TokenNorm.Token;

    /// <summary>
    /// What each channel of a window is scaled by; <see cref="InstanceScale.Std"/> by default. Level and size of a window are then unknown to regression and classification:
    /// take <see cref="InstanceScale.None"/> where they matter.
    /// </summary>
    public InstanceScale Scaling { get; init; } = InstanceScale.Std;

    /// <summary>
    /// What becomes of patches where a window is one thing: in regression, classification and embeddings; <see cref="PatchTSMixerHeadAggregation.MaxPool"/> by default. Forecasts use all
    /// of them.
    /// </summary>
    public PatchTSMixerHeadAggregation HeadAggregation { get; init; } = PatchTSMixerHeadAggregation.MaxPool;

    /// <summary>s, whatever stands for it.</summary>
    internal int Stride => PatchStride ?? PatchLength;

    /// <inheritdoc/>
    public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var fault in base.Validate(validationContext))
            yield return fault;
        if (PatchStride > PatchLength)
            yield return new ValidationResult($"option 'PatchStride' must be at most 'PatchLength', {PatchLength}, but was {PatchStride}");
        if (Norm == TokenNorm.Row)
            yield return new ValidationResult("option 'Norm' must be Token, Batch or None, but was Row, which would mix the channels");
        if (Optimizer == OptimizerKind.Lbfgs && (Dropout > 0 || HeadDropout > 0))
            yield return new ValidationResult("options 'Dropout' and 'HeadDropout' must be 0 with the optimiser Lbfgs, whose line search needs the same loss at the same weights");
    }

    /// <summary>Checks that windows can be cut into patches.</summary>
    /// <param name="name">Name of the method.</param>
    /// <param name="numbers">Numbers of a window.</param>
    /// <param name="channels">C.</param>
    /// <exception cref="InvalidOperationException">They cannot.</exception>
    internal void CheckWindow(string name, int numbers, int channels)
    {
        if (numbers % channels != 0)
        {
            throw new InvalidOperationException(
                $"{name}: the feature column '{FeatureColumnName}' has {numbers} slots, which is no whole number of steps of {channels} channels: give the option 'Channels'.");
        }

        if (numbers / channels < PatchLength)
        {
            throw new InvalidOperationException(
                $"{name}: option 'PatchLength' must be at most the {numbers / channels} steps that a row of the feature column '{FeatureColumnName}' has, but was {PatchLength}.");
        }
    }
}
