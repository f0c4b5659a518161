// Two MLPs that look at the same fields through gates of their own, and whose activations are fused by products of pairs: for what many columns of
// keys and few numbers say of a click, a purchase or a rating.
//
// Mao, Zhu, Su, Cai, Li and Dong, "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction", AAAI 2023, https://arxiv.org/abs/2304.00902
// Original code: https://github.com/reczoo/FuxiCTR (model_zoo/FinalMLP)
//
// F fields, d numbers of a field's vector, e [F·d] all of them; σ(x) = 1/(1 + exp(−x)); stream s ∈ {1, 2} has the gate g_s, the activations o_s [D_s]
// and the output weights w_s, b_s; W_j [D₁/k × D₂/k] is head j of k of the bilinear form.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Recommendation;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Recommendation.FinalMlp"/> trainers and look into what they have trained.</summary>
    public static class FinalMlpCatalog
    {
        /// <summary>Makes a trainer that tells yes from no by many columns of keys: see <see cref="MlNetMlp.Recommendation.FinalMlp"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: Boolean for binary classification, a number for regression.</param>
        /// <param name="categoricalColumns">The fields: columns of keys or of vectors of keys; at least one.</param>
        /// <param name="featureColumnName">A column of numbers beside them, a vector of Single of known size; null (the default) for none.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="embeddingDim">d, numbers of the vector of a key, in [1, 4096].</param>
        /// <param name="heads">k, heads of the bilinear form; it must divide the last widths of both streams, 400 and 100.</param>
        /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<BinaryNetworkModel> FinalMlp(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label",
            IReadOnlyList<string>? categoricalColumns = null, string? featureColumnName = null, string? exampleWeightColumnName = null,
            int embeddingDim = 10, int heads = 2, int epochs = 100) =>
            catalog.CreateTrainer(new FinalMlp(new()
            {
                LabelColumnName = labelColumnName, CategoricalColumns = [.. categoricalColumns ?? []], FeatureColumnName = featureColumnName,
                ExampleWeightColumnName = exampleWeightColumnName, EmbeddingDim = embeddingDim, Heads = heads, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that tells yes from no by many columns of keys: see <see cref="MlNetMlp.Recommendation.FinalMlp"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> FinalMlp(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, FinalMlp.Options options) => catalog.CreateTrainer(new FinalMlp(options));

        /// <summary>Makes a trainer that predicts a number by many columns of keys: see <see cref="MlNetMlp.Recommendation.FinalMlp"/>.</summary>
        /// <inheritdoc cref="FinalMlp(BinaryClassificationCatalog.BinaryClassificationTrainers, string, IReadOnlyList{string}, string, string, int, int, int)"/>
        public static NetworkTrainer<RegressionNetworkModel> FinalMlp(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", IReadOnlyList<string>? categoricalColumns = null,
            string? featureColumnName = null, string? exampleWeightColumnName = null, int embeddingDim = 10, int heads = 2, int epochs = 100) =>
            catalog.CreateTrainer(new FinalMlp(new()
            {
                LabelColumnName = labelColumnName, CategoricalColumns = [.. categoricalColumns ?? []], FeatureColumnName = featureColumnName,
                ExampleWeightColumnName = exampleWeightColumnName, EmbeddingDim = embeddingDim, Heads = heads, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that predicts a number by many columns of keys: see <see cref="MlNetMlp.Recommendation.FinalMlp"/>.</summary>
        /// <inheritdoc cref="FinalMlp(BinaryClassificationCatalog.BinaryClassificationTrainers, FinalMlp.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> FinalMlp(
            this RegressionCatalog.RegressionTrainers catalog, FinalMlp.Options options) => catalog.CreateTrainer(new FinalMlp(options));

        /// <summary>
        /// Adds the mean gate of each field in each stream, in (0, 2): how much a stream makes of the field for that row. 1 leaves it as it is.
        /// </summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="model">A fitted or loaded model with a <see cref="MlNetMlp.Recommendation.FinalMlp"/> in it, alone or in a chain.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single with a slot for each feature and column of keys in the first stream and then in the second, named.</param>
        /// <returns>The estimator.</returns>
        /// <exception cref="ArgumentException">The model holds no network of this library.</exception>
        /// <exception cref="InvalidOperationException">The network has no gates.</exception>
        public static PretrainedFeatureEstimator FieldGates(this TransformsCatalog catalog, ITransformer model, string outputColumnName = "FieldGates") =>
            catalog.CreatePartFeaturizer(outputColumnName, model, network =>
                network is FinalMlpDefinition { GateUnits: not null, IsGates: false } whole ? whole with { IsGates = true, Outputs = 2 * whole.Fields } : null);
    }
}

namespace MlNetMlp.Recommendation
{
    /// <summary>
    /// Click, purchase and rating prediction by many columns of keys and some numbers: two MLPs over gated vectors of the keys, fused by a bilinear form
    /// of many heads.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `FinalMlp` of the binary or regression trainers' catalogs.
    ///
    /// ### Input and output columns
    /// Fields are columns of [keys](xref:Microsoft.ML.Data.KeyDataViewType) or of vectors of keys, of known or unknown size, whose vectors are averaged; features, if any, a
    /// vector of [Single](xref:System.Single) of known size; labels a Boolean for binary classification, a Single for regression; example weights, if any, a Single.
    /// A missing key (0) adds nothing. Keys beyond the count that training knew share one vector.
    ///
    /// | Task | Column | Type | Description |
    /// | --- | --- | --- | --- |
    /// | regression | `Score` | Single | the predicted number, in the label's unit |
    /// | binary | `Score` | Single | the logit: above 0 for true |
    /// | binary | `Probability` | Single | 1 / (1 + exp(-Score)) |
    /// | binary | `PredictedLabel` | Boolean | whether the score is above 0 |
    ///
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | binary classification, regression |
    /// | Is normalization required? | no: features are standardised inside |
    /// | Is caching required? | no: rows are kept in memory as far as the option `MemoryBudget` allows, else streamed |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// Each key has a vector of d numbers, drawn from N(0, 1e-8); a feature x has x·w with one vector w. Side by side they are e. Each stream weighs e by a gate of
    /// its own, h_s = 2σ(g_s) ⊙ e, where g_s is what an MLP with linear outputs makes of other vectors of the context columns or, without such, of a learned vector.
    /// Then o_s = MLP_s(h_s) with ReLU after every layer, and the output is b₁ + w₁ᵀo₁ + b₂ + w₂ᵀo₂ + Σ_j o₁ⱼᵀ·W_j·o₂ⱼ over the k parts that o₁ and o₂ are cut into.
    /// The loss is cross-entropy, or the squared error on standardised labels. Vectors of keys are trained by Adam that touches those of the batch only.
    ///
    /// ### References
    /// Mao, Zhu, Su, Cai, Li and Dong, [FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction](https://arxiv.org/abs/2304.00902), AAAI 2023.
    /// ]]></format>
    /// </remarks>
    public sealed class FinalMlp(FinalMlp.Options options) : INetworkMethod
    {
        /// <summary>
        /// Options of <see cref="FinalMlp"/>. Of the options of all networks that are trained by gradients some have other defaults:
        /// <see cref="NetworkOptions.FeatureColumnName"/> is null, <see cref="GradientTrainedOptions.Optimizer"/> is Adam,
        /// <see cref="GradientTrainedOptions.Patience"/> 2 and <see cref="GradientTrainedOptions.GradientClipNorm"/> 10.
        /// </summary>
        public sealed record Options : TwoStreamOptions
        {
            /// <summary>Whether each stream weighs the fields by a gate of its own; true by default.</summary>
            public bool UseFeatureGates { get; init; } = true;

            /// <summary>Units of the hidden layers of the gates, each in 1 to 65,536, and none for a linear gate; [64] by default.</summary>
            [Required]
            public ValueList<int> GateHiddenUnits { get; init; } = [64];

            /// <summary>Columns of keys that the gate of the first stream looks at, such as the user; [] by default, a gate that is the same for all rows.</summary>
            [Required]
            public ValueList<string> Gate1Context { get; init; } = [];

            /// <summary>Columns of keys that the gate of the second stream looks at, such as the item; [] by default, a gate that is the same for all rows.</summary>
            [Required]
            public ValueList<string> Gate2Context { get; init; } = [];

            /// <summary>
            /// k, heads of the bilinear form, in [1, 65536]; 2 by default. It must divide the last width of both streams. More heads are fewer weights: D₁·D₂/k.
            /// </summary>
            [Range(1, 1 << 16)]
            public int Heads { get; init; } = 2;

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (Mlp1HiddenUnits.Count > 0 && Mlp2HiddenUnits.Count > 0 && (Mlp1HiddenUnits[^1] % Heads != 0 || Mlp2HiddenUnits[^1] % Heads != 0))
                    yield return new ValidationResult($"option 'Heads' must divide the last widths of both streams, {Mlp1HiddenUnits[^1]} and {Mlp2HiddenUnits[^1]}, but was {Heads}");
                if (!AreLayers(GateHiddenUnits))
                    yield return new ValidationResult($"option 'GateHiddenUnits' must be up to 16 numbers from 1 to 65536, but was {GateHiddenUnits}");
                foreach (var (name, columns) in ((string, ValueList<string>)[])[(nameof(Gate1Context), Gate1Context), (nameof(Gate2Context), Gate2Context)])
                {
                    if (columns.Except(CategoricalColumns).Any() || columns.Distinct().Count() < columns.Count)
                        yield return new ValidationResult($"option '{name}' must name columns that are among 'CategoricalColumns', each once, but was {columns}");
                }
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(FinalMlp);

        NetworkOptions INetworkMethod.Options => options;

        IReadOnlyList<InputColumn> INetworkMethod.Columns => TwoStreamFit.Columns(options);

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var definition = TwoStreamFit.Define(options, data, head) with
            {
                GateUnits = options.UseFeatureGates ? options.GateHiddenUnits : null,
                Gate1Context = options.UseFeatureGates ? Indices(options.Gate1Context) : [],
                Gate2Context = options.UseFeatureGates ? Indices(options.Gate2Context) : [],
                Heads = options.Heads,
            };
            return TwoStreamFit.Run(options, definition, data, head, run);

            ValueList<int> Indices(ValueList<string> names) => [.. names.Select(name => options.CategoricalColumns.ToList().IndexOf(name)).Order()];
        }
    }
}
