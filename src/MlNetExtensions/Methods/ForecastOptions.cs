using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json.Serialization;
using MlNetMlp.Data;
using MlNetMlp.Networks;
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

    /// <summary>
    /// Quantiles that are forecast beside the mean, greater than 0, less than 1 and in ascending order; none by default. Each is a column like <see cref="OutputColumnName"/>, with the
    /// quantile in hundredths behind that name: <c>ForecastQuantile10</c> for 0.1, <c>ForecastQuantile2_5</c> for 0.025. They are trained by the pinball loss, and do not cross.
    /// </summary>
    [Required]
    public ValueList<double> Quantiles { get; init; } = [];

    /// <summary>
    /// Share of the values that lie between the lower and the upper bound, in [0.01, 0.9999]; 0.95 by default, as in ML.NET's <c>ForecastBySsa</c>. The bounds are the quantiles
    /// (1 − level)/2 and (1 + level)/2. Not used where no column of a bound is named.
    /// </summary>
    [Range(0.01, 0.9999)]
    public double ConfidenceLevel { get; init; } = 0.95;

    /// <summary>The column of the lower bounds to add, like <see cref="OutputColumnName"/>; null (the default) for none.</summary>
    public string? ConfidenceLowerBoundColumnName { get; init; }

    /// <summary>The column of the upper bounds to add, like <see cref="OutputColumnName"/>; null (the default) for none.</summary>
    public string? ConfidenceUpperBoundColumnName { get; init; }

    /// <summary>Name of the column of a quantile.</summary>
    /// <param name="quantile">One of <see cref="Quantiles"/>.</param>
    /// <returns>The name.</returns>
    public string QuantileColumnName(double quantile) =>
        $"{OutputColumnName}Quantile{(100 * quantile).ToString("0.########", CultureInfo.InvariantCulture).Replace('.', '_')}";

    /// <summary>All quantiles that a network has to predict, those of the bounds among them, in ascending order.</summary>
    [JsonIgnore]
    internal ValueList<double> Levels =>
    [
        .. Quantiles.Concat(ConfidenceLowerBoundColumnName is null ? [] : [LowerLevel]).Concat(ConfidenceUpperBoundColumnName is null ? [] : [UpperLevel]).Distinct().Order(),
    ];

    /// <summary>The columns to add, by the block of the network's outputs that each shows: the mean's is 0, and those of <see cref="Levels"/> follow.</summary>
    [JsonIgnore]
    internal IReadOnlyList<OutputBlock> Outputs
    {
        get
        {
            var levels = Levels.ToList();
            var columns = new List<OutputBlock> { new(OutputColumnName, 0) };
            columns.AddRange(Quantiles.Select(quantile => new OutputBlock(QuantileColumnName(quantile), 1 + levels.IndexOf(quantile))));
            if (ConfidenceLowerBoundColumnName is { } lower)
                columns.Add(new(lower, 1 + levels.IndexOf(LowerLevel)));
            if (ConfidenceUpperBoundColumnName is { } upper)
                columns.Add(new(upper, 1 + levels.IndexOf(UpperLevel)));
            return columns;
        }
    }

    /// <summary>The columns to read, that of the series last.</summary>
    [JsonIgnore]
    internal IReadOnlyList<InputColumn> Columns =>
    [
        .. InputColumnNames.Select(name => new InputColumn(name, InputColumnTypes.Numbers, Role)),
        .. SeriesColumnName is null ? Array.Empty<InputColumn>() : [new(SeriesColumnName, InputColumnTypes.Keys, Role)],
    ];

    // 1 − 0.8 is not 0.2: the bounds are to be those of the quantiles that a person writes.
    private double LowerLevel => Math.Round((1 - ConfidenceLevel) / 2, 9);

    private double UpperLevel => Math.Round((1 + ConfidenceLevel) / 2, 9);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (InputColumnNames.Count == 0 || InputColumnNames.Any(string.IsNullOrEmpty))
            yield return new ValidationResult("option 'InputColumnNames' must be the names of one column or more");
        foreach (var (name, column) in new[]
        {
            (nameof(SeriesColumnName), SeriesColumnName), (nameof(ConfidenceLowerBoundColumnName), ConfidenceLowerBoundColumnName),
            (nameof(ConfidenceUpperBoundColumnName), ConfidenceUpperBoundColumnName),
        })
        {
            if (column is "")
                yield return new ValidationResult($"option '{name}' must be the name of a column or null, but was ''");
        }

        if (QuantileRegressionHead.QuantileFault(Quantiles) is { } fault)
            yield return new ValidationResult($"option 'Quantiles' {fault}");
        else if (Outputs.GroupBy(output => output.Name).FirstOrDefault(same => same.Count() > 1) is { } twice)
            yield return new ValidationResult($"the options name the column '{twice.Key}' for {twice.Count()} things; give each a name of its own");
    }
}

/// <summary>A column that shows a block of a network's outputs.</summary>
/// <param name="Name">Name of the column.</param>
/// <param name="Block">Index of the block, each of which has as many numbers as there are labels.</param>
internal sealed record OutputBlock(string Name, int Block);
