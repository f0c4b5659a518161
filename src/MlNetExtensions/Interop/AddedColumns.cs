using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>The columns that a network adds to those of its task, as ML.NET has them.</summary>
internal static class AddedColumns
{
    /// <summary>Columns of a schema, and behind them those added. These say of what kind of score they are, as those of the task do.</summary>
    /// <param name="schema">The columns of the task.</param>
    /// <param name="added">The others.</param>
    /// <returns>The schema.</returns>
    public static DataViewSchema With(this DataViewSchema schema, IReadOnlyList<AddedColumn> added)
    {
        if (added.Count == 0)
            return schema;
        ReadOnlyMemory<char> kind = default;
        schema[0].Annotations.GetValue(AnnotationUtils.Kinds.ScoreColumnKind, ref kind);
        var builder = new DataViewSchema.Builder();
        builder.AddColumns(schema);
        foreach (var column in added)
            builder.AddColumn(column.Name, TypeOf(column), AnnotationsOf(column, kind));
        return builder.ToSchema();
    }

    /// <summary>The columns, on their own.</summary>
    /// <param name="added">The columns.</param>
    /// <returns>One for each.</returns>
    public static IEnumerable<DataViewSchema.DetachedColumn> Detached(this IReadOnlyList<AddedColumn> added) =>
        added.Select(column => new DataViewSchema.DetachedColumn(column.Name, TypeOf(column), AnnotationsOf(column)));

    /// <summary>What an estimator says of the columns.</summary>
    /// <param name="added">The columns.</param>
    /// <param name="annotations">Annotations that all of them have beside their own.</param>
    /// <returns>A column for each.</returns>
    public static IEnumerable<SchemaShape.Column> Shapes(this IReadOnlyList<AddedColumn> added, params IEnumerable<SchemaShape.Column> annotations)
    {
        const SchemaShape.Column.VectorKind vector = SchemaShape.Column.VectorKind.Vector;
        SchemaShape.Column[] slots = [new(AnnotationUtils.Kinds.SlotNames, vector, TextDataViewType.Instance, false), .. annotations];
        SchemaShape.Column values = new(AnnotationUtils.Kinds.KeyValues, vector, NumberDataViewType.Int32, false);
        return added.Select(column => column.KeyCount is null
            ? new SchemaShape.Column(column.Name, vector, NumberDataViewType.Single, false, new SchemaShape(slots))
            : new SchemaShape.Column(column.Name, vector, NumberDataViewType.UInt32, true, new SchemaShape(slots.Append(values))));
    }

    /// <summary>Makes the getter of a column.</summary>
    /// <param name="added">The columns.</param>
    /// <param name="index">Which of them.</param>
    /// <param name="outputs">Numbers of a row that come before those of the columns.</param>
    /// <param name="scores">Where the numbers come from.</param>
    /// <returns>The getter.</returns>
    public static Delegate Getter(this IReadOnlyList<AddedColumn> added, int index, int outputs, RowScores scores)
    {
        var start = outputs + added.Take(index).Sum(column => column.Size);
        return added[index].KeyCount is null ? scores.VectorGetter(start, added[index].Size) : scores.KeyGetter(start, added[index].Size);
    }

    private static VectorDataViewType TypeOf(AddedColumn column) =>
        column.KeyCount is { } count ? new(new KeyDataViewType(typeof(uint), count), column.Size) : new(NumberDataViewType.Single, column.Size);

    private static DataViewSchema.Annotations AnnotationsOf(AddedColumn column, ReadOnlyMemory<char>? kind = null)
    {
        var annotations = new DataViewSchema.Annotations.Builder();
        NamedSlots.Add(annotations, column.SlotNames);
        if (kind is { } task)
        {
            annotations.Add(AnnotationUtils.Kinds.ScoreColumnKind, TextDataViewType.Instance, (ref ReadOnlyMemory<char> value) => value = task);
            annotations.Add(AnnotationUtils.Kinds.ScoreValueKind, TextDataViewType.Instance, (ref ReadOnlyMemory<char> value) => value = column.Name.AsMemory());
        }

        if (column.KeyCount is { } count)
        {
            int[] values = [.. Enumerable.Range(0, count)];
            annotations.AddKeyValues(count, NumberDataViewType.Int32, (ref VBuffer<int> value) => new VBuffer<int>(count, values).CopyTo(ref value));
        }

        return annotations.ToAnnotations();
    }
}
