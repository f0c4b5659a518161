// A residual MLP on the plain feature vector, without any assumption on what stands beside what, made to learn by how it is trained.
//
// Bachmann, Anagnostidis and Hofmann, "Scaling MLPs: A Tale of Inductive Bias", NeurIPS 2023, https://arxiv.org/abs/2306.13575
// Original code: https://github.com/gregorbachmann/scaling_mlps
//
// D features, K outputs, W width, L blocks, f expansion factor, φ nonlinearity, LN layer normalisation, s label smoothing;
// A_in, b_in, A_out, b_out the first and the last layer; V_l, c_l and U_l, d_l the two layers of block l; λ ~ Beta(α, α) mixes two rows.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Tabular;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Tabular.ScaledMlp"/> trainers.</summary>
    public static class ScaledMlpCatalog
    {
        /// <summary>Makes a trainer that predicts a number with a residual MLP: see <see cref="MlNetMlp.Tabular.ScaledMlp"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size. It needs no normalisation.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="width">W, units of a layer, in [8, 65536].</param>
        /// <param name="blocks">L, number of residual blocks, in [1, 64].</param>
        /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> ScaledMlp(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int width = 128, int blocks = 2, int epochs = 100) =>
            catalog.CreateTrainer(new ScaledMlp(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Width = width, Blocks = blocks, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that predicts a number with a residual MLP: see <see cref="MlNetMlp.Tabular.ScaledMlp"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> ScaledMlp(
            this RegressionCatalog.RegressionTrainers catalog, ScaledMlp.Options options) => catalog.CreateTrainer(new ScaledMlp(options));

        /// <summary>Makes a trainer that tells yes from no with a residual MLP: see <see cref="MlNetMlp.Tabular.ScaledMlp"/>.</summary>
        /// <inheritdoc cref="ScaledMlp(RegressionCatalog.RegressionTrainers, string, string, string, int, int, int)"/>
        public static NetworkTrainer<BinaryNetworkModel> ScaledMlp(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label",
            string featureColumnName = "Features", string? exampleWeightColumnName = null, int width = 128, int blocks = 2, int epochs = 100) =>
            catalog.CreateTrainer(new ScaledMlp(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Width = width, Blocks = blocks, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that tells yes from no with a residual MLP: see <see cref="MlNetMlp.Tabular.ScaledMlp"/>.</summary>
        /// <inheritdoc cref="ScaledMlp(RegressionCatalog.RegressionTrainers, ScaledMlp.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> ScaledMlp(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, ScaledMlp.Options options) =>
            catalog.CreateTrainer(new ScaledMlp(options));

        /// <summary>Makes a trainer that chooses one of many classes with a residual MLP: see <see cref="MlNetMlp.Tabular.ScaledMlp"/>.</summary>
        /// <inheritdoc cref="ScaledMlp(RegressionCatalog.RegressionTrainers, string, string, string, int, int, int)"/>
        public static NetworkTrainer<MulticlassNetworkModel> ScaledMlp(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label",
            string featureColumnName = "Features", string? exampleWeightColumnName = null, int width = 128, int blocks = 2, int epochs = 100) =>
            catalog.CreateTrainer(new ScaledMlp(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Width = width, Blocks = blocks, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that chooses one of many classes with a residual MLP: see <see cref="MlNetMlp.Tabular.ScaledMlp"/>.</summary>
        /// <inheritdoc cref="ScaledMlp(RegressionCatalog.RegressionTrainers, ScaledMlp.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> ScaledMlp(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, ScaledMlp.Options options) =>
            catalog.CreateTrainer(new ScaledMlp(options));
    }
}

namespace MlNetMlp.Tabular
{
    /// <summary>
    /// The general-purpose trainer: a residual MLP on the plain feature vector, for tables and for small images alike, whose inputs it
    /// standardises itself.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `ScaledMlp` of the regression, binary and multiclass trainers' catalogs.
    ///
    /// ### Input and output columns
    /// Features are a vector of [Single](xref:System.Single) of known size; labels a Single for regression, a Boolean for binary and a
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
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | regression, binary and multiclass classification |
    /// | Is normalization required? | no: features are standardised inside |
    /// | Is caching required? | no: rows are kept in memory as far as the option `MemoryBudget` allows, else streamed |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// Features x become z₀ = A_in·x + b_in, and each block adds to them what an inverted bottleneck makes of their normalised values:
    /// z_l = z_{l−1} + U_l·φ(V_l·LN_l(z_{l−1}) + c_l) + d_l, with V_l widening W units to f·W and U_l narrowing them again. The outputs
    /// are A_out·z_L + b_out, without a normalisation before. Weights and biases start from U(−1/√n, 1/√n) for n inputs of a layer.
    /// The loss is cross-entropy with a share s of the target spread over the classes, or the squared error on standardised labels. With
    /// mixup, one λ ~ Beta(α, α) is drawn for a batch and each row x becomes λ·x + (1−λ)·x′ with another row x′ of the batch; the loss
    /// becomes λ times that by x's label plus 1−λ times that by the label of x′.
    ///
    /// The paper trains on images by the ten million: W = 512 or 1,024, L = 6 or 12, f = 4, Lion with a constant rate of 5e-5, no weight
    /// decay, batches of 4,096 to 16,384 rows, s = 0.3 and α = 0.8. Give these options for large image sets; the defaults are chosen for
    /// tables of 500 to 50,000 rows.
    ///
    /// ### References
    /// Bachmann, Anagnostidis and Hofmann, [Scaling MLPs: A Tale of Inductive Bias](https://arxiv.org/abs/2306.13575), NeurIPS 2023.
    /// ]]></format>
    /// </remarks>
    public sealed class ScaledMlp(ScaledMlp.Options options) : INetworkMethod
    {
        /// <summary>
        /// Options of <see cref="ScaledMlp"/>. Of the options of all networks that are trained by gradients three have other defaults:
        /// <see cref="GradientTrainedOptions.Schedule"/> is a cosine, <see cref="GradientTrainedOptions.WeightDecay"/> 0.1 and
        /// <see cref="GradientTrainedOptions.LabelSmoothing"/> 0.05.
        /// </summary>
        public sealed record Options : GradientTrainedOptions
        {
            // NOTE[DIFF]: AdamW, a cosine, some weight decay, s = 0.05 and a small network without mixup, where the paper has Lion, a
            // constant rate, no decay, s = 0.3 and α = 0.8. The paper passes over ten million images hundreds of times. Tables of a few
            // thousand rows are soon learned by heart, hence the decay; mixed rows blur what depends on the exact value of a feature
            // (with α = 0.8 the squared error on airfoil noise more than doubles); and s = 0.3 makes the probabilities far too timid.

            /// <summary>Creates options with the defaults of this trainer.</summary>
            public Options()
            {
                Schedule = LearningRateSchedule.Cosine();
                WeightDecay = 0.1;
                LabelSmoothing = 0.05;
            }

            /// <summary>W, units of a layer, in [8, 65536]; 128 by default, 512 or 1,024 in the paper. Time grows with its square.</summary>
            [Range(8, 1 << 16)]
            public int Width { get; init; } = 128;

            /// <summary>
            /// L, number of residual blocks, in [1, 64]; 2 by default, 6 or 12 in the paper. With
            /// <see cref="ScaledMlpArchitecture.Standard"/> the number of hidden layers, each with a nonlinearity after it.
            /// </summary>
            [Range(1, 64)]
            public int Blocks { get; init; } = 2;

            /// <summary>f, how many times W a block is wide inside, in [1, 8]; 2 by default, 4 in the paper. For inverted bottlenecks.</summary>
            [Range(1, 8)]
            public int ExpansionFactor { get; init; } = 2;

            /// <summary>
            /// How the layers are connected; <see cref="ScaledMlpArchitecture.InvertedBottleneck"/> by default. The standard MLP, the paper's baseline, does not learn when it
            /// is deep.
            /// </summary>
            public ScaledMlpArchitecture Architecture { get; init; } = ScaledMlpArchitecture.InvertedBottleneck;

            /// <summary>
            /// What is normalised before each block, or before each nonlinearity of the standard MLP; layers by default, as in the paper.
            /// </summary>
            public ScaledMlpNormalization Normalization { get; init; } = ScaledMlpNormalization.Layer;

            /// <summary>φ, the nonlinearity; exact GELU by default, as in the paper.</summary>
            public ScaledMlpActivation Activation { get; init; } = ScaledMlpActivation.Gelu;

            /// <summary>
            /// α of mixup, in [0, 100], 0 for none; 0 by default, 0.8 in the paper. Try 0.2 where a small set is learned by
            /// heart. One λ is drawn for a batch, or for each part of it where <see cref="GradientTrainedOptions.MicroBatchSize"/> splits it.
            /// </summary>
            [Range(0, 100)]
            public double MixupAlpha { get; init; }

            /// <summary>Whether each feature is standardised by mean and deviation of the training rows; true by default.</summary>
            public bool StandardizeInputs { get; init; } = true;

            /// <summary>
            /// Whether standardised features x are bent to x/√(1 + (x/3)²), within ±3, so that outliers do not drown the rest; true by
            /// default. It needs <see cref="StandardizeInputs"/>. Turn it off where predictions must go on beyond the range of the data.
            /// </summary>
            public bool ClipInputs { get; init; } = true;

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (MixupAlpha > 0 && Optimizer == OptimizerKind.Lbfgs)
                {
                    yield return new ValidationResult(
                        "option 'MixupAlpha' must be 0 with the optimiser Lbfgs, whose line search needs the same loss at the same weights");
                }
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(ScaledMlp);

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var network = (ScaledMlpNetwork)run.Create(new ScaledMlpDefinition
            {
                Inputs = data.FeatureCount,
                Outputs = head.Outputs,
                Width = options.Width,
                Blocks = options.Blocks,
                ExpansionFactor = options.ExpansionFactor,
                Architecture = options.Architecture,
                Normalization = options.Normalization,
                Activation = options.Activation,
                StandardizeInputs = options.StandardizeInputs,
                ClipInputs = options.StandardizeInputs && options.ClipInputs,
            });
            if (!run.IsContinued)
                network.SetScaling(data.Statistics);
            run.Minimize(network, data, head, options.ToSettings(data.RowCount), options.MixupAlpha > 0 ? Mixup : null);
            return network;

            Tensor Mixup(Network trained, RowBlock batch)
            {
                using var alpha = tensor(new[] { (float)options.MixupAlpha }, device: batch.Features.device);
                var lambda = distributions.Beta(alpha, alpha, run.Random.Training).sample();
                var order = randperm(batch.Rows, device: batch.Features.device, generator: run.Random.Training);
                return MixedLoss(trained, batch, head, options.LabelSmoothing, lambda, order);
            }
        }

        /// <summary>The loss of rows that are mixed with others: see <see cref="MixedRows"/>.</summary>
        internal static Tensor MixedLoss(Network network, RowBlock batch, TaskHead head, double labelSmoothing, Tensor lambda, Tensor order)
        {
            var outputs = network.call(lerp(batch.Features.index_select(0, order), batch.Features, lambda));
            return MixedRows.Loss(head, outputs, batch, order, lambda, labelSmoothing);
        }
    }
}
