using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;

namespace MlNetMlp.Networks;

/// <summary>A column whose numbers come before the items of a row's set.</summary>
/// <param name="Name">Name of the column.</param>
/// <param name="Width">How many numbers it has.</param>
public sealed record ContextColumn(string Name, int Width);

/// <summary>
/// How the numbers of a row lie where a row is a set or sequence of items of equal width, more in one row and fewer in another:
/// [n, context, item 1, …, item n, 0, …, 0]. The first number says how many items there are; zeros fill rows up to the longest. It is part of
/// the model file.
/// </summary>
/// <remarks>A network of such rows takes rows of any width that this layout has, also of more items than it was trained on.</remarks>
public sealed record SetLayout : IValidatableObject
{
    private const int MostNumbers = 1 << 24;

    /// <summary>Numbers of an item, at least 1.</summary>
    [Range(1, MostNumbers)]
    public required int ItemWidth { get; init; }

    /// <summary>Columns whose numbers are the context of a row, in this order; empty (the default) for none.</summary>
    public IReadOnlyList<ContextColumn> Context { get; init; } = [];

    /// <summary>The column that says how many of the items count, the others being there to fill the row up; null for none.</summary>
    public string? CountColumnName { get; init; }

    /// <summary>Whether the whole feature column is one item, so that all rows have exactly one.</summary>
    public bool IsOneItem { get; init; }

    /// <summary>Numbers of the context.</summary>
    [JsonIgnore]
    public int ContextWidth => (int)Math.Clamp(Context.Sum(column => (long)(column?.Width ?? 0)), 0, MostNumbers);

    /// <summary>Index of the first number of the first item.</summary>
    [JsonIgnore]
    public int ItemsStart => 1 + ContextWidth;

    /// <summary>Numbers of a row with room for so many items.</summary>
    /// <param name="items">How many items.</param>
    /// <returns>How many numbers.</returns>
    public int RowWidth(int items) => checked(ItemsStart + (items * ItemWidth));

    /// <summary>For how many items a row has room.</summary>
    /// <param name="rowWidth">Numbers of the row.</param>
    /// <returns>How many items.</returns>
    public int ItemsOf(long rowWidth) => checked((int)((rowWidth - ItemsStart) / ItemWidth));

    /// <inheritdoc/>
    public bool Equals(SetLayout? other) => other is not null
        && (ItemWidth, CountColumnName, IsOneItem) == (other.ItemWidth, other.CountColumnName, other.IsOneItem) && Context.SequenceEqual(other.Context);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(ItemWidth, CountColumnName, IsOneItem, Context.Count);

    /// <summary>Whether the context is one that columns can have.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Context.Any(column => column is not { Name.Length: > 0, Width: > 0 and <= MostNumbers }) || Context.Sum(column => (long)(column?.Width ?? 0)) > MostNumbers)
            yield return new ValidationResult($"'Context' must be columns with names and 1 to {MostNumbers} numbers in all");
        if (CountColumnName is "")
            yield return new ValidationResult("'CountColumnName' must not be empty");
    }

    /// <summary>Whether rows of a width are rows of this layout.</summary>
    internal bool Allows(long rowWidth) =>
        rowWidth > ItemsStart && (rowWidth - ItemsStart) % ItemWidth == 0 && (!IsOneItem || rowWidth == RowWidth(1));
}
