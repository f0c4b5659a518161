// The hidden layer of RandomFeatureNetwork.cs alone: features for other trainers.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.RandomFeatures.RandomFeatureMap"/> estimators.</summary>
    public static class RandomFeatureMapCatalog
    {
        /// <summary>
        /// Adds M random functions of the features, for a linear trainer or any other to learn from: see
        /// <see cref="MlNetMlp.RandomFeatures.RandomFeatureMap"/>.
        /// </summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single with M slots.</param>
        /// <param name="inputColumnName">The column of features: a vector of numbers of known size; null for <paramref name="outputColumnName"/>.</param>
        /// <param name="units">M, in [1, 200000].</param>
        /// <param name="activation">φ, the function of the units.</param>
        /// <param name="weightScale">λ, the scale of the weights, above 0.</param>
        /// <returns>The estimator.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static FeatureMapEstimator RandomFeatureMap(
            this TransformsCatalog catalog, string outputColumnName, string? inputColumnName = null, int units = 1000,
            RandomActivation activation = RandomActivation.Tanh, double weightScale = 2) =>
            catalog.RandomFeatureMap(outputColumnName, new RandomFeatureMap.Options
            {
                InputColumnName = inputColumnName ?? outputColumnName, Units = units, Activation = activation, WeightScale = weightScale,
            });

        /// <inheritdoc cref="RandomFeatureMap(TransformsCatalog, string, string?, int, RandomActivation, double)"/>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single with M slots.</param>
        /// <param name="options">The options; they also name the column that is read.</param>
        [OverloadResolutionPriority(1)]
        public static FeatureMapEstimator RandomFeatureMap(
            this TransformsCatalog catalog, string outputColumnName, RandomFeatureMap.Options options) =>
            catalog.CreateFeatureMap(outputColumnName, new RandomFeatureMap(options));
    }
}

namespace MlNetMlp.RandomFeatures
{
    /// <summary>
    /// Random functions of the features, h_j = φ(a_j·x − b_j), drawn once when the estimator is fitted and kept in the model: the hidden layer of a
    /// <see cref="RandomFeatureNetwork"/> without its readout. With normal weights and cosines, (2/M)·Σ h_j(x)·h_j(x′) is near the Gaussian kernel
    /// exp(−λ²‖x − x′‖²/2) (Rahimi and Recht, "Random Features for Large-Scale Kernel Machines", 2007).
    /// </summary>
    /// <param name="options">The options.</param>
    public sealed class RandomFeatureMap(RandomFeatureMap.Options options) : IFeatureMethod
    {
        /// <summary>Options of <see cref="RandomFeatureMap"/>.</summary>
        public sealed record Options : FeatureOptions, IRandomLayerOptions
        {
            /// <summary>M, number of functions, in [1, 200000]; 1,000 by default.</summary>
            [Range(1, 200_000)]
            public int Units { get; init; } = 1000;

            /// <summary>φ, the function of the units; tanh by default.</summary>
            public RandomActivation Activation { get; init; } = RandomActivation.Tanh;

            /// <summary>The law of the weights; uniform by default.</summary>
            public RandomWeightDistribution WeightDistribution { get; init; } = RandomWeightDistribution.Uniform;

            /// <summary>
            /// λ, the scale of the weights, for features that are z-scored and divided by √D; above 0 and at most 1e6, null (the default): 2, or what
            /// the law of pairs of rows says. <c>mlContext.Regression.EvaluateBandwidth</c> tells what suits the data.
            /// </summary>
            [Range(0, 1e6, MinimumIsExclusive = true)]
            public double? WeightScale { get; init; }

            /// <summary>
            /// b is drawn from [−BiasScale, BiasScale], above 0 and at most 1e9; null (the default): λ times the 95 % quantile of the lengths of rows,
            /// or π for sine and cosine.
            /// </summary>
            [Range(0, 1e9, MinimumIsExclusive = true)]
            public double? BiasScale { get; init; }

            /// <summary>Whether each feature is z-scored and divided by √D; true by default.</summary>
            public bool StandardizeInputs { get; init; } = true;
        }

        private const double DefaultScale = 2;

        /// <inheritdoc/>
        public string Name => nameof(RandomFeatureMap);

        /// <inheritdoc/>
        public int SampleRows => BandwidthSweep.SampleRows;

        FeatureOptions IFeatureMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(FeatureSample data, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(data);
            ArgumentNullException.ThrowIfNull(run);
            var layer = RandomLayer.Draw(options, options.Units, data.Statistics, data.Sample, run.Random.Weights);
            return layer.Network(options.WeightScale ?? RandomLayer.FixedScale(options) ?? DefaultScale);
        }
    }
}
