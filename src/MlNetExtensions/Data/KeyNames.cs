using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Data;

/// <summary>The texts that the keys of a column stand for.</summary>
internal static class KeyNames
{
    // What ML.NET calls the annotation.
    private const string Kind = "KeyValues";

    /// <summary>Reads the texts.</summary>
    /// <param name="column">A column of keys.</param>
    /// <param name="count">Number of values of the key.</param>
    /// <returns>The texts in the order of the keys, or null where the column does not say them.</returns>
    public static IReadOnlyList<string>? Of(DataViewSchema.Column column, int count)
    {
        if (column.Annotations.Schema.GetColumnOrNull(Kind)?.Type is not VectorDataViewType { ItemType: TextDataViewType } values || values.Size != count)
            return null;
        VBuffer<ReadOnlyMemory<char>> names = default;
        column.GetKeyValues(ref names);
        return [.. names.DenseValues().Select(name => name.ToString())];
    }

    /// <summary>
    /// Checks that keys of the validation data stand for what they do in the training data. A key is a number that means nothing without its column;
    /// values that only the validation data have may come after the others.
    /// </summary>
    /// <param name="column">A column that is trained on.</param>
    /// <param name="held">The same of the validation data.</param>
    public static void CheckSame(DataViewSchema.Column column, DataViewSchema.Column held)
    {
        if (VectorReader.ItemType(column.Type) is not KeyDataViewType { Count: <= int.MaxValue } key
            || VectorReader.ItemType(held.Type) is not KeyDataViewType { Count: <= int.MaxValue } other)
            return;
        if (Of(column, (int)key.Count) is { } names && Of(held, (int)other.Count) is { } heldNames && names.Zip(heldNames).Any(pair => pair.First != pair.Second))
            throw DataErrors.OtherKeys(column.Name);
    }
}
