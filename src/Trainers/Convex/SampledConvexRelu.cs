// Random ReLU units that are never trained, and output weights that are the exact solution of a lasso: the sampled form of convex training, whose
// every step is one product of matrices.
//
// Bai, Gautam and Sojoudi, "Efficient Global Optimization of Two-Layer ReLU Networks: Quadratic-Time Algorithms and Adversarial Training",
// SIAM Journal on Mathematics of Data Science 5 (2), 2023, https://arxiv.org/abs/2201.01965
//
// X n rows of d features, the constant included; u_j, j = 1…N, on the unit sphere; H = (XU)₊; α output weights; β penalty.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Convex;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Convex.SampledConvexRelu"/> trainers.</summary>
    public static class SampledConvexReluCatalog
    {
        /// <summary>Makes a trainer that predicts a number with a network of random units chosen by a lasso: see <see cref="MlNetMlp.Convex.SampledConvexRelu"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size. It needs no normalisation.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="hiddenUnits">N, random units to choose from, in [1, 200000].</param>
        /// <param name="beta">β for each row, above 0.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> SampledConvexRelu(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int hiddenUnits = 1000, double beta = 1e-3) =>
            catalog.CreateTrainer(new SampledConvexRelu(Options(labelColumnName, featureColumnName, exampleWeightColumnName, hiddenUnits, beta)));

        /// <summary>Makes a trainer that predicts a number with a network of random units chosen by a lasso: see <see cref="MlNetMlp.Convex.SampledConvexRelu"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> SampledConvexRelu(
            this RegressionCatalog.RegressionTrainers catalog, SampledConvexRelu.Options options) => catalog.CreateTrainer(new SampledConvexRelu(options));

        /// <summary>Makes a trainer that tells yes from no with a network of random units chosen by a lasso: see <see cref="MlNetMlp.Convex.SampledConvexRelu"/>.</summary>
        /// <inheritdoc cref="SampledConvexRelu(RegressionCatalog.RegressionTrainers, string, string, string, int, double)"/>
        public static NetworkTrainer<BinaryNetworkModel> SampledConvexRelu(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int hiddenUnits = 1000, double beta = 1e-3) =>
            catalog.CreateTrainer(new SampledConvexRelu(Options(labelColumnName, featureColumnName, exampleWeightColumnName, hiddenUnits, beta)));

        /// <summary>Makes a trainer that tells yes from no with a network of random units chosen by a lasso: see <see cref="MlNetMlp.Convex.SampledConvexRelu"/>.</summary>
        /// <inheritdoc cref="SampledConvexRelu(RegressionCatalog.RegressionTrainers, SampledConvexRelu.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> SampledConvexRelu(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, SampledConvexRelu.Options options) =>
            catalog.CreateTrainer(new SampledConvexRelu(options));

        /// <summary>Makes a trainer that chooses one of many classes with a network of random units chosen by a lasso: see <see cref="MlNetMlp.Convex.SampledConvexRelu"/>.</summary>
        /// <inheritdoc cref="SampledConvexRelu(RegressionCatalog.RegressionTrainers, string, string, string, int, double)"/>
        public static NetworkTrainer<MulticlassNetworkModel> SampledConvexRelu(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label",
            string featureColumnName = "Features", string? exampleWeightColumnName = null, int hiddenUnits = 1000, double beta = 1e-3) =>
            catalog.CreateTrainer(new SampledConvexRelu(Options(labelColumnName, featureColumnName, exampleWeightColumnName, hiddenUnits, beta)));

        /// <summary>Makes a trainer that chooses one of many classes with a network of random units chosen by a lasso: see <see cref="MlNetMlp.Convex.SampledConvexRelu"/>.</summary>
        /// <inheritdoc cref="SampledConvexRelu(RegressionCatalog.RegressionTrainers, SampledConvexRelu.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> SampledConvexRelu(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, SampledConvexRelu.Options options) =>
            catalog.CreateTrainer(new SampledConvexRelu(options));

        private static SampledConvexRelu.Options Options(string label, string features, string? weights, int units, double beta) => new()
        {
            LabelColumnName = label, FeatureColumnName = features, ExampleWeightColumnName = weights, HiddenUnits = units, Beta = beta,
        };
    }
}

namespace MlNetMlp.Convex
{
    /// <summary>
    /// A network of one hidden layer of ReLU units that are drawn at random, of which a lasso keeps few: the sampled form of convex training, solved
    /// until the duality gap is closed.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `SampledConvexRelu` of the regression, binary and multiclass trainers' catalogs.
    ///
    /// ### Input and output columns
    /// Features are a vector of [Single](xref:System.Single) of known size; labels a Single for regression, a Boolean for binary and a
    /// [key](xref:Microsoft.ML.Data.KeyDataViewType) for multiclass classification; example weights, if any, a Single.
    ///
    /// | Task | Column | Type | Description |
    /// | --- | --- | --- | --- |
    /// | regression | `Score` | Single | the predicted number, in the label's unit |
    /// | binary | `Score` | Single | the log-odds: twice the margin for the logistic loss, else the margin calibrated by Platt's method |
    /// | binary | `Probability` | Single | 1 / (1 + exp(-Score)) |
    /// | binary | `PredictedLabel` | Boolean | whether the score is above 0 |
    /// | multiclass | `Score` | vector of Single | the probabilities of the classes, from one-vs-rest margins and a temperature |
    /// | multiclass | `PredictedLabel` | key | the most probable class, with the label's key values |
    ///
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | regression, binary and multiclass classification |
    /// | Is normalization required? | no: features are standardised inside |
    /// | Is caching required? | no: rows are kept in memory, and have to fit the option `MemoryBudget` |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// Of a network with weight decay β/2, a unit may be scaled to length one, and its penalty is then β|α|. With N units drawn on the sphere what is left
    /// is min ℓ(Hα, y) + β‖α‖₁, for each class alone. Accelerated proximal gradient steps with restarts solve it; they end when the duality gap is small relative to
    /// the objective of the empty network, or when rows held out gain no more. Units without an output weight are left out.
    /// `ConvexRelu.GetCertificate(model)` tells the objective and the bound, of a loaded model too.
    ///
    /// ### References
    /// Bai, Gautam and Sojoudi, [Efficient Global Optimization of Two-Layer ReLU Networks](https://arxiv.org/abs/2201.01965), SIAM Journal on
    /// Mathematics of Data Science 5 (2), 2023.
    /// ]]></format>
    /// </remarks>
    public sealed class SampledConvexRelu(SampledConvexRelu.Options options) : INetworkMethod
    {
        /// <summary>Options of <see cref="SampledConvexRelu"/>.</summary>
        public sealed record Options : NetworkOptions
        {
            /// <summary>N, random units to choose from, in [1, 200000]; 1,000 by default.</summary>
            [Range(1, 200_000)]
            public int HiddenUnits { get; init; } = 1000;

            /// <summary>
            /// β divided by the number of rows (the sum of their weights), above 0; 1e-3 by default. Larger values leave fewer units and smaller weights.
            /// </summary>
            [Range(0, double.MaxValue, MinimumIsExclusive = true)]
            public double Beta { get; init; } = 1e-3;

            /// <summary>ℓ; squared by default. Regression takes no other; the hinge, which has no gradient, is refused.</summary>
            public ConvexReluLoss Loss { get; init; } = ConvexReluLoss.Squared;

            /// <summary>Steps at most, in [1, 1,000,000]; 1,000 by default.</summary>
            [Range(1, 1_000_000)]
            public int MaxIterations { get; init; } = 1000;

            /// <summary>
            /// Steps without a new least validation loss after which training stops, in [0, 1,000,000], 0 for never; 50 by default. It needs rows held out.
            /// </summary>
            [Range(0, 1_000_000)]
            public int EarlyStoppingRounds { get; init; } = 50;

            /// <summary>The duality gap, relative to the objective of the empty network, at which training stops, at least 0; 1e-4 by default.</summary>
            [Range(0, double.MaxValue)]
            public double GapTolerance { get; init; } = 1e-4;

            /// <summary>Whether units have biases; true by default.</summary>
            public bool Bias { get; init; } = true;

            /// <summary>Whether each feature is standardised by mean and deviation of the training rows; true by default.</summary>
            public bool StandardizeInputs { get; init; } = true;

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (Loss == ConvexReluLoss.Hinge)
                    yield return new ValidationResult("option 'Loss' must be Squared or Logistic, but was Hinge, which has no gradient");
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(SampledConvexRelu);

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(data);
            ArgumentNullException.ThrowIfNull(run);
            data.MoveTo(run.Device);
            return new SampledConvexReluFit(data, head, run, options).Run();
        }
    }
}
