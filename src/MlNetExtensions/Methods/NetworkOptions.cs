using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Training;

namespace MlNetMlp.Methods;

/// <summary>
/// What all trainers of networks have in common: the columns, the rows held out, memory, and ways to watch and to stop. Options are checked
/// when a trainer is made from them; <see cref="ArgumentOutOfRangeException"/> then names every option that is out of its range.
/// </summary>
public abstract record NetworkOptions : IValidatableObject
{
    /// <summary>
    /// The label column. Regression: a number; multi-output regression: a vector of numbers of known size; binary: Boolean; multiclass: a
    /// key (<c>Transforms.Conversion.MapValueToKey</c>).
    /// </summary>
    [Required]
    public string LabelColumnName { get; init; } = "Label";

    /// <summary>The feature column: a vector of numbers of known size.</summary>
    [Required]
    public string FeatureColumnName { get; init; } = "Features";

    /// <summary>The column of example weights: numbers of at least 0, where a row of weight 0 is passed over; null (the default) for none.</summary>
    public string? ExampleWeightColumnName { get; init; }

    /// <summary>Decides everything random; null (the default): follows from the seed of the <see cref="MLContext"/>.</summary>
    [Range(0, int.MaxValue)]
    public int? Seed { get; init; }

    /// <summary>
    /// Share of the rows held out to judge training by, in [0, 0.9]; 0 for none. The same share of every class is taken, chosen by the seed.
    /// Not used where <see cref="ValidationColumnName"/>, <see cref="ValidationData"/> or <c>Fit(train, validation)</c> say which rows are.
    /// </summary>
    [Range(0, 0.9)]
    public double ValidationFraction { get; init; } = 0.1;

    /// <summary>A Boolean or number column that is true (above 0) in the rows held out, so that a chain can carry its split; null for none.</summary>
    public string? ValidationColumnName { get; init; }

    /// <summary>The rows held out, with the same columns as the trainer's own input; null (the default) to take them from that input.</summary>
    [JsonIgnore]
    public IDataView? ValidationData { get; init; }

    /// <summary>How much the classes count; null (the default): each row the same. For classification.</summary>
    public ClassWeights? ClassWeights { get; init; }

    /// <summary>
    /// Bytes that the rows may take in memory, at least 1 MB; a larger set is read anew for each epoch and shuffled through a buffer of this
    /// size. Null (the default): a quarter of the memory that the process may use.
    /// </summary>
    [Range(1_000_000L, long.MaxValue)]
    public long? MemoryBudget { get; init; }

    /// <summary>Hears how training goes, at least twice a second. It is called on the thread that trains; null for nobody.</summary>
    [JsonIgnore]
    public IProgress<TrainingProgress>? Progress { get; init; }

    /// <summary>Stops training within a mini-batch; <c>Fit</c> then throws <see cref="OperationCanceledException"/>.</summary>
    [JsonIgnore]
    public CancellationToken CancellationToken { get; init; }

    /// <summary>
    /// Whether <c>Fit</c>, when <see cref="CancellationToken"/> stops it after at least one step, returns the best model so far instead of
    /// throwing.
    /// </summary>
    [JsonIgnore]
    public bool KeepBestWhenCancelled { get; init; }

    /// <summary>
    /// A fitted or loaded model of the same trainer with the same shape, alone or at the end of a chain, whose weights training starts from;
    /// null (the default) to start from random ones.
    /// </summary>
    [JsonIgnore]
    public ITransformer? InitialModel { get; init; }

    /// <inheritdoc/>
    public virtual IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (ValidationColumnName is not null && ValidationData is not null)
            yield return new ValidationResult("only one of the options 'ValidationColumnName' and 'ValidationData' can be given");
    }
}
