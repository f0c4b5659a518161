// A small transformer that predicts the outcome of a unit under any treatment: covariates are tokens, and the treatment is the query that reads them.
//
// Zhang, Zhang, Lipton, Li and Xing, "Exploring Transformer Backbones for Heterogeneous Treatment Effect Estimation", 2022, https://arxiv.org/abs/2202.01336
// Original code: https://github.com/hlzhang109/TransTEE
//
// K covariates x of a unit, treatment t, outcome y; d numbers of a token; e_j token of covariate j, E [K × d] all of them; q query of the treatment;
// μ(x, t) predicted outcome; π treatment predicted from the tokens; α weight of the regulariser.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Causal;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Causal.TransTee"/> trainers and look into what they have trained.</summary>
    public static class TransTeeCatalog
    {
        /// <summary>Makes a trainer that predicts outcomes under each treatment: see <see cref="MlNetMlp.Causal.TransTee"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The outcome: a number, or Boolean.</param>
        /// <param name="treatmentColumnName">The treatment: Boolean or a key for one of some treatments, a number for a dose.</param>
        /// <param name="featureColumnName">The covariates: a vector of Single of known size.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="embedDim">d, numbers of a token, in [1, 1024]; the two heads must divide it.</param>
        /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<TreatmentModel> TransTee(
            this CausalInferenceTrainers catalog, string labelColumnName = "Label", string treatmentColumnName = "Treatment", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int embedDim = 16, int epochs = 400) =>
            catalog.CreateTrainer(new TransTee(new()
            {
                LabelColumnName = labelColumnName, TreatmentColumnName = treatmentColumnName, FeatureColumnName = featureColumnName,
                ExampleWeightColumnName = exampleWeightColumnName, EmbedDim = embedDim, Epochs = epochs,
            }));

        /// <summary>Makes a trainer that predicts outcomes under each treatment: see <see cref="MlNetMlp.Causal.TransTee"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<TreatmentModel> TransTee(this CausalInferenceTrainers catalog, TransTee.Options options) => catalog.CreateTrainer(new TransTee(options));

        /// <summary>
        /// Adds how much the query of a row's own treatment looks at each covariate: the weights of the last cross-attention, averaged over its heads, which add up to 1.
        /// </summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="model">A fitted or loaded model with a <see cref="MlNetMlp.Causal.TransTee"/> in it, alone or in a chain.</param>
        /// <param name="outputColumnName">The column to add: a vector of Single with a slot for each covariate.</param>
        /// <returns>The estimator; its data must have the treatment column.</returns>
        /// <exception cref="ArgumentException">The model holds no network of this library.</exception>
        /// <exception cref="InvalidOperationException">The network is no TransTee.</exception>
        public static PretrainedFeatureEstimator CovariateAttention(this TransformsCatalog catalog, ITransformer model, string outputColumnName = "CovariateAttention") =>
            catalog.CreatePartFeaturizer(outputColumnName, model, network => network is TransTeeDefinition { IsAttention: false } whole
                ? whole with
                {
                    IsAttention = true,
                    Outputs = whole.Covariates,
                    Layout = whole.Layout! with { Columns = [.. whole.Layout.Columns.Select(column => column with { IsOptional = false })] },
                }
                : null);
    }
}

namespace MlNetMlp.Causal
{
    /// <summary>How covariates become tokens.</summary>
    public enum CovariateTokens
    {
        /// <summary>Each covariate has a weight and a bias of its own: e_j = x_j·w_j + b_j.</summary>
        Tokenized,

        /// <summary>All share one weight and one bias, as in the original code: the network cannot tell which covariate a value is of.</summary>
        Shared,
    }

    /// <summary>What keeps tokens from telling the treatment.</summary>
    public enum TreatmentRegularizer
    {
        /// <summary>Nothing.</summary>
        None,

        /// <summary>A network π that predicts the treatment from the tokens, and which these are trained against.</summary>
        Treatment,

        /// <summary>The same with a mean and a variance of the dose; for treatments that are no doses it is <see cref="Treatment"/>.</summary>
        ProbabilisticTreatment,
    }

    /// <summary>Outcomes of units under each of some treatments or doses, learned from data in which each unit has had one: for uplift, prices and doses.</summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `mlContext.CausalInference.Trainers.TransTee`.
    ///
    /// ### Input and output columns
    /// Covariates are a vector of [Single](xref:System.Single) of known size and, if wanted, columns of [keys](xref:Microsoft.ML.Data.KeyDataViewType); the treatment is a Boolean, a key, or a Single, which is a
    /// dose; the label, which is the outcome, a Single, or a Boolean; example weights, if any, a Single. Outcomes are numbers in the label's unit, or probabilities of true.
    ///
    /// | Treatment | Column | Type | Description |
    /// | --- | --- | --- | --- |
    /// | any | `Score` | Single | the outcome under the row's own treatment; NaN where it is missing or there is no such column |
    /// | Boolean, key | `PotentialOutcomes` | vector of Single | the outcome under each treatment |
    /// | Boolean | `Effect` | Single | the outcome under true less that under false |
    /// | key | `Effect` | vector of Single | the outcome under each treatment but that of reference, less that under the treatment of reference |
    /// | Boolean, key | `BestTreatment` | key | the treatment with the greatest outcome, of those that training rows have had |
    /// | Single | `DoseResponse` | vector of Single | the outcome under each dose of the grid |
    /// | Single | `BestDose` | Single | the dose of the grid with the greatest outcome |
    ///
    /// Data that are scored need no treatment column for any column but `Score`.
    ///
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | causal inference |
    /// | Is normalization required? | no: covariates, doses and outcomes are standardised inside |
    /// | Is caching required? | no: rows are kept in memory as far as the option `MemoryBudget` allows, else streamed |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// Covariate x_j becomes the token e_j = x_j·w_j + b_j of d numbers, a key its own vector, and layers of self-attention let tokens read each other. A dose t becomes the query t·w + b, any other
    /// treatment a learned vector; layers of cross-attention let it read the tokens, and an MLP of one hidden layer makes the outcome of it. Each half of a layer is added to what it
    /// reads and normalised. The treatment enters by the query only, so that a row is encoded once for all doses. The loss is the squared error on standardised outcomes, or
    /// cross-entropy. With a regulariser the loss of π, which predicts the treatment from the mean token, is taken away α times, but no more of it than the loss
    /// of the best constant.
    ///
    /// ### What it takes for effects to be causal
    /// That all that moves both treatment and outcome is among the covariates, and that units of any covariates may have had any of the treatments. Data cannot tell whether this holds. Outcomes
    /// under doses or arms that no similar row has had are extrapolations.
    ///
    /// ### References
    /// Zhang, Zhang, Lipton, Li and Xing,
    /// [Exploring Transformer Backbones for Heterogeneous Treatment Effect Estimation](https://arxiv.org/abs/2202.01336), 2022.
    /// ]]></format>
    /// </remarks>
    public sealed class TransTee(TransTee.Options options) : ITreatmentMethod
    {
        /// <summary>
        /// Options of <see cref="TransTee"/>. Of the options of all networks that are trained by gradients some have other defaults:
        /// <see cref="GradientTrainedOptions.LearningRate"/> is 0.002, <see cref="GradientTrainedOptions.WeightDecay"/> 0.005, <see cref="GradientTrainedOptions.Schedule"/> a cosine,
        /// <see cref="GradientTrainedOptions.Epochs"/> 400, <see cref="GradientTrainedOptions.Patience"/> 100 and <see cref="GradientTrainedOptions.GradientClipNorm"/> 1.
        /// </summary>
        public sealed record Options : GradientTrainedOptions
        {
            /// <summary>Creates options with the defaults of this trainer.</summary>
            public Options()
            {
                LearningRate = 2e-3;
                WeightDecay = 5e-3;
                Schedule = LearningRateSchedule.Cosine();
                Epochs = 400;
                Patience = 100;
                GradientClipNorm = 1;
            }

            /// <summary>The treatment column, <c>Treatment</c> by default: Boolean or a key for one of some treatments, a number for a dose.</summary>
            [Required]
            public string TreatmentColumnName { get; init; } = "Treatment";

            /// <summary>Covariates beside the features that are keys, or vectors of keys of which the mean counts: each is one token. [] by default, for none.</summary>
            [Required]
            public ValueList<string> CategoricalColumns { get; init; } = [];

            /// <summary>Name of the treatment that effects are measured against; null (the default) for the first. For treatments that are keys.</summary>
            public string? ReferenceArm { get; init; }

            /// <summary>Doses under which rows are scored, from the 1 % to the 99 % quantile of those of the training rows, in [2, 10000]; 21 by default.</summary>
            [Range(2, 10_000)]
            public int DoseGrid { get; init; } = 21;

            /// <summary>Doses under which rows are scored, in rising order; [] by default, for quantiles.</summary>
            [Required]
            public ValueList<float> Doses { get; init; } = [];

            /// <summary>d, numbers of a token, in [1, 1024]; 16 by default.</summary>
            [Range(1, 1024)]
            public int EmbedDim { get; init; } = 16;

            /// <summary>Heads of attention, in [1, 64]; 2 by default. They must divide <see cref="EmbedDim"/>.</summary>
            [Range(1, 64)]
            public int Heads { get; init; } = 2;

            /// <summary>Layers of the encoder, and as many of the decoder, in [1, 16]; 1 by default.</summary>
            [Range(1, 16)]
            public int Layers { get; init; } = 1;

            /// <summary>Units of the hidden layer in each layer, in [1, 16384]; 50 by default.</summary>
            [Range(1, 1 << 14)]
            public int FeedForwardDim { get; init; } = 50;

            /// <summary>Share of what each half of a layer adds that is left out in each training step, in [0, 1); 0.1 by default.</summary>
            [Range(0, 1, MaximumIsExclusive = true)]
            public double Dropout { get; init; } = 0.1;

            /// <summary>
            /// Whether covariates may be missing, features that are NaN or infinite and keys without a value, whose tokens nothing looks at; false by default: such features are refused.
            /// </summary>
            public bool AcceptMissing { get; init; }

            /// <summary>How covariates become tokens; <see cref="CovariateTokens.Tokenized"/> by default.</summary>
            public CovariateTokens CovariateTokens { get; init; } = CovariateTokens.Tokenized;

            /// <summary>Deviation of the initial weights and biases of tokens, greater than 0 and at most 10; 0.1 by default.</summary>
            [Range(0, 10, MinimumIsExclusive = true)]
            public double InitStdCovariate { get; init; } = 0.1;

            /// <summary>Deviation of the initial weights of the query, greater than 0 and at most 10; 0.2 by default.</summary>
            [Range(0, 10, MinimumIsExclusive = true)]
            public double InitStdTreatment { get; init; } = 0.2;

            /// <summary>What keeps tokens from telling the treatment; <see cref="TreatmentRegularizer.None"/> by default.</summary>
            public TreatmentRegularizer Regularizer { get; init; } = TreatmentRegularizer.None;

            /// <summary>α, the weight of the regulariser, in [0, 1000]; 1 by default. 0 is no regulariser.</summary>
            [Range(0, 1e3)]
            public double RegularizerWeight { get; init; } = 1;

            /// <inheritdoc/>
            public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
            {
                foreach (var fault in base.Validate(validationContext))
                    yield return fault;
                if (FeatureColumnName is null)
                    yield return new ValidationResult("option 'FeatureColumnName' must be the name of the covariates, but was null");
                if (TreatmentColumnName == LabelColumnName || TreatmentColumnName == FeatureColumnName)
                    yield return new ValidationResult($"option 'TreatmentColumnName' must be another column than the label and the covariates, but was '{TreatmentColumnName}'");
                if (CategoricalColumns.Any(string.IsNullOrEmpty) || CategoricalColumns.Append(TreatmentColumnName).Append(LabelColumnName).Distinct().Count() < CategoricalColumns.Count + 2)
                    yield return new ValidationResult($"option 'CategoricalColumns' must name columns of keys, each once and neither the treatment nor the label, but was {CategoricalColumns}");
                if (CategoricalColumns.Count > 0 && Optimizer is not (OptimizerKind.Adam or OptimizerKind.AdamW))
                    yield return new ValidationResult($"option 'Optimizer' must be Adam or AdamW, which the vectors of keys are trained by, but was {Optimizer}");
                if (EmbedDim % Heads != 0)
                    yield return new ValidationResult($"option 'Heads' must divide 'EmbedDim', {EmbedDim}, but was {Heads}");
                if (Doses.Count == 1 || !Doses.All(float.IsFinite) || Doses.Zip(Doses.Skip(1)).Any(pair => pair.First >= pair.Second))
                    yield return new ValidationResult($"option 'Doses' must be no or at least two finite numbers in rising order, but was {Doses}");
            }

            /// <inheritdoc/>
            protected override int ChooseBatchSize(long rows) => (int)Math.Clamp(rows, 1, 512);
        }

        /// <inheritdoc/>
        public string Name => nameof(TransTee);

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public TreatmentInput Treatment => new(options.TreatmentColumnName, options.ReferenceArm, options.DoseGrid, options.Doses);

        bool INetworkMethod.AcceptsMissingValues => options.AcceptMissing;

        IReadOnlyList<InputColumn> INetworkMethod.Columns => [Treatment.Column, .. options.CategoricalColumns.Select(name => new InputColumn(name))];

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var treatments = ((TreatmentHead)head).Treatments;
            var network = (TransTeeNetwork)run.Create(new TransTeeDefinition
            {
                Inputs = data.FeatureCount,
                Outputs = head.Outputs,
                Layout = data.Layout,
                Treatments = treatments,
                EmbedDim = options.EmbedDim,
                Heads = options.Heads,
                Layers = options.Layers,
                FeedForwardDim = options.FeedForwardDim,
                AcceptsMissing = options.AcceptMissing,
                IsShared = options.CovariateTokens == CovariateTokens.Shared,
                Dropout = options.Dropout,
                InitStdCovariate = options.InitStdCovariate,
                InitStdTreatment = options.InitStdTreatment,
                Regularizer = options.RegularizerWeight > 0 ? options.Regularizer : TreatmentRegularizer.None,
            });
            if (!run.IsContinued)
                network.Standardize(options.AcceptMissing ? PresentStatistics.Of(data) : data.Statistics);
            network.Noise = run.Random.Training;
            network.IsFactual = true;
            run.Minimize(network, data, head, options.ToSettings(data.RowCount), network.HasDiscriminator ? RegularizedLoss(head) : null);
            network.IsFactual = false;
            network.Noise = null;
            return network;
        }

        // NOTE[DIFF]: the original takes a step of SGD on π and then one on the network, each with the other held fixed. Here one backward pass gives both gradients, each with the
        // other held fixed, and one optimiser takes the step. The original's loss is unbounded below, as tokens that tell a false treatment make π's loss as large as
        // they like; beyond the loss of the best constant there is nothing left to hide, so no more than that is taken away.
        private BatchLoss RegularizedLoss(TaskHead head) => (network, batch) =>
        {
            var tee = (TransTeeNetwork)network;
            var loss = head.Loss(tee.call(batch.Features), batch.Labels, batch.Weights, options.LabelSmoothing);
            return loss.Plus(tee.RegularizerLoss(batch.Features, options.RegularizerWeight));
        };
    }
}
