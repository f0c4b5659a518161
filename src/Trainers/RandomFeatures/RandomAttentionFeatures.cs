// The heads of RandomFeatureAttention.cs alone: features of sets for other trainers.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.RandomFeatures.RandomAttentionFeatures"/> estimators.</summary>
    public static class RandomAttentionFeaturesCatalog
    {
        /// <summary>
        /// Adds what M random attention heads make of a query and a set of keys, for any trainer to learn from: see
        /// <see cref="MlNetMlp.RandomFeatures.RandomAttentionFeatures"/>.
        /// </summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single with M·(d+1) slots.</param>
        /// <param name="keysColumnName">The keys: a vector of numbers of known or unknown size that holds them one after the other.</param>
        /// <param name="queryColumnName">The query: a vector of numbers of d slots; null for the mean of the keys.</param>
        /// <param name="keyDimension">d, numbers of a key; null for that of the query, or without a query for the whole vector as one key.</param>
        /// <param name="heads">M, in [1, 20000].</param>
        /// <param name="bias">The mean of the heads' weights.</param>
        /// <returns>The estimator.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static FeatureMapEstimator RandomAttentionFeatures(
            this TransformsCatalog catalog, string outputColumnName, string keysColumnName, string? queryColumnName = null, int? keyDimension = null,
            int heads = 200, AttentionBias bias = AttentionBias.Zero) =>
            catalog.RandomAttentionFeatures(outputColumnName, new RandomAttentionFeatures.Options
            {
                InputColumnName = keysColumnName, QueryColumnName = queryColumnName, KeyDimension = keyDimension, Heads = heads, Bias = bias,
            });

        /// <inheritdoc cref="RandomAttentionFeatures(TransformsCatalog, string, string, string?, int?, int, AttentionBias)"/>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single with M·(d+1) slots.</param>
        /// <param name="options">The options; they also name the columns that are read.</param>
        [OverloadResolutionPriority(1)]
        public static FeatureMapEstimator RandomAttentionFeatures(
            this TransformsCatalog catalog, string outputColumnName, RandomAttentionFeatures.Options options) =>
            catalog.CreateFeatureMap(outputColumnName, new RandomAttentionFeatures(options));
    }
}

namespace MlNetMlp.RandomFeatures
{
    /// <summary>
    /// What random attention heads make of a set, φ_m = (1/N)·Σᵢ σ(x̃₀ᵀW_m x̃ᵢ)·x̃ᵢ/√M: the heads of a <see cref="RandomFeatureAttention"/> without its
    /// readout. They are drawn when the estimator is fitted, and kept in the model; they need no label.
    /// </summary>
    /// <param name="options">The options.</param>
    public sealed class RandomAttentionFeatures(RandomAttentionFeatures.Options options) : IFeatureMethod
    {
        /// <summary>Options of <see cref="RandomAttentionFeatures"/>. <c>InputColumnName</c> is the column of the keys.</summary>
        public sealed record Options : FeatureOptions, IAttentionOptions, IValidatableObject
        {
            /// <summary>M, random heads, in [1, 20000]; 200 by default.</summary>
            [Range(1, 20_000)]
            public int Heads { get; init; } = 200;

            /// <inheritdoc cref="RandomFeatureAttention.Options.KeyDimension"/>
            [Range(1, 65_536)]
            public int? KeyDimension { get; init; }

            /// <inheritdoc cref="RandomFeatureAttention.Options.QueryColumnName"/>
            public string? QueryColumnName { get; init; }

            /// <inheritdoc cref="RandomFeatureAttention.Options.KeyCountColumnName"/>
            public string? KeyCountColumnName { get; init; }

            /// <inheritdoc cref="RandomFeatureAttention.Options.QueryMode"/>
            public AttentionQueryMode QueryMode { get; init; } = AttentionQueryMode.Mean;

            /// <inheritdoc cref="RandomFeatureAttention.Options.Bias"/>
            public AttentionBias Bias { get; init; } = AttentionBias.Zero;

            /// <inheritdoc cref="RandomFeatureAttention.Options.BiasMatrix"/>
            public AttentionBiasMatrix? BiasMatrix { get; init; }

            /// <summary>c, what W₀ is multiplied by, in [0, 1e6]; 4 by default.</summary>
            [Range(0, 1e6)]
            public double BiasStrength { get; init; } = 4;

            /// <inheritdoc cref="RandomFeatureAttention.Options.WeightStd"/>
            [Range(0, 1e6, MinimumIsExclusive = true)]
            public double WeightStd { get; init; } = AttentionHeads.DefaultStd;

            /// <inheritdoc cref="RandomFeatureAttention.Options.Activation"/>
            public AttentionActivation Activation { get; init; } = AttentionActivation.Relu;

            /// <inheritdoc cref="RandomFeatureAttention.Options.Temperature"/>
            [Range(0, 1e6, MinimumIsExclusive = true)]
            public double Temperature { get; init; } = 1;

            /// <inheritdoc cref="RandomFeatureAttention.Options.Normalize"/>
            public AttentionNormalization Normalize { get; init; } = AttentionNormalization.UnitNorm;

            /// <summary>Whether there is a matrix where one is needed.</summary>
            /// <param name="validationContext">Not used.</param>
            /// <returns>The faults.</returns>
            public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                if (Bias == AttentionBias.Custom != BiasMatrix is not null)
                    yield return new ValidationResult($"option 'BiasMatrix' must be given if and only if 'Bias' is Custom, but 'Bias' is {Bias}");
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(RandomAttentionFeatures);

        /// <inheritdoc/>
        public int SampleRows => 1;

        FeatureOptions IFeatureMethod.Options => options;

        SetInput IFeatureMethod.Sets => AttentionHeads.Input(options);

        /// <inheritdoc/>
        public Network Fit(FeatureSample data, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(data);
            ArgumentNullException.ThrowIfNull(run);
            var definition = AttentionHeads.Define(options, data.Sets, data.FeatureCount);
            using var heads = AttentionHeads.Draw(options, definition, run.Random.Weights);
            using var weight = heads.At(options.BiasStrength);
            var network = definition.Build(TorchSharp.torch.CPU);
            network.WriteWeights([NamedTensor.Of("heads.weight", weight.data<float>().ToArray(), definition.Heads, definition.Width, definition.Width)]);
            network.eval();
            return network;
        }
    }
}
