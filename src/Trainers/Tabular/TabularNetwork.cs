// Several small networks over quantile-scaled numbers, periodic functions of them and keys, trained at once as one batched network and averaged: for tables, with defaults that need no tuning.
//
// Holzmüller, Grinsztajn and Steinwart, "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data", NeurIPS 2024, https://arxiv.org/abs/2407.04491
// Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", NeurIPS 2022, https://arxiv.org/abs/2203.05556
// Original code: https://github.com/dholzmueller/pytabkit
//
// k members, D numbers z of a row, d inputs of the first layer, h units, C classes; w, b, A, a weights of the periodic functions, s scale of the inputs, W, b weights of the layers.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Tabular;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Tabular.TabularNetwork"/> trainers.</summary>
    public static class TabularNetworkCatalog
    {
        /// <summary>Makes a trainer that predicts a number from a table: see <see cref="MlNetMlp.Tabular.TabularNetwork"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a number for regression, Boolean for binary, a key for multiclass.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size, NaN where a value is missing; null for none. It needs no normalisation.</param>
        /// <param name="categoricalColumns">Columns of keys or of vectors of keys; none by default.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="members">k, networks whose mean is the score, in [1, 64]; null for 8 for classes and up to 5,000 rows, else 4.</param>
        /// <param name="maxTrainingTime">Time that training may take; null (the default) for as much as the rows ask for.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<RegressionNetworkModel> TabularNetwork(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string? featureColumnName = "Features",
            IReadOnlyList<string>? categoricalColumns = null, string? exampleWeightColumnName = null, int? members = null, TimeSpan? maxTrainingTime = null) =>
            catalog.CreateTrainer(new TabularNetwork(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, CategoricalColumns = [.. categoricalColumns ?? []],
                ExampleWeightColumnName = exampleWeightColumnName, Members = members, MaxTrainingTime = maxTrainingTime,
            }));

        /// <summary>Makes a trainer that predicts a number from a table: see <see cref="MlNetMlp.Tabular.TabularNetwork"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<RegressionNetworkModel> TabularNetwork(
            this RegressionCatalog.RegressionTrainers catalog, TabularNetwork.Options options) => catalog.CreateTrainer(new TabularNetwork(options));

        /// <summary>Makes a trainer that tells yes from no in a table: see <see cref="MlNetMlp.Tabular.TabularNetwork"/>.</summary>
        /// <inheritdoc cref="TabularNetwork(RegressionCatalog.RegressionTrainers, string, string, IReadOnlyList{string}, string, int?, TimeSpan?)"/>
        public static NetworkTrainer<BinaryNetworkModel> TabularNetwork(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string? featureColumnName = "Features",
            IReadOnlyList<string>? categoricalColumns = null, string? exampleWeightColumnName = null, int? members = null, TimeSpan? maxTrainingTime = null) =>
            catalog.CreateTrainer(new TabularNetwork(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, CategoricalColumns = [.. categoricalColumns ?? []],
                ExampleWeightColumnName = exampleWeightColumnName, Members = members, MaxTrainingTime = maxTrainingTime,
            }));

        /// <summary>Makes a trainer that tells yes from no in a table: see <see cref="MlNetMlp.Tabular.TabularNetwork"/>.</summary>
        /// <inheritdoc cref="TabularNetwork(RegressionCatalog.RegressionTrainers, TabularNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> TabularNetwork(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, TabularNetwork.Options options) => catalog.CreateTrainer(new TabularNetwork(options));

        /// <summary>Makes a trainer that chooses one of many classes in a table: see <see cref="MlNetMlp.Tabular.TabularNetwork"/>.</summary>
        /// <inheritdoc cref="TabularNetwork(RegressionCatalog.RegressionTrainers, string, string, IReadOnlyList{string}, string, int?, TimeSpan?)"/>
        public static NetworkTrainer<MulticlassNetworkModel> TabularNetwork(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string? featureColumnName = "Features",
            IReadOnlyList<string>? categoricalColumns = null, string? exampleWeightColumnName = null, int? members = null, TimeSpan? maxTrainingTime = null) =>
            catalog.CreateTrainer(new TabularNetwork(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, CategoricalColumns = [.. categoricalColumns ?? []],
                ExampleWeightColumnName = exampleWeightColumnName, Members = members, MaxTrainingTime = maxTrainingTime,
            }));

        /// <summary>Makes a trainer that chooses one of many classes in a table: see <see cref="MlNetMlp.Tabular.TabularNetwork"/>.</summary>
        /// <inheritdoc cref="TabularNetwork(RegressionCatalog.RegressionTrainers, TabularNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MulticlassNetworkModel> TabularNetwork(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, TabularNetwork.Options options) => catalog.CreateTrainer(new TabularNetwork(options));
    }
}

namespace MlNetMlp.Tabular
{
    /// <summary>
    /// The trainer to start with on a table: several small networks, trained at once, over numbers and keys as they come, with calibrated probabilities and nothing to tune.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `TabularNetwork` of the regression, binary and multiclass trainers' catalogs.
    ///
    /// ### Input and output columns
    /// Features are a vector of [Single](xref:System.Single) of known size, NaN where a value is missing; categorical columns are [keys](xref:Microsoft.ML.Data.KeyDataViewType) or vectors of keys;
    /// either may be absent. Labels are a Single for regression, a Boolean for binary and a key for multiclass classification; example weights, if any, a Single.
    /// A missing key (0), a key that training has not seen and one beyond the count that training knew are the same: no key.
    ///
    /// | Task | Column | Type | Description |
    /// | --- | --- | --- | --- |
    /// | regression | `Score` | Single | the predicted number, in the label's unit |
    /// | binary | `Score` | Single | the logit of the mean probability: above 0 for true |
    /// | binary | `Probability` | Single | 1 / (1 + exp(-Score)) |
    /// | binary | `PredictedLabel` | Boolean | whether the score is above 0 |
    /// | all | `Score.Spread` | vector of one Single | with the option `OutputSpread`: the standard deviation of what the members say |
    /// | multiclass | `Score` | vector of Single | the mean probabilities of the classes |
    /// | multiclass | `PredictedLabel` | key | the most probable class, with the label's key values |
    ///
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | regression, binary and multiclass classification |
    /// | Is normalization required? | no: features are scaled inside, missing ones are filled |
    /// | Is caching required? | no: rows are kept in memory, as many as half of the option `MemoryBudget` holds |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// A number becomes z, the normal score of its rank among the training rows; a missing one is the median, and an input beside it says so where training had missing ones. Constant numbers are left
    /// out, numbers of two values are -1 or 1. Each z is also read by three learned sums aᵢ + Σ_f A_if·cos(2π·w_f·z + b_f). Keys of columns with few of them enter as inputs of their own, others have
    /// learned vectors. All d inputs are multiplied by learned factors s; three layers of h units, SiLU(W·x/√n + b), and a linear one follow. k members are trained at once, each on all rows but
    /// an eighth of its own, with initial weights that are fitted to the rows, Adam with rates of their own for s, the biases and the periodic functions, a rate that rises and falls four times, dropout
    /// and smoothed labels. The weights of one epoch are kept for all members: that with the least product of error rate and log-loss, or the least squared error, on the rows that the members
    /// did not train on. All this is done twice, with low frequencies w, and with high ones and without dropout: the trial that is judged better is kept, or both where the mean of two members has a
    /// criterion at least 4 % less. There one temperature is fitted to the logits too. The score is the mean of the members' numbers, within the range of the labels, or of their probabilities.
    ///
    /// ### References
    /// Holzmüller, Grinsztajn and Steinwart, [Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data](https://arxiv.org/abs/2407.04491), NeurIPS 2024.
    /// Gorishniy, Rubachev and Babenko, [On Embeddings for Numerical Features in Tabular Deep Learning](https://arxiv.org/abs/2203.05556), NeurIPS 2022.
    /// ]]></format>
    /// </remarks>
    public sealed class TabularNetwork(TabularNetwork.Options options) : INetworkMethod
    {
        internal const double DefaultFrequencyScale = 0.1;
        internal const double HighFrequencyScale = 1;
        internal const string OutOfFoldName = "outOfFold.scores";

        /// <summary>The scores of the training rows by the members that did not train on them, for what is stacked upon them or judged by them.</summary>
        /// <param name="model">A fitted or loaded model that was trained with <see cref="Options.OutOfFold"/>, alone or at the end of a chain.</param>
        /// <returns>
        /// One array for each row in the order of the training data, without those that have no label or a weight of 0: the number, the logit, or the probabilities of the classes.
        /// </returns>
        /// <exception cref="ArgumentException">The model holds no such scores.</exception>
        public static float[][] GetOutOfFoldScores(ITransformer model)
        {
            if (NetworkModel.Find(model)?.State is not { } state || !state.TryGet(OutOfFoldName, out var scores))
                throw new ArgumentException("The model holds no out-of-fold scores: train a TabularNetwork with the option 'OutOfFold'.", nameof(model));
            var width = (int)scores.Shape[1];
            return [.. scores.Floats.ToArray().Chunk(width)];
        }

        /// <summary>
        /// Options of <see cref="TabularNetwork"/>. Of the options of all networks one has another default and meaning:
        /// <see cref="NetworkOptions.ValidationFraction"/>, 0.2 by default, is the share that all members go without where <see cref="Folds"/> is 1.
        /// </summary>
        public sealed record Options : NetworkOptions
        {
            /// <summary>Creates options with the defaults of this trainer.</summary>
            public Options() => ValidationFraction = 0.2;

            /// <summary>
            /// Options for a first look: two members of half the width and half the epochs, with the frequencies of smooth tables, for less than a tenth of the time of the defaults.
            /// </summary>
            public static Options Fast => new() { Members = 2, HiddenSize = 64, Effort = 0.5, FrequencyScale = DefaultFrequencyScale };

            /// <summary>Columns of keys, or of vectors of keys of which the mean counts; texts become keys by <c>MapValueToKey</c>. By default [], none.</summary>
            [Required]
            public ValueList<string> CategoricalColumns { get; init; } = [];

            /// <summary>
            /// k, networks that are trained at once and whose mean is the score, in [1, 64]; null (the default): 8 for classes and up to 5,000 rows, one for each of the <see cref="Folds"/>, else 4. A fit that
            /// goes on from an earlier one has as many as that. A model has twice as many where two trials are kept: see <see cref="FrequencyScale"/>.
            /// </summary>
            [Range(1, 64)]
            public int? Members { get; init; }

            /// <summary>
            /// Parts that the rows are dealt to, in [1, 64]; 8 by default. Member i is judged by part i mod Folds and trains on the others; with 1, the share
            /// <see cref="NetworkOptions.ValidationFraction"/> judges all members. Not used where a column or data of their own say which rows judge.
            /// </summary>
            [Range(1, 64)]
            public int Folds { get; init; } = 8;

            /// <summary>h, units of a hidden layer, in [8, 4096]; 128 by default. Time grows with its square.</summary>
            [Range(8, 4096)]
            public int HiddenSize { get; init; } = 128;

            /// <summary>L, number of hidden layers, in [1, 8]; 3 by default.</summary>
            [Range(1, 8)]
            public int HiddenLayers { get; init; } = 3;

            /// <summary>Rows of each member in a step, in [8, 65536]; null (the default): a sixteenth of them, as a power of two within 32 to 256.</summary>
            [Range(8, 65536)]
            public int? BatchSize { get; init; }

            /// <summary>
            /// Passes over the rows, in [1, 10000]; null (the default): 560,000 rows in all, within 16 to 256 passes, and half as many where <see cref="Members"/> are eight by themselves.
            /// The schedule of the rate is stretched over them.
            /// </summary>
            [Range(1, 10_000)]
            public int? Epochs { get; init; }

            /// <summary>What the passes that are chosen by the number of rows are multiplied by, in (0, 100]; 1 by default. Not used where <see cref="Epochs"/> is given.</summary>
            [Range(0, 100, MinimumIsExclusive = true)]
            public double Effort { get; init; } = 1;

            /// <summary>
            /// Time that training may take, above zero, after the rows are read; null (the default) for as much as the epochs take. The first steps are timed, and as many epochs are
            /// planned as fit; models are then no longer the same in each run.
            /// </summary>
            public TimeSpan? MaxTrainingTime { get; init; }

            /// <summary>The greatest learning rate, in (0, 10]; null (the default): 0.04 for classes and 0.2 for numbers.</summary>
            [Range(0, 10, MinimumIsExclusive = true)]
            public double? LearningRate { get; init; }

            /// <summary>Decay of the weights for a learning rate of 1, in [0, 1); 0.02 by default.</summary>
            [Range(0, 1, MaximumIsExclusive = true)]
            public double WeightDecay { get; init; } = 0.02;

            /// <summary>Share of the units that are left out in each step, in [0, 0.9]; 0.15 by default. The second trial, see <see cref="FrequencyScale"/>, leaves out none.</summary>
            [Range(0, 0.9)]
            public double Dropout { get; init; } = 0.15;

            /// <summary>Share of the target spread evenly over the classes, in [0, 0.5); 0.1 by default. Regression ignores it.</summary>
            [Range(0, 0.5, MaximumIsExclusive = true)]
            public double LabelSmoothing { get; init; } = 0.1;

            /// <summary>How numbers are scaled; <see cref="NumericScaling.Quantile"/> by default.</summary>
            public NumericScaling NumericScaling { get; init; } = NumericScaling.Quantile;

            /// <summary>The function of the units; <see cref="TabularActivation.Silu"/> by default. Models with <c>Silu</c> and <c>Relu</c> score without libtorch.</summary>
            public TabularActivation Activation { get; init; } = TabularActivation.Silu;

            /// <summary>What is made of a number beside itself; <see cref="NumericEmbedding.Periodic"/> by default.</summary>
            public NumericEmbedding NumericEmbedding { get; init; } = NumericEmbedding.Periodic;

            /// <summary>F, cosines of a number, in [1, 256]; 16 by default.</summary>
            [Range(1, 256)]
            public int Frequencies { get; init; } = 16;

            /// <summary>
            /// Standard deviation of the frequencies that training starts with, in (0, 10]; null (the default): all members are trained with 0.1, which suits smooth tables, and once more with 1 and without
            /// dropout, which suits those with steps. The trial that the rows held out judge better is kept, or both where their mean is judged clearly better still. Where none are held out it is 0.1.
            /// </summary>
            [Range(0, 10, MinimumIsExclusive = true)]
            public double? FrequencyScale { get; init; }

            /// <summary>Most keys of a column that enter as an input each, in [0, 1024]; 8 by default. Those of columns with more have learned vectors.</summary>
            [Range(0, 1024)]
            public int MaxOneHot { get; init; } = 8;

            /// <summary>Numbers of the vector of a key, in [1, 256]; 8 by default.</summary>
            [Range(1, 256)]
            public int KeyEmbeddingSize { get; init; } = 8;

            /// <summary>Which epoch's weights are kept; <see cref="EpochSelection.Best"/> by default.</summary>
            public EpochSelection Selection { get; init; } = EpochSelection.Best;

            /// <summary>Whether one temperature of all logits is fitted to the rows held out; true by default. Regression ignores it.</summary>
            public bool Calibrate { get; init; } = true;

            /// <summary>Whether predicted numbers are kept within the range of the training labels; true by default. Classification ignores it.</summary>
            public bool ClipPredictions { get; init; } = true;

            /// <summary>
            /// Whether a column <c>Score.Spread</c> holds the standard deviation of what the members say: of their numbers, in the label's unit, or of the probabilities that they give the class that is
            /// predicted. It ranks rows by how much the members disagree, and is no interval; false by default.
            /// </summary>
            public bool OutputSpread { get; init; }

            /// <summary>
            /// Whether each part of the rows has a member of its own, in place of <see cref="Members"/>, and the scores of the rows by the members that did not train on them are kept in the
            /// model: see <see cref="GetOutOfFoldScores"/>; false by default.
            /// </summary>
            public bool OutOfFold { get; init; }

            /// <summary>
            /// Whether the network is trained on all rows in the end; false by default. Regression then holds out none and keeps the last epoch; classification, and all with
            /// <see cref="OutOfFold"/>, is trained once more, up to the epoch and with the temperature that were found, for twice the time. Not used where a column or data of their own say which rows judge.
            /// </summary>
            public bool TrainOnAllRows { get; init; }

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (CategoricalColumns.Any(string.IsNullOrEmpty) || CategoricalColumns.Distinct().Count() < CategoricalColumns.Count)
                    yield return new ValidationResult($"option 'CategoricalColumns' must name columns of keys, each once, but was {CategoricalColumns}");
                if (CategoricalColumns.Contains(LabelColumnName))
                    yield return new ValidationResult($"option 'CategoricalColumns' must not have the label column '{LabelColumnName}' among it, which is what is predicted");
                if (OutOfFold && (Folds == 1 || ValidationColumnName is not null || ValidationData is not null))
                    yield return new ValidationResult("option 'OutOfFold' must be False where 'Folds' is 1, or where a column or data of their own say which rows judge");
                if (MaxTrainingTime <= TimeSpan.Zero)
                    yield return new ValidationResult($"option 'MaxTrainingTime' must be above zero, but was {MaxTrainingTime}");
            }
        }

        /// <inheritdoc/>
        public string Name => nameof(TabularNetwork);

        /// <inheritdoc/>
        public bool AcceptsMissingValues => true;

        /// <inheritdoc/>
        public bool HoldsOutRows => true;

        NetworkOptions INetworkMethod.Options => options;

        IReadOnlyList<AddedColumn> INetworkMethod.AddedColumns => options.OutputSpread ? [TabularNetworkDefinition.Spread] : [];

        IReadOnlyList<InputColumn> INetworkMethod.Columns => [.. options.CategoricalColumns.Select(name => new InputColumn(name))];

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            using var fit = new TabularNetworkFit(data, head, run, options);
            return fit.Run();
        }
    }
}
