// The bottleneck of CodebookNetwork.cs alone: each row is described by the ids of a few codes, without a label.
using System.ComponentModel.DataAnnotations;
using Microsoft.ML;
using MlNetMlp.Explain;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Explain.VectorQuantize"/> estimators.</summary>
    public static class VectorQuantizeCatalog
    {
        /// <summary>
        /// Adds the ids of the codes that describe a row, and the row as those codes describe it: see <see cref="MlNetMlp.Explain.VectorQuantize"/>.
        /// </summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column of codes to add: a vector of keys, K for each group.</param>
        /// <param name="inputColumnName">The column of features: a vector of numbers of known size; null for that of the options.</param>
        /// <param name="options">The options; null for the defaults. Its column of codes is <paramref name="outputColumnName"/>, whatever it says.</param>
        /// <returns>The estimator.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static FeatureMapEstimator VectorQuantize(
            this TransformsCatalog catalog, string outputColumnName, string? inputColumnName = null, VectorQuantize.Options? options = null)
        {
            options ??= new();
            options = options with { CodesColumnName = outputColumnName, InputColumnName = inputColumnName ?? options.InputColumnName };
            return catalog.CreateFeatureMap(options.ReconstructionColumnName, new VectorQuantize(options));
        }
    }
}

namespace MlNetMlp.Explain
{
    /// <summary>How the codes of <see cref="VectorQuantize"/> are found.</summary>
    public enum QuantizerTraining
    {
        /// <summary>They are centroids of the rows.</summary>
        KMeans,

        /// <summary>They descend the gradient of the mean over rows of ‖o − x‖², for which several codes add up to a row.</summary>
        AutoEncode,
    }

    /// <summary>
    /// Describes rows by codes: the K of n that are most like a row, whose mean o is its reconstruction. In G groups each slice of the features has codes of its own, so that n·G codes tell
    /// n^G rows apart.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// Columns that come out: the codes, a vector of keys with slots <c>L1.G0.#0</c>, whose values are ids from 0; their similarities, a vector of Single under the same name with
    /// <c>Similarity</c> behind it; and the reconstruction, a vector of Single in the unit of the features (or of normalised ones: <see cref="Options.Normalize"/>).
    /// </remarks>
    public sealed class VectorQuantize(VectorQuantize.Options options) : IFeatureMethod
    {
        /// <summary>Options of <see cref="VectorQuantize"/>.</summary>
        public sealed record Options : FeatureOptions, IValidatableObject
        {
            // NOTE[DIFF]: Euclidean, K = 1 and no normalisation, where the bottleneck of the paper's networks has inner products, more codes and a normalisation: rows are to be found again in
            // their own unit.

            /// <summary>n, codes of each group, in [2, 65536]; 256 by default.</summary>
            [Range(2, 1 << 16)]
            public int NumCodes { get; init; } = 256;

            /// <summary>K, codes of a row in each group, in [1, 65536] and at most <see cref="NumCodes"/>; 1 by default. For more take <see cref="QuantizerTraining.AutoEncode"/>.</summary>
            [Range(1, 1 << 16)]
            public int K { get; init; } = 1;

            /// <summary>G, slices of the features with codes of their own, in [1, 65536]; it must divide the number of features. 1 by default.</summary>
            [Range(1, 1 << 16)]
            public int Groups { get; init; } = 1;

            /// <summary>How alike rows and codes are; <see cref="RowSimilarity.Euclidean"/> by default.</summary>
            public RowSimilarity Similarity { get; init; } = RowSimilarity.Euclidean;

            /// <summary>How codes are found; <see cref="QuantizerTraining.KMeans"/> by default.</summary>
            public QuantizerTraining Training { get; init; } = QuantizerTraining.KMeans;

            /// <summary>Rows, drawn at random, that codes are learned from, in [1, 2^24]; 65,536 by default. They are kept in memory.</summary>
            [Range(1, 1 << 24)]
            public int SampleRows { get; init; } = 1 << 16;

            /// <summary>Most passes over these rows, in [1, 1,000,000]; 50 by default.</summary>
            [Range(1, 1_000_000)]
            public int Epochs { get; init; } = 50;

            /// <summary>Rows after which codes move, in [0, 2^24]; 0 (the default) for all of them with k-means, and 256 with <see cref="QuantizerTraining.AutoEncode"/>.</summary>
            [Range(0, 1 << 24)]
            public int BatchSize { get; init; }

            /// <summary>Step length of Adam, greater than 0 and at most 1,000; 0.01 by default. For <see cref="QuantizerTraining.AutoEncode"/>, which begins from centroids.</summary>
            [Range(0, 1e3, MinimumIsExclusive = true)]
            public double LearningRate { get; init; } = 0.01;

            /// <summary>Steps after which codes that no row has used since are replaced by rows, in [0, 1,000,000,000]; 0 (the default) for never. For <see cref="QuantizerTraining.AutoEncode"/>.</summary>
            [Range(0, 1_000_000_000)]
            public int ReplaceDeadAfterSteps { get; init; }

            /// <summary>Whether features are standardised by mean and deviation, so that those of large units do not drown the others; true by default.</summary>
            public bool StandardizeInputs { get; init; } = true;

            /// <summary>Whether each slice of a row is normalised before its codes are looked up, as in networks; false by default. Its level and length are then lost, and the reconstruction is of the normalised slice.</summary>
            public bool Normalize { get; init; }

            /// <summary>Name of the column of codes, <c>Codes</c> by default.</summary>
            [Required]
            public string CodesColumnName { get; init; } = "Codes";

            /// <summary>Name of the column of reconstructions, <c>Reconstruction</c> by default.</summary>
            [Required]
            public string ReconstructionColumnName { get; init; } = "Reconstruction";

            // How wide codes are is known with the data alone, and their column does not depend on it.
            internal IReadOnlyList<CodebookSite> Sites => CodebookSite.Behind([1], new(Groups, NumCodes, K, Groups, Similarity, Normalize));

            /// <inheritdoc/>
            public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                if (K > NumCodes)
                    yield return new ValidationResult($"option 'K' must be at most NumCodes, {NumCodes}, but was {K}");
                if (CodeColumns.FaultOf(Sites) is { } wide)
                    yield return new ValidationResult(wide);
            }
        }

        private const int DefaultBatch = 256;

        /// <inheritdoc/>
        public string Name => nameof(VectorQuantize);

        FeatureOptions IFeatureMethod.Options => options;

        /// <inheritdoc/>
        public int SampleRows => options.SampleRows;

        /// <inheritdoc/>
        public IReadOnlyList<AddedColumn> AddedColumns => CodeColumns.Of(options.CodesColumnName, options.Sites);

        /// <inheritdoc/>
        public Network Fit(FeatureSample data, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(data);
            ArgumentNullException.ThrowIfNull(run);
            if (data.FeatureCount % options.Groups != 0)
                throw new ArgumentOutOfRangeException(nameof(data), $"{Name}: option 'Groups' must divide the number of features, {data.FeatureCount}, but was {options.Groups}.");
            var network = (VectorQuantizeModule)run.Create(new VectorQuantizeDefinition
            {
                Inputs = data.FeatureCount,
                Outputs = data.FeatureCount,
                NumCodes = options.NumCodes,
                K = options.K,
                Groups = options.Groups,
                Similarity = options.Similarity,
                Normalize = options.Normalize,
                StandardizeInputs = options.StandardizeInputs,
                CodesColumnName = options.CodesColumnName,
            });
            network.SetScaling(data.Statistics);
            using var scope = NewDisposeScope();
            var x = network.Standardize(data.Sample);
            var isMeans = options.Training == QuantizerTraining.KMeans;
            var settings = new KMeansSettings { MaxIterations = options.Epochs, BatchRows = options.BatchSize };
            network.Codebook.InitializeByKMeans(x, isMeans ? settings : settings with { MaxIterations = Math.Min(options.Epochs, 5) }, run.Random.Training, run.CheckCancelled);
            if (!isMeans)
                AutoEncode(network.Codebook, x, run);
            return network;
        }

        private void AutoEncode(Codebook codebook, Tensor x, TrainingRun run)
        {
            using var parameters = new FlatParameters(codebook);
            using var adam = new Adam(parameters);
            codebook.ReplaceDeadAfterSteps = options.ReplaceDeadAfterSteps;
            codebook.train();
            var (rows, batch) = (x.shape[0], options.BatchSize > 0 ? options.BatchSize : DefaultBatch);
            for (var epoch = 0; epoch < options.Epochs; epoch++)
            {
                using var pass = NewDisposeScope();
                var order = randperm(rows, device: x.device, generator: run.Random.Training);
                for (long start = 0; start < rows; start += batch)
                {
                    run.CheckCancelled();
                    using var step = NewDisposeScope();
                    parameters.ZeroGradient();
                    codebook.Snap(x.index_select(0, order.narrow(0, start, Math.Min(batch, rows - start))), CodebookLoss.AutoEncode, 0).Loss!.backward();
                    adam.Step(options.LearningRate);
                    if (codebook.Replace(run.Random.Training) is var (parameter, replaced))
                        adam.Forget(parameter, replaced);
                }
            }

            codebook.eval();
        }
    }
}
