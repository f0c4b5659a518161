using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Data;

/// <summary>Names of the slots of a vector column.</summary>
internal static class SlotNames
{
    /// <summary>The slot names that a column carries.</summary>
    /// <param name="column">A column of a known size.</param>
    /// <returns>A name for each slot, or null where the column names none.</returns>
    public static string[]? Get(DataViewSchema.Column column)
    {
        if (!column.HasSlotNames())
            return null;
        VBuffer<ReadOnlyMemory<char>> names = default;
        column.GetSlotNames(ref names);
        return [.. names.DenseValues().Select(name => name.ToString())];
    }
}
