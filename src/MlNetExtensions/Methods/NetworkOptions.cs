using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Persistence;
using MlNetMlp.Training;

namespace MlNetMlp.Methods;

/// <summary>
/// What all trainers of networks have in common: the columns, the rows held out, memory, and ways to watch and to stop. Options are checked
/// when a trainer is made from them; <see cref="ArgumentOutOfRangeException"/> then names every option that is out of its range.
/// </summary>
public abstract record NetworkOptions : IValidatableObject
{
    /// <summary>
    /// The label column, <c>Label</c> by default. Regression: a number; multi-output regression: a vector of numbers of known size; binary:
    /// Boolean; multiclass: a key (<c>Transforms.Conversion.MapValueToKey</c>).
    /// </summary>
    [Required]
    public string LabelColumnName { get; init; } = "Label";

    /// <summary>
    /// The feature column, <c>Features</c> by default: a vector of numbers of known size, or images (<c>MLImage</c>). Null for none, which only trainers allow that read other columns.
    /// </summary>
    public string? FeatureColumnName { get; init; } = "Features";

    /// <summary>The column of example weights: numbers of at least 0, where a row of weight 0 is passed over; null (the default) for none.</summary>
    public string? ExampleWeightColumnName { get; init; }

    /// <summary>Decides everything random, at least 0; null (the default): follows from the seed of the <see cref="MLContext"/>.</summary>
    [Range(0, int.MaxValue)]
    public int? Seed { get; init; }

    /// <summary>
    /// Share of the rows held out to judge training by, in [0, 0.9], 0 for none; 0.1 by default. The same share of every class is taken,
    /// chosen by the seed. Not used where <see cref="ValidationColumnName"/>, <see cref="ValidationData"/> or <c>Fit(train, validation)</c> say which rows are.
    /// </summary>
    [Range(0, 0.9)]
    public double ValidationFraction { get; init; } = 0.1;

    /// <summary>
    /// A Boolean or number column that is true (above 0) in the rows held out, so that a chain can carry its split; null (the default) for none.
    /// </summary>
    public string? ValidationColumnName { get; init; }

    /// <summary>The rows held out, with the same columns as the trainer's own input; null (the default) to take them from that input.</summary>
    [JsonIgnore]
    public IDataView? ValidationData { get; init; }

    /// <summary>How much the classes count; null (the default): each row the same. For classification.</summary>
    public ClassWeights? ClassWeights { get; init; }

    /// <summary>
    /// Bytes that the rows may take in memory, at least 1,000,000; a larger set is read anew for each epoch and shuffled through a buffer of this
    /// size. Null (the default): a quarter of the memory that the process may use.
    /// </summary>
    [Range(1_000_000L, long.MaxValue)]
    public long? MemoryBudget { get; init; }

    /// <summary>
    /// Hears how training goes, at least twice a second. It is called on the thread that trains; null (the default) for nobody.
    /// </summary>
    [JsonIgnore]
    public IProgress<TrainingProgress>? Progress { get; init; }

    /// <summary>Stops training within a mini-batch; <c>Fit</c> then throws <see cref="OperationCanceledException"/>. By default nothing stops it.</summary>
    [JsonIgnore]
    public CancellationToken CancellationToken { get; init; }

    /// <summary>
    /// Whether <c>Fit</c>, when <see cref="CancellationToken"/> stops it after at least one step, returns the best model so far instead of
    /// throwing; false by default.
    /// </summary>
    [JsonIgnore]
    public bool KeepBestWhenCancelled { get; init; }

    /// <summary>
    /// A fitted or loaded model of the same trainer with the same shape, alone or at the end of a chain, whose weights training starts from;
    /// null (the default) to start from random ones.
    /// </summary>
    [JsonIgnore]
    public ITransformer? InitialModel { get; init; }

    /// <summary>
    /// The options as JSON, to be kept in a configuration: all but those that only mean something in a running process
    /// (<see cref="ValidationData"/>, <see cref="Progress"/>, <see cref="CancellationToken"/>, <see cref="InitialModel"/>, and where checkpoints are written).
    /// </summary>
    /// <returns>The text.</returns>
    public string ToJson() => JsonSerializer.Serialize(this, GetType(), StrictJson.Settings);

    /// <summary>Reads options that <see cref="ToJson"/> wrote, or that a person did; what the text leaves out keeps its default.</summary>
    /// <typeparam name="TOptions">Type of the options, such as <c>MyMethod.Options</c>.</typeparam>
    /// <param name="json">The text.</param>
    /// <returns>The options. Their ranges are checked when a trainer is made from them.</returns>
    /// <exception cref="JsonException">The text is not JSON, or has a member that is no option or not of the option's type; the message names it.</exception>
    public static TOptions FromJson<TOptions>(string json)
        where TOptions : NetworkOptions => (TOptions)FromJson(json, typeof(TOptions));

    /// <inheritdoc cref="FromJson{TOptions}(string)"/>
    /// <param name="json">The text.</param>
    /// <param name="type">Type of the options.</param>
    public static NetworkOptions FromJson(string json, Type type)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(type);
        return (NetworkOptions)(JsonSerializer.Deserialize(json, type, StrictJson.Settings) ?? throw new JsonException("The options are null."));
    }

    /// <inheritdoc/>
    public virtual IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (FeatureColumnName is "")
            yield return new ValidationResult("option 'FeatureColumnName' must be given as the name of a column, or be null, but was ''");
        if (ValidationColumnName is not null && ValidationData is not null)
            yield return new ValidationResult("only one of the options 'ValidationColumnName' and 'ValidationData' can be given");
    }
}
