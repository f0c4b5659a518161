using System.ComponentModel.DataAnnotations;

namespace MlNetMlp.Tuning;

/// <summary>How a search for options goes.</summary>
public sealed record TuningOptions : IValidatableObject
{
    /// <summary>The label column, <c>Label</c> by default, by which rows held out are judged.</summary>
    [Required]
    public string LabelColumnName { get; init; } = "Label";

    /// <summary>Settings that are drawn, beside the options that the search starts from, in [1, 100000]; 20 by default.</summary>
    [Range(1, 100_000)]
    public int Trials { get; init; } = 20;

    /// <summary>Folds of the cross-validation, in [2, 100]; 3 by default. Every evaluation trains so many times.</summary>
    [Range(2, 100)]
    public int Folds { get; init; } = 3;

    /// <summary>
    /// η of successive halving, in [2, 16], 3 by default: settings are first trained on few rows, and one in η of them on η times as many. 1 is random search: each is trained on all rows.
    /// </summary>
    [Range(1, 16)]
    public int HalvingFactor { get; init; } = 3;

    /// <summary>Share of the training rows that settings are first trained on, at least, in (0, 1]; 0.1 by default.</summary>
    [Range(0, 1, MinimumIsExclusive = true)]
    public double MinimumShare { get; init; } = 0.1;

    /// <summary>Time after which no evaluation begins, above zero; null (the default) for no limit. The options that the search starts from are evaluated in any case.</summary>
    public TimeSpan? MaxTime { get; init; }

    /// <summary>
    /// A file that every evaluation is written to as it ends, and from which a search goes on that was stopped; null (the default) for none. A file of another search is refused.
    /// </summary>
    public string? JournalFile { get; init; }

    /// <summary>A column by which rows that belong together stay in one fold; null (the default) for none.</summary>
    public string? SamplingKeyColumnName { get; init; }

    /// <summary>Decides what is drawn and which rows are in which fold, at least 0; 1 by default.</summary>
    [Range(0, int.MaxValue)]
    public int Seed { get; init; } = 1;

    /// <summary>Hears of each evaluation; null (the default) for nobody.</summary>
    public IProgress<TuningTrial>? Progress { get; init; }

    /// <summary>Stops the search before the next evaluation, which then throws <see cref="OperationCanceledException"/>; the journal keeps what was done.</summary>
    public CancellationToken CancellationToken { get; init; }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (MaxTime <= TimeSpan.Zero)
            yield return new ValidationResult($"option 'MaxTime' must be above zero, or null for no limit, but was {MaxTime}");
        if (JournalFile is "")
            yield return new ValidationResult("option 'JournalFile' must be the name of a file, or null for none, but was ''");
    }
}
