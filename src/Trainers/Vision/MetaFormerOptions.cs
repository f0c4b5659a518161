using System.ComponentModel.DataAnnotations;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;

namespace MlNetMlp.Vision;

/// <summary>Sizes of networks: stages, channels, the first convolution, and what is left out at random.</summary>
public enum MetaFormerPreset
{
    /// <summary>
    /// For images of 16 to 48 pixels, such as digits: stages of 2 and 2 blocks with 32 and 64 channels behind a convolution of 3 x 3 that takes every other place.
    /// </summary>
    Small28,

    /// <summary>For images up to 32 pixels: stages of 2 and 2 blocks with 48 and 96 channels on patches of 4 x 4.</summary>
    Tiny32,

    /// <summary>The paper's S12 for photographs: stages of 2, 2, 6 and 2 blocks with 64, 128, 320 and 512 channels; 12 million weights for 1,000 classes.</summary>
    S12,

    /// <summary>The paper's S24: 4, 4, 12 and 4 blocks with the channels of S12; 21 million weights.</summary>
    S24,

    /// <summary>The paper's S36: 6, 6, 18 and 6 blocks with the channels of S12; 31 million weights.</summary>
    S36,

    /// <summary>The paper's M36: 6, 6, 18 and 6 blocks with 96, 192, 384 and 768 channels; 56 million weights.</summary>
    M36,

    /// <summary>The paper's M48: 8, 8, 24 and 8 blocks with the channels of M36; 73 million weights.</summary>
    M48,
}

/// <summary>How large a stage is.</summary>
/// <param name="Depth">Number of blocks, in [1, 64].</param>
/// <param name="Dim">Values of a token, in [1, 8192].</param>
public sealed record StageSize([property: Range(1, 64)] int Depth, [property: Range(1, 8192)] int Dim)
{
    /// <summary>What the factors of the branches of all stages' blocks best start from.</summary>
    internal static double LayerScaleOf(IEnumerable<StageSize> sizes) => sizes.Sum(size => size.Depth) switch
    {
        <= 8 => 1,
        <= 24 => 1e-5,
        _ => 1e-6,
    };

    /// <summary>The stages of a network.</summary>
    /// <param name="sizes">How large they are.</param>
    /// <param name="mixerOf">The mixer of each.</param>
    /// <param name="norm">What tokens are normalised by; null for what suits the mixer.</param>
    /// <param name="mlpRatio">How many times the MLPs widen the channels.</param>
    /// <param name="maps">Before which stages a map of positions is added.</param>
    internal static ValueList<MetaFormerStage> ToStages(IReadOnlyList<StageSize> sizes, Func<int, TokenMixer> mixerOf, TokenNorm? norm, int mlpRatio, PositionMaps maps)
    {
        TokenMixer[] mixers = [.. Enumerable.Range(0, sizes.Count).Select(mixerOf)];
        var mapped = maps switch
        {
            PositionMaps.First => 0,
            PositionMaps.None => -1,
            _ => Array.FindIndex(mixers, mixer => mixer is { IsBlindToPositions: true } and not IdentityMixer),
        };
        return [.. sizes.Zip(mixers).Select((pair, i) => new MetaFormerStage
        {
            Depth = pair.First.Depth, Dim = pair.First.Dim, Mixer = pair.Second, Norm = norm ?? pair.Second.BestNorm, MlpRatio = mlpRatio, HasPositionMap = i == mapped,
        })];
    }
}

/// <summary>Before which stages a trained map of positions is added.</summary>
public enum PositionMaps
{
    /// <summary>Before the first stage whose mixer does the same wherever tokens stand and yet mixes them, as attention does; none where there is no such stage.</summary>
    Auto,

    /// <summary>Before none.</summary>
    None,

    /// <summary>Before the first stage.</summary>
    First,
}

/// <summary>
/// Options of all methods that train a network of this shape: a convolution makes tokens of the image; blocks of a token mixer and a channel MLP, each with a way past it, in
/// stages between which a convolution makes fewer tokens of more values. A method says which mixers (<see cref="MixerOf"/>).
/// </summary>
public abstract record MetaFormerOptions : ImageTrainedOptions
{
    /// <summary>
    /// Sizes of the network, where the options below do not say otherwise; <see cref="MetaFormerPreset.Small28"/> by default.
    /// </summary>
    public MetaFormerPreset Preset { get; init; } = MetaFormerPreset.Small28;

    /// <summary>Blocks and channels of each stage; null (the default): those of <see cref="Preset"/>.</summary>
    public ValueList<StageSize>? Stages { get; init; }

    /// <summary>The convolution that makes the first tokens; null (the default): that of <see cref="Preset"/>.</summary>
    public PatchShape? Stem { get; init; }

    /// <summary>The convolution between two stages; null (the default): 3 x 3, every other place.</summary>
    public PatchShape? DownSampling { get; init; }

    /// <summary>How many times the MLP of a block widens the channels inside, in [0, 16], 0 for blocks without one; 4 by default.</summary>
    [Range(0, 16)]
    public int MlpRatio { get; init; } = 4;

    /// <summary>What tokens are normalised by; null (the default): what suits the mixer of the stage.</summary>
    public TokenNorm? Norm { get; init; }

    /// <summary>Whether what comes into a branch of a block also goes past it; true by default. The paper's networks do not learn without.</summary>
    public bool UseResiduals { get; init; } = true;

    /// <summary>Whether each branch has a trained factor for each channel; true by default.</summary>
    public bool UseLayerScale { get; init; } = true;

    /// <summary>
    /// What these factors start from, in [0, 10]; null (the default): 1 for up to 8 blocks, 1e-5 for up to 24, else 1e-6. A small one keeps blocks from learning for many epochs.
    /// </summary>
    [Range(0, 10)]
    public double? LayerScaleInit { get; init; }

    /// <summary>
    /// Probability with which the branches of the last block are left out in training, in [0, 0.95], less in blocks before it; null (the default): that of <see cref="Preset"/>.
    /// </summary>
    [Range(0, 0.95)]
    public double? DropPath { get; init; }

    /// <summary>Share of values dropped after each dense layer of the MLPs in training, in [0, 0.95]; 0 by default.</summary>
    [Range(0, 0.95)]
    public double DropRate { get; init; }

    /// <summary>Before which stages a map of positions is added; <see cref="Vision.PositionMaps.Auto"/> by default.</summary>
    public PositionMaps PositionMaps { get; init; } = PositionMaps.Auto;

    /// <summary>The mixer of a stage.</summary>
    /// <param name="stage">Index of the stage.</param>
    /// <returns>The mixer.</returns>
    public abstract TokenMixer MixerOf(int stage);

    /// <summary>Probability with which the branches of the last block are left out.</summary>
    internal double DropPathOrPreset => DropPath ?? Preset switch
    {
        MetaFormerPreset.S12 or MetaFormerPreset.S24 => 0.1,
        MetaFormerPreset.S36 => 0.2,
        MetaFormerPreset.M36 => 0.3,
        MetaFormerPreset.M48 => 0.4,
        _ => 0,
    };

    /// <summary>What the factors of the branches start from.</summary>
    internal double LayerScaleStart => LayerScaleInit ?? StageSize.LayerScaleOf(Stages ?? PresetStages);

    private ValueList<StageSize> PresetStages => Preset switch
    {
        MetaFormerPreset.Small28 => [new(2, 32), new(2, 64)],
        MetaFormerPreset.Tiny32 => [new(2, 48), new(2, 96)],
        MetaFormerPreset.S12 => [new(2, 64), new(2, 128), new(6, 320), new(2, 512)],
        MetaFormerPreset.S24 => [new(4, 64), new(4, 128), new(12, 320), new(4, 512)],
        MetaFormerPreset.S36 => [new(6, 64), new(6, 128), new(18, 320), new(6, 512)],
        MetaFormerPreset.M36 => [new(6, 96), new(6, 192), new(18, 384), new(6, 768)],
        _ => [new(8, 96), new(8, 192), new(24, 384), new(8, 768)],
    };

    private PatchShape PresetStem => Preset switch
    {
        MetaFormerPreset.Small28 => new(3, 2, 1),
        MetaFormerPreset.Tiny32 => new(4, 4, 0),
        _ => new(7, 4, 2),
    };

    /// <summary>The network that the options ask for.</summary>
    /// <param name="image">Size and order of the images.</param>
    /// <param name="outputs">Outputs that the task needs.</param>
    /// <returns>The definition, whose rules are not checked yet.</returns>
    internal MetaFormerDefinition Define(ImageShape image, int outputs) => new()
    {
        Inputs = (int)image.Size,
        Outputs = outputs,
        Image = image,
        Stem = Stem ?? PresetStem,
        DownSampling = DownSampling ?? new(3, 2, 1),
        Stages = StageSize.ToStages(Stages ?? PresetStages, MixerOf, Norm, MlpRatio, PositionMaps),
        HasLayerScale = UseLayerScale,
        HasResiduals = UseResiduals,
    };

    /// <inheritdoc/>
    public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var fault in base.Validate(validationContext))
            yield return fault;
        if (Stages?.Count is 0 or > 16)
            yield return new($"option 'Stages' must be 1 to 16, but were {Stages.Count}");
        if ((DropPathOrPreset > 0 || DropRate > 0) && Optimizer == Training.OptimizerKind.Lbfgs)
            yield return new("options 'DropPath' and 'DropRate' must be 0 with the optimiser Lbfgs, whose line search needs the same loss at the same weights");
    }
}
