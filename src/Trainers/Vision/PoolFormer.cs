// The network of MetaFormer whose tokens are mixed by average pooling, which has no weights.
//
// Yu, Luo, Zhou, Si, Zhou, Wang, Feng and Yan, "MetaFormer Is Actually What You Need for Vision", CVPR 2022, https://arxiv.org/abs/2111.11418
// Original code: https://github.com/sail-sg/poolformer
//
// The symbols are those of MetaFormer.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Training;
using MlNetMlp.Vision;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Vision.PoolFormer"/> trainers.</summary>
    public static class PoolFormerCatalog
    {
        /// <summary>Makes a trainer that predicts a number with a network of pooled image tokens: see <see cref="MlNetMlp.Vision.PoolFormer"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: images, or their pixels as a vector of Single of known size.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="preset">Sizes of the network.</param>
        /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> PoolFormer(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, MetaFormerPreset preset = MetaFormerPreset.Tiny32, int epochs = 30) =>
            catalog.CreateTrainer(new PoolFormer(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Preset = preset, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that predicts a number with a network of pooled image tokens: see <see cref="MlNetMlp.Vision.PoolFormer"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> PoolFormer(
            this RegressionCatalog.RegressionTrainers catalog, PoolFormer.Options options) => catalog.CreateTrainer(new PoolFormer(options));

        /// <summary>Makes a trainer that tells yes from no with a network of pooled image tokens: see <see cref="MlNetMlp.Vision.PoolFormer"/>.</summary>
        /// <inheritdoc cref="PoolFormer(RegressionCatalog.RegressionTrainers, string, string, string, MetaFormerPreset, int)"/>
        public static NetworkTrainer<BinaryNetworkModel> PoolFormer(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, MetaFormerPreset preset = MetaFormerPreset.Tiny32, int epochs = 30) =>
            catalog.CreateTrainer(new PoolFormer(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Preset = preset, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that tells yes from no with a network of pooled image tokens: see <see cref="MlNetMlp.Vision.PoolFormer"/>.</summary>
        /// <inheritdoc cref="PoolFormer(RegressionCatalog.RegressionTrainers, PoolFormer.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> PoolFormer(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, PoolFormer.Options options) => catalog.CreateTrainer(new PoolFormer(options));

        /// <summary>Makes a trainer that chooses one of many classes with a network of pooled image tokens: see <see cref="MlNetMlp.Vision.PoolFormer"/>.</summary>
        /// <inheritdoc cref="PoolFormer(RegressionCatalog.RegressionTrainers, string, string, string, MetaFormerPreset, int)"/>
        public static NetworkTrainer<MulticlassNetworkModel> PoolFormer(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, MetaFormerPreset preset = MetaFormerPreset.Tiny32, int epochs = 30) =>
            catalog.CreateTrainer(new PoolFormer(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Preset = preset, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that chooses one of many classes with a network of pooled image tokens: see <see cref="MlNetMlp.Vision.PoolFormer"/>.</summary>
        /// <inheritdoc cref="PoolFormer(RegressionCatalog.RegressionTrainers, PoolFormer.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> PoolFormer(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, PoolFormer.Options options) => catalog.CreateTrainer(new PoolFormer(options));
    }
}

namespace MlNetMlp.Vision
{
    /// <summary>
    /// <see cref="MetaFormer"/> with average pooling as the mixer of all stages: the paper's demonstration that the shape of the network does most of the work, and the
    /// cheapest of its mixers.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `PoolFormer` of the regression, binary and multiclass trainers' catalogs.
    ///
    /// ### Input and output columns
    /// Features are images (`MLImage`) or their pixels, a vector of [Single](xref:System.Single) of known size; labels a Single for regression, a Boolean for binary and a
    /// [key](xref:Microsoft.ML.Data.KeyDataViewType) for multiclass classification; example weights, if any, a Single.
    ///
    /// | Task | Column | Type | Description |
    /// | --- | --- | --- | --- |
    /// | regression | `Score` | Single | the predicted number, in the label's unit |
    /// | binary | `Score` | Single | the logit: above 0 for true |
    /// | binary | `Probability` | Single | 1 / (1 + exp(-Score)) |
    /// | binary | `PredictedLabel` | Boolean | whether the score is above 0 |
    /// | multiclass | `Score` | vector of Single | the probabilities of the classes |
    /// | multiclass | `PredictedLabel` | key | the most probable class, with the label's key values |
    ///
    /// Images are brought to the size that the option `ImageShape` says, or else have that of their column's type. Size and order of vectors are read off their dimensions, as
    /// ML.NET's `ExtractPixels` sets them, off the length of a flat vector of a square image, or given by the same option.
    ///
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | regression, binary and multiclass classification |
    /// | Is normalization required? | no: each channel is standardised inside |
    /// | Is caching required? | no: rows are kept in memory as far as the option `MemoryBudget` allows, else streamed |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers; Microsoft.ML.ImageAnalytics for image files |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// Those of `MetaFormer`, with Mix(x) = AvgPool(x) − x: the mean of the tokens in a window around each, in which places outside of the grid do not count, less the token,
    /// which comes back past the branch.
    ///
    /// ### References
    /// Yu and others, [MetaFormer Is Actually What You Need for Vision](https://arxiv.org/abs/2111.11418), CVPR 2022.
    /// ]]></format>
    /// </remarks>
    public sealed class PoolFormer(PoolFormer.Options options) : INetworkMethod
    {
        /// <summary>
        /// Options of <see cref="PoolFormer"/>. <see cref="MetaFormerOptions.Preset"/> is <see cref="MetaFormerPreset.Tiny32"/> by default. Of the options of all networks that
        /// are trained by gradients some have other defaults:
        /// <see cref="GradientTrainedOptions.LearningRate"/> is 0.002, <see cref="GradientTrainedOptions.Schedule"/> a cosine with <see cref="CosineSchedule.FinalFraction"/> 0.005
        /// and <see cref="LearningRateSchedule.WarmUpFraction"/> 0.1, <see cref="GradientTrainedOptions.WeightDecay"/> 0.05,
        /// <see cref="GradientTrainedOptions.LabelSmoothing"/> 0.1, <see cref="GradientTrainedOptions.GradientClipNorm"/> 5, <see cref="GradientTrainedOptions.BatchSize"/> 128 and
        /// <see cref="GradientTrainedOptions.Epochs"/> 30.
        /// </summary>
        public sealed record Options : MetaFormerOptions
        {
            /// <summary>Creates options with the defaults of this trainer.</summary>
            public Options() => Preset = MetaFormerPreset.Tiny32;

            /// <summary>Height and width of the window, odd, in [1, 63]; 3 by default.</summary>
            [Range(1, 63)]
            public int PoolSize { get; init; } = 3;

            /// <inheritdoc/>
            public override TokenMixer MixerOf(int stage) => new PoolingMixer { Size = PoolSize };

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (PoolSize % 2 == 0)
                    yield return new($"option 'PoolSize' must be odd, but was {PoolSize}");
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(PoolFormer);

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run) => MetaFormerFit.Fit(Name, options, data, head, run);
    }
}
