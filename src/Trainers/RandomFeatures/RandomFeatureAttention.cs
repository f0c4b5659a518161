// One layer of attention over a set of keys, with many heads that are drawn at random and never trained; only what is made of their outputs
// is, in closed form. The answer does not depend on the order of the keys, nor on how many there are.
//
// Fu, Guo, Bai and Mei, "What can a Single Attention Layer Learn? A Study Through the Random Features Lens", NeurIPS 2023,
// https://arxiv.org/abs/2307.11353. There is no code by the authors.
//
// Query x₀ and N keys xᵢ of d numbers, divided by their lengths; x̃ = [x; 1] of D = d + 1; M heads W_m [D, D] with normal entries (RFA), and
// with a mean c·W₀ (biased: BRFA); φ_m = (1/N)·Σᵢ σ(x̃₀ᵀW_m x̃ᵢ)·x̃ᵢ/√M; y = Σ_m ⟨v_m, φ_m⟩ + c.
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
    /// <summary>Catalog methods that make <see cref="MlNetMlp.RandomFeatures.RandomFeatureAttention"/> trainers.</summary>
    public static class RandomFeatureAttentionCatalog
    {
        /// <summary>Makes a trainer that predicts a number from a set of keys: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureAttention"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The keys: a vector of Single of known or unknown size that holds them one after the other.</param>
        /// <param name="queryColumnName">The query: a vector of Single of d slots; null for the mean of the keys.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="keyDimension">d, numbers of a key; null for that of the query, or without a query for the whole vector as one key.</param>
        /// <param name="heads">M, random heads, in [1, 20000].</param>
        /// <param name="bias">The mean of the heads' weights.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> RandomFeatureAttention(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features", string? queryColumnName = null,
            string? exampleWeightColumnName = null, int? keyDimension = null, int heads = 1000, AttentionBias bias = AttentionBias.Zero) =>
            catalog.CreateTrainer(new RandomFeatureAttention(Options(labelColumnName, featureColumnName, queryColumnName, exampleWeightColumnName, keyDimension, heads, bias)));

        /// <summary>Makes a trainer that predicts a number from a set of keys: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureAttention"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> RandomFeatureAttention(
            this RegressionCatalog.RegressionTrainers catalog, RandomFeatureAttention.Options options) =>
            catalog.CreateTrainer(new RandomFeatureAttention(options));

        /// <summary>Makes a trainer that tells yes from no by a set of keys: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureAttention"/>.</summary>
        /// <inheritdoc cref="RandomFeatureAttention(RegressionCatalog.RegressionTrainers, string, string, string?, string?, int?, int, AttentionBias)"/>
        public static NetworkTrainer<BinaryNetworkModel> RandomFeatureAttention(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? queryColumnName = null, string? exampleWeightColumnName = null, int? keyDimension = null, int heads = 1000, AttentionBias bias = AttentionBias.Zero) =>
            catalog.CreateTrainer(new RandomFeatureAttention(Options(labelColumnName, featureColumnName, queryColumnName, exampleWeightColumnName, keyDimension, heads, bias)));

        /// <summary>Makes a trainer that tells yes from no by a set of keys: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureAttention"/>.</summary>
        /// <inheritdoc cref="RandomFeatureAttention(RegressionCatalog.RegressionTrainers, RandomFeatureAttention.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> RandomFeatureAttention(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, RandomFeatureAttention.Options options) =>
            catalog.CreateTrainer(new RandomFeatureAttention(options));

        /// <summary>Makes a trainer that chooses one of many classes by a set of keys: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureAttention"/>.</summary>
        /// <inheritdoc cref="RandomFeatureAttention(RegressionCatalog.RegressionTrainers, string, string, string?, string?, int?, int, AttentionBias)"/>
        public static NetworkTrainer<MulticlassNetworkModel> RandomFeatureAttention(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? queryColumnName = null, string? exampleWeightColumnName = null, int? keyDimension = null, int heads = 1000, AttentionBias bias = AttentionBias.Zero) =>
            catalog.CreateTrainer(new RandomFeatureAttention(Options(labelColumnName, featureColumnName, queryColumnName, exampleWeightColumnName, keyDimension, heads, bias)));

        /// <summary>Makes a trainer that chooses one of many classes by a set of keys: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureAttention"/>.</summary>
        /// <inheritdoc cref="RandomFeatureAttention(RegressionCatalog.RegressionTrainers, RandomFeatureAttention.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> RandomFeatureAttention(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, RandomFeatureAttention.Options options) =>
            catalog.CreateTrainer(new RandomFeatureAttention(options));

        private static RandomFeatureAttention.Options Options(
            string label, string features, string? query, string? weights, int? keyDimension, int heads, AttentionBias bias) => new()
            {
                LabelColumnName = label, FeatureColumnName = features, QueryColumnName = query, ExampleWeightColumnName = weights,
                KeyDimension = keyDimension, Heads = heads, Bias = bias,
            };
    }
}

namespace MlNetMlp.RandomFeatures
{
    /// <summary>
    /// Learns from rows that are sets: a query and any number of keys, whose order does not matter. One layer of attention with many random heads,
    /// and a readout in closed form.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `RandomFeatureAttention` of the regression, binary and multiclass trainers' catalogs.
    ///
    /// ### Input and output columns
    /// Keys are a vector of [Single](xref:System.Single) of known or unknown size that holds N keys of d numbers, one after the other; the query, if
    /// any, a vector of Single of d slots; labels a Single for regression, a Boolean for binary and a [key](xref:Microsoft.ML.Data.KeyDataViewType)
    /// for multiclass classification; example weights and the number of keys that count, if any, a Single. A key whose numbers are all NaN is
    /// passed over. A row of no keys is refused.
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
    /// | Is normalization required? | no: query and keys are divided by their lengths; scale their numbers to each other beforehand |
    /// | Is caching required? | no: rows are kept in memory as far as the option `MemoryBudget` allows, else streamed |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// Query x₀ and keys xᵢ are divided by their lengths and get a constant 1 behind them. M heads W_m are drawn with normal entries, about zero or
    /// about c·W₀, where W₀ has the score of a key rise with its inner product with the query. A head gives φ_m = (1/N)·Σᵢ σ(x₀ᵀW_m xᵢ)·xᵢ/√M, and
    /// the prediction is linear in all φ_m: ridge regression with an intercept, whose penalty is chosen by leaving out rows. With fewer rows than
    /// features it is solved for by the products of rows, which are summed over some heads at a time. For classification the outputs are then
    /// calibrated on the rows held out, or the readout is fitted by cross-entropy.
    ///
    /// ### References
    /// Fu, Guo, Bai and Mei, [What can a Single Attention Layer Learn? A Study Through the Random Features Lens](https://arxiv.org/abs/2307.11353),
    /// NeurIPS 2023.
    /// ]]></format>
    /// </remarks>
    public sealed class RandomFeatureAttention(RandomFeatureAttention.Options options) : INetworkMethod
    {
        /// <summary>Options of <see cref="RandomFeatureAttention"/>. <c>FeatureColumnName</c> is the column of the keys.</summary>
        public sealed record Options : NetworkOptions, IAttentionOptions, IReadoutOptions
        {
            /// <summary>M, random heads, in [1, 20000]; 1,000 by default. Hundreds are needed: they are no heads of a transformer.</summary>
            [Range(1, 20_000)]
            public int Heads { get; init; } = 1000;

            /// <summary>
            /// d, numbers of a key, in [1, 65536]; null (the default): as many as the query has, or without a query the whole vector, of known size, as
            /// one key.
            /// </summary>
            [Range(1, 65_536)]
            public int? KeyDimension { get; init; }

            /// <summary>The column of the query, a vector of numbers of d slots; null (the default): what <see cref="QueryMode"/> says.</summary>
            public string? QueryColumnName { get; init; }

            /// <summary>
            /// The column that says how many of the keys count, from the first on, where rows are filled up to one length; null (the default): all do.
            /// </summary>
            public string? KeyCountColumnName { get; init; }

            /// <summary>What the query is where no column holds it; the mean of the keys (Mean) by default.</summary>
            public AttentionQueryMode QueryMode { get; init; } = AttentionQueryMode.Mean;

            /// <summary>W₀, the mean of the heads' weights; Zero by default. Identity where the label depends on what query and keys have in common.</summary>
            public AttentionBias Bias { get; init; } = AttentionBias.Zero;

            /// <summary>W₀ where <see cref="Bias"/> is Custom; null (the default) otherwise.</summary>
            public AttentionBiasMatrix? BiasMatrix { get; init; }

            /// <summary>
            /// c, what W₀ is multiplied by, in [0, 1e6]; 4 by default, null to choose among 0, 1, 2, 4 and 8 by leaving out rows. It hurts where the label
            /// has nothing to do with the query.
            /// </summary>
            [Range(0, 1e6)]
            public double? BiasStrength { get; init; } = 4;

            /// <summary>Deviation of the heads' weights from their mean, above 0 and at most 1e6; 0.5 by default.</summary>
            [Range(0, 1e6, MinimumIsExclusive = true)]
            public double WeightStd { get; init; } = AttentionHeads.DefaultStd;

            /// <summary>σ, the function of the scores; Relu by default.</summary>
            public AttentionActivation Activation { get; init; } = AttentionActivation.Relu;

            /// <summary>T, what scores are divided by before a softmax, above 0 and at most 1e6; 1 by default. Softmax only.</summary>
            [Range(0, 1e6, MinimumIsExclusive = true)]
            public double Temperature { get; init; } = 1;

            /// <summary>What is done to query and keys; divided by their lengths (UnitNorm) by default.</summary>
            public AttentionNormalization Normalize { get; init; } = AttentionNormalization.UnitNorm;

            /// <summary>
            /// α, the ridge penalty, in units of <see cref="L2Unit"/>, at least 0; null (the default): by leaving out rows. At 0 the solution of least norm.
            /// Conjugate gradients take 1e-6 of the sum of the eigenvalues where none is given.
            /// </summary>
            [Range(0, double.MaxValue)]
            public double? L2 { get; init; }

            /// <summary>What <see cref="L2"/> is a multiple of; <see cref="RandomFeatureNetworkPenaltyUnit.LargestEigenvalue"/> by default.</summary>
            public RandomFeatureNetworkPenaltyUnit L2Unit { get; init; } = RandomFeatureNetworkPenaltyUnit.LargestEigenvalue;

            /// <summary>
            /// What solves for the readout; <see cref="RandomFeatureNetworkSolver.Auto"/> by default: Dual for fewer rows than the M·(d+1) features and up to
            /// 8,192 rows, else NormalEquations up to 8,192 features and ConjugateGradient above.
            /// </summary>
            public RandomFeatureNetworkSolver Solver { get; init; } = RandomFeatureNetworkSolver.Auto;

            /// <summary>
            /// Bound on Σ‖v_m‖, the lengths of what the heads' outputs are multiplied by, for labels in standard deviations, at least 0; 0 (the default) for
            /// none. Where ridge regression goes beyond it, the best within it is taken: by least squares, up to 8,192 features.
            /// </summary>
            [Range(0, double.MaxValue)]
            public double MaxNorm { get; init; }

            /// <summary>
            /// Whether sums of products are kept in the model, so that a fit can go on with more rows; null (the default): up to 2,000 features and outputs
            /// together. A model file grows by 4·(M·(d+1))² bytes. Cross-entropy and conjugate gradients keep none.
            /// </summary>
            public bool? KeepSums { get; init; }

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (Bias == AttentionBias.Custom != BiasMatrix is not null)
                    yield return new ValidationResult($"option 'BiasMatrix' must be given if and only if 'Bias' is Custom, but 'Bias' is {Bias}");
                if (MaxNorm > 0 && Solver is RandomFeatureNetworkSolver.CrossEntropy or RandomFeatureNetworkSolver.ConjugateGradient)
                    yield return new ValidationResult($"option 'MaxNorm' must be 0 with the solver {Solver}: it is for ridge regression from sums");
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(RandomFeatureAttention);

        NetworkOptions INetworkMethod.Options => options;

        SetInput INetworkMethod.Sets => AttentionHeads.Input(options);

        /// <summary>Reads which strengths of the bias were tried.</summary>
        /// <param name="model">A fitted or loaded model with such a network in it, alone or in a chain, of which the last one counts.</param>
        /// <returns>The table; null where the model holds no such network or nothing was tried.</returns>
        public static AttentionBiasReport? GetDiagnostics(ITransformer model) =>
            NetworkModel.Find(model) is { MethodName: nameof(RandomFeatureAttention) } network ? network.GetDiagnostics<AttentionBiasReport>() : null;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(data);
            ArgumentNullException.ThrowIfNull(run);
            data.MoveTo(run.Device);
            return new RandomFeatureAttentionFit(data, head, run, options).Run();
        }
    }
}
