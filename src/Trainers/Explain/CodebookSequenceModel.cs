// A small causal transformer whose attention heads and MLPs pass on a few codes, so that what it tells of the next token comes with a short list of them at each position.
//
// Tamkin, Taufeeque and Goodman, "Codebook Features: Sparse and Discrete Interpretability for Neural Networks", 2023, https://arxiv.org/abs/2310.17230
// Original code: https://github.com/taufeeque9/codebook-features
//
// T positions, V tokens, d numbers of a token, h heads; G = h groups of codes behind attention, one behind an MLP; otherwise as in CodebookNetwork.
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
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Explain.CodebookSequenceModel"/> estimators.</summary>
    public static class CodebookSequenceModelCatalog
    {
        /// <summary>Trains a model of sequences of tokens, without labels, that tells the next token by way of codes: see <see cref="MlNetMlp.Explain.CodebookSequenceModel"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column to add: the probabilities of the token that follows, a vector of Single.</param>
        /// <param name="inputColumnName">The column of tokens: a vector of keys, of known size or not, such as <c>TokenizeIntoWords</c> and <c>MapValueToKey</c> make.</param>
        /// <param name="numCodes">n, codes of each group, in [2, 65536].</param>
        /// <param name="k">K, codes that stand for an activation in each group, in [1, <paramref name="numCodes"/>].</param>
        /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
        /// <returns>The estimator.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkFeatureEstimator CodebookSequenceModel(
            this TransformsCatalog catalog, string outputColumnName = "Score", string inputColumnName = "Tokens", int numCodes = 256, int k = 4, int epochs = 20) =>
            catalog.CodebookSequenceModel(new CodebookSequenceModel.Options { ScoreColumnName = outputColumnName, TokensColumnName = inputColumnName, NumCodes = numCodes, K = k, Epochs = epochs });

        /// <inheritdoc cref="CodebookSequenceModel(TransformsCatalog, string, string, int, int, int)"/>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options, which also name the columns.</param>
        [OverloadResolutionPriority(1)]
        public static NetworkFeatureEstimator CodebookSequenceModel(this TransformsCatalog catalog, CodebookSequenceModel.Options options)
        {
            ArgumentNullException.ThrowIfNull(options);
            return catalog.CreateFeaturizer(options.ScoreColumnName, new CodebookSequenceModel(options));
        }
    }
}

namespace MlNetMlp.Explain
{
    /// <summary>
    /// Learns sequences of tokens without labels: a causal transformer that tells each token from those before it. Behind its attention heads and MLPs codes stand in the place of activations,
    /// K of n for each position, so that what a position has come to can be counted, searched and changed.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this estimator, use `CodebookSequenceModel` of the transforms' catalog.
    ///
    /// ### Input and output columns
    /// Tokens are a vector of [keys](xref:Microsoft.ML.Data.KeyDataViewType). Rows that are shorter than the longest one, and missing keys behind the last token, are filled up with positions that
    /// neither count in training nor have codes.
    ///
    /// | Column | Type | Description |
    /// | --- | --- | --- |
    /// | `Score` | vector of Single | the probabilities of the token that follows the last one of the row; slots are named by the tokens |
    /// | `Codes` | vector of keys | for each position the K codes behind attention (a group for each head) and MLP of each block; slots `A1.G0.#0@0`, `L1.G0.#0@0`; `MapKeyToValue` gives ids from 0 |
    /// | `CodesSimilarity` | vector of Single | how similar each of them is to the activation |
    ///
    /// ### Training algorithm details
    /// Blocks are h ← h + Attention(LN(h)), h ← h + MLP(LN(h)), on tokens plus trained positions; a normalisation and a dense layer tell the next token. What each head reads, before the map of the
    /// outputs, and what the MLP puts out become codes as in `CodebookNetwork`. The loss is the mean cross-entropy of the next token over all positions that one follows, and what the
    /// option `Loss` adds for the codes.
    ///
    /// ### References
    /// Tamkin, Taufeeque and Goodman, [Codebook Features: Sparse and Discrete Interpretability for Neural Networks](https://arxiv.org/abs/2310.17230), 2023.
    /// ]]></format>
    /// </remarks>
    public sealed class CodebookSequenceModel(CodebookSequenceModel.Options options) : INetworkMethod
    {
        // What cross_entropy passes over.
        private const long NoToken = -100;

        /// <summary>
        /// Options of <see cref="CodebookSequenceModel"/>, which reads no label and no features. Of the options of all networks that are trained by gradients two have other defaults:
        /// <see cref="GradientTrainedOptions.Epochs"/> is 20 and <see cref="GradientTrainedOptions.Patience"/> 5.
        /// </summary>
        public sealed record Options : CodebookOptions
        {
            /// <summary>Creates options with the defaults of this model.</summary>
            public Options()
            {
                FeatureColumnName = null;
                (Epochs, Patience) = (20, 5);
            }

            /// <summary>The column of tokens, <c>Tokens</c> by default: a vector of keys, of known size or not.</summary>
            [Required]
            public string TokensColumnName { get; init; } = "Tokens";

            /// <summary>Name of the column of the next token's probabilities, <c>Score</c> by default.</summary>
            [Required]
            public string ScoreColumnName { get; init; } = "Score";

            /// <summary>d, numbers of a token, in [1, 65536]; 64 by default.</summary>
            [Range(1, 1 << 16)]
            public int Width { get; init; } = 64;

            /// <summary>Number of blocks, in [1, 64]; 2 by default.</summary>
            [Range(1, 64)]
            public int Layers { get; init; } = 2;

            /// <summary>h, attention heads of a block, in [1, 65536]; it must divide <see cref="Width"/>. 4 by default. Each is a group of codes.</summary>
            [Range(1, 1 << 16)]
            public int Heads { get; init; } = 4;

            /// <summary>How many times as wide as a token the MLP of a block is inside, in [1, 64]; 4 by default.</summary>
            [Range(1, 64)]
            public int ExpansionFactor { get; init; } = 4;

            /// <summary>Whether codes stand behind attention heads; true by default. Without any codes it is a plain transformer, to compare with.</summary>
            public bool AttentionCodes { get; init; } = true;

            /// <summary>Whether codes stand behind MLPs; true by default.</summary>
            public bool MlpCodes { get; init; } = true;

            /// <summary>Where codes stand.</summary>
            internal IReadOnlyList<CodebookSite> Sites => CodebookSequenceModelDefinition.SitesOf(Width, Layers, Heads, AttentionCodes, MlpCodes, NumCodes, K, Similarity);

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (FeatureColumnName is not null)
                    yield return new ValidationResult($"option 'FeatureColumnName' must be null, as the model reads tokens ('TokensColumnName'), but was '{FeatureColumnName}'");
                if (Width % Heads != 0)
                    yield return new ValidationResult($"option 'Heads' must divide Width, {Width}, but was {Heads}");
                if (CodeColumns.FaultOf(Sites) is { } wide)
                    yield return new ValidationResult(wide);
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(CodebookSequenceModel);

        /// <inheritdoc/>
        public bool ReadsLabels => false;

        NetworkOptions INetworkMethod.Options => options;

        IReadOnlyList<InputColumn> INetworkMethod.Columns => [new(options.TokensColumnName, InputColumnTypes.Keys, "token")];

        IReadOnlyList<AddedColumn> INetworkMethod.AddedColumns => CodeColumns.Of(options.CodesColumnName, options.Sites);

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var column = data.Layout!.Columns[0];
            if (column.Width < 2)
                throw new InvalidOperationException($"{Name}: no row of column '{column.Name}' has two tokens, and what is learned is which one follows another.");
            if (CodeColumns.FaultOf(options.Sites, column.Width) is { } wide)
                throw new InvalidOperationException($"{Name}: {wide}. Make rows of column '{column.Name}' shorter.");
            var network = (CodebookSequenceNetwork)run.Create(new CodebookSequenceModelDefinition
            {
                Inputs = column.Width,
                Outputs = column.KeyCount,
                Layout = data.Layout,
                Width = options.Width,
                Layers = options.Layers,
                Heads = options.Heads,
                ExpansionFactor = options.ExpansionFactor,
                AttentionCodes = options.AttentionCodes,
                MlpCodes = options.MlpCodes,
                NumCodes = options.NumCodes,
                K = options.K,
                Similarity = options.Similarity,
                CodesColumnName = options.CodesColumnName,
                TokenNames = run.Initial is { Definition: CodebookSequenceModelDefinition earlier } ? earlier.TokenNames : data.KeyNames[0] is { } names ? [.. names] : null,
            });
            options.Prepare(network.Codebooks);
            run.Minimize(
                network,
                data,
                head,
                options.ToSettings(data.RowCount),
                (_, batch) =>
                {
                    var (logits, extra) = network.Run(batch.Features, options.Loss, options.Beta, batch.Weights);
                    return options.WithCodes(NextTokenLoss(logits, batch, options.LabelSmoothing), extra, network.Codebooks);
                },
                (_, batch) => NextTokenLoss(network.Logits(batch.Features), batch, 0));
            return network;
        }

        // The mean over all positions that a token follows.
        private static Tensor NextTokenLoss(Tensor logits, RowBlock batch, double smoothing)
        {
            var (x, classes) = (batch.Features, logits.shape[2]);
            var (before, next) = (logits.narrow(1, 0, x.shape[1] - 1), x.narrow(1, 1, x.shape[1] - 1).to(ScalarType.Int64));

            // Tokens that training could not have are none to be told.
            var isToken = next.IsAbove(0).logical_and(next.IsAbove(classes).logical_not());
            using Scalar none = NoToken;
            var wanted = next.PlusWhole(-1).masked_fill(isToken.logical_not(), none);
            var losses = nn.functional.cross_entropy(
                before.reshape(-1, classes), wanted.flatten(), ignore_index: NoToken, reduction: nn.Reduction.None, label_smoothing: smoothing).view(wanted.shape);
            if (batch.Weights is not null)
                losses = losses.mul(batch.Weights.unsqueeze(1));
            return losses.sum().div(isToken.sum().AtLeast(1));
        }
    }
}
