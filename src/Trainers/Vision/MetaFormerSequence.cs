// The network of MetaFormer on sequences: tokens lie in one row, and convolutions go along it.
//
// Yu, Luo, Zhou, Si, Zhou, Wang, Feng and Yan, "MetaFormer Is Actually What You Need for Vision", CVPR 2022, https://arxiv.org/abs/2111.11418
// Original code: https://github.com/sail-sg/poolformer
//
// T steps of C channels; the other symbols are those of MetaFormer.
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
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Vision.MetaFormerSequence"/> trainers.</summary>
    public static class MetaFormerSequenceCatalog
    {
        /// <summary>Makes a trainer that predicts a number with a network of sequence tokens: see <see cref="MlNetMlp.Vision.MetaFormerSequence"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: all channels at the first step, all at the second and so on, a vector of Single of known size.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="sequenceLength">T, steps of a sequence; null for what the dimensions of the feature column say.</param>
        /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> MetaFormerSequence(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int? sequenceLength = null, int epochs = 30) =>
            catalog.CreateTrainer(new MetaFormerSequence(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                SequenceLength = sequenceLength, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that predicts a number with a network of sequence tokens: see <see cref="MlNetMlp.Vision.MetaFormerSequence"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> MetaFormerSequence(
            this RegressionCatalog.RegressionTrainers catalog, MetaFormerSequence.Options options) => catalog.CreateTrainer(new MetaFormerSequence(options));

        /// <summary>Makes a trainer that tells yes from no with a network of sequence tokens: see <see cref="MlNetMlp.Vision.MetaFormerSequence"/>.</summary>
        /// <inheritdoc cref="MetaFormerSequence(RegressionCatalog.RegressionTrainers, string, string, string, int?, int)"/>
        public static NetworkTrainer<BinaryNetworkModel> MetaFormerSequence(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int? sequenceLength = null, int epochs = 30) =>
            catalog.CreateTrainer(new MetaFormerSequence(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                SequenceLength = sequenceLength, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that tells yes from no with a network of sequence tokens: see <see cref="MlNetMlp.Vision.MetaFormerSequence"/>.</summary>
        /// <inheritdoc cref="MetaFormerSequence(RegressionCatalog.RegressionTrainers, MetaFormerSequence.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> MetaFormerSequence(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, MetaFormerSequence.Options options) => catalog.CreateTrainer(new MetaFormerSequence(options));

        /// <summary>Makes a trainer that chooses one of many classes with a network of sequence tokens: see <see cref="MlNetMlp.Vision.MetaFormerSequence"/>.</summary>
        /// <inheritdoc cref="MetaFormerSequence(RegressionCatalog.RegressionTrainers, string, string, string, int?, int)"/>
        public static NetworkTrainer<MulticlassNetworkModel> MetaFormerSequence(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int? sequenceLength = null, int epochs = 30) =>
            catalog.CreateTrainer(new MetaFormerSequence(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                SequenceLength = sequenceLength, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that chooses one of many classes with a network of sequence tokens: see <see cref="MlNetMlp.Vision.MetaFormerSequence"/>.</summary>
        /// <inheritdoc cref="MetaFormerSequence(RegressionCatalog.RegressionTrainers, MetaFormerSequence.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> MetaFormerSequence(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, MetaFormerSequence.Options options) => catalog.CreateTrainer(new MetaFormerSequence(options));
    }
}

namespace MlNetMlp.Vision
{
    /// <summary>
    /// A trainer of sequences of one length, such as windows of sensors: what <see cref="MetaFormer"/> is for images. Some steps become a token, and tokens go through blocks that
    /// first mix them and then change each by an MLP.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `MetaFormerSequence` of the regression, binary and multiclass trainers' catalogs.
    ///
    /// ### Input and output columns
    /// Features are a vector of [Single](xref:System.Single) of known size with T·C values: all channels at the first step, all at the second and so on; labels a Single for
    /// regression, a Boolean for binary and a [key](xref:Microsoft.ML.Data.KeyDataViewType) for multiclass classification; example weights, if any, a Single.
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
    /// T and C are the dimensions of the vector's type, where it has two; else the option `SequenceLength` gives T, or there is one channel.
    ///
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | regression, binary and multiclass classification |
    /// | Is normalization required? | no: each channel is standardised inside |
    /// | Is caching required? | no: rows are kept in memory as far as the option `MemoryBudget` allows, else streamed |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// Those of `MetaFormer` on an image of one row: a convolution along the steps makes tokens of D values, blocks compute x ← x + λ₁ ⊙ Mix(N₁(x)) and x ← x + λ₂ ⊙ MLP(N₂(x)), and
    /// between two stages a convolution makes half as many tokens of more values. The mean of the last tokens goes through a dense layer.
    ///
    /// ### References
    /// Yu and others, [MetaFormer Is Actually What You Need for Vision](https://arxiv.org/abs/2111.11418), CVPR 2022.
    /// ]]></format>
    /// </remarks>
    public sealed class MetaFormerSequence(MetaFormerSequence.Options options) : INetworkMethod
    {
        /// <summary>
        /// Options of <see cref="MetaFormerSequence"/>. Of the options of all networks that are trained by gradients some have other defaults:
        /// <see cref="GradientTrainedOptions.LearningRate"/> is 0.002, <see cref="GradientTrainedOptions.Schedule"/> a cosine with <see cref="CosineSchedule.FinalFraction"/> 0.005
        /// and <see cref="LearningRateSchedule.WarmUpFraction"/> 0.1, <see cref="GradientTrainedOptions.WeightDecay"/> 0.05,
        /// <see cref="GradientTrainedOptions.LabelSmoothing"/> 0.1, <see cref="GradientTrainedOptions.GradientClipNorm"/> 5, <see cref="GradientTrainedOptions.BatchSize"/> 128 and
        /// <see cref="GradientTrainedOptions.Epochs"/> 30.
        /// </summary>
        public sealed record Options : GradientTrainedOptions
        {
            /// <summary>Creates options with the defaults of this trainer, which are those of trainers of images.</summary>
            public Options()
            {
                var images = new MetaFormer.Options();
                LearningRate = images.LearningRate;
                Schedule = images.Schedule;
                WeightDecay = images.WeightDecay;
                LabelSmoothing = images.LabelSmoothing;
                GradientClipNorm = images.GradientClipNorm;
                BatchSize = images.BatchSize;
                Epochs = images.Epochs;
            }

            /// <summary>
            /// T, steps of a sequence, in [1, 65536]; null (the default): the first of two dimensions of the feature column's type, else all values are steps of one channel.
            /// </summary>
            [Range(1, 1 << 16)]
            public int? SequenceLength { get; init; }

            /// <summary>What mixes the tokens, in all stages that <see cref="Mixers"/> does not name; <see cref="DepthwiseConvMixer"/> by default.</summary>
            [Required]
            public TokenMixer Mixer { get; init; } = new DepthwiseConvMixer();

            /// <summary>What mixes the tokens of each stage from the first on, such as pooling before attention; null (the default): <see cref="Mixer"/> in all.</summary>
            public ValueList<TokenMixer>? Mixers { get; init; }

            /// <summary>Blocks and channels of each stage, of 1 to 16; 2 blocks of 32 and 2 of 64 by default.</summary>
            [Required]
            public ValueList<StageSize> Stages { get; init; } = [new(2, 32), new(2, 64)];

            /// <summary>The convolution that makes the first tokens, along the steps; null (the default): kernels of 3 at every other step.</summary>
            public PatchShape? Stem { get; init; }

            /// <summary>The convolution between two stages; null (the default): kernels of 3 at every other token.</summary>
            public PatchShape? DownSampling { get; init; }

            /// <summary>How many times the MLP of a block widens the channels inside, in [0, 16], 0 for blocks without one; 4 by default.</summary>
            [Range(0, 16)]
            public int MlpRatio { get; init; } = 4;

            /// <summary>What tokens are normalised by; null (the default): what suits the mixer of the stage.</summary>
            public TokenNorm? Norm { get; init; }

            /// <summary>
            /// What the factors of the branches start from, in [0, 10]; null (the default): 1 for up to 8 blocks, 1e-5 for up to 24, else 1e-6.
            /// </summary>
            [Range(0, 10)]
            public double? LayerScaleInit { get; init; }

            /// <summary>Probability with which the branches of the last block are left out in training, in [0, 0.95], less in blocks before it; 0 by default.</summary>
            [Range(0, 0.95)]
            public double DropPath { get; init; }

            /// <summary>Share of values dropped after each dense layer of the MLPs in training, in [0, 0.95]; 0 by default.</summary>
            [Range(0, 0.95)]
            public double DropRate { get; init; }

            /// <summary>Before which stages a map of positions is added; <see cref="Vision.PositionMaps.Auto"/> by default.</summary>
            public PositionMaps PositionMaps { get; init; } = PositionMaps.Auto;

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (Stages.Count is 0 or > 16)
                    yield return new($"option 'Stages' must be 1 to 16, but were {Stages.Count}");
                if ((DropPath > 0 || DropRate > 0) && Optimizer == OptimizerKind.Lbfgs)
                    yield return new("options 'DropPath' and 'DropRate' must be 0 with the optimiser Lbfgs, whose line search needs the same loss at the same weights");
            }

            /// <summary>The sequences of a training set, as images of one row.</summary>
            internal ImageShape ShapeOf(TrainingSet data)
            {
                var steps = SequenceLength ?? data.FeatureDimensions[0];
                return data.FeatureDimensions.Count <= 2 && data.FeatureCount % steps == 0
                    ? new(1, steps, data.FeatureCount / steps) { Order = PixelOrder.Interleaved }
                    : throw new InvalidOperationException(
                        $"Column '{FeatureColumnName}' is a vector of {string.Join(" x ", data.FeatureDimensions)} values, which is no sequence of {steps} steps. "
                        + "Give the option 'SequenceLength', of which the number of values is a multiple.");
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(MetaFormerSequence);

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var definition = new MetaFormerDefinition
            {
                Inputs = data.FeatureCount,
                Outputs = head.Outputs,
                Image = options.ShapeOf(data),
                IsSequence = true,
                Stem = options.Stem ?? new(3, 2, 1),
                DownSampling = options.DownSampling ?? new(3, 2, 1),
                Stages = StageSize.ToStages(
                    options.Stages, stage => stage < options.Mixers?.Count ? options.Mixers[stage] : options.Mixer, options.Norm, options.MlpRatio, options.PositionMaps),
                HasLayerScale = true,
                HasResiduals = true,
            };
            var start = options.LayerScaleInit ?? StageSize.LayerScaleOf(options.Stages);
            return MetaFormerFit.Fit(
                new MetaFormerShell(Name, "sequences", definition, start, options.DropPath, options.DropRate, ImageAugmentation.None), options, data, head, run);
        }
    }
}
