// An MLP whose hidden state is a mean of a few codes, so that each prediction comes with a short list of them that can be counted, searched and overridden.
//
// Tamkin, Taufeeque and Goodman, "Codebook Features: Sparse and Discrete Interpretability for Neural Networks", 2023, https://arxiv.org/abs/2310.17230
// Original code: https://github.com/taufeeque9/codebook-features
//
// a activations behind a hidden layer, d of them; a' = LN(a); G groups, each with n codes c ∈ R^(d/G); S the K codes of the greatest similarity; o = (1/K)·Σ_S c takes the place of a.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Explain;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Explain.CodebookNetwork"/> trainers.</summary>
    public static class CodebookNetworkCatalog
    {
        /// <summary>Makes a trainer that predicts a number with a network of codes: see <see cref="MlNetMlp.Explain.CodebookNetwork"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size. It needs no normalisation.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="numCodes">n, codes behind a layer, in [2, 65536].</param>
        /// <param name="k">K, codes of a row behind a layer, in [1, <paramref name="numCodes"/>].</param>
        /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> CodebookNetwork(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int numCodes = 256, int k = 4, int epochs = 100) =>
            catalog.CreateTrainer(new CodebookNetwork(Options(labelColumnName, featureColumnName, exampleWeightColumnName, numCodes, k, epochs)));

        /// <summary>Makes a trainer that predicts a number with a network of codes: see <see cref="MlNetMlp.Explain.CodebookNetwork"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> CodebookNetwork(this RegressionCatalog.RegressionTrainers catalog, CodebookNetwork.Options options) =>
            catalog.CreateTrainer(new CodebookNetwork(options));

        /// <summary>Makes a trainer that tells yes from no with a network of codes: see <see cref="MlNetMlp.Explain.CodebookNetwork"/>.</summary>
        /// <inheritdoc cref="CodebookNetwork(RegressionCatalog.RegressionTrainers, string, string, string, int, int, int)"/>
        public static NetworkTrainer<BinaryNetworkModel> CodebookNetwork(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int numCodes = 256, int k = 4, int epochs = 100) =>
            catalog.CreateTrainer(new CodebookNetwork(Options(labelColumnName, featureColumnName, exampleWeightColumnName, numCodes, k, epochs)));

        /// <summary>Makes a trainer that tells yes from no with a network of codes: see <see cref="MlNetMlp.Explain.CodebookNetwork"/>.</summary>
        /// <inheritdoc cref="CodebookNetwork(RegressionCatalog.RegressionTrainers, CodebookNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> CodebookNetwork(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, CodebookNetwork.Options options) => catalog.CreateTrainer(new CodebookNetwork(options));

        /// <summary>Makes a trainer that chooses one of many classes with a network of codes: see <see cref="MlNetMlp.Explain.CodebookNetwork"/>.</summary>
        /// <inheritdoc cref="CodebookNetwork(RegressionCatalog.RegressionTrainers, string, string, string, int, int, int)"/>
        public static NetworkTrainer<MulticlassNetworkModel> CodebookNetwork(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int numCodes = 256, int k = 4, int epochs = 100) =>
            catalog.CreateTrainer(new CodebookNetwork(Options(labelColumnName, featureColumnName, exampleWeightColumnName, numCodes, k, epochs)));

        /// <summary>Makes a trainer that chooses one of many classes with a network of codes: see <see cref="MlNetMlp.Explain.CodebookNetwork"/>.</summary>
        /// <inheritdoc cref="CodebookNetwork(RegressionCatalog.RegressionTrainers, CodebookNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> CodebookNetwork(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, CodebookNetwork.Options options) => catalog.CreateTrainer(new CodebookNetwork(options));

        private static CodebookNetwork.Options Options(string label, string features, string? weight, int numCodes, int k, int epochs) =>
            new() { LabelColumnName = label, FeatureColumnName = features, ExampleWeightColumnName = weight, NumCodes = numCodes, K = k, Epochs = epochs };
    }
}

namespace MlNetMlp.Explain
{
    /// <summary>How the codes of a network begin.</summary>
    public enum CodeInitialization
    {
        /// <summary>Drawn from N(0, 1), as normalised activations are.</summary>
        Normal,

        /// <summary>Centroids of the activations of rows, of which k-means finds those behind the first layer first.</summary>
        KMeans,
    }

    /// <summary>
    /// An MLP whose hidden layers pass on codes instead of activations: for each row the K codes of n that are most like its activations. A prediction is made of nothing else, so what a
    /// code stands for can be counted, searched and changed.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `CodebookNetwork` of the regression, binary and multiclass trainers' catalogs.
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
    /// | all | `Codes` | vector of keys | the K codes behind each layer and in each group, the most similar first; slots `L1.G0.#0`; `MapKeyToValue` gives ids from 0 |
    /// | all | `CodesSimilarity` | vector of Single | how similar each of them is to the activation |
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
    /// Behind a hidden layer of ReLU units, activations a (in G groups, slices of d/G) are normalised, a' = LN(a). Similarities are s_i = a'·c_i/‖c_i‖, or −‖a' − c_i‖₂, and with S the K
    /// greatest o = (1/K)·Σ_{i∈S} c_i takes the place of a; the codes of the sum are not normalised. The gradient of o goes to a' as it is, and to each code of S a K-th of it. With
    /// `AutoEncode` codes also follow the gradient of the mean over rows of ‖o − a'‖²; with `FullAutoEncode` activations follow that of β‖o − a'‖² too; with `VqVae` codes follow
    /// these losses alone.
    ///
    /// ### References
    /// Tamkin, Taufeeque and Goodman, [Codebook Features: Sparse and Discrete Interpretability for Neural Networks](https://arxiv.org/abs/2310.17230), 2023.
    /// ]]></format>
    /// </remarks>
    public sealed class CodebookNetwork(CodebookNetwork.Options options) : INetworkMethod
    {
        // Rows per code that k-means looks at.
        private const int RowsPerCode = 64;

        /// <summary>Options of <see cref="CodebookNetwork"/>.</summary>
        public sealed record Options : CodebookOptions
        {
            /// <summary>d, units of a hidden layer, in [1, 65536]; 128 by default.</summary>
            [Range(1, 1 << 16)]
            public int HiddenUnits { get; init; } = 128;

            /// <summary>Number of hidden layers, in [1, 64]; 2 by default.</summary>
            [Range(1, 64)]
            public int HiddenLayers { get; init; } = 2;

            /// <summary>The hidden layers behind which codes stand, from 1 and ascending; null (the default) for all of them.</summary>
            public ValueList<int>? CodebookLayers { get; init; }

            /// <summary>G, parts of the hidden units with codes of their own, in [1, 65536]; it must divide <see cref="HiddenUnits"/>. 1 by default.</summary>
            [Range(1, 1 << 16)]
            public int Groups { get; init; } = 1;

            /// <summary>How codes begin; <see cref="CodeInitialization.Normal"/> by default.</summary>
            public CodeInitialization Initialization { get; init; } = CodeInitialization.Normal;

            /// <summary>Whether each feature is standardised by mean and deviation of the training rows; true by default.</summary>
            public bool StandardizeInputs { get; init; } = true;

            /// <summary>The layers behind which codes stand.</summary>
            internal ValueList<int> Layers => CodebookLayers ?? [.. Enumerable.Range(1, HiddenLayers)];

            /// <summary>The codes behind them.</summary>
            internal IReadOnlyList<CodebookSite> Sites => CodebookSite.Behind(Layers, new(HiddenUnits, NumCodes, K, Groups, Similarity));

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (HiddenUnits % Groups != 0)
                    yield return new ValidationResult($"option 'Groups' must divide HiddenUnits, {HiddenUnits}, but was {Groups}");
                if (CodebookNetworkDefinition.FaultOf(Layers, HiddenLayers) is { } wrong)
                    yield return new ValidationResult($"option 'CodebookLayers' {wrong}");
                if (CodeColumns.FaultOf(Sites) is { } wide)
                    yield return new ValidationResult(wide);
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(CodebookNetwork);

        NetworkOptions INetworkMethod.Options => options;

        IReadOnlyList<AddedColumn> INetworkMethod.AddedColumns => CodeColumns.Of(options.CodesColumnName, options.Sites);

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var network = (CodebookNetworkModule)run.Create(new CodebookNetworkDefinition
            {
                Inputs = data.FeatureCount,
                Outputs = head.Outputs,
                HiddenUnits = options.HiddenUnits,
                HiddenLayers = options.HiddenLayers,
                CodebookLayers = options.Layers,
                NumCodes = options.NumCodes,
                K = options.K,
                Groups = options.Groups,
                Similarity = options.Similarity,
                StandardizeInputs = options.StandardizeInputs,
                CodesColumnName = options.CodesColumnName,
            });
            if (!run.IsContinued)
            {
                network.SetScaling(data.Statistics);
                if (options.Initialization == CodeInitialization.KMeans)
                    InitializeCodes(network, data, run);
            }

            options.Prepare(network.Codebooks);
            run.Minimize(network, data, head, options.ToSettings(data.RowCount), Loss);
            return network;

            Tensor Loss(Network trained, RowBlock batch)
            {
                var (outputs, extra) = network.Run(batch.Features, options.Loss, options.Beta, batch.Weights);
                var loss = head.Loss(outputs, batch.Labels, batch.Weights, options.LabelSmoothing);
                return options.WithCodes(loss, extra, network.Codebooks);
            }
        }

        private void InitializeCodes(CodebookNetworkModule network, TrainingSet data, TrainingRun run)
        {
            using var scope = NewDisposeScope();
            var sample = data.Sample((int)Math.Min(data.RowCount, (long)options.NumCodes * RowsPerCode));
            network.InitializeByKMeans(sample.Features.to(run.Device), run.Random.Training, run.CheckCancelled);
        }
    }
}
