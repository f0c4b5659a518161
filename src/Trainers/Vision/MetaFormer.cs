// A network of tokens of an image, whose shape is fixed and whose way to mix tokens is an option.
//
// Yu, Luo, Zhou, Si, Zhou, Wang, Feng and Yan, "MetaFormer Is Actually What You Need for Vision", CVPR 2022, https://arxiv.org/abs/2111.11418
// Original code: https://github.com/sail-sg/poolformer
//
// C, H, W channels, height and width of images; D values of a token; N₁, N₂ normalisations; Mix the token mixer; λ₁, λ₂ ∈ R^D factors of the branches (layer scale);
// p_b the probability with which the branches of block b are left out (stochastic depth); K outputs.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Training;
using MlNetMlp.Vision;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Vision.MetaFormer"/> trainers.</summary>
    public static class MetaFormerCatalog
    {
        /// <summary>Makes a trainer that predicts a number with a network of image tokens: see <see cref="MlNetMlp.Vision.MetaFormer"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: images, or their pixels as a vector of Single of known size.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="preset">Sizes of the network.</param>
        /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> MetaFormer(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, MetaFormerPreset preset = MetaFormerPreset.Small28, int epochs = 30) =>
            catalog.CreateTrainer(new MetaFormer(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Preset = preset, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that predicts a number with a network of image tokens: see <see cref="MlNetMlp.Vision.MetaFormer"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> MetaFormer(
            this RegressionCatalog.RegressionTrainers catalog, MetaFormer.Options options) => catalog.CreateTrainer(new MetaFormer(options));

        /// <summary>Makes a trainer that tells yes from no with a network of image tokens: see <see cref="MlNetMlp.Vision.MetaFormer"/>.</summary>
        /// <inheritdoc cref="MetaFormer(RegressionCatalog.RegressionTrainers, string, string, string, MetaFormerPreset, int)"/>
        public static NetworkTrainer<BinaryNetworkModel> MetaFormer(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, MetaFormerPreset preset = MetaFormerPreset.Small28, int epochs = 30) =>
            catalog.CreateTrainer(new MetaFormer(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Preset = preset, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that tells yes from no with a network of image tokens: see <see cref="MlNetMlp.Vision.MetaFormer"/>.</summary>
        /// <inheritdoc cref="MetaFormer(RegressionCatalog.RegressionTrainers, MetaFormer.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> MetaFormer(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, MetaFormer.Options options) => catalog.CreateTrainer(new MetaFormer(options));

        /// <summary>Makes a trainer that chooses one of many classes with a network of image tokens: see <see cref="MlNetMlp.Vision.MetaFormer"/>.</summary>
        /// <inheritdoc cref="MetaFormer(RegressionCatalog.RegressionTrainers, string, string, string, MetaFormerPreset, int)"/>
        public static NetworkTrainer<MulticlassNetworkModel> MetaFormer(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, MetaFormerPreset preset = MetaFormerPreset.Small28, int epochs = 30) =>
            catalog.CreateTrainer(new MetaFormer(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Preset = preset, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that chooses one of many classes with a network of image tokens: see <see cref="MlNetMlp.Vision.MetaFormer"/>.</summary>
        /// <inheritdoc cref="MetaFormer(RegressionCatalog.RegressionTrainers, MetaFormer.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> MetaFormer(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, MetaFormer.Options options) => catalog.CreateTrainer(new MetaFormer(options));
    }
}

namespace MlNetMlp.Vision
{
    /// <summary>
    /// A trainer of images, from digits to photographs: tokens, made of the image by a convolution, go through blocks that first mix tokens and then change each by an MLP. What
    /// mixes the tokens is an option: convolutions, pooling, attention, dense layers over places, or a mixer of one's own.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `MetaFormer` of the regression, binary and multiclass trainers' catalogs.
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
    /// A convolution makes tokens of D values. Each block computes x ← x + λ₁ ⊙ Mix(N₁(x)) and x ← x + λ₂ ⊙ MLP(N₂(x)), where the MLP widens each token to 4·D values, applies
    /// GELU and narrows it again. Between two stages a convolution of 3 x 3 makes a quarter as many tokens of more values. The last tokens are normalised and averaged, and a
    /// dense layer makes the K outputs. N is group normalisation with one group, or layer normalisation of each token where attention mixes.
    ///
    /// The loss is cross-entropy with a share of the target spread over the classes, or the squared error on standardised labels; the optimiser AdamW with decay on matrices
    /// and filters only, its rate rising over the first tenth of the steps and falling along a cosine. The branches of block b of B are left out with probability
    /// p·b/(B − 1) in each row. Images are changed at random as the option `Augmentation` says.
    ///
    /// ### References
    /// Yu and others, [MetaFormer Is Actually What You Need for Vision](https://arxiv.org/abs/2111.11418), CVPR 2022.
    /// ]]></format>
    /// </remarks>
    public sealed class MetaFormer(MetaFormer.Options options) : INetworkMethod
    {
        /// <summary>
        /// Options of <see cref="MetaFormer"/>. Of the options of all networks that are trained by gradients some have other defaults:
        /// <see cref="GradientTrainedOptions.LearningRate"/> is 0.002, <see cref="GradientTrainedOptions.Schedule"/> a cosine with <see cref="CosineSchedule.FinalFraction"/> 0.005
        /// and <see cref="LearningRateSchedule.WarmUpFraction"/> 0.1, <see cref="GradientTrainedOptions.WeightDecay"/> 0.05,
        /// <see cref="GradientTrainedOptions.LabelSmoothing"/> 0.1, <see cref="GradientTrainedOptions.GradientClipNorm"/> 5, <see cref="GradientTrainedOptions.BatchSize"/> 128 and
        /// <see cref="GradientTrainedOptions.Epochs"/> 30.
        /// </summary>
        public sealed record Options : MetaFormerOptions
        {
            // NOTE[DIFF]: a small network, convolutions as mixers, factors of the branches that start from 1, and no augmentation, where the paper has networks of 12 to 73
            // million weights, pooling, factors from 1e-5, and mixup, CutMix, RandAugment and erasing. The paper passes 300 times over 1.3 million photographs. Some epochs on
            // some thousand small images teach blocks nothing that begin near the identity, a mixer without weights needs depth, and mirrored digits are no digits.

            /// <summary>What mixes the tokens, in all stages that <see cref="Mixers"/> does not name; <see cref="DepthwiseConvMixer"/> by default.</summary>
            [Required]
            public TokenMixer Mixer { get; init; } = new DepthwiseConvMixer();

            /// <summary>What mixes the tokens of each stage from the first on, such as pooling below attention; null (the default): <see cref="Mixer"/> in all.</summary>
            public ValueList<TokenMixer>? Mixers { get; init; }

            /// <inheritdoc/>
            public override TokenMixer MixerOf(int stage) => stage < Mixers?.Count ? Mixers[stage] : Mixer;
        }

        /// <inheritdoc/>
        public string Name => nameof(MetaFormer);

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run) => MetaFormerFit.Fit(Name, options, data, head, run);
    }
}
