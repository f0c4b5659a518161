using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Networks;

namespace MlNetMlp.Data;

/// <summary>The columns that the numbers of a row come from: one vector of known size, or those of a set.</summary>
/// <param name="Name">The feature column.</param>
/// <param name="Sets">How sets lie in a row; null for a vector of known size.</param>
internal sealed record FeatureColumns(string Name, SetLayout? Sets = null)
{
    private const int CheckInterval = 1024;

    /// <summary>Finds out how the sets of some data lie in rows.</summary>
    /// <param name="schema">The columns.</param>
    /// <param name="name">The feature column.</param>
    /// <param name="input">What the method says of it; null for a vector of known size.</param>
    /// <returns>The columns.</returns>
    public static FeatureColumns Of(DataViewSchema schema, string name, SetInput? input)
    {
        if (input is null)
            return new(name);
        var items = VectorReader.VectorType(RowReader.Find(schema, "feature", name));
        ContextColumn[] context = [.. input.ContextColumnNames.Select(other => new ContextColumn(other, NumbersOf(RowReader.Find(schema, "context", other))))];
        var isOneItem = input.ItemWidth is null && context.Length == 0;
        var width = isOneItem ? items.Size : input.ItemWidth ?? context.Sum(column => column.Width);
        if (width == 0)
            throw DataErrors.UnknownItemWidth(name, DataErrors.Describe(items), input.ItemWidthOption);
        return new(name, new SetLayout { ItemWidth = width, Context = context, CountColumnName = input.CountColumnName, IsOneItem = isOneItem });
    }

    /// <summary>Finds the columns, and checks that the numbers of their rows are those that a network was trained on.</summary>
    /// <param name="schema">The columns of some data.</param>
    /// <param name="width">Numbers of a row of the network.</param>
    /// <returns>The columns to read, the feature column first.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such column, or it is of another type or width.</exception>
    public DataViewSchema.Column[] Find(DataViewSchema schema, int width) =>
        Sets is null ? [VectorReader.Find(schema, Name, width)] : Find(schema);

    /// <summary>Numbers of a row with room for the most items. Where a vector is of unknown size, all rows are read for it.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="checkCancelled">Throws when the reading is to stop.</param>
    /// <returns>How many numbers.</returns>
    public int Width(IDataView data, Action checkCancelled)
    {
        var columns = Find(data.Schema);
        if (Sets is null)
            return VectorReader.Width(columns[0]);
        if (VectorReader.VectorType(columns[0]) is { IsKnownSize: true } type)
            return Sets.RowWidth(type.Size / Sets.ItemWidth);
        using var cursor = data.GetRowCursor([columns[0]]);
        var (reader, most, rows) = (VectorReader.Create(cursor, columns[0]), 1, 0L);
        while (cursor.MoveNext())
        {
            most = Math.Max(most, reader.Load() / Sets.ItemWidth);
            if (++rows % CheckInterval == 0)
                checkCancelled();
        }

        return Sets.RowWidth(most);
    }

    /// <summary>Makes the reader of rows.</summary>
    /// <param name="row">Rows whose columns <see cref="Find(DataViewSchema)"/> has checked.</param>
    /// <param name="acceptNonFinite">Whether numbers of sets may be NaN or infinite; for vectors the caller looks.</param>
    /// <returns>The reader.</returns>
    public FeatureReader CreateReader(DataViewRow row, bool acceptNonFinite) => Sets is null
        ? new PlainFeatureReader(VectorReader.Create(row, row.Schema[Name]))
        : new SetReader(row, this, Sets, acceptNonFinite);

    /// <summary>Finds the columns to read, whatever their width.</summary>
    /// <param name="schema">The columns of some data.</param>
    /// <returns>The columns, the feature column first.</returns>
    public DataViewSchema.Column[] Find(DataViewSchema schema)
    {
        var feature = Sets is { IsOneItem: true } one ? VectorReader.Find(schema, Name, one.ItemWidth) : RowReader.Find(schema, "feature", Name);
        var type = VectorReader.VectorType(feature);
        if (Sets is null)
            return [feature];
        if (type.IsKnownSize && type.Size % Sets.ItemWidth != 0)
            throw DataErrors.SetWidthMismatch(Name, type.Size, Sets.ItemWidth);
        var columns = new List<DataViewSchema.Column> { feature };
        foreach (var (name, width) in Sets.Context)
        {
            var column = RowReader.Find(schema, "context", name);
            if (NumbersOf(column) is var found && found != width)
                throw DataErrors.ContextWidthMismatch(name, width, found);
            columns.Add(column);
        }

        if (Sets.CountColumnName is { } count)
        {
            var column = RowReader.Find(schema, "count", count);
            columns.Add(VectorReader.IsNumber(column.Type) ? column : throw DataErrors.WrongType("count", count, "a number", DataErrors.Describe(column.Type)));
        }

        return [.. columns];
    }

    private static int NumbersOf(DataViewSchema.Column column) =>
        VectorReader.IsNumber(column.Type) ? 1
        : column.Type is VectorDataViewType { IsKnownSize: true } vector && VectorReader.IsNumber(vector.ItemType) ? vector.Size
        : throw DataErrors.WrongType("context", column.Name, "a number or a vector of numbers of known size", DataErrors.Describe(column.Type));
}
