using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using static TorchSharp.torch;

namespace MlNetMlp.Recommendation;

/// <summary>Shapes and switches of the network of a <see cref="FinalMlp"/> or <see cref="DualMlp"/>, which are its file format.</summary>
public sealed record FinalMlpDefinition : NetworkDefinition, IValidatableObject
{
    /// <summary>d, numbers of the vector of a field.</summary>
    [Range(1, 4096)]
    public required int EmbeddingDim { get; init; }

    /// <summary>Units of the layers of the first stream.</summary>
    [Required]
    public required ValueList<int> Stream1 { get; init; }

    /// <summary>Units of the layers of the second stream.</summary>
    [Required]
    public required ValueList<int> Stream2 { get; init; }

    /// <summary>Share of the activations of the first stream that training leaves out.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public required double Dropout1 { get; init; }

    /// <summary>Share of the activations of the second stream that training leaves out.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public required double Dropout2 { get; init; }

    /// <summary>Whether layers are normalised over the batch.</summary>
    public required bool BatchNorm { get; init; }

    /// <summary>Units of the hidden layers of the gates; null for no gates.</summary>
    public ValueList<int>? GateUnits { get; init; }

    /// <summary>Indices of the columns that the gate of the first stream looks at; none for a learned vector.</summary>
    [Required]
    public ValueList<int> Gate1Context { get; init; } = [];

    /// <summary>Indices of the columns that the gate of the second stream looks at; none for a learned vector.</summary>
    [Required]
    public ValueList<int> Gate2Context { get; init; } = [];

    /// <summary>k, heads of the bilinear form; 0 for none.</summary>
    [Range(0, 1 << 16)]
    public required int Heads { get; init; }

    /// <summary>Whether keys were declared rare.</summary>
    public required bool HasRare { get; init; }

    /// <summary>Whether the mean gates of the fields are put out and not the score.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsGates { get; init; }

    /// <summary>F, number of fields: each feature and each column of keys is one.</summary>
    [JsonIgnore]
    public int Fields => Layout!.FeatureWidth + Layout.Columns.Count;

    /// <summary>D₁, activations of the first stream.</summary>
    [JsonIgnore]
    public int Width1 => Stream1[^1];

    /// <summary>D₂, activations of the second stream.</summary>
    [JsonIgnore]
    public int Width2 => Stream2[^1];

    /// <inheritdoc/>
    public override IReadOnlyList<string>? OutputNames => IsGates
        ? [.. Enumerable.Range(1, 2).SelectMany(stream => Names().Select(name => $"{name}, stream {stream}"))]
        : null;

    /// <inheritdoc/>
    public override long WeightCount
    {
        get
        {
            long fields = Fields, d = EmbeddingDim, numbers = Layout!.FeatureWidth;
            var count = GateUnits is null ? 0 : Gate(Gate1Context) + Gate(Gate2Context);
            if (IsGates)
                return count;
            count += (2 * numbers) + (numbers * d) + KeyEmbedding.WeightCountOf(Layout.Columns, EmbeddingDim, HasRare);
            count += Layers(fields * d, Stream1, BatchNorm) + Layers(fields * d, Stream2, BatchNorm) + Width1 + 1 + Width2 + 1;
            return count + (Heads > 0 ? (long)Width1 * Width2 / Heads : 0);

            long Gate(ValueList<int> context)
            {
                var inputs = context.Count > 0 ? context.Count * d : d;
                var start = context.Count > 0 ? KeyEmbedding.WeightCountOf(context.Select(i => Layout.Columns[i]), EmbeddingDim, HasRare) : d;
                return start + Layers(inputs, GateUnits, false) + (((GateUnits.Count > 0 ? GateUnits[^1] : inputs) + 1) * fields * d);
            }
        }
    }

    /// <inheritdoc/>
    public override Network Build(Device device) => new FinalMlpNetwork(this, device);

    /// <summary>Whether the parts fit each other.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Layout is null || !Layout.Columns.All(column => column.IsKey))
        {
            yield return new ValidationResult("'Layout' must have columns of keys and no others");
            yield break;
        }

        if (Stream1.Count == 0 || Stream2.Count == 0 || !new[] { Stream1, Stream2, GateUnits ?? [] }.All(TwoStreamOptions.AreLayers))
            yield return new ValidationResult("'Stream1', 'Stream2' and 'GateUnits' must be units of layers");
        else if (Heads > 0 && (Width1 % Heads != 0 || Width2 % Heads != 0))
            yield return new ValidationResult($"'Heads' must divide {Width1} and {Width2}");
        if (Gate1Context.Concat(Gate2Context).Any(i => i < 0 || i >= Layout.Columns.Count))
            yield return new ValidationResult("'Gate1Context' and 'Gate2Context' must be columns of the layout");
        if (Outputs != (IsGates ? 2 * Fields : 1) || (IsGates && GateUnits is null))
            yield return new ValidationResult($"'Outputs' must not be {Outputs}");
    }

    private IEnumerable<string> Names() =>
        Enumerable.Range(0, Layout!.FeatureWidth).Select(i => $"feature {i}").Concat(Layout.Columns.Select(column => column.Name));

    private static long Layers(long inputs, ValueList<int> units, bool isNormalized)
    {
        var count = 0L;
        foreach (var width in units)
        {
            count += ((inputs + 1) * width) + (isNormalized ? BatchNormalization.WeightCountOf(width) : 0);
            inputs = width;
        }

        return count;
    }
}
