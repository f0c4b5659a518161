// Training on rows that are moved against the network as it learns: its predictions then change little when features do, and its gradients point at the
// features that tell the classes apart.
//
// Shah, Jain and Netrapalli, "Do Input Gradients Highlight Discriminative Features?", NeurIPS 2021, https://arxiv.org/abs/2102.12781
// Original code: https://github.com/harshays/inputgradients
// Madry and others, "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, https://arxiv.org/abs/1706.06083
//
// x features of a row, δ its perturbation, ε its greatest size, u the unit of each feature.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Explain;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Explain.AdversariallyRobustNetwork"/> trainers.</summary>
    public static class AdversariallyRobustNetworkCatalog
    {
        /// <summary>Makes a trainer that predicts a number with a network that small changes of the features hardly move: see <see cref="MlNetMlp.Explain.AdversariallyRobustNetwork"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="epsilon">ε, greatest size of a perturbation, at least 0; 0 is ordinary training.</param>
        /// <param name="norm">What that size is measured by.</param>
        /// <param name="epochs">Passes over the rows, in [1, 1,000,000].</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> AdversariallyRobustNetwork(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, double epsilon = 0.5, PerturbationNorm norm = PerturbationNorm.L2, int epochs = 30) =>
            catalog.CreateTrainer(new AdversariallyRobustNetwork(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Epsilon = epsilon, Norm = norm, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that predicts a number with a network that small changes of the features hardly move: see <see cref="MlNetMlp.Explain.AdversariallyRobustNetwork"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> AdversariallyRobustNetwork(
            this RegressionCatalog.RegressionTrainers catalog, AdversariallyRobustNetwork.Options options) =>
            catalog.CreateTrainer(new AdversariallyRobustNetwork(options));

        /// <summary>Makes a trainer that tells yes from no with a network that small changes of the features hardly move: see <see cref="MlNetMlp.Explain.AdversariallyRobustNetwork"/>.</summary>
        /// <inheritdoc cref="AdversariallyRobustNetwork(RegressionCatalog.RegressionTrainers, string, string, string, double, PerturbationNorm, int)"/>
        public static NetworkTrainer<BinaryNetworkModel> AdversariallyRobustNetwork(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, double epsilon = 0.5, PerturbationNorm norm = PerturbationNorm.L2, int epochs = 30) =>
            catalog.CreateTrainer(new AdversariallyRobustNetwork(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Epsilon = epsilon, Norm = norm, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that tells yes from no with a network that small changes of the features hardly move: see <see cref="MlNetMlp.Explain.AdversariallyRobustNetwork"/>.</summary>
        /// <inheritdoc cref="AdversariallyRobustNetwork(RegressionCatalog.RegressionTrainers, AdversariallyRobustNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> AdversariallyRobustNetwork(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, AdversariallyRobustNetwork.Options options) =>
            catalog.CreateTrainer(new AdversariallyRobustNetwork(options));

        /// <summary>Makes a trainer that chooses one of many classes with a network that small changes of the features hardly move: see <see cref="MlNetMlp.Explain.AdversariallyRobustNetwork"/>.</summary>
        /// <inheritdoc cref="AdversariallyRobustNetwork(RegressionCatalog.RegressionTrainers, string, string, string, double, PerturbationNorm, int)"/>
        public static NetworkTrainer<MulticlassNetworkModel> AdversariallyRobustNetwork(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, double epsilon = 0.5, PerturbationNorm norm = PerturbationNorm.L2, int epochs = 30) =>
            catalog.CreateTrainer(new AdversariallyRobustNetwork(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Epsilon = epsilon, Norm = norm, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that chooses one of many classes with a network that small changes of the features hardly move: see <see cref="MlNetMlp.Explain.AdversariallyRobustNetwork"/>.</summary>
        /// <inheritdoc cref="AdversariallyRobustNetwork(RegressionCatalog.RegressionTrainers, AdversariallyRobustNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> AdversariallyRobustNetwork(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, AdversariallyRobustNetwork.Options options) =>
            catalog.CreateTrainer(new AdversariallyRobustNetwork(options));
    }
}

namespace MlNetMlp.Explain
{
    /// <summary>
    /// A network of ReLU units that is trained on rows which are moved, within a ball around each, to where its loss is greatest. Explanations by its gradients point at what
    /// tells the classes apart more often than those of an ordinary network, and attacks on its features do less.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `AdversariallyRobustNetwork` of the regression, binary and multiclass trainers' catalogs.
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
    /// | Is normalization required? | no: features are standardised inside; but ε is in the units of the features, or of the option `Unit` |
    /// | Is caching required? | no: rows are kept in memory as far as the option `MemoryBudget` allows, else streamed |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// For each batch δ starts at 0, or at a random point with the option `RandomStart`. `AttackSteps` times it goes a step of `AttackStepSize` along the gradient of the loss
    /// by the features (its sign for `LInf`, its direction for `L2`), back into the ball ‖δ/u‖ ≤ ε, and back to where all features are between `InputMin` and `InputMax`.
    /// The weights then take one step of Adam on the rows x + δ. ε rises from 0 over the first epochs, without which the network often learns nothing. A network
    /// that rows are held out for is judged on these as attacks of the full ε move them.
    ///
    /// Features that are images (the option `ImageShape`) go through three convolutions of 3 x 3 with 16, 32 and 32 channels, each of which halves height and width,
    /// before the hidden layers.
    ///
    /// ### References
    /// Shah, Jain and Netrapalli, [Do Input Gradients Highlight Discriminative Features?](https://arxiv.org/abs/2102.12781), NeurIPS 2021.
    /// ]]></format>
    /// </remarks>
    public sealed class AdversariallyRobustNetwork(AdversariallyRobustNetwork.Options options) : INetworkMethod
    {
        private const double Large = 2;
        private const double Small = 0.001;

        /// <summary>
        /// Options of <see cref="AdversariallyRobustNetwork"/>. Of those of all networks that are trained by gradients some have other defaults:
        /// <see cref="GradientTrainedOptions.Optimizer"/> is Adam, <see cref="GradientTrainedOptions.Epochs"/> 30, <see cref="GradientTrainedOptions.BatchSize"/> 250 and
        /// <see cref="NetworkOptions.ValidationFraction"/> 0.
        /// </summary>
        public sealed record Options : GradientTrainedOptions
        {
            // NOTE[DIFF]: Adam and an ε that rises, where the original has SGD and the full ε from the start: on its own synthetic task that needs 25,000 hidden units to
            // learn anything.

            /// <summary>Creates options with the defaults of this trainer.</summary>
            public Options()
            {
                Optimizer = OptimizerKind.Adam;
                Epochs = 30;
                BatchSize = 250;
                ValidationFraction = 0;
            }

            /// <summary>Units of a hidden layer, in [1, 65536]; 256 by default.</summary>
            [Range(1, 1 << 16)]
            public int HiddenUnits { get; init; } = 256;

            /// <summary>Number of hidden layers, in [0, 64], behind the convolutions where there are any; 2 by default.</summary>
            [Range(0, 64)]
            public int HiddenLayers { get; init; } = 2;

            /// <summary>The size of the images that the features are; null (the default) where they are none.</summary>
            public ImageShape? ImageShape { get; init; }

            /// <summary>What the size of a perturbation is measured by; <see cref="PerturbationNorm.L2"/>, its length, by default.</summary>
            public PerturbationNorm Norm { get; init; } = PerturbationNorm.L2;

            /// <summary>ε, greatest size of a perturbation, at least 0, in units of <see cref="Unit"/>; 0.5 by default. 0 is ordinary training.</summary>
            [Range(0, double.MaxValue)]
            public double Epsilon { get; init; } = 0.5;

            /// <summary>u, what perturbations of each feature are multiples of; <see cref="PerturbationUnit.One"/> by default: the unit of the feature itself.</summary>
            [Required]
            public PerturbationUnit Unit { get; init; } = PerturbationUnit.One;

            /// <summary>Steps of an attack, in [1, 100]; 8 by default. Training takes about as many times longer.</summary>
            [Range(1, 100)]
            public int AttackSteps { get; init; } = 8;

            /// <summary>Length of a step, above 0, in units of <see cref="Unit"/>; null (the default) for a quarter of ε.</summary>
            [Range(0, double.MaxValue, MinimumIsExclusive = true)]
            public double? AttackStepSize { get; init; }

            /// <summary>Whether attacks start at a random point of the ball, and not at the row; false by default.</summary>
            public bool RandomStart { get; init; }

            /// <summary>What no attack lowers a feature below, any finite number; null (the default) for no bound.</summary>
            [Range(double.MinValue, double.MaxValue)]
            public double? InputMin { get; init; }

            /// <summary>What no attack raises a feature above, any finite number; null (the default) for no bound.</summary>
            [Range(double.MinValue, double.MaxValue)]
            public double? InputMax { get; init; }

            /// <summary>Epochs over which ε rises evenly from 0, in [0, 1,000,000]; null (the default) for half of all.</summary>
            [Range(0, 1_000_000)]
            public int? EpsilonWarmupEpochs { get; init; }

            /// <summary>Whether each feature is standardised by mean and deviation of the training rows; null (the default) for where features are no images.</summary>
            public bool? StandardizeInputs { get; init; }

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (InputMin > InputMax)
                    yield return new($"option 'InputMin' must be at most 'InputMax', but was {InputMin}, and 'InputMax' {InputMax}");
                if (Optimizer == OptimizerKind.Lbfgs && Epsilon > 0)
                    yield return new("option 'Optimizer' must descend by batches where rows are moved in each of them, but was Lbfgs");
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(AdversariallyRobustNetwork);

        NetworkOptions INetworkMethod.Options => options;

        ImageShape? INetworkMethod.ImageShape => options.ImageShape;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            if (options.ImageShape is { } image && image.Size != data.FeatureCount)
            {
                throw new InvalidOperationException(
                    $"The option 'ImageShape' is {image}, which are {image.Size} values, but rows have {data.FeatureCount} features.");
            }

            var network = (RobustNetwork)run.Create(new RobustNetworkDefinition
            {
                Inputs = data.FeatureCount, Outputs = head.Outputs, HiddenUnits = options.HiddenUnits, HiddenLayers = options.HiddenLayers, Image = options.ImageShape,
                StandardizeInputs = options.StandardizeInputs ?? options.ImageShape is null,
            });
            if (!run.IsContinued)
                network.Standardize(data.Statistics);
            if (options.Epsilon == 0)
            {
                run.Minimize(network, data, head, options.ToSettings(data.RowCount));
                return network;
            }

            CheckScale(data.Statistics, run);
            var attack = new ProjectedGradient(
                options.Norm, options.AttackSteps, options.AttackStepSize / options.Epsilon ?? 0.25, options.RandomStart, options.InputMin, options.InputMax);
            using var unit = tensor(options.Unit.For(data.Statistics)).to(run.Device).DetachFromDisposeScope();
            var (seen, rising) = (0L, (double)(options.EpsilonWarmupEpochs ?? options.Epochs / 2) * data.RowCount);
            run.Remember("seen", () => seen, count => seen = count);
            run.Minimize(network, data, head, options.ToSettings(data.RowCount), Attacked, (judged, rows) => Loss(judged, rows, options.Epsilon));
            return network;

            Tensor Attacked(Network trained, RowBlock batch)
            {
                var epsilon = rising > 0 ? options.Epsilon * Math.Min(1, seen / rising) : options.Epsilon;
                seen += batch.Rows;
                return Loss(trained, batch, epsilon);
            }

            Tensor Loss(Network attacked, RowBlock rows, double epsilon)
            {
                var moved = attack.Move(attacked, head, rows, unit, epsilon, run.Random.Training);
                return head.Loss(attacked.call(moved), rows.Labels, rows.Weights, options.LabelSmoothing);
            }
        }

        // ε means nothing without the scale of the features.
        private void CheckScale(FeatureStatistics statistics, TrainingRun run)
        {
            var scales = options.Unit.For(statistics).Zip(statistics.StandardDeviation).Where(pair => pair.First > 0 && pair.Second > 0).Select(pair => pair.Second / pair.First).Order().ToArray();
            if (scales.Length == 0)
                return;
            var median = scales[scales.Length / 2];
            run.Log(FormattableString.Invariant($"Features deviate by {scales[0]:G3} to {scales[^1]:G3} units, {median:G3} in the median; ε is {options.Epsilon:G3}."));
            if (options.Epsilon > Large * median || options.Epsilon < Small * median)
                run.Log(FormattableString.Invariant($"Warning: ε is {options.Epsilon / median:G3} times the median deviation of the features: see to the options 'Epsilon' and 'Unit'."));
        }
    }
}
