// A network of one hidden layer that is drawn at random and never trained; only its readout is, in closed form. What decides whether it can
// learn a function is the range that its weights are drawn from, which is searched for.
//
// Li, Sonoda, Cao, Wang and Liang, "How Powerful are Shallow Neural Networks with Bandlimited Random Weights?", ICML 2023,
// https://arxiv.org/abs/2008.08427. There is no code by the authors.
//
// N rows x of D features, z-scored and divided by √D; M hidden units h_j = φ(a_j·x − b_j); a_j = λ·â_j and b_j drawn; readout y = Cᵀh + c.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.RandomFeatures.RandomFeatureNetwork"/> trainers.</summary>
    public static class RandomFeatureNetworkCatalog
    {
        /// <summary>Makes a trainer that predicts a number with random hidden units: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureNetwork"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size. It needs no normalisation.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="hiddenUnits">M, hidden units, in [1, 200000].</param>
        /// <param name="activation">φ, the function of the hidden units.</param>
        /// <param name="weightScale">λ, the scale of the random weights, above 0; null to search for it.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> RandomFeatureNetwork(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int hiddenUnits = 1000, RandomActivation activation = RandomActivation.Tanh, double? weightScale = null) =>
            catalog.CreateTrainer(new RandomFeatureNetwork(Options(labelColumnName, featureColumnName, exampleWeightColumnName, hiddenUnits, activation, weightScale)));

        /// <summary>Makes a trainer that predicts a number with random hidden units: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureNetwork"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> RandomFeatureNetwork(
            this RegressionCatalog.RegressionTrainers catalog, RandomFeatureNetwork.Options options) =>
            catalog.CreateTrainer(new RandomFeatureNetwork(options));

        /// <summary>Makes a trainer that tells yes from no with random hidden units: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureNetwork"/>.</summary>
        /// <inheritdoc cref="RandomFeatureNetwork(RegressionCatalog.RegressionTrainers, string, string, string, int, RandomActivation, double?)"/>
        public static NetworkTrainer<BinaryNetworkModel> RandomFeatureNetwork(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int hiddenUnits = 1000, RandomActivation activation = RandomActivation.Tanh, double? weightScale = null) =>
            catalog.CreateTrainer(new RandomFeatureNetwork(Options(labelColumnName, featureColumnName, exampleWeightColumnName, hiddenUnits, activation, weightScale)));

        /// <summary>Makes a trainer that tells yes from no with random hidden units: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureNetwork"/>.</summary>
        /// <inheritdoc cref="RandomFeatureNetwork(RegressionCatalog.RegressionTrainers, RandomFeatureNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> RandomFeatureNetwork(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, RandomFeatureNetwork.Options options) =>
            catalog.CreateTrainer(new RandomFeatureNetwork(options));

        /// <summary>Makes a trainer that chooses one of many classes with random hidden units: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureNetwork"/>.</summary>
        /// <inheritdoc cref="RandomFeatureNetwork(RegressionCatalog.RegressionTrainers, string, string, string, int, RandomActivation, double?)"/>
        public static NetworkTrainer<MulticlassNetworkModel> RandomFeatureNetwork(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label",
            string featureColumnName = "Features", string? exampleWeightColumnName = null, int hiddenUnits = 1000,
            RandomActivation activation = RandomActivation.Tanh, double? weightScale = null) =>
            catalog.CreateTrainer(new RandomFeatureNetwork(Options(labelColumnName, featureColumnName, exampleWeightColumnName, hiddenUnits, activation, weightScale)));

        /// <summary>Makes a trainer that chooses one of many classes with random hidden units: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureNetwork"/>.</summary>
        /// <inheritdoc cref="RandomFeatureNetwork(RegressionCatalog.RegressionTrainers, RandomFeatureNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> RandomFeatureNetwork(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, RandomFeatureNetwork.Options options) =>
            catalog.CreateTrainer(new RandomFeatureNetwork(options));

        internal static RandomFeatureNetwork.Options Options(
            string label, string features, string? weights, int hiddenUnits, RandomActivation activation, double? weightScale) => new()
            {
                LabelColumnName = label, FeatureColumnName = features, ExampleWeightColumnName = weights, HiddenUnits = hiddenUnits,
                Activation = activation, WeightScale = weightScale,
            };
    }
}

namespace MlNetMlp.RandomFeatures
{
    /// <summary>What solves for the readout of a <see cref="RandomFeatureNetwork"/>.</summary>
    public enum RandomFeatureNetworkSolver
    {
        /// <summary>Dual for fewer rows than units, ConjugateGradient for more than 8,192 units, else NormalEquations.</summary>
        Auto,

        /// <summary>Ridge regression from sums of products over one pass, whatever the number of rows: memory M², time N·M².</summary>
        NormalEquations,

        /// <summary>Ridge regression from the products of rows with each other: memory N², time N²·M.</summary>
        Dual,

        /// <summary>Ridge regression by conjugate gradients: memory M, and a pass over the rows for each of up to 300 steps.</summary>
        ConjugateGradient,

        /// <summary>Logistic loss or cross-entropy with a ridge penalty, by L-BFGS; for classification.</summary>
        CrossEntropy,
    }

    /// <summary>What the penalty of a <see cref="RandomFeatureNetwork"/> is a multiple of.</summary>
    public enum RandomFeatureNetworkPenaltyUnit
    {
        /// <summary>The largest eigenvalue of the units' sums of products, so that it means the same for any number of rows and scale.</summary>
        LargestEigenvalue,

        /// <summary>1: the penalty is added to sums over rows as it is.</summary>
        Absolute,
    }

    /// <summary>
    /// A network whose hidden layer is drawn at random and whose readout is solved for in closed form, for any number of rows in one pass. The
    /// range that weights are drawn from, which decides whether it can work at all, is searched for.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `RandomFeatureNetwork` of the regression, binary and multiclass trainers' catalogs.
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
    /// Each feature is z-scored and divided by √D, a_j and b_j are drawn, and h_j = φ(a_j·x − b_j). Labels are standardised for regression,
    /// −1 and 1 for two classes, and 0 and 1 for each of several. The readout minimises ‖Y − HC − 1c‖² + α‖C‖²: sums of products of units and
    /// labels are gathered in double precision in one pass, and one eigendecomposition gives the solutions for all α, among which generalised
    /// cross-validation chooses. Coefficients so large that rounding errors of scoring would show are refused. For classification the outputs
    /// are then calibrated on the rows held out: s·f + t for two classes, s·f for several; or the readout is fitted by cross-entropy.
    ///
    /// The scale λ of the weights is searched for on up to 5,000 rows with up to 300 units: the smallest whose error on other rows is within one
    /// standard error of the least. What was found is in the model (`RandomFeatureNetwork.GetDiagnostics(model)`) and in the log, and so is
    /// whether the range is too narrow (plateau) or the units are too few (starved).
    ///
    /// The sums are kept in the model (option `KeepSums`): `trainer.Fit(moreRows, model)` adds the new rows to them and solves again, which
    /// for regression gives the same weights, up to rounding, as one fit of all rows with the same units.
    ///
    /// ### References
    /// Li, Sonoda, Cao, Wang and Liang, [How Powerful are Shallow Neural Networks with Bandlimited Random Weights?](https://arxiv.org/abs/2008.08427),
    /// ICML 2023. Rahimi and Recht, [Random Features for Large-Scale Kernel Machines](https://papers.nips.cc/paper/3182-random-features-for-large-scale-kernel-machines),
    /// NIPS 2007.
    /// ]]></format>
    /// </remarks>
    public sealed class RandomFeatureNetwork(RandomFeatureNetwork.Options options) : INetworkMethod
    {
        /// <summary>Options of <see cref="RandomFeatureNetwork"/>.</summary>
        public sealed record Options : NetworkOptions, IRandomLayerOptions, IReadoutOptions
        {
            /// <summary>M, hidden units, in [1, 200000]; 1,000 by default. Time grows with its square.</summary>
            [Range(1, 200_000)]
            public int HiddenUnits { get; init; } = 1000;

            /// <summary>φ, the function of the hidden units; tanh by default.</summary>
            public RandomActivation Activation { get; init; } = RandomActivation.Tanh;

            /// <summary>The law of the hidden weights; uniform by default.</summary>
            public RandomWeightDistribution WeightDistribution { get; init; } = RandomWeightDistribution.Uniform;

            /// <summary>
            /// λ, the scale of the hidden weights, for features that are z-scored and divided by √D; above 0 and at most 1e6, null (the default) to
            /// search for it.
            /// </summary>
            [Range(0, 1e6, MinimumIsExclusive = true)]
            public double? WeightScale { get; init; }

            /// <summary>
            /// b is drawn from [−BiasScale, BiasScale], above 0 and at most 1e9; null (the default): λ times the 95 % quantile of the lengths of rows,
            /// so that kinks fall among the data, or π for sine and cosine.
            /// </summary>
            [Range(0, 1e9, MinimumIsExclusive = true)]
            public double? BiasScale { get; init; }

            /// <summary>The smallest scale that is tried, above 0 and at most 1e6; 0.125 by default.</summary>
            [Range(0, 1e6, MinimumIsExclusive = true)]
            public double SmallestScale { get; init; } = 0.125;

            /// <summary>The largest scale that is tried, above 0 and at most 1e6, no smaller than <see cref="SmallestScale"/>; 256 by default.</summary>
            [Range(0, 1e6, MinimumIsExclusive = true)]
            public double LargestScale { get; init; } = 256;

            /// <summary>Number of scales that are tried, evenly spaced by factors, in [1, 100]; 12 by default.</summary>
            [Range(1, 100)]
            public int ScaleGridSize { get; init; } = 12;

            /// <summary>
            /// α, the ridge penalty, in units of <see cref="L2Unit"/>, at least 0; null (the default): generalised cross-validation. At 0 the solution of
            /// least norm. Conjugate gradients take 1e-6 of the sum of the eigenvalues where none is given.
            /// </summary>
            [Range(0, double.MaxValue)]
            public double? L2 { get; init; }

            /// <summary>
            /// What <see cref="L2"/> is a multiple of; <see cref="RandomFeatureNetworkPenaltyUnit.LargestEigenvalue"/> by default.
            /// </summary>
            public RandomFeatureNetworkPenaltyUnit L2Unit { get; init; } = RandomFeatureNetworkPenaltyUnit.LargestEigenvalue;

            /// <summary>
            /// A lasso penalty that leaves out units, as a part of the least one that leaves out all of them, in [0, 1); 0 (the default) for none. The
            /// units that are left are then fitted by ridge regression, and the others are gone from the model.
            /// </summary>
            [Range(0, 1, MaximumIsExclusive = true)]
            public double L1 { get; init; }

            /// <summary>
            /// What solves for the readout; <see cref="RandomFeatureNetworkSolver.Auto"/> by default: by the numbers of rows and units.
            /// </summary>
            public RandomFeatureNetworkSolver Solver { get; init; } = RandomFeatureNetworkSolver.Auto;

            /// <summary>
            /// Whether the sums of products are kept in the model, so that a fit can go on with more rows; null (the default): up to 2,000 units and
            /// outputs together. A model file grows by 4·M² bytes: 4 MB for 1,000 units. Cross-entropy and conjugate gradients keep none.
            /// </summary>
            public bool? KeepSums { get; init; }

            /// <summary>Whether scales are tried even where one is given, to tell whether it is the right one; true by default.</summary>
            public bool Diagnose { get; init; } = true;

            /// <summary>Whether each feature is z-scored and divided by √D; true by default.</summary>
            public bool StandardizeInputs { get; init; } = true;

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (LargestScale < SmallestScale)
                    yield return new ValidationResult($"option 'LargestScale' must be at least 'SmallestScale', {SmallestScale}, but was {LargestScale}");
                if (L1 > 0 && Solver is not (RandomFeatureNetworkSolver.Auto or RandomFeatureNetworkSolver.NormalEquations))
                    yield return new ValidationResult($"option 'L1' must be 0 with the solver {Solver}: units are chosen by the sums of NormalEquations");
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(RandomFeatureNetwork);

        NetworkOptions INetworkMethod.Options => options;

        /// <summary>Reads what the training found out about the scale of the weights.</summary>
        /// <param name="model">A fitted or loaded model with such a network in it, alone or in a chain, of which the last one counts.</param>
        /// <returns>The table; null where the model holds no such network or nothing was tried.</returns>
        public static BandwidthReport? GetDiagnostics(ITransformer model) =>
            NetworkModel.Find(model) is { MethodName: nameof(RandomFeatureNetwork) or nameof(RandomFeatureNetworkMultiOutput) } network
                ? network.GetDiagnostics<BandwidthReport>()
                : null;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(data);
            ArgumentNullException.ThrowIfNull(run);
            data.MoveTo(run.Device);
            return new RandomFeatureNetworkFit(data, head, run, options).Run();
        }
    }
}
