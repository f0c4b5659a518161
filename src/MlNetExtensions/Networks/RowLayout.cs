using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;

namespace MlNetMlp.Networks;

/// <summary>A column whose values stand behind the features of a row.</summary>
/// <param name="Name">Name of the column.</param>
/// <param name="Width">How many numbers of a row it takes.</param>
/// <param name="KeyCount">Number of values of its key; 0 where it holds numbers.</param>
/// <param name="IsVariable">
/// Whether it is a vector of unknown size: <paramref name="Width"/> is then the length of the longest one in training; shorter ones are filled up with
/// 0, longer ones count by their first values.
/// </param>
public sealed record RowColumn(string Name, int Width, int KeyCount, bool IsVariable)
{
    /// <summary>What a missing key is in a row.</summary>
    public const float Missing = 0;

    /// <summary>Whether data that are scored may lack the column: it is then 0 in each row.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsOptional { get; init; }

    /// <summary>Whether the column holds keys.</summary>
    [JsonIgnore]
    public bool IsKey => KeyCount > 0;

    /// <summary>
    /// What a key is in a row that is none of those that training could have: <see cref="KeyCount"/> + 1. Keys themselves count from 1, and
    /// <see cref="Missing"/> is a missing one.
    /// </summary>
    [JsonIgnore]
    public int OutOfVocabulary => KeyCount + 1;

    /// <inheritdoc/>
    public override string ToString() =>
        Name + ": " + (IsVariable ? $"up to {Width} of " : Width > 1 ? $"{Width} of " : "") + (IsKey ? $"{KeyCount} keys" : "a number");
}

/// <summary>
/// How the numbers of a row lie where a row is more than one vector of features: [features, column 1, column 2, …]. Keys stand there as their
/// number. It is part of the network's definition and so of the model file.
/// </summary>
public sealed record RowLayout : IValidatableObject
{
    /// <summary>Most values of a key: those numbers up to which a Single is exact, less one that stands for all others.</summary>
    public const int MostKeys = (1 << 24) - 1;

    private const int MostNumbers = 1 << 24;

    /// <summary>Numbers of the feature column, at the beginning of a row; 0 where none is read.</summary>
    [Range(0, MostNumbers)]
    public required int FeatureWidth { get; init; }

    /// <summary>The other columns, in the order in which they lie; at least one.</summary>
    public required IReadOnlyList<RowColumn> Columns { get; init; }

    /// <summary>Numbers of a row.</summary>
    [JsonIgnore]
    public int Width => (int)Math.Clamp(FeatureWidth + Columns.Sum(column => (long)(column?.Width ?? 0)), 0, MostNumbers + 1L);

    /// <summary>Index of the first number of a column.</summary>
    /// <param name="column">Which column.</param>
    /// <returns>The index.</returns>
    public int StartOf(int column) => FeatureWidth + Columns.Take(column).Sum(before => before.Width);

    /// <summary>The column that a number of a row comes from.</summary>
    /// <param name="place">Index of the number, at least <see cref="FeatureWidth"/>.</param>
    /// <returns>The column and the index within it.</returns>
    internal (RowColumn Column, int Slot) At(int place)
    {
        var slot = place - FeatureWidth;
        foreach (var column in Columns)
        {
            if (slot < column.Width)
                return (column, slot);
            slot -= column.Width;
        }

        throw new ArgumentOutOfRangeException(nameof(place), place, $"A row of {this} has {Width} numbers.");
    }

    /// <inheritdoc/>
    public bool Equals(RowLayout? other) => other is not null && FeatureWidth == other.FeatureWidth && Columns.SequenceEqual(other.Columns);

    /// <inheritdoc/>
    public override int GetHashCode() => Columns.Aggregate(FeatureWidth, HashCode.Combine);

    /// <inheritdoc/>
    public override string ToString() => $"[{FeatureWidth} features{string.Concat(Columns.Select(column => "; " + column))}]";

    /// <summary>Whether the columns are ones that data can have.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Columns.Count == 0 || Width > MostNumbers
            || Columns.Any(column => column is not { Name.Length: > 0, Width: > 0 and <= MostNumbers, KeyCount: >= 0 and <= MostKeys }))
        {
            yield return new ValidationResult($"'Columns' must be columns with names, up to {MostKeys} keys and 1 to {MostNumbers} numbers in all");
        }
    }
}
