// Two MLPs over the same fields whose outputs are added up: the baseline of FinalMLP's paper, without gates and without products of the streams.
//
// Mao, Zhu, Su, Cai, Li and Dong, "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction", AAAI 2023, https://arxiv.org/abs/2304.00902
// Original code: https://github.com/reczoo/FuxiCTR (model_zoo/DualMLP)
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Recommendation;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Recommendation.DualMlp"/> trainers.</summary>
    public static class DualMlpCatalog
    {
        /// <summary>Makes a trainer that tells yes from no by many columns of keys: see <see cref="MlNetMlp.Recommendation.DualMlp"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column, Boolean.</param>
        /// <param name="categoricalColumns">The fields: columns of keys or of vectors of keys; at least one.</param>
        /// <param name="featureColumnName">A column of numbers beside them, a vector of Single of known size; null (the default) for none.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="embeddingDim">d, numbers of the vector of a key, in [1, 4096].</param>
        /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<BinaryNetworkModel> DualMlp(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label",
            IReadOnlyList<string>? categoricalColumns = null, string? featureColumnName = null, string? exampleWeightColumnName = null,
            int embeddingDim = 10, int epochs = 100) =>
            catalog.CreateTrainer(new DualMlp(new()
            {
                LabelColumnName = labelColumnName, CategoricalColumns = [.. categoricalColumns ?? []], FeatureColumnName = featureColumnName,
                ExampleWeightColumnName = exampleWeightColumnName, EmbeddingDim = embeddingDim, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that tells yes from no by many columns of keys: see <see cref="MlNetMlp.Recommendation.DualMlp"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> DualMlp(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, DualMlp.Options options) => catalog.CreateTrainer(new DualMlp(options));
    }
}

namespace MlNetMlp.Recommendation
{
    /// <summary>Click and purchase prediction by many columns of keys and some numbers: two MLPs over vectors of the keys, whose outputs are added up.</summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `DualMlp` of the binary trainers' catalog.
    ///
    /// ### Input and output columns
    /// Fields are columns of [keys](xref:Microsoft.ML.Data.KeyDataViewType) or of vectors of keys; features, if any, a vector of [Single](xref:System.Single) of known size; labels
    /// a Boolean; example weights, if any, a Single.
    ///
    /// | Column | Type | Description |
    /// | --- | --- | --- |
    /// | `Score` | Single | the logit: above 0 for true |
    /// | `Probability` | Single | 1 / (1 + exp(-Score)) |
    /// | `PredictedLabel` | Boolean | whether the score is above 0 |
    ///
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | binary classification |
    /// | Is normalization required? | no: features are standardised inside |
    /// | Is caching required? | no: rows are kept in memory as far as the option `MemoryBudget` allows, else streamed |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// As <see cref="FinalMlp"/> without gates and without the bilinear form: the output is b₁ + w₁ᵀ·MLP₁(e) + b₂ + w₂ᵀ·MLP₂(e).
    ///
    /// ### References
    /// Mao, Zhu, Su, Cai, Li and Dong, [FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction](https://arxiv.org/abs/2304.00902), AAAI 2023.
    /// ]]></format>
    /// </remarks>
    public sealed class DualMlp(DualMlp.Options options) : INetworkMethod
    {
        /// <summary>
        /// Options of <see cref="DualMlp"/>. Of the options of all networks that are trained by gradients some have other defaults:
        /// <see cref="NetworkOptions.FeatureColumnName"/> is null, <see cref="GradientTrainedOptions.Optimizer"/> is Adam,
        /// <see cref="GradientTrainedOptions.Patience"/> 2 and <see cref="GradientTrainedOptions.GradientClipNorm"/> 10.
        /// </summary>
        public sealed record Options : TwoStreamOptions;

        /// <inheritdoc/>
        public string Name => nameof(DualMlp);

        NetworkOptions INetworkMethod.Options => options;

        IReadOnlyList<InputColumn> INetworkMethod.Columns => TwoStreamFit.Columns(options);

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run) =>
            TwoStreamFit.Run(options, TwoStreamFit.Define(options, data, head), data, head, run);
    }
}
