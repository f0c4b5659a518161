using System.ComponentModel.DataAnnotations;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Training;

namespace MlNetMlp.Methods;

/// <summary>What all trainers of images by gradients have in common. The features of a row are the pixels of an image.</summary>
public abstract record ImageTrainedOptions : GradientTrainedOptions
{
    private const double SmallestRate = 1e-5;
    private const double Rate = 2e-3;

    /// <summary>Creates options with the defaults of trainers of images, which are those of few epochs on some thousand small images.</summary>
    protected ImageTrainedOptions()
    {
        LearningRate = Rate;
        Schedule = LearningRateSchedule.Cosine(SmallestRate / Rate) with { WarmUpFraction = 0.1 };
        WeightDecay = 0.05;
        LabelSmoothing = 0.1;
        GradientClipNorm = 5;
        BatchSize = 128;
        Epochs = 30;
    }

    /// <summary>
    /// Size and order of the images; null (the default): as the dimensions of the feature column's type say, else a flat vector is taken for a square of one channel or, channel by
    /// channel, of three. Where the feature column holds <c>MLImage</c>, what they are brought to; null then for three channels of the size that the type tells.
    /// </summary>
    public ImageShape? ImageShape { get; init; }

    /// <summary>How images are changed at random in training; <see cref="ImageAugmentation.None"/> by default.</summary>
    [Required]
    public ImageAugmentation Augmentation { get; init; } = ImageAugmentation.None;

    /// <summary>The shape of the images of a training set.</summary>
    /// <param name="data">The set.</param>
    /// <returns>The shape.</returns>
    /// <exception cref="InvalidOperationException">The shape is not to be found out, or another than the features have room for.</exception>
    public ImageShape ShapeOf(TrainingSet data)
    {
        ArgumentNullException.ThrowIfNull(data);
        var dimensions = string.Join(" x ", data.FeatureDimensions);
        var shape = ImageShape ?? ImageShape.Of(data.FeatureDimensions) ?? throw new InvalidOperationException(
            $"Column '{FeatureColumnName}' is a vector of {dimensions} values, which does not tell the size of the images. Give the option 'ImageShape'.");
        return shape.Size == data.FeatureCount ? shape : throw new InvalidOperationException(
            $"The option 'ImageShape' is {shape}, which are {shape.Size} values, but column '{FeatureColumnName}' has {data.FeatureCount}.");
    }

    /// <inheritdoc/>
    public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var fault in base.Validate(validationContext))
            yield return fault;
        if (Augmentation != ImageAugmentation.None && Optimizer == OptimizerKind.Lbfgs)
            yield return new("option 'Augmentation' must be none with the optimiser Lbfgs, whose line search needs the same loss at the same weights");
    }
}
