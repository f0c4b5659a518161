// Adversarial training of a network of one hidden layer of ReLU units as a convex program: rows may move in a box, and the loss is that of the worst
// point of it, found exactly rather than by an attack.
//
// Bai, Gautam and Sojoudi, "Efficient Global Optimization of Two-Layer ReLU Networks: Quadratic-Time Algorithms and Adversarial Training",
// SIAM Journal on Mathematics of Data Science 5 (2), 2023, https://arxiv.org/abs/2201.01965
//
// x_k rows, ε_j how far feature j may move; D_i patterns, e_ik = ±1 the side of row k; m_k = Σ_i d_ik(v_i − w_i), p_k = x_k·m_k, a_k = Σ_j ε_j|m_kj|.
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
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Convex.RobustConvexRelu"/> trainers.</summary>
    public static class RobustConvexReluCatalog
    {
        /// <summary>Makes a trainer that predicts a number with a network that is robust to perturbed features: see <see cref="MlNetMlp.Convex.RobustConvexRelu"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size. It needs no normalisation.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="sampledPatterns">P, activation patterns, in [1, 1024].</param>
        /// <param name="epsilon">How far each feature may move, in standard deviations, at least 0.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> RobustConvexRelu(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int sampledPatterns = 32, double epsilon = 0.1) =>
            catalog.CreateTrainer(new RobustConvexRelu(Options(labelColumnName, featureColumnName, exampleWeightColumnName, sampledPatterns, epsilon)));

        /// <summary>Makes a trainer that predicts a number with a network that is robust to perturbed features: see <see cref="MlNetMlp.Convex.RobustConvexRelu"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> RobustConvexRelu(
            this RegressionCatalog.RegressionTrainers catalog, RobustConvexRelu.Options options) => catalog.CreateTrainer(new RobustConvexRelu(options));

        /// <summary>Makes a trainer that tells yes from no with a network that is robust to perturbed features: see <see cref="MlNetMlp.Convex.RobustConvexRelu"/>.</summary>
        /// <inheritdoc cref="RobustConvexRelu(RegressionCatalog.RegressionTrainers, string, string, string, int, double)"/>
        public static NetworkTrainer<BinaryNetworkModel> RobustConvexRelu(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int sampledPatterns = 32, double epsilon = 0.1) =>
            catalog.CreateTrainer(new RobustConvexRelu(Options(labelColumnName, featureColumnName, exampleWeightColumnName, sampledPatterns, epsilon)));

        /// <summary>Makes a trainer that tells yes from no with a network that is robust to perturbed features: see <see cref="MlNetMlp.Convex.RobustConvexRelu"/>.</summary>
        /// <inheritdoc cref="RobustConvexRelu(RegressionCatalog.RegressionTrainers, RobustConvexRelu.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> RobustConvexRelu(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, RobustConvexRelu.Options options) =>
            catalog.CreateTrainer(new RobustConvexRelu(options));

        private static RobustConvexRelu.Options Options(string label, string features, string? weights, int patterns, double epsilon) => new()
        {
            LabelColumnName = label, FeatureColumnName = features, ExampleWeightColumnName = weights, SampledPatterns = patterns, Epsilon = epsilon,
        };
    }
}

namespace MlNetMlp.Convex
{
    /// <summary>
    /// A network of one hidden layer of ReLU units that is trained against the worst perturbation of its features, as a convex program whose attack is
    /// exact.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `RobustConvexRelu` of the regression and binary trainers' catalogs.
    ///
    /// ### Input and output columns
    /// Features are a vector of [Single](xref:System.Single) of known size; labels a Single for regression and a Boolean for binary classification; example weights, if
    /// any, a Single.
    ///
    /// | Task | Column | Type | Description |
    /// | --- | --- | --- | --- |
    /// | regression | `Score` | Single | the predicted number, in the label's unit |
    /// | binary | `Score` | Single | the log-odds: twice the margin for the logistic loss, else the margin calibrated by Platt's method |
    /// | binary | `Probability` | Single | 1 / (1 + exp(-Score)) |
    /// | binary | `PredictedLabel` | Boolean | whether the score is above 0 |
    ///
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | regression and binary classification |
    /// | Is normalization required? | no: features are standardised inside |
    /// | Is caching required? | no: rows are kept in memory, and have to fit the option `MemoryBudget` |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// A unit keeps its pattern in the whole box around a row if e_ik·x_k·v_i ≥ Σε_j|v_ij|; then the worst point of the box moves the output by a_k = Σε_j|m_kj|, and the
    /// loss of it is a convex function of all weights: max(0, 1 − yp + a), log(1 + exp(−2(yp − a))) or ½(|p − y| + a)². ADMM solves the program with copies for the
    /// penalty, the robust cone and the loss, and a matrix of size dP that is factored once. The pattern of all rows is always among them, so that a robust
    /// linear network is always possible; the others are drawn from rows and from perturbed rows.
    ///
    /// `mlContext.BinaryClassification.EvaluateRobustness(data, model)` tells the accuracy under attack, of any network.
    ///
    /// ### References
    /// Bai, Gautam and Sojoudi, [Efficient Global Optimization of Two-Layer ReLU Networks](https://arxiv.org/abs/2201.01965), SIAM Journal on
    /// Mathematics of Data Science 5 (2), 2023.
    /// ]]></format>
    /// </remarks>
    public sealed class RobustConvexRelu(RobustConvexRelu.Options options) : INetworkMethod
    {
        /// <summary>Options of <see cref="RobustConvexRelu"/>.</summary>
        public sealed record Options : NetworkOptions
        {
            /// <summary>How far each feature may move, in units of <see cref="Unit"/>, at least 0; 0.1 by default.</summary>
            [Range(0, double.MaxValue)]
            public double Epsilon { get; init; } = 0.1;

            /// <summary>
            /// What <see cref="Epsilon"/> is a multiple of; <see cref="PerturbationUnit.StandardDeviation"/> of each feature by default. <see cref="PerturbationUnit.One"/> for
            /// features of one kind such as pixels, <see cref="PerturbationUnit.Of"/> for a unit for each feature.
            /// </summary>
            [Required]
            public PerturbationUnit Unit { get; init; } = PerturbationUnit.StandardDeviation;

            /// <summary>P, distinct activation patterns, in [1, 1024]; 32 by default. Time grows with its cube.</summary>
            [Range(1, 1024)]
            public int SampledPatterns { get; init; } = 32;

            /// <summary>
            /// β divided by the number of rows (the sum of their weights), above 0; 1e-3 by default. Larger values leave fewer units and smaller weights.
            /// </summary>
            [Range(0, double.MaxValue, MinimumIsExclusive = true)]
            public double Beta { get; init; } = 1e-3;

            /// <summary>ℓ; null (the default): hinge for classes and squared for regression, which takes no other.</summary>
            public ConvexReluLoss? Loss { get; init; }

            /// <summary>ρ to start with, for sums over rows, above 0; null (the default): 10β, at least a thirtieth of the rows.</summary>
            [Range(0, double.MaxValue, MinimumIsExclusive = true)]
            public double? Rho { get; init; }

            /// <summary>γ/ρ, the step of the duals, in (0, 1.6); 1 by default.</summary>
            [Range(0, 1.6, MinimumIsExclusive = true, MaximumIsExclusive = true)]
            public double DualStep { get; init; } = 1;

            /// <summary>Iterations at most, in [1, 1,000,000]; 300 by default.</summary>
            [Range(1, 1_000_000)]
            public int MaxIterations { get; init; } = 300;

            // Rows held out are not perturbed: the least loss on them is not what robust training is after.

            /// <summary>The residual for each value at which training stops, at least 0; 1e-4 by default.</summary>
            [Range(0, double.MaxValue)]
            public double AbsoluteTolerance { get; init; } = 1e-4;

            /// <summary>The residual, relative to what it is a difference of, at which training stops, at least 0; 1e-3 by default.</summary>
            [Range(0, double.MaxValue)]
            public double RelativeTolerance { get; init; } = 1e-3;

            /// <summary>Whether units have biases; true by default.</summary>
            public bool Bias { get; init; } = true;

            /// <summary>Units whose weights are shorter than this times the longest are left out, in [0, 1); 1e-6 by default.</summary>
            [Range(0, 1, MaximumIsExclusive = true)]
            public double PruneThreshold { get; init; } = 1e-6;

            /// <summary>Whether each feature is standardised by mean and deviation of the training rows; true by default.</summary>
            public bool StandardizeInputs { get; init; } = true;
        }

        /// <inheritdoc/>
        public string Name => nameof(RobustConvexRelu);

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(data);
            ArgumentNullException.ThrowIfNull(run);
            data.MoveTo(run.Device);
            return new RobustConvexReluFit(data, head, run, options).Run();
        }
    }
}
