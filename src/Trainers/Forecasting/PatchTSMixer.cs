// Time series cut into patches that two small MLPs mix in turns, along time and along features: forecasts at a small part of a transformer's cost.
//
// Ekambaram, Jati, Nguyen, Sinthong and Kalagnanam, "TSMixer: Lightweight MLP-Mixer Model for Multivariate Time Series Forecasting", KDD 2023,
// https://arxiv.org/abs/2306.09364 (not the model of the same name by Chen et al., which has no patches)
// Original code: https://github.com/huggingface/transformers (models/patchtsmixer), https://github.com/ibm-granite/granite-tsfm
//
// C channels, L steps of a window, H steps of a forecast, p steps of a patch, s from one patch to the next, n patches, d features of a patch, E expansion;
// X a window, Z the same with mean 0 and deviation 1, H the features of its patches, LN layer normalisation.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Forecasting;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Forecasting.PatchTSMixer"/> trainers.</summary>
    public static class PatchTSMixerCatalog
    {
        /// <summary>Makes a trainer that forecasts time series: see <see cref="MlNetMlp.Forecasting.PatchTSMixer"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single, the forecasts of all channels one step ahead, then two, and so on.</param>
        /// <param name="inputColumnName">The column of the series: a number, or a vector of Single of known size with a slot for each channel.</param>
        /// <param name="seriesColumnName">The key that says which series a row belongs to; null for one series.</param>
        /// <param name="contextLength">L, rows of the past that a forecast is made from, in [1, 65536]; a patch long at least.</param>
        /// <param name="horizon">H, steps that are forecast, in [1, 65536].</param>
        /// <param name="epochs">Most passes over the windows, at least 1; early stopping may end sooner.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static ForecastEstimator PatchTSMixer(
            this ForecastingCatalog.Forecasters catalog, string outputColumnName = "Forecast", string inputColumnName = "Values", string? seriesColumnName = null,
            int contextLength = 32, int horizon = 16, int epochs = 20) =>
            catalog.PatchTSMixer(
                new ForecastOptions
                {
                    OutputColumnName = outputColumnName, InputColumnNames = [inputColumnName], SeriesColumnName = seriesColumnName,
                    ContextLength = contextLength, Horizon = horizon,
                },
                new() { Epochs = epochs });

        /// <summary>Makes a trainer that forecasts time series: see <see cref="MlNetMlp.Forecasting.PatchTSMixer"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="series">What is forecast from what.</param>
        /// <param name="options">How; null for the defaults. Its columns are not used.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static ForecastEstimator PatchTSMixer(this ForecastingCatalog.Forecasters catalog, ForecastOptions series, PatchTSMixer.Options? options = null)
        {
            ArgumentNullException.ThrowIfNull(series);
            options ??= new();
            return options.PatchLength <= series.ContextLength
                ? catalog.CreateTrainer(new PatchTSMixer(options), series)
                : throw new ArgumentOutOfRangeException(
                    nameof(options), $"{nameof(PatchTSMixer)}: option 'PatchLength' must be at most 'ContextLength', {series.ContextLength}, but was {options.PatchLength}.");
        }

        /// <summary>Makes a trainer that predicts a number of a window of time series: see <see cref="MlNetMlp.Forecasting.PatchTSMixer"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">
        /// The feature column: a vector of Single of known size, the numbers of all channels at the first step, then at the second, and so on.
        /// </param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="channels">C, number of channels, at least 1.</param>
        /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> PatchTSMixer(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int channels = 1, int epochs = 20) => catalog.CreateTrainer(new PatchTSMixer(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Channels = channels, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that predicts a number of a window of time series: see <see cref="MlNetMlp.Forecasting.PatchTSMixer"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> PatchTSMixer(
            this RegressionCatalog.RegressionTrainers catalog, PatchTSMixer.Options options) => catalog.CreateTrainer(new PatchTSMixer(options));

        /// <summary>Makes a trainer that tells yes from no by a window of time series: see <see cref="MlNetMlp.Forecasting.PatchTSMixer"/>.</summary>
        /// <inheritdoc cref="PatchTSMixer(RegressionCatalog.RegressionTrainers, string, string, string, int, int)"/>
        public static NetworkTrainer<BinaryNetworkModel> PatchTSMixer(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int channels = 1, int epochs = 20) => catalog.CreateTrainer(new PatchTSMixer(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Channels = channels, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that tells yes from no by a window of time series: see <see cref="MlNetMlp.Forecasting.PatchTSMixer"/>.</summary>
        /// <inheritdoc cref="PatchTSMixer(RegressionCatalog.RegressionTrainers, PatchTSMixer.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> PatchTSMixer(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, PatchTSMixer.Options options) => catalog.CreateTrainer(new PatchTSMixer(options));

        /// <summary>Makes a trainer that tells one of many classes by a window of time series: see <see cref="MlNetMlp.Forecasting.PatchTSMixer"/>.</summary>
        /// <inheritdoc cref="PatchTSMixer(RegressionCatalog.RegressionTrainers, string, string, string, int, int)"/>
        public static NetworkTrainer<MulticlassNetworkModel> PatchTSMixer(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int channels = 1, int epochs = 20) => catalog.CreateTrainer(new PatchTSMixer(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                Channels = channels, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that tells one of many classes by a window of time series: see <see cref="MlNetMlp.Forecasting.PatchTSMixer"/>.</summary>
        /// <inheritdoc cref="PatchTSMixer(RegressionCatalog.RegressionTrainers, PatchTSMixer.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> PatchTSMixer(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, PatchTSMixer.Options options) => catalog.CreateTrainer(new PatchTSMixer(options));
    }
}

namespace MlNetMlp.Forecasting
{
    /// <summary>
    /// Forecasts of one or many time series by patches that small MLPs mix, cheap enough for a CPU; with the same network, regression and classification of
    /// windows.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `PatchTSMixer` of the forecasting, regression, binary and multiclass trainers' catalogs.
    ///
    /// ### Input and output columns
    /// To forecast: rows in time order, with a number for each channel or one vector of [Single](xref:System.Single) of all, and, where rows of several series are
    /// mixed, a [key](xref:Microsoft.ML.Data.KeyDataViewType) that tells them apart. Else windows: a vector of Single of known size, the numbers of all channels
    /// at the first step, then at the second, and so on; labels a Single for regression, a Boolean for binary and a key for multiclass classification; example
    /// weights, if any, a Single.
    ///
    /// | Task | Column | Type | Description |
    /// | --- | --- | --- | --- |
    /// | forecasting | `Forecast` | vector of Single | the forecasts of all channels one step ahead, then two, and so on, with slots named `channel[t]` |
    /// | forecasting | `ForecastQuantile10` … | vector of Single | the same of each quantile that is asked for, and of bounds |
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
    /// | Machine learning tasks | forecasting, regression, binary and multiclass classification |
    /// | Is normalization required? | no: channels are standardised inside, and each window by itself |
    /// | Is caching required? | no: series are kept in memory, windows are views of them |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// Channels are standardised by the training part of the series, and then each channel of a window by itself: Z = (X − mean)/√(variance + 1e-5). Z is cut into n = ⌊(L − p)/s⌋ + 1
    /// patches, the last of which ends where the window does; a linear layer makes d features of each. A layer mixes along patches and then along features:
    /// H ← H + gate(MLP(LN(H))) with the axis moved last, an MLP Linear(k → E·k), GELU, Linear(E·k → k), and a gate u ⊙ softmax(W·u + b). With `MixChannel` it first mixes channels,
    /// with the gate before the MLP. A linear head, the same for all channels, makes H steps of the n·d features, which are taken back to the unit of the window. With
    /// `ChannelReconciliation` a gate and a linear layer add to each step what the forecasts of all channels around it say. The loss is the squared error on standardised channels, and the pinball loss of quantiles. The
    /// last part of each series is held out, and the weights of the epoch with the least error there are kept.
    ///
    /// ### References
    /// Ekambaram, Jati, Nguyen, Sinthong and Kalagnanam, [TSMixer: Lightweight MLP-Mixer Model for Multivariate Time Series
    /// Forecasting](https://arxiv.org/abs/2306.09364), KDD 2023.
    /// ]]></format>
    /// </remarks>
    public sealed class PatchTSMixer(PatchTSMixer.Options options) : INetworkMethod
    {
        /// <summary>
        /// Options of <see cref="PatchTSMixer"/>. Of the options of all networks that are trained by gradients three have other defaults:
        /// <see cref="GradientTrainedOptions.BatchSize"/> is 64, <see cref="GradientTrainedOptions.Epochs"/> 20 and <see cref="GradientTrainedOptions.Patience"/> 5.
        /// </summary>
        public sealed record Options : GradientTrainedOptions
        {
            /// <summary>Creates options with the defaults of this trainer.</summary>
            public Options()
            {
                // NOTE[DIFF]: a rate of 1e-3 with 64 windows a batch, where the published recipe has 1e-4 with 32: it takes a tenth of the steps.
                BatchSize = 64;
                Epochs = 20;
                Patience = 5;
            }

            /// <summary>
            /// C, channels of a window, in [1, 2^24], for regression and classification; 1 by default. Forecasts have those of their columns, and do not look at it.
            /// </summary>
            [Range(1, 1 << 24)]
            public int Channels { get; init; } = 1;

            /// <summary>p, steps of a patch, in [1, 65536]; 8 by default, 16 in the paper's long windows. It must not be longer than the window.</summary>
            [Range(1, 1 << 16)]
            public int PatchLength { get; init; } = 8;

            /// <summary>
            /// s, steps from one patch to the next, in [1, 65536] and at most <see cref="PatchLength"/>, which null (the default) stands for.
            /// </summary>
            [Range(1, 1 << 16)]
            public int? PatchStride { get; init; }

            // NOTE[DIFF]: d = 32, where the library has 8 and the recipe for hourly data 48: two to eight times p is the advice.

            /// <summary>d, features of a patch, in [1, 65536]; 32 by default. Two to eight times <see cref="PatchLength"/> is a good choice.</summary>
            [Range(1, 1 << 16)]
            public int DModel { get; init; } = 32;

            /// <summary>E, how many times an axis the MLP over it is wide inside, in [1, 16]; 2 by default.</summary>
            [Range(1, 16)]
            public int ExpansionFactor { get; init; } = 2;

            /// <summary>Number of layers, in [1, 64]; 3 by default.</summary>
            [Range(1, 64)]
            public int NumLayers { get; init; } = 3;

            /// <summary>Share of values left out in the mixers in training, in [0, 1); 0.2 by default, 0.5 in the recipe for hourly data.</summary>
            [Range(0, 1, MaximumIsExclusive = true)]
            public double Dropout { get; init; } = 0.2;

            /// <summary>Share of values left out before the head in training, in [0, 1); 0.2 by default, 0.7 in the recipe for hourly data.</summary>
            [Range(0, 1, MaximumIsExclusive = true)]
            public double HeadDropout { get; init; } = 0.2;

            /// <summary>How channels meet; <see cref="PatchTSMixerMode.CommonChannel"/> by default: each is forecast from itself, all by the same weights.</summary>
            public PatchTSMixerMode Mode { get; init; } = PatchTSMixerMode.CommonChannel;

            /// <summary>Whether mixers have gates; true by default, as in the paper.</summary>
            public bool GatedAttention { get; init; } = true;

            /// <summary>What patches are normalised by; <see cref="TokenNorm.Token"/> by default.</summary>
            public TokenNorm Norm { get; init; } = TokenNorm.Token;

            /// <summary>
            /// What each channel of a window is scaled by; <see cref="InstanceScale.Std"/> by default. Level and size of a window are then unknown to regression and classification:
            /// take <see cref="InstanceScale.None"/> where they matter.
            /// </summary>
            public InstanceScale Scaling { get; init; } = InstanceScale.Std;

            /// <summary>What becomes of patches in regression and classification; <see cref="PatchTSMixerHeadAggregation.MaxPool"/> by default. Forecasts use all of them.</summary>
            public PatchTSMixerHeadAggregation HeadAggregation { get; init; } = PatchTSMixerHeadAggregation.MaxPool;

            /// <summary>Whether the forecasts of all channels around a step correct it; false by default. For forecasts.</summary>
            public bool ChannelReconciliation { get; init; }

            /// <summary>Steps on both sides that <see cref="ChannelReconciliation"/> looks at, in [0, 1024]; 1 by default. At most as many as a window has.</summary>
            [Range(0, 1024)]
            public int FcmContextLength { get; init; } = 1;

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (PatchStride > PatchLength)
                    yield return new ValidationResult($"option 'PatchStride' must be at most 'PatchLength', {PatchLength}, but was {PatchStride}");
                if (Norm == TokenNorm.Row)
                    yield return new ValidationResult("option 'Norm' must be Token, Batch or None, but was Row, which would mix the channels");
                if (Optimizer == OptimizerKind.Lbfgs && (Dropout > 0 || HeadDropout > 0))
                    yield return new ValidationResult("options 'Dropout' and 'HeadDropout' must be 0 with the optimiser Lbfgs, whose line search needs the same loss at the same weights");
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(PatchTSMixer);

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var channels = data.Series?.Channels ?? options.Channels;
            CheckWindow(data.FeatureCount, channels);
            var definition = new PatchTSMixerDefinition
            {
                Inputs = data.FeatureCount,
                Outputs = head.Outputs,
                Channels = channels,
                Horizon = data.Series?.Horizon ?? 0,
                PatchLength = options.PatchLength,
                PatchStride = options.PatchStride ?? options.PatchLength,
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
                FcmContextLength = data.Series is not null && options.ChannelReconciliation ? Math.Min(options.FcmContextLength, data.Series.ContextLength) : null,
            };
            var network = (PatchTSMixerNetwork)run.Create(definition);
            if (!run.IsContinued)
                network.SetScaling(data.Statistics);
            network.Noise = run.Random.Training;
            run.Minimize(network, data, head, options.ToSettings(data.RowCount));
            network.Noise = null;
            return network;
        }

        private void CheckWindow(int numbers, int channels)
        {
            if (numbers % channels != 0)
            {
                throw new InvalidOperationException(
                    $"{Name}: the feature column '{options.FeatureColumnName}' has {numbers} slots, which is no whole number of steps of {channels} channels: give the option 'Channels'.");
            }

            if (numbers / channels < options.PatchLength)
            {
                throw new InvalidOperationException(
                    $"{Name}: option 'PatchLength' must be at most the {numbers / channels} steps that a row of the feature column '{options.FeatureColumnName}' has, but was {options.PatchLength}.");
            }
        }
    }
}
