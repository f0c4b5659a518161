using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Data;
using MlNetMlp.Options;

namespace MlNetMlp.Methods;

/// <summary>What is forecast from what: the columns of the series, how much of the past is looked at, and how far ahead.</summary>
public sealed record ForecastOptions : IValidatableObject
{
    private const int MostSteps = 1 << 16;
    private const string Role = "series";

    /// <summary>
    /// The column to add, <c>Forecast</c> by default: a vector of Single with <see cref="Horizon"/> · C numbers, those of all channels one step ahead, then two, and
    /// so on. Its slots are named <c>channel[t]</c>, with t the steps ahead.
    /// </summary>
    [Required]
    public string OutputColumnName { get; init; } = "Forecast";

    /// <summary>The columns of the C channels: numbers, or vectors of numbers of known size; <c>Values</c> by default.</summary>
    [Required]
    public ValueList<string> InputColumnNames { get; init; } = ["Values"];

    /// <summary>
    /// The key that says which series a row belongs to (<c>Transforms.Conversion.MapValueToKey</c>), where rows of several are mixed; null (the default): all rows are one
    /// series. One model is trained on all of them.
    /// </summary>
    public string? SeriesColumnName { get; init; }

    /// <summary>L, rows of the past that a forecast is made from, in [1, 65536]; 32 by default.</summary>
    [Range(1, MostSteps)]
    public int ContextLength { get; init; } = 32;

    /// <summary>H, steps that are forecast, in [1, 65536]; 16 by default.</summary>
    [Range(1, MostSteps)]
    public int Horizon { get; init; } = 16;

    /// <summary>The columns to read, that of the series last.</summary>
    [JsonIgnore]
    internal IReadOnlyList<InputColumn> Columns =>
    [
        .. InputColumnNames.Select(name => new InputColumn(name, InputColumnTypes.Numbers, Role)),
        .. SeriesColumnName is null ? Array.Empty<InputColumn>() : [new(SeriesColumnName, InputColumnTypes.Keys, Role)],
    ];

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (InputColumnNames.Count == 0 || InputColumnNames.Any(string.IsNullOrEmpty))
            yield return new ValidationResult("option 'InputColumnNames' must be the names of one column or more");
        if (SeriesColumnName is "")
            yield return new ValidationResult("option 'SeriesColumnName' must be the name of a column or null, but was ''");
    }
}
