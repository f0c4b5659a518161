// A dense layer f(Wx + b) taken apart into features of its input and features of its weights, which meet in a product only: Φ(x)·Ψ(W, b). With Φ
// drawn and frozen and Ω free in the place of Ψ(W, b), layers have O·m weights whatever they read, a dense layer behind one merges with it, and the
// last one of a stack is solved for in closed form.
//
// Sehanobish, Choromanski, Zhao, Dubey and Likhosherstov, "Scalable Neural Network Kernels", ICLR 2024, https://arxiv.org/abs/2310.13225
// Original code: https://github.com/arijitthegame/neural-network-kernels
//
// D features, m kernel features, O outputs; G [m, D] the directions g_j; Φ(x) [m]; Ψ(w, b) [m]; Ω [O, m].
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.RandomFeatures;
using MlNetMlp.ScalableKernels;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.ScalableKernels.ScalableKernelNetwork"/> trainers.</summary>
    public static class ScalableKernelNetworkCatalog
    {
        /// <summary>Makes a trainer that predicts a number with kernel features of its rows: see <see cref="MlNetMlp.ScalableKernels.ScalableKernelNetwork"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size. It needs no normalisation.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="featureCount">m, features of a layer, in [1, 65536].</param>
        /// <param name="kernel">What the features are made for.</param>
        /// <param name="mode">Whether the last layer is solved for or all are trained by gradients.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> ScalableKernelNetwork(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int featureCount = 128, ScalableKernel kernel = ScalableKernel.ReluArcCos,
            ScalableKernelMode mode = ScalableKernelMode.ClosedForm) =>
            catalog.CreateTrainer(new ScalableKernelNetwork(Options(labelColumnName, featureColumnName, exampleWeightColumnName, featureCount, kernel, mode)));

        /// <summary>Makes a trainer that predicts a number with kernel features of its rows: see <see cref="MlNetMlp.ScalableKernels.ScalableKernelNetwork"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> ScalableKernelNetwork(
            this RegressionCatalog.RegressionTrainers catalog, ScalableKernelNetwork.Options options) =>
            catalog.CreateTrainer(new ScalableKernelNetwork(options));

        /// <summary>Makes a trainer that tells yes from no with kernel features of its rows: see <see cref="MlNetMlp.ScalableKernels.ScalableKernelNetwork"/>.</summary>
        /// <inheritdoc cref="ScalableKernelNetwork(RegressionCatalog.RegressionTrainers, string, string, string, int, ScalableKernel, ScalableKernelMode)"/>
        public static NetworkTrainer<BinaryNetworkModel> ScalableKernelNetwork(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int featureCount = 128, ScalableKernel kernel = ScalableKernel.ReluArcCos,
            ScalableKernelMode mode = ScalableKernelMode.ClosedForm) =>
            catalog.CreateTrainer(new ScalableKernelNetwork(Options(labelColumnName, featureColumnName, exampleWeightColumnName, featureCount, kernel, mode)));

        /// <summary>Makes a trainer that tells yes from no with kernel features of its rows: see <see cref="MlNetMlp.ScalableKernels.ScalableKernelNetwork"/>.</summary>
        /// <inheritdoc cref="ScalableKernelNetwork(RegressionCatalog.RegressionTrainers, ScalableKernelNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> ScalableKernelNetwork(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, ScalableKernelNetwork.Options options) =>
            catalog.CreateTrainer(new ScalableKernelNetwork(options));

        /// <summary>Makes a trainer that chooses one of many classes with kernel features of its rows: see <see cref="MlNetMlp.ScalableKernels.ScalableKernelNetwork"/>.</summary>
        /// <inheritdoc cref="ScalableKernelNetwork(RegressionCatalog.RegressionTrainers, string, string, string, int, ScalableKernel, ScalableKernelMode)"/>
        public static NetworkTrainer<MulticlassNetworkModel> ScalableKernelNetwork(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int featureCount = 128, ScalableKernel kernel = ScalableKernel.ReluArcCos,
            ScalableKernelMode mode = ScalableKernelMode.ClosedForm) =>
            catalog.CreateTrainer(new ScalableKernelNetwork(Options(labelColumnName, featureColumnName, exampleWeightColumnName, featureCount, kernel, mode)));

        /// <summary>Makes a trainer that chooses one of many classes with kernel features of its rows: see <see cref="MlNetMlp.ScalableKernels.ScalableKernelNetwork"/>.</summary>
        /// <inheritdoc cref="ScalableKernelNetwork(RegressionCatalog.RegressionTrainers, ScalableKernelNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> ScalableKernelNetwork(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, ScalableKernelNetwork.Options options) =>
            catalog.CreateTrainer(new ScalableKernelNetwork(options));

        private static ScalableKernelNetwork.Options Options(
            string label, string features, string? weights, int featureCount, ScalableKernel kernel, ScalableKernelMode mode) => new()
        {
            LabelColumnName = label, FeatureColumnName = features, ExampleWeightColumnName = weights, FeatureCount = featureCount, Kernel = kernel, Mode = mode,
        };
    }
}

namespace MlNetMlp.ScalableKernels
{
    /// <summary>How a <see cref="ScalableKernelNetwork"/> is trained.</summary>
    public enum ScalableKernelMode
    {
        /// <summary>Fully bundled: everything but the last matrix is drawn and frozen, and that matrix is solved for. No epochs.</summary>
        ClosedForm,

        /// <summary>The matrices of all layers are trained by gradients; the features stay as they were drawn.</summary>
        Gradient,
    }

    /// <summary>What the last matrix of a <see cref="ScalableKernelNetwork"/> is solved for by.</summary>
    public enum ScalableKernelReadout
    {
        /// <summary>Least squares; for classes its outputs are then calibrated to be probabilities.</summary>
        LeastSquares,

        /// <summary>Logistic loss or cross-entropy with a ridge penalty, by L-BFGS; for classification.</summary>
        CrossEntropy,
    }

    /// <summary>Numbers of values in a <see cref="ScalableKernelNetwork"/>.</summary>
    /// <param name="Trained">Values that were trained: O·m + O for one layer, and H·m more for each layer before the last in the mode of gradients.</param>
    /// <param name="Frozen">Values that were drawn, or are means and deviations: what the seed and the data's moments could tell again.</param>
    public sealed record ScalableKernelSize(long Trained, long Frozen);

    /// <summary>
    /// A network of scalable kernel layers: each maps its input to m frozen random features and has one small matrix behind them, of O·m weights
    /// whatever the number of inputs. The last matrix is solved for in closed form, or all are trained by gradients.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `ScalableKernelNetwork` of the regression, binary and multiclass trainers' catalogs.
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
    /// Features are z-scored and divided by √D, and a 1 is appended. A layer is z = Ω·Φ(x), where Φ_j(x) is max(g_j·x, 0)/√m, or for kernels that are
    /// waves exp(g_j·x − ‖x‖²/2)/√m on rows of length 1, with normal g_j that are orthogonal in blocks. Ω starts as Ψ(W, b) of a dense layer's usual
    /// first weights. Between layers z is normalised to length 1.
    ///
    /// In closed form all but the last Ω stay as they are, and the last one minimises ‖Y − ΦΩᵀ − 1bᵀ‖² + α‖Ω‖², with α chosen by leaving out rows;
    /// for classes the outputs are calibrated on the rows held out, or Ω is fitted by cross-entropy. By gradients all Ω are trained, by AdamW with a
    /// warm-up unless the options say otherwise.
    ///
    /// ### References
    /// Sehanobish, Choromanski, Zhao, Dubey and Likhosherstov, [Scalable Neural Network Kernels](https://arxiv.org/abs/2310.13225), ICLR 2024.
    /// ]]></format>
    /// </remarks>
    public sealed class ScalableKernelNetwork(ScalableKernelNetwork.Options options) : INetworkMethod
    {
        /// <summary>
        /// Options of <see cref="ScalableKernelNetwork"/>. Of the options of all networks that are trained by gradients, which only count with
        /// <see cref="ScalableKernelMode.Gradient"/>, three have other defaults: <see cref="GradientTrainedOptions.Epochs"/> is 80,
        /// <see cref="GradientTrainedOptions.WeightDecay"/> 0.1, and <see cref="GradientTrainedOptions.Schedule"/> a cosine.
        /// </summary>
        public sealed record Options : GradientTrainedOptions, IScalableKernelOptions, IReadoutOptions
        {
            /// <summary>Creates options with the defaults of this trainer.</summary>
            public Options()
            {
                Epochs = 80;
                WeightDecay = 0.1;
                Schedule = LearningRateSchedule.Cosine();
            }

            /// <summary>How the network is trained; <see cref="ScalableKernelMode.ClosedForm"/> by default.</summary>
            public ScalableKernelMode Mode { get; init; } = ScalableKernelMode.ClosedForm;

            /// <summary>
            /// Share of the steps over which the learning rate rises, in [0, 1]; 0.06 by default. Not used where <see cref="GradientTrainedOptions.Schedule"/> has
            /// a warm-up of its own.
            /// </summary>
            [Range(0.0, 1.0)]
            public double WarmUpFraction { get; init; } = 0.06;

            /// <summary>m, features of a layer, in [1, 65536]; 128 by default. Time in closed form grows with its square.</summary>
            [Range(1, 1 << 16)]
            public int FeatureCount { get; init; } = 128;

            /// <summary>What the features are made for; <see cref="ScalableKernel.ReluArcCos"/> by default.</summary>
            public ScalableKernel Kernel { get; init; } = ScalableKernel.ReluArcCos;

            /// <summary>L, number of layers, in [1, 4]; 1 by default.</summary>
            [Range(1, 4)]
            public int Depth { get; init; } = 1;

            /// <summary>H, values that a layer hands to the next, in [1, 65536]; 64 by default. One layer has no next.</summary>
            [Range(1, 1 << 16)]
            public int Width { get; init; } = 64;

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

            /// <summary>
            /// α, the ridge penalty in closed form, in units of the largest eigenvalue of the features' sums of products, at least 0; null (the default): by
            /// leaving out rows, or generalised cross-validation where none are held out. At 0 the solution of least norm.
            /// </summary>
            [Range(0, double.MaxValue)]
            public double? L2 { get; init; }

            /// <summary>What the last matrix is solved for by in closed form; <see cref="ScalableKernelReadout.LeastSquares"/> by default.</summary>
            public ScalableKernelReadout Readout { get; init; } = ScalableKernelReadout.LeastSquares;

            /// <summary>
            /// Whether the sums of products are kept in the model, so that a fit in closed form can go on with more rows; null (the default): up to 2,000
            /// features and outputs together. A model file grows by 4·m² bytes. Cross-entropy keeps none.
            /// </summary>
            public bool? KeepSums { get; init; }

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext).Concat(this.CheckTogether()))
                    yield return fault;
                if (Readout == ScalableKernelReadout.CrossEntropy && FeatureCount > ReadoutSolver.MostPrimalFeatures)
                {
                    yield return new ValidationResult(
                        $"option 'FeatureCount' must be at most {ReadoutSolver.MostPrimalFeatures} with the readout CrossEntropy, but was {FeatureCount}");
                }
            }

            internal LearningRateSchedule WarmSchedule =>
                Schedule is { WarmUpFraction: 0, WarmUpSteps: null } ? Schedule with { WarmUpFraction = WarmUpFraction } : Schedule;

            RandomFeatureNetworkPenaltyUnit IReadoutOptions.L2Unit => RandomFeatureNetworkPenaltyUnit.LargestEigenvalue;

            RandomFeatureNetworkSolver IReadoutOptions.Solver =>
                Readout == ScalableKernelReadout.CrossEntropy ? RandomFeatureNetworkSolver.CrossEntropy : RandomFeatureNetworkSolver.Auto;
        }

        /// <inheritdoc/>
        public string Name => nameof(ScalableKernelNetwork);

        NetworkOptions INetworkMethod.Options => options;

        /// <summary>Counts the values of a model.</summary>
        /// <param name="model">A fitted or loaded model with such a network in it, alone or in a chain, of which the last one counts.</param>
        /// <returns>The numbers; null where the model holds no such network.</returns>
        public static ScalableKernelSize? GetSize(ITransformer model) =>
            NetworkModel.Find(model) is { MethodName: nameof(ScalableKernelNetwork) } network ? network.GetDiagnostics<ScalableKernelSize>() : null;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            ArgumentNullException.ThrowIfNull(data);
            ArgumentNullException.ThrowIfNull(head);
            ArgumentNullException.ThrowIfNull(run);
            var definition = options.Define(data.FeatureCount, head.Outputs, options.Depth, options.Width);
            var network = (ScalableKernelStack)run.Create(definition);
            if (!run.IsContinued)
                network.SetScaling(data.Statistics.ToUnitLength());
            var trained = options.Mode == ScalableKernelMode.Gradient ? definition.TrainableCount : (definition.FeatureCount + 1L) * head.Outputs;
            var size = new ScalableKernelSize(trained, definition.WeightCount - trained);
            run.KeepDiagnostics(size);
            run.Log($"{size.Trained} values are trained, and {size.Frozen} are drawn or standardise the features.");
            if (options.Mode == ScalableKernelMode.Gradient)
                run.Minimize(network, data, head, options.ToSettings(data.RowCount) with { Schedule = options.WarmSchedule });
            else
                new ScalableKernelClosedForm(data, head, run, options).Solve(network);
            return network;
        }
    }
}
