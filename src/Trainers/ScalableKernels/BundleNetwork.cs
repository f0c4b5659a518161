// Compresses a trained network into one layer of ScalableKernelNetwork.cs.
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
    /// <summary>Catalog methods that make smaller models of trained ones: see <see cref="MlNetMlp.ScalableKernels.BundleNetwork"/>.</summary>
    public static class BundleNetworkCatalog
    {
        /// <summary>
        /// Compresses the network of a model into one small matrix behind random features: see <see cref="MlNetMlp.ScalableKernels.BundleNetwork"/>.
        /// </summary>
        /// <typeparam name="TModel">The type of the model, which the smaller one has too.</typeparam>
        /// <param name="catalog">The catalog.</param>
        /// <param name="model">A fitted or loaded model, alone or in a chain, in which the last network is meant; it stays as it is.</param>
        /// <param name="featureCount">m, in [1, 8192].</param>
        /// <returns>
        /// The converter: its <c>Fit(data)</c> gives the smaller model by the original's outputs on rows, which need no labels, and <c>Convert()</c> without
        /// data.
        /// </returns>
        /// <exception cref="ArgumentException">The model holds no network of this library.</exception>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkConverter<TModel> BundleNetwork<TModel>(this TransformsCatalog catalog, TModel model, int featureCount = 256)
            where TModel : class, ITransformer => catalog.BundleNetwork(model, new BundleNetwork.Options { FeatureCount = featureCount });

        /// <inheritdoc cref="BundleNetwork{TModel}(TransformsCatalog, TModel, int)"/>
        /// <param name="catalog">The catalog.</param>
        /// <param name="model">A fitted or loaded model, alone or in a chain, in which the last network is meant; it stays as it is.</param>
        /// <param name="options">The options.</param>
        [OverloadResolutionPriority(1)]
        public static NetworkConverter<TModel> BundleNetwork<TModel>(this TransformsCatalog catalog, TModel model, BundleNetwork.Options options)
            where TModel : class, ITransformer => catalog.CreateConverter(model, new BundleNetwork(options));
    }
}

namespace MlNetMlp.ScalableKernels
{
    /// <summary>What a compression has come to. It is part of the smaller model: <see cref="BundleNetwork.GetReport"/>.</summary>
    /// <param name="ParametersBefore">Trainable values of the original network.</param>
    /// <param name="ParametersAfter">O·m + O, what is left of them.</param>
    /// <param name="ValuesBefore">All values of the original network, with means and deviations.</param>
    /// <param name="ValuesAfter">All values of the smaller one, with the directions that were drawn.</param>
    /// <param name="MaxDeviation">Greatest difference of a score on the rows that were looked at, in the score's unit; null without data.</param>
    /// <param name="MeanDeviation">Mean absolute difference of scores; null without data.</param>
    /// <param name="Rows">Number of rows that were looked at.</param>
    /// <param name="IsRefined">Whether the matrix was fitted to the original's outputs on these rows.</param>
    /// <param name="Fingerprint">SHA-256 of the original's weights, in hexadecimal digits.</param>
    public sealed record BundleReport(
        long ParametersBefore, long ParametersAfter, long ValuesBefore, long ValuesAfter, double? MaxDeviation, double? MeanDeviation, int Rows, bool IsRefined,
        string Fingerprint);

    /// <summary>
    /// Compresses any trained network of this library into one matrix behind m random features, y = Ω·Φ(x) + b: the first dense layer becomes Ψ(W, b),
    /// and what is linear behind it merges with it. With data, ridge regression of the original's outputs on Φ of the rows takes the place of both, which
    /// is much closer for as many features and asks nothing of the network.
    /// </summary>
    /// <remarks>
    /// Without data, networks of one hidden layer of sines or cosines can be compressed, as random features estimate these by the weights alone. They do
    /// not estimate rectified and other units (the arc-cosine kernel is another function of the weights), and a deeper network has more than one layer
    /// between its input and what is linear.
    /// </remarks>
    /// <param name="options">The options.</param>
    public sealed class BundleNetwork(BundleNetwork.Options options) : INetworkConversion
    {
        /// <summary>Options of <see cref="BundleNetwork"/>.</summary>
        public sealed record Options : ConversionOptions, IScalableKernelOptions, IValidatableObject
        {
            /// <summary>m, number of features, in [1, 8192]; 256 by default.</summary>
            [Range(1, ReadoutSolver.MostPrimalFeatures)]
            public int FeatureCount { get; init; } = 256;

            /// <summary>Whether data, where they are given, refine the network; true by default. Without, they only tell how far the outputs are apart.</summary>
            public bool Refine { get; init; } = true;

            /// <summary>Rows that are looked at, drawn at random, in [1, 10000000]; 20,000 by default.</summary>
            [Range(1, 10_000_000)]
            public int SampleRows { get; init; } = 20_000;

            /// <summary>
            /// α, the ridge penalty of the refinement, in units of the largest eigenvalue of the features' sums of products, at least 0; null (the default):
            /// generalised cross-validation.
            /// </summary>
            [Range(0, double.MaxValue)]
            public double? L2 { get; init; }

            /// <summary>
            /// What the features are made for; <see cref="ScalableKernel.ReluArcCos"/> by default. Without refinement the original's units decide.
            /// </summary>
            public ScalableKernel Kernel { get; init; } = ScalableKernel.ReluArcCos;

            /// <summary>Whether directions are drawn in orthogonal blocks, which estimates with less variance; true by default. A series has no directions.</summary>
            public bool Orthogonal { get; init; } = true;

            /// <summary>
            /// Whether each row is brought to the length <see cref="NormalizationConstant"/>; null (the default): for all kernels but
            /// <see cref="ScalableKernel.ReluArcCos"/>. Without refinement rows stay as they are.
            /// </summary>
            public bool? NormalizeInput { get; init; }

            /// <summary>The length of normalised rows, above 0 and at most 100; 1 by default.</summary>
            [Range(0, 100, MinimumIsExclusive = true)]
            public double NormalizationConstant { get; init; } = 1;

            /// <summary>What g·x is cut at from below, in [-1000, 1000]; 0 by default. For <see cref="ScalableKernel.ReluArcCos"/>.</summary>
            [Range(-1000, 1000)]
            public double FloorConstant { get; init; }

            /// <summary>The waves of <see cref="ScalableKernel.CustomFourier"/>, which must be given with it; null by default.</summary>
            public FourierSpectrum? Spectrum { get; init; }

            /// <summary>The series of <see cref="ScalableKernel.TaylorSeries"/>; null (the default): <see cref="PowerSeries.Tanh"/>.</summary>
            public PowerSeries? Series { get; init; }

            bool IScalableKernelOptions.AppendConstant => true;

            bool IScalableKernelOptions.StandardizeInputs => true;

            /// <inheritdoc/>
            public IEnumerable<ValidationResult> Validate(ValidationContext validationContext) => this.CheckTogether();
        }

        /// <inheritdoc/>
        public string Name => nameof(BundleNetwork);

        /// <inheritdoc/>
        public int SampleRows => options.SampleRows;

        ConversionOptions INetworkConversion.Options => options;

        /// <summary>Reads what a compression has come to.</summary>
        /// <param name="model">A compressed model, made or loaded, alone or in a chain, of which the last network counts.</param>
        /// <returns>The report; null where the model holds no compressed network.</returns>
        public static BundleReport? GetReport(ITransformer model) =>
            NetworkModel.Find(model) is { MethodName: nameof(BundleNetwork) } network ? network.GetDiagnostics<BundleReport>() : null;

        /// <inheritdoc/>
        public Network Convert(TrainedNetwork original, FeatureSample? data, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(original);
            ArgumentNullException.ThrowIfNull(run);
            using var bundling = new Bundling(original, options, run);
            var isRefined = data is not null && options.Refine;
            var network = isRefined ? bundling.Refine(data!) : bundling.FromWeights(data);
            network.eval();
            var report = bundling.Report(network, data, isRefined);
            run.KeepDiagnostics(report);
            run.Log($"{report}");
            return network;
        }
    }
}
