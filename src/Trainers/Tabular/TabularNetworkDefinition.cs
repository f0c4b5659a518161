using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;
using static TorchSharp.torch;

namespace MlNetMlp.Tabular;

/// <summary>Shapes and switches of the network of a <see cref="TabularNetwork"/>, which are its file format.</summary>
public sealed record TabularNetworkDefinition : NetworkDefinition, IValidatableObject
{
    /// <summary>The column of <see cref="TabularNetwork.Options.OutputSpread"/>.</summary>
    internal static readonly AddedColumn Spread = new("Score.Spread", ["Spread"]);

    /// <summary>C, number of classes; 0 for a number.</summary>
    [Range(0, 1 << 24)]
    public required int Classes { get; init; }

    /// <summary>k, networks whose mean is the score.</summary>
    [Range(1, 128)]
    public required int Members { get; init; }

    /// <summary>h, units of a hidden layer.</summary>
    [Range(8, 4096)]
    public required int HiddenSize { get; init; }

    /// <summary>L, number of hidden layers.</summary>
    [Range(1, 8)]
    public required int HiddenLayers { get; init; }

    /// <summary>The function of the units.</summary>
    public required TabularActivation Activation { get; init; }

    /// <summary>How numbers are scaled.</summary>
    public required NumericScaling NumericScaling { get; init; }

    /// <summary>Knots of a number that is scaled by quantiles, else 0.</summary>
    [Range(0, 1 << 16)]
    public required int Knots { get; init; }

    /// <summary>F, cosines of a number; 0 without an embedding.</summary>
    [Range(0, 256)]
    public required int Frequencies { get; init; }

    /// <summary>Indices of the features that are scaled.</summary>
    [Required]
    public required ValueList<int> Scaled { get; init; }

    /// <summary>Indices of the features that had two values in training.</summary>
    [Required]
    public required ValueList<int> Pairs { get; init; }

    /// <summary>Indices of the features that were missing in some rows of training.</summary>
    [Required]
    public required ValueList<int> Indicators { get; init; }

    /// <summary>For each column of keys the number of keys that training saw.</summary>
    [Required]
    public required ValueList<int> KnownKeys { get; init; }

    /// <summary>Most keys of a column that enter as an input each; those of others have learned vectors.</summary>
    [Range(0, 1024)]
    public required int MaxOneHot { get; init; }

    /// <summary>Numbers of the vector of a key.</summary>
    [Range(1, 256)]
    public required int KeyEmbeddingSize { get; init; }

    /// <summary>What the deviation of the members is multiplied by in a column of its own, to be in the label's unit; null without that column.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? SpreadScale { get; init; }

    /// <inheritdoc/>
    [JsonIgnore]
    public override IReadOnlyList<AddedColumn> AddedColumns => SpreadScale is null ? [] : [Spread];

    /// <summary>Number of features.</summary>
    [JsonIgnore]
    public int Numbers => Layout?.FeatureWidth ?? Inputs;

    /// <summary>Values that each network puts out: the number, or the logits of the classes.</summary>
    [JsonIgnore]
    public int MemberOutputs => Math.Max(1, Classes);

    /// <summary>Numbers of a row after preparation: scaled ones first, then pairs, indicators and inputs of keys; one that is always 0 where there is nothing else.</summary>
    [JsonIgnore]
    public int PlainInputs => Math.Max(EmbeddedColumns.Count == 0 ? 1 : 0, Scaled.Count + Pairs.Count + Indicators.Count + Enumerable.Range(0, KnownKeys.Count).Sum(KeyInputs));

    /// <summary>Inputs of the first layer.</summary>
    [JsonIgnore]
    public int LayerInputs => PlainInputs + (Frequencies > 0 ? PeriodicEmbedding.Sums * Scaled.Count : 0) + (EmbeddedColumns.Count * KeyEmbeddingSize);

    /// <summary>Indices of the columns whose keys have learned vectors.</summary>
    [JsonIgnore]
    internal IReadOnlyList<int> EmbeddedColumns => [.. Enumerable.Range(0, KnownKeys.Count).Where(column => KnownKeys[column] > MaxOneHot)];

    /// <summary>Vectors of a network: one that is 0, and those of the known keys.</summary>
    [JsonIgnore]
    internal long TableRows => EmbeddedColumns.Count == 0 ? 0 : 1 + EmbeddedColumns.Sum(column => (long)KnownKeys[column]);

    /// <inheritdoc/>
    public override long MultiplicationsPerRow => Members * ((long)LayerInputs * HiddenSize + (HiddenLayers - 1L) * HiddenSize * HiddenSize + (long)HiddenSize * MemberOutputs);

    /// <inheritdoc/>
    public override long WidestLayer => (long)Members * Math.Max(Math.Max(HiddenSize, LayerInputs), Math.Max(1, Frequencies) * (long)Scaled.Count);

    /// <inheritdoc/>
    public override long WeightCount
    {
        get
        {
            long d = LayerInputs, h = HiddenSize;
            var members = BatchedDense.WeightCountOf(Members, d, h) + (HiddenLayers - 1) * BatchedDense.WeightCountOf(Members, h, h) + BatchedDense.WeightCountOf(Members, h, MemberOutputs)
                + Members * d + Members * TableRows * KeyEmbeddingSize + (HasEmbedding ? PeriodicEmbedding.WeightCountOf(Members, Scaled.Count, Frequencies) : 0);
            return members + Numbers + (2L * Scaled.Count * Math.Max(1, Knots)) + (2L * Pairs.Count) + KnownKeys.Sum(count => (long)count) + (Classes > 0 ? 1 : 2);
        }
    }

    /// <summary>Whether numbers have periodic functions.</summary>
    [JsonIgnore]
    internal bool HasEmbedding => Frequencies > 0 && Scaled.Count > 0;

    /// <inheritdoc/>
    public override Network Build(Device device) => new TabularEnsemble(this, device);

    /// <inheritdoc/>
    public override IRowScorer? BuildScorer(WeightReader weights) =>
        Activation is TabularActivation.Silu or TabularActivation.Relu ? new TabularScorer(this, weights ?? throw new ArgumentNullException(nameof(weights))) : null;

    /// <summary>Whether the parts fit each other.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (new[] { Scaled, Pairs, Indicators }.Any(list => list.Any(i => i < 0 || i >= Numbers) || list.Distinct().Count() < list.Count))
            yield return new ValidationResult("'Scaled', 'Pairs' and 'Indicators' must be features, each once");
        if (Outputs != (Classes == 0 || IsBinary ? 1 : Classes) || Classes == 1)
            yield return new ValidationResult($"'Outputs' must not be {Outputs} for {Classes} classes");
        if (Layout is not null && Inputs != Layout.Width)
            yield return new ValidationResult($"'Inputs' must be the {Layout.Width} numbers of the layout, but was {Inputs}");
        if (KnownKeys.Count != (Layout?.Columns.Count ?? 0) || KnownKeys.Any(count => count is < 0 or > RowLayout.MostKeys))
            yield return new ValidationResult("'KnownKeys' must be a number of keys for each column of the layout");
        if (Knots is 1 or 2 || Knots > 0 != (NumericScaling == NumericScaling.Quantile))
            yield return new ValidationResult($"'Knots' must not be {Knots} for scaling by {NumericScaling}");
    }

    /// <summary>Whether the score is the logit of two classes.</summary>
    [JsonIgnore]
    internal bool IsBinary => Classes == 2 && Outputs == 1;

    /// <summary>Inputs of a column of keys that are no learned vectors: of two keys one, -1 or 1, and of others one each.</summary>
    internal int KeyInputs(int column) => KnownKeys[column] > MaxOneHot ? 0 : KnownKeys[column] == 2 ? 1 : KnownKeys[column];
}
