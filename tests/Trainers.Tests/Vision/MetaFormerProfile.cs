using MlNetMlp.Conformance;
using MlNetMlp.Layers;
using MlNetMlp.Tests.Support;
using MlNetMlp.Vision;

namespace MlNetMlp.Tests.Vision;

/// <summary>What the conformance suite has to know of <see cref="MetaFormer"/>.</summary>
public sealed class MetaFormerProfile() : HouseProfile(nameof(MetaFormer))
{
    public override Traits Traits { get; } = Images;

    /// <summary>Images of 4 x 4 pixels.</summary>
    internal static Traits Images { get; } = new() { Weights = WeightSemantics.Statistical, IsClassOrderExact = false, NeedsImages = true, FeatureCount = 16 };

    public override object SmallOptions(EstimatorTask task, object defaults) => Small((MetaFormer.Options)defaults);

    /// <summary>One token of all pixels, since the labels of generated rows say where in the image they come from.</summary>
    internal static T Small<T>(T defaults)
        where T : MetaFormerOptions =>
        defaults with
        {
            Stages = [new(1, 16)], Stem = new(4, 4, 0), MlpRatio = 2, Norm = TokenNorm.None, Epochs = 40, BatchSize = 16, LearningRate = 5e-3,
        };
}

/// <summary>What the conformance suite has to know of <see cref="PoolFormer"/>.</summary>
public sealed class PoolFormerProfile() : HouseProfile(nameof(PoolFormer))
{
    public override Traits Traits { get; } = MetaFormerProfile.Images;

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        // Pooling of a single token is nothing, and a factor of nothing has no gradient: four tokens, each of most of the pixels.
        MetaFormerProfile.Small((PoolFormer.Options)defaults) with { Stages = [new(1, 32)], Stem = new(4, 2, 1), PositionMaps = PositionMaps.First, Epochs = 60 };
}

/// <summary>What the conformance suite has to know of <see cref="MetaFormerSequence"/>.</summary>
public sealed class MetaFormerSequenceProfile() : HouseProfile(nameof(MetaFormerSequence))
{
    public override Traits Traits { get; } = new() { Weights = WeightSemantics.Statistical, IsClassOrderExact = false };

    // One token of the first four steps: labels of generated rows say where in the sequence they come from.
    public override object SmallOptions(EstimatorTask task, object defaults) => ((MetaFormerSequence.Options)defaults) with
    {
        Stages = [new(1, 16)], Stem = new(4, 4, 0), MlpRatio = 2, Norm = TokenNorm.None, Epochs = 40, BatchSize = 16, LearningRate = 5e-3,
    };
}
