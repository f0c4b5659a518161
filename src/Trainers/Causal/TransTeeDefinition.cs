using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Causal;

/// <summary>Shapes and switches of the network of a <see cref="TransTee"/>, which are its file format.</summary>
public sealed record TransTeeDefinition : TreatmentDefinition, IValidatableObject
{
    /// <summary>Units of the hidden layer of π.</summary>
    internal const int DiscriminatorUnits = 50;

    /// <summary>d, numbers of a token.</summary>
    [Range(1, 1024)]
    public required int EmbedDim { get; init; }

    /// <summary>Heads of attention.</summary>
    [Range(1, 64)]
    public required int Heads { get; init; }

    /// <summary>Layers of the encoder, and as many of the decoder.</summary>
    [Range(1, 16)]
    public required int Layers { get; init; }

    /// <summary>Units of the hidden layer in each layer.</summary>
    [Range(1, 1 << 14)]
    public required int FeedForwardDim { get; init; }

    /// <summary>Whether all covariates share one weight and one bias.</summary>
    public required bool IsShared { get; init; }

    /// <summary>Share of what each half of a layer adds that training leaves out.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public required double Dropout { get; init; }

    /// <summary>Deviation of the initial weights and biases of tokens.</summary>
    [Range(0, 10, MinimumIsExclusive = true)]
    public required double InitStdCovariate { get; init; }

    /// <summary>Deviation of the initial weights of the query.</summary>
    [Range(0, 10, MinimumIsExclusive = true)]
    public required double InitStdTreatment { get; init; }

    /// <summary>What the tokens are trained against.</summary>
    public required TreatmentRegularizer Regularizer { get; init; }

    /// <summary>Whether covariates that are not finite, and keys that are missing, are covariates that nothing looks at.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool AcceptsMissing { get; init; }

    /// <summary>Whether the weights of covariates are put out and not outcomes.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsAttention { get; init; }

    /// <summary>K, number of covariates: each feature and each column of keys is one.</summary>
    [JsonIgnore]
    public int Covariates => Numbers + Layout!.Columns.Count - 1;

    /// <summary>Number of covariates that are numbers.</summary>
    [JsonIgnore]
    internal int Numbers => Layout!.FeatureWidth;

    /// <summary>Columns of the layout that are covariates: all but the treatment.</summary>
    [JsonIgnore]
    internal IReadOnlyList<int> KeyColumns => [.. Enumerable.Range(1, Layout!.Columns.Count - 1)];

    /// <summary>Values that π puts out; 0 where there is none.</summary>
    [JsonIgnore]
    public int DiscriminatorOutputs => Regularizer == TreatmentRegularizer.None || IsAttention ? 0
        : Treatments.AreArms ? Treatments.Count
        : Regularizer == TreatmentRegularizer.ProbabilisticTreatment ? 2 : 1;

    /// <inheritdoc/>
    public override IReadOnlyList<string>? OutputNames => IsAttention ? [.. Enumerable.Range(0, Numbers).Select(i => $"feature {i}"), .. Layout!.Columns.Skip(1).Select(column => column.Name)] : null;

    /// <inheritdoc/>
    public override long WeightCount
    {
        get
        {
            long k = Numbers, d = EmbedDim, tokens = IsShared ? 1 : k;
            var norm = 2 * d;
            var feedForward = (FeedForwardDim * (d + 1)) + (d * (FeedForwardDim + 1L)) + norm;
            var attention = MultiHeadAttention.WeightCountOf(EmbedDim) + norm;
            var encoder = attention + feedForward;
            var decoder = (2 * d * (d + 1)) + norm + attention + feedForward;
            var query = Treatments.AreArms ? Treatments.Count * d : 2 + (2 * d);
            var count = (2 * k) + (2 * tokens * d) + query + (Layers * (encoder + decoder)) + KeyEmbedding.WeightCountOf(Layout!.Columns.Skip(1), EmbedDim, hasRare: false);
            if (!IsAttention)
                count += (d * (d + 1)) + d + 1;
            return DiscriminatorOutputs is > 0 and var outputs ? count + (DiscriminatorUnits * (d + 1)) + (outputs * (DiscriminatorUnits + 1)) : count;
        }
    }

    /// <inheritdoc/>
    public override Network Build(Device device) => new TransTeeNetwork(this, device);

    /// <summary>Whether the parts fit each other.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Layout is not { FeatureWidth: > 0, Columns: [{ Width: 1 }, ..] } || !Layout.Columns.Skip(1).All(column => column.IsKey))
        {
            yield return new ValidationResult("'Layout' must have features, one treatment and after it columns of keys only");
            yield break;
        }

        if (EmbedDim % Heads != 0)
            yield return new ValidationResult($"'Heads' must divide {EmbedDim}");
        if (Layout.Columns[0].IsKey != Treatments.AreKeys || (Treatments.AreKeys && Layout.Columns[0].KeyCount != Treatments.Count))
            yield return new ValidationResult("'Treatments' must be those of the column of the layout");
        if (Outputs != (IsAttention ? Covariates : 1 + Treatments.Count))
            yield return new ValidationResult($"'Outputs' must not be {Outputs}");
    }
}
