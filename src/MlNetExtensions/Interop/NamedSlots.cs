using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Interop;

/// <summary>Gives names to the slots of computed columns.</summary>
internal static class NamedSlots
{
    /// <summary>Adds slot names to the one column of a schema.</summary>
    /// <param name="schema">A schema of one vector column.</param>
    /// <param name="names">A name for each slot, or null for none.</param>
    /// <returns>The schema.</returns>
    public static DataViewSchema Add(DataViewSchema schema, IReadOnlyList<string>? names)
    {
        if (names is null)
            return schema;
        var annotations = new DataViewSchema.Annotations.Builder();
        annotations.Add(schema[0].Annotations, _ => true);
        Add(annotations, names);
        var builder = new DataViewSchema.Builder();
        builder.AddColumn(schema[0].Name, schema[0].Type, annotations.ToAnnotations());
        return builder.ToSchema();
    }

    /// <summary>Adds slot names to the annotations of a column.</summary>
    /// <param name="annotations">The annotations.</param>
    /// <param name="names">A name for each slot.</param>
    public static void Add(DataViewSchema.Annotations.Builder annotations, IReadOnlyList<string> names)
    {
        ReadOnlyMemory<char>[] values = [.. names.Select(name => name.AsMemory())];
        annotations.AddSlotNames(values.Length, (ref VBuffer<ReadOnlyMemory<char>> value) => new VBuffer<ReadOnlyMemory<char>>(values.Length, values).CopyTo(ref value));
    }
}
