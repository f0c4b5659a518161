// The mixer of PatchTSMixer, trained on windows without labels: some patches are hidden, and the others have to tell what stands there.
//
// Ekambaram, Jati, Nguyen, Sinthong and Kalagnanam, "TSMixer: Lightweight MLP-Mixer Model for Multivariate Time Series Forecasting", KDD 2023, section on
// self-supervised training, https://arxiv.org/abs/2306.09364
// Original code: https://github.com/huggingface/transformers (models/patchtsmixer)
//
// C channels, L steps of a window, n patches of p steps, d features of a patch, as in PatchTSMixer.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Forecasting;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that train a <see cref="MlNetMlp.Forecasting.PatchTSMixer"/> without labels.</summary>
    public static class PatchTSMixerPretrainCatalog
    {
        /// <summary>
        /// Trains a mixer of patches on windows without labels, and adds what it makes of a window as a vector: see <see cref="MlNetMlp.Forecasting.PatchTSMixerPretrain"/>.
        /// </summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single.</param>
        /// <param name="inputColumnName">
        /// The column of windows: a vector of numbers of known size, those of all channels at the first step, then at the second, and so on; null for <paramref name="outputColumnName"/>.
        /// </param>
        /// <param name="channels">C, number of channels, at least 1.</param>
        /// <param name="epochs">Most passes over the windows, at least 1; early stopping may end sooner.</param>
        /// <returns>The estimator. The fitted or loaded transformer is what the option <see cref="PatchTSMixer.Options.InitFrom"/> takes.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkFeatureEstimator PatchTSMixerPretrain(
            this TransformsCatalog catalog, string outputColumnName, string? inputColumnName = null, int channels = 1, int epochs = 20) =>
            catalog.PatchTSMixerPretrain(outputColumnName, new PatchTSMixerPretrain.Options { FeatureColumnName = inputColumnName ?? outputColumnName, Channels = channels, Epochs = epochs });

        /// <inheritdoc cref="PatchTSMixerPretrain(TransformsCatalog, string, string?, int, int)"/>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single.</param>
        /// <param name="options">The options; they also name the column that is read.</param>
        [OverloadResolutionPriority(1)]
        public static NetworkFeatureEstimator PatchTSMixerPretrain(this TransformsCatalog catalog, string outputColumnName, PatchTSMixerPretrain.Options options) =>
            catalog.CreateFeaturizer(outputColumnName, new PatchTSMixerPretrain(options));

        /// <summary>
        /// Trains a mixer of patches on all windows of time series without labels, and adds to each row what it makes of the window that ends with it: see
        /// <see cref="MlNetMlp.Forecasting.PatchTSMixerPretrain"/>.
        /// </summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="series">The series, the column to add, and how long windows are. The same options as a forecaster's give the same windows.</param>
        /// <param name="options">How; null for the defaults. Its columns are not used.</param>
        /// <returns>The estimator. The fitted or loaded transformer is what the option <see cref="PatchTSMixer.Options.InitFrom"/> takes.</returns>
        /// <exception cref="ArgumentException">Quantiles are asked for.</exception>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static ForecastEstimator PatchTSMixerPretrain(this TransformsCatalog catalog, ForecastOptions series, PatchTSMixerPretrain.Options? options = null) =>
            catalog.CreateFeaturizer(new PatchTSMixerPretrain(options ?? new()), series);
    }
}

namespace MlNetMlp.Forecasting
{
    /// <summary>Which patches pretraining hides.</summary>
    public enum PatchTSMixerMask
    {
        /// <summary>A share of them, drawn for each window in each step.</summary>
        Random,

        /// <summary>The last ones, as a forecast has to tell them.</summary>
        Forecast,
    }

    /// <summary>
    /// Trains the mixers of a <see cref="PatchTSMixer"/> on windows without labels: some patches are hidden, and it has to tell them from the others. What it then makes of a window is a
    /// vector for other trainers, and its weights are a start for a <see cref="PatchTSMixer"/> (<see cref="PatchTSMixer.Options.InitFrom"/>), of which the head alone, or all, is
    /// then trained on labels.
    /// </summary>
    /// <param name="options">The options.</param>
    public sealed class PatchTSMixerPretrain(PatchTSMixerPretrain.Options options) : INetworkMethod
    {
        private const ulong HeldMasks = 38;

        /// <summary>
        /// Options of <see cref="PatchTSMixerPretrain"/>, which reads no label. Of the options of all networks that are trained by gradients three have other defaults:
        /// <see cref="GradientTrainedOptions.BatchSize"/> is 64, <see cref="GradientTrainedOptions.Epochs"/> 20 and <see cref="GradientTrainedOptions.Patience"/> 5.
        /// </summary>
        public sealed record Options : PatchTSMixerOptions
        {
            /// <summary>Which patches are hidden; <see cref="PatchTSMixerMask.Random"/> by default.</summary>
            public PatchTSMixerMask Mask { get; init; } = PatchTSMixerMask.Random;

            /// <summary>
            /// Share of the patches that <see cref="PatchTSMixerMask.Random"/> hides, greater than 0 and less than 1; 0.5 by default: of n patches ⌊n · (1 − share)⌋ stay, one at least.
            /// </summary>
            [Range(0, 1, MinimumIsExclusive = true, MaximumIsExclusive = true)]
            public double MaskRatio { get; init; } = 0.5;

            /// <summary>Whether <see cref="PatchTSMixerMask.Random"/> hides the same patches of all channels; true by default.</summary>
            public bool ChannelConsistentMask { get; init; } = true;

            /// <summary>How many patches <see cref="PatchTSMixerMask.Forecast"/> hides, each at least 1; of several numbers one is drawn for each window. [2] by default.</summary>
            [Required]
            public ValueList<int> ForecastMaskPatches { get; init; } = [2];

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (ForecastMaskPatches.Count == 0 || ForecastMaskPatches.Any(number => number < 1))
                    yield return new ValidationResult($"option 'ForecastMaskPatches' must be numbers of at least 1, but was {ForecastMaskPatches}");
                if (Optimizer == OptimizerKind.Lbfgs)
                    yield return new ValidationResult("option 'Optimizer' must not be Lbfgs, whose line search needs the same loss at the same weights: masks are drawn in each step");
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(PatchTSMixerPretrain);

        /// <inheritdoc/>
        public bool ReadsLabels => false;

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var channels = data.Series?.Channels ?? options.Channels;
            options.CheckWindow(Name, data.FeatureCount, channels);
            var definition = new PatchTSMixerEmbeddingDefinition
            {
                Inputs = data.FeatureCount,
                Outputs = 1,
                Channels = channels,
                PatchLength = options.PatchLength,
                PatchStride = options.Stride,
                DModel = options.DModel,
                ExpansionFactor = options.ExpansionFactor,
                NumLayers = options.NumLayers,
                Dropout = options.Dropout,
                HeadDropout = options.HeadDropout,
                Mode = options.Mode,
                GatedAttention = options.GatedAttention,
                Norm = options.Norm,
                Scaling = options.Scaling,
                HeadAggregation = options.HeadAggregation,
                HasReconstruction = true,
            };
            definition = definition with { Outputs = (int)definition.AggregateWidth };
            CheckMask(definition.PatchCount);
            var network = (PatchTSMixerEmbeddingNetwork)run.Create(definition);
            if (!run.IsContinued)
                network.Backbone.SetScaling(data.Statistics);
            network.Noise = run.Random.Training;
            run.Minimize(network, data, head, options.ToSettings(data.RowCount), (_, batch) => Loss(network, definition, batch, run.Random.Training), HeldLoss);
            network.Noise = null;
            return network;

            // Rows held out are hidden alike in every epoch, so that epochs can be compared.
            Tensor HeldLoss(Network net, RowBlock block)
            {
                using var random = new Generator(RandomStreams.Hash((ulong)run.Random.Seed, HeldMasks) >> 1, run.Device);
                return Loss(network, definition, block, random);
            }
        }

        private Tensor Loss(PatchTSMixerEmbeddingNetwork network, PatchTSMixerEmbeddingDefinition definition, RowBlock rows, Generator random)
        {
            var count = rows.Features.shape[0];
            var mask = options.Mask == PatchTSMixerMask.Random
                ? PatchMasks.Random(
                    count, options.ChannelConsistentMask ? 1 : definition.Tracks, definition.PatchCount, Masked(definition.PatchCount), random, rows.Features.device)
                : PatchMasks.Last(count, definition.PatchCount, options.ForecastMaskPatches, random, rows.Features.device);
            var (told, patches) = network.Reconstruct(rows.Features, mask);
            var losses = PatchMasks.RowLosses(told, patches, mask);
            return rows.Weights is null ? losses.mean() : losses.mul(rows.Weights).mean();
        }

        private int Masked(int patches) => patches - (int)(patches * (1 - options.MaskRatio));

        private void CheckMask(int patches)
        {
            var (name, masked) = options.Mask == PatchTSMixerMask.Random
                ? (nameof(options.MaskRatio), Masked(patches))
                : (nameof(options.ForecastMaskPatches), options.ForecastMaskPatches.Max());
            if (masked >= patches)
            {
                throw new InvalidOperationException(
                    $"{Name}: option '{name}' hides {masked} of the {patches} patches that a window has, and one at least must stay: make windows longer or 'PatchLength' shorter.");
            }
        }
    }
}
