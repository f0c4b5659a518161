// The features Φ of ScalableKernelNetwork.cs alone, for other trainers.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.ScalableKernels;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.ScalableKernels.ScalableKernelFeatures"/> estimators.</summary>
    public static class ScalableKernelFeaturesCatalog
    {
        /// <summary>
        /// Adds m random features of a kernel, for a linear trainer or any other to learn from: see
        /// <see cref="MlNetMlp.ScalableKernels.ScalableKernelFeatures"/>.
        /// </summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single with m slots.</param>
        /// <param name="inputColumnName">The column of features: a vector of numbers of known size; null for <paramref name="outputColumnName"/>.</param>
        /// <param name="featureCount">m, in [1, 65536].</param>
        /// <param name="kernel">What the features are made for.</param>
        /// <returns>The estimator.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static FeatureMapEstimator ScalableKernelFeatures(
            this TransformsCatalog catalog, string outputColumnName, string? inputColumnName = null, int featureCount = 128,
            ScalableKernel kernel = ScalableKernel.ReluArcCos) =>
            catalog.ScalableKernelFeatures(outputColumnName, new ScalableKernelFeatures.Options
            {
                InputColumnName = inputColumnName ?? outputColumnName, FeatureCount = featureCount, Kernel = kernel,
            });

        /// <inheritdoc cref="ScalableKernelFeatures(TransformsCatalog, string, string?, int, ScalableKernel)"/>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single with m slots.</param>
        /// <param name="options">The options; they also name the column that is read.</param>
        [OverloadResolutionPriority(1)]
        public static FeatureMapEstimator ScalableKernelFeatures(
            this TransformsCatalog catalog, string outputColumnName, ScalableKernelFeatures.Options options) =>
            catalog.CreateFeatureMap(outputColumnName, new ScalableKernelFeatures(options));
    }
}

namespace MlNetMlp.ScalableKernels
{
    /// <summary>
    /// The x-side of a scalable neural network kernel, Φ(x) with m random features: whatever f(w·x + b) a layer computes, a linear function of Φ(x) can
    /// stand for it. Drawn once when the estimator is fitted and kept in the model; no label is looked at (Sehanobish and others, "Scalable Neural
    /// Network Kernels", ICLR 2024, https://arxiv.org/abs/2310.13225).
    /// </summary>
    /// <param name="options">The options.</param>
    public sealed class ScalableKernelFeatures(ScalableKernelFeatures.Options options) : IFeatureMethod
    {
        /// <summary>Options of <see cref="ScalableKernelFeatures"/>.</summary>
        public sealed record Options : FeatureOptions, IScalableKernelOptions, IValidatableObject
        {
            /// <summary>m, number of features, in [1, 65536]; 128 by default.</summary>
            [Range(1, 1 << 16)]
            public int FeatureCount { get; init; } = 128;

            /// <summary>What the features are made for; <see cref="ScalableKernel.ReluArcCos"/> by default.</summary>
            public ScalableKernel Kernel { get; init; } = ScalableKernel.ReluArcCos;

            /// <summary>Whether directions are drawn in orthogonal blocks, which estimates with less variance; true by default. A series has no directions.</summary>
            public bool Orthogonal { get; init; } = true;

            /// <summary>
            /// Whether each row is brought to the length <see cref="NormalizationConstant"/>; null (the default): for all kernels but
            /// <see cref="ScalableKernel.ReluArcCos"/>, whose features would explode otherwise.
            /// </summary>
            public bool? NormalizeInput { get; init; }

            /// <summary>The length of normalised rows, above 0 and at most 100; 1 by default.</summary>
            [Range(0, 100, MinimumIsExclusive = true)]
            public double NormalizationConstant { get; init; } = 1;

            /// <summary>What g·x is cut at from below, in [-1000, 1000]; 0 by default. A negative one leaks. For <see cref="ScalableKernel.ReluArcCos"/>.</summary>
            [Range(-1000, 1000)]
            public double FloorConstant { get; init; }

            /// <summary>Whether a 1 joins each row before it is normalised, so that offsets can be represented; true by default.</summary>
            public bool AppendConstant { get; init; } = true;

            /// <summary>Whether each feature is z-scored and divided by √D; true by default.</summary>
            public bool StandardizeInputs { get; init; } = true;

            /// <summary>The waves of <see cref="ScalableKernel.CustomFourier"/>, which must be given with it; null by default.</summary>
            public FourierSpectrum? Spectrum { get; init; }

            /// <summary>The series of <see cref="ScalableKernel.TaylorSeries"/>; null (the default): <see cref="PowerSeries.Tanh"/>.</summary>
            public PowerSeries? Series { get; init; }

            /// <inheritdoc/>
            public IEnumerable<ValidationResult> Validate(ValidationContext validationContext) => this.CheckTogether();
        }

        /// <inheritdoc/>
        public string Name => nameof(ScalableKernelFeatures);

        /// <inheritdoc/>
        public int SampleRows => 1;

        FeatureOptions IFeatureMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(FeatureSample data, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(data);
            ArgumentNullException.ThrowIfNull(run);
            var network = (ScalableKernelStack)run.Create(options.Define(data.FeatureCount, outputs: null));
            network.SetScaling(data.Statistics.ToUnitLength());
            network.eval();
            return network;
        }
    }
}
