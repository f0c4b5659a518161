// A network of one hidden layer of ReLU units, trained as a convex program: there is no learning rate, no start that matters, and a bound that
// says how good the result is.
//
// Bai, Gautam and Sojoudi, "Efficient Global Optimization of Two-Layer ReLU Networks: Quadratic-Time Algorithms and Adversarial Training",
// SIAM Journal on Mathematics of Data Science 5 (2), 2023, https://arxiv.org/abs/2201.01965
// Pilanci and Ergen, "Neural Networks are Convex Regularizers", ICML 2020, https://arxiv.org/abs/2002.10553
//
// X n rows of d features, the constant included; g_i directions, D_i = diag[Xg_i ≥ 0] patterns, P of them; v_i, w_i ∈ R^d; β penalty, ρ penalty of
// the splitting, γ step of its duals.
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
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Convex.ConvexRelu"/> trainers.</summary>
    public static class ConvexReluCatalog
    {
        /// <summary>Makes a trainer that predicts a number with a network trained as a convex program: see <see cref="MlNetMlp.Convex.ConvexRelu"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size. It needs no normalisation.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="sampledPatterns">P, activation patterns, in [1, 4096].</param>
        /// <param name="beta">β for each row, above 0.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> ConvexRelu(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int sampledPatterns = 64, double beta = 1e-3) =>
            catalog.CreateTrainer(new ConvexRelu(Options(labelColumnName, featureColumnName, exampleWeightColumnName, sampledPatterns, beta)));

        /// <summary>Makes a trainer that predicts a number with a network trained as a convex program: see <see cref="MlNetMlp.Convex.ConvexRelu"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> ConvexRelu(
            this RegressionCatalog.RegressionTrainers catalog, ConvexRelu.Options options) => catalog.CreateTrainer(new ConvexRelu(options));

        /// <summary>Makes a trainer that tells yes from no with a network trained as a convex program: see <see cref="MlNetMlp.Convex.ConvexRelu"/>.</summary>
        /// <inheritdoc cref="ConvexRelu(RegressionCatalog.RegressionTrainers, string, string, string, int, double)"/>
        public static NetworkTrainer<BinaryNetworkModel> ConvexRelu(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int sampledPatterns = 64, double beta = 1e-3) =>
            catalog.CreateTrainer(new ConvexRelu(Options(labelColumnName, featureColumnName, exampleWeightColumnName, sampledPatterns, beta)));

        /// <summary>Makes a trainer that tells yes from no with a network trained as a convex program: see <see cref="MlNetMlp.Convex.ConvexRelu"/>.</summary>
        /// <inheritdoc cref="ConvexRelu(RegressionCatalog.RegressionTrainers, ConvexRelu.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> ConvexRelu(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, ConvexRelu.Options options) =>
            catalog.CreateTrainer(new ConvexRelu(options));

        /// <summary>Makes a trainer that chooses one of many classes with a network trained as a convex program: see <see cref="MlNetMlp.Convex.ConvexRelu"/>.</summary>
        /// <inheritdoc cref="ConvexRelu(RegressionCatalog.RegressionTrainers, string, string, string, int, double)"/>
        public static NetworkTrainer<MulticlassNetworkModel> ConvexRelu(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label",
            string featureColumnName = "Features", string? exampleWeightColumnName = null, int sampledPatterns = 64, double beta = 1e-3) =>
            catalog.CreateTrainer(new ConvexRelu(Options(labelColumnName, featureColumnName, exampleWeightColumnName, sampledPatterns, beta)));

        /// <summary>Makes a trainer that chooses one of many classes with a network trained as a convex program: see <see cref="MlNetMlp.Convex.ConvexRelu"/>.</summary>
        /// <inheritdoc cref="ConvexRelu(RegressionCatalog.RegressionTrainers, ConvexRelu.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> ConvexRelu(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, ConvexRelu.Options options) =>
            catalog.CreateTrainer(new ConvexRelu(options));

        private static ConvexRelu.Options Options(string label, string features, string? weights, int patterns, double beta) => new()
        {
            LabelColumnName = label, FeatureColumnName = features, ExampleWeightColumnName = weights, SampledPatterns = patterns, Beta = beta,
        };
    }
}

namespace MlNetMlp.Convex
{
    /// <summary>
    /// A network of one hidden layer of ReLU units that is the solution of a convex program: a few dozen iterations with a matrix that is factored
    /// once, no learning rate, and a certificate in the model of how far from the optimum it may be.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `ConvexRelu` of the regression, binary and multiclass trainers' catalogs.
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
    /// With D_i the 0/1 diagonal of the rows that a unit may be active on, training a network of ReLU units with weight decay β/2 is the convex
    /// program min ℓ(Σ D_iX(v_i − w_i), y) + βΣ(‖v_i‖ + ‖w_i‖) subject to (2D_i − I)Xv_i ≥ 0 and (2D_i − I)Xw_i ≥ 0. P distinct patterns are drawn, and the program is
    /// solved by ADMM. Because (2D_i − I)² = I, the linear system of an iteration, of size 2dP, falls apart into one of size d and one of size n that depends
    /// neither on P nor on the number of classes; it is factored once. Where dP is smaller than n, a system of that size is factored instead, and
    /// where either would take too much time or memory, blocks of patterns in turn or conjugate gradients solve it: the log says which and why.
    ///
    /// Each v_i that is not zero becomes a unit v_i/√‖v_i‖ with the output weight √‖v_i‖, each w_i one with −√‖w_i‖. The losses of several classes are one-vs-rest
    /// and share the factorisation. Where rows are held out, the best iterate on them is kept; without, the last, which is the optimum up to the tolerances.
    /// `ConvexRelu.GetCertificate(model)` tells, of a loaded model too, the objective of the network, a lower bound, and how far the constraints are violated.
    ///
    /// ### References
    /// Bai, Gautam and Sojoudi, [Efficient Global Optimization of Two-Layer ReLU Networks](https://arxiv.org/abs/2201.01965), SIAM Journal on
    /// Mathematics of Data Science 5 (2), 2023. Pilanci and Ergen, [Neural Networks are Convex Regularizers](https://arxiv.org/abs/2002.10553), ICML 2020.
    /// ]]></format>
    /// </remarks>
    public sealed class ConvexRelu(ConvexRelu.Options options) : INetworkMethod
    {
        /// <summary>Options of <see cref="ConvexRelu"/>.</summary>
        public sealed record Options : NetworkOptions
        {
            /// <summary>P, distinct activation patterns, in [1, 4096]; 64 by default. The network has at most 2P units for each output.</summary>
            [Range(1, 4096)]
            public int SampledPatterns { get; init; } = 64;

            /// <summary>Where patterns come from; <see cref="ConvexReluPatternSource.Gaussian"/> by default.</summary>
            public ConvexReluPatternSource PatternSource { get; init; } = ConvexReluPatternSource.Gaussian;

            /// <summary>
            /// β divided by the number of rows (the sum of their weights), above 0; 1e-3 by default. Larger values leave fewer units and smaller weights.
            /// </summary>
            [Range(0, double.MaxValue, MinimumIsExclusive = true)]
            public double Beta { get; init; } = 1e-3;

            /// <summary>ℓ; squared by default, which is the fastest. Regression takes no other.</summary>
            public ConvexReluLoss Loss { get; init; } = ConvexReluLoss.Squared;

            /// <summary>
            /// ρ to start with, for sums over rows, above 0; null (the default): 10β, at least a thirtieth of the rows. It is doubled or halved while one residual is far
            /// above the other. Far below β nothing happens for many iterations.
            /// </summary>
            [Range(0, double.MaxValue, MinimumIsExclusive = true)]
            public double? Rho { get; init; }

            /// <summary>γ/ρ, the step of the duals, in (0, 1.6); 1 by default.</summary>
            [Range(0, 1.6, MinimumIsExclusive = true, MaximumIsExclusive = true)]
            public double DualStep { get; init; } = 1;

            /// <summary>Iterations at most, in [1, 1,000,000]; 100 by default. Residuals and rows held out mostly end training sooner.</summary>
            [Range(1, 1_000_000)]
            public int MaxIterations { get; init; } = 100;

            /// <summary>
            /// Iterations without a new least validation loss after which training stops, in [0, 1,000,000], 0 for never; 10 by default. It needs rows
            /// held out.
            /// </summary>
            [Range(0, 1_000_000)]
            public int EarlyStoppingRounds { get; init; } = 10;

            /// <summary>The residual for each value at which training stops, at least 0; 1e-4 by default.</summary>
            [Range(0, double.MaxValue)]
            public double AbsoluteTolerance { get; init; } = 1e-4;

            /// <summary>The residual, relative to what it is a difference of, at which training stops, at least 0; 1e-3 by default.</summary>
            [Range(0, double.MaxValue)]
            public double RelativeTolerance { get; init; } = 1e-3;

            /// <summary>What solves the linear system of each iteration; <see cref="ConvexReluSolver.Automatic"/> by default: by estimated cost.</summary>
            public ConvexReluSolver Solver { get; init; } = ConvexReluSolver.Automatic;

            /// <summary>Whether units have biases: a constant feature, which is penalised like all others; true by default.</summary>
            public bool Bias { get; init; } = true;

            /// <summary>Units whose weights are shorter than this times the longest are left out, in [0, 1); 1e-6 by default.</summary>
            [Range(0, 1, MaximumIsExclusive = true)]
            public double PruneThreshold { get; init; } = 1e-6;

            /// <summary>Whether each feature is standardised by mean and deviation of the training rows; true by default. ρ and β mean little otherwise.</summary>
            public bool StandardizeInputs { get; init; } = true;
        }

        /// <inheritdoc/>
        public string Name => nameof(ConvexRelu);

        NetworkOptions INetworkMethod.Options => options;

        /// <summary>Reads what is known about how good a network of convex training is.</summary>
        /// <param name="model">A fitted or loaded model with such a network in it, alone or in a chain, of which the last one counts.</param>
        /// <returns>The certificate; null where the model holds no such network.</returns>
        public static ConvexReluCertificate? GetCertificate(ITransformer model) =>
            NetworkModel.Find(model) is { MethodName: nameof(ConvexRelu) or nameof(SampledConvexRelu) or nameof(RobustConvexRelu) } network
                ? network.GetDiagnostics<ConvexReluCertificate>()
                : null;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(data);
            ArgumentNullException.ThrowIfNull(run);
            data.MoveTo(run.Device);
            return new ConvexReluFit(data, head, run, options).Run();
        }
    }
}
