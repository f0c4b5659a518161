using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Networks;

namespace MlNetMlp.Data;

/// <summary>
/// The columns that the numbers of a row come from: one vector of known size, those of a set, several one behind the other, or those of the rows before too.
/// </summary>
/// <param name="Name">The feature column; null for none.</param>
/// <param name="Sets">How sets lie in a row; null where there are none.</param>
/// <param name="Layout">How several columns lie in a row; null where there is one.</param>
/// <param name="Windows">How rows of a <paramref name="Layout"/> in time order become windows; null where each row stands for itself.</param>
/// <param name="Images">What images of the feature column become, which may also hold the vectors that they become; null where it holds vectors only.</param>
internal sealed record FeatureColumns(string? Name, SetLayout? Sets = null, RowLayout? Layout = null, WindowInput? Windows = null, ImageShape? Images = null)
{
    private const int CheckInterval = 1024;
    private const string Feature = "feature";

    /// <summary>Finds out how the columns of some data lie in rows.</summary>
    /// <param name="schema">The columns.</param>
    /// <param name="name">The feature column; null for none.</param>
    /// <param name="input">What the method says of it; null for a vector of known size.</param>
    /// <param name="columns">What the method reads beside it.</param>
    /// <param name="images">What images become where the feature column holds some; null for the size that its type tells.</param>
    /// <returns>The columns. Vectors of unknown size have no room yet: see <see cref="Measured"/>.</returns>
    public static FeatureColumns Of(DataViewSchema schema, string? name, SetInput? input, IReadOnlyList<InputColumn> columns, ImageShape? images = null)
    {
        if (columns.Count > 0)
        {
            var features = name is null ? 0 : VectorReader.Width(RowReader.Find(schema, Feature, name));
            return new(name, null, new RowLayout { FeatureWidth = features, Columns = [.. columns.Select(column => ColumnOf(schema, column))] });
        }

        if (name is null)
            return new(name);
        if (input is null)
            return new(name, Images: RowReader.Find(schema, Feature, name) is var column && ImageColumn.IsImage(column.Type) ? ImageColumn.ShapeOf(column, images) : null);
        var items = VectorReader.VectorType(RowReader.Find(schema, Feature, name));
        ContextColumn[] context = [.. input.ContextColumnNames.Select(other => new ContextColumn(other, NumbersOf(RowReader.Find(schema, "context", other))))];
        var isOneItem = input.ItemWidth is null && context.Length == 0;
        var width = isOneItem ? items.Size : input.ItemWidth ?? context.Sum(column => column.Width);
        if (width == 0)
            throw DataErrors.UnknownItemWidth(name, DataErrors.Describe(items), input.ItemWidthOption);
        return new(name, new SetLayout { ItemWidth = width, Context = context, CountColumnName = input.CountColumnName, IsOneItem = isOneItem });
    }

    /// <summary>Finds out how the columns of time series lie in rows.</summary>
    /// <param name="schema">The columns.</param>
    /// <param name="columns">Those of the channels and, last, of the series.</param>
    /// <param name="hasSeries">Whether there is a column of the series.</param>
    /// <returns>The columns.</returns>
    public static FeatureColumns OfSeries(DataViewSchema schema, IReadOnlyList<InputColumn> columns, bool hasSeries)
    {
        var found = Of(schema, null, null, columns);
        return hasSeries && found.Layout!.Columns[^1] is not { Width: 1, IsVariable: false, IsKey: true }
            ? throw DataErrors.WrongType(columns[^1].Role, columns[^1].Name, "one key, such as Transforms.Conversion.MapValueToKey makes", DataErrors.Describe(schema[columns[^1].Name].Type))
            : found;
    }

    /// <summary>Makes room for vectors of keys of unknown size, by reading them once.</summary>
    /// <param name="views">The rows that there must be room for.</param>
    /// <param name="checkCancelled">Throws when the reading is to stop.</param>
    /// <returns>The columns.</returns>
    public FeatureColumns Measured(IEnumerable<IDataView> views, Action checkCancelled)
    {
        if (Layout is null || !Layout.Columns.Any(column => column.IsVariable))
            return this;
        var most = Layout.Columns.Select(column => column.Width).ToArray();
        var variable = Enumerable.Range(0, most.Length).Where(i => Layout.Columns[i].IsVariable).ToArray();
        foreach (var view in views)
        {
            Find(view.Schema);
            DataViewSchema.Column[] columns = [.. variable.Select(i => view.Schema[Layout.Columns[i].Name])];
            using var cursor = view.GetRowCursor(columns);
            Func<int>[] lengths = [.. columns.Select(column => ColumnReader.CreateLength(cursor, column))];
            for (var rows = 1L; cursor.MoveNext(); rows++)
            {
                for (var i = 0; i < lengths.Length; i++)
                    most[variable[i]] = Math.Max(most[variable[i]], lengths[i]());
                if (rows % CheckInterval == 0)
                    checkCancelled();
            }
        }

        return this with { Layout = Layout with { Columns = [.. Layout.Columns.Select((column, i) => column with { Width = most[i] })] } };
    }

    /// <summary>Finds the columns, and checks that the numbers of their rows are those that a network was trained on.</summary>
    /// <param name="schema">The columns of some data.</param>
    /// <param name="width">Numbers of a row of the network.</param>
    /// <returns>The columns to read, the feature column first.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such column, or it is of another type or width.</exception>
    public DataViewSchema.Column[] Find(DataViewSchema schema, int width) =>
        Sets is null && Layout is null && !HoldsImages(schema) ? [VectorReader.Find(schema, Name!, width)] : Find(schema);

    /// <summary>Numbers of a row with room for the most items. Where a vector is of unknown size, all rows are read for it.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="checkCancelled">Throws when the reading is to stop.</param>
    /// <returns>How many numbers.</returns>
    public int Width(IDataView data, Action checkCancelled)
    {
        var columns = Find(data.Schema);
        if (Layout is not null)
            return Layout.Width;
        if (HoldsImages(data.Schema))
            return (int)Images!.Size;
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
    public FeatureReader CreateReader(DataViewRow row, bool acceptNonFinite) => this switch
    {
        { Windows: { } windows } => new WindowReader(row, this, windows),
        { Layout: { } layout } => new LayoutReader(row, Name, layout),
        { Sets: { } sets } => new SetReader(row, Name!, sets, acceptNonFinite),
        _ when HoldsImages(row.Schema) => ImageColumn.CreateReader(row, Name!, Images!),
        _ => new PlainFeatureReader(VectorReader.Create(row, row.Schema[Name!])),
    };

    /// <summary>Names of the features, where they are slots of one column that names them.</summary>
    /// <param name="schema">The columns.</param>
    /// <returns>The names, or null.</returns>
    public string[]? FeatureNames(DataViewSchema schema) => Sets is null && Name is not null && !HoldsImages(schema) ? SlotNames.Get(schema[Name]) : null;

    /// <summary>The texts that the keys of the other columns stand for.</summary>
    /// <param name="schema">The columns.</param>
    /// <returns>For each column of the layout its texts, or null where it holds no keys or does not say them; empty without a layout.</returns>
    public IReadOnlyList<IReadOnlyList<string>?> KeyNames(DataViewSchema schema) =>
        [.. Layout?.Columns.Select(column => column.IsKey && schema.GetColumnOrNull(column.Name) is { } found ? Data.KeyNames.Of(found, column.KeyCount) : null) ?? []];

    /// <summary>The dimensions of a row, several where the type of the feature column has them or it holds images.</summary>
    /// <param name="schema">The columns.</param>
    /// <param name="width">Numbers of a row.</param>
    /// <returns>The dimensions.</returns>
    public IReadOnlyList<int> Dimensions(DataViewSchema schema, int width)
    {
        if (Name is null || Sets is not null || Layout is not null)
            return [width];
        if (!HoldsImages(schema))
            return VectorReader.VectorType(schema[Name]).Dimensions;
        return Images!.Order == PixelOrder.Planar ? [Images.Channels, Images.Height, Images.Width] : [Images.Height, Images.Width, Images.Channels];
    }

    /// <summary>What is said of a number of a row that is not finite.</summary>
    /// <param name="row">Number of the row.</param>
    /// <param name="place">Index of the number in the row.</param>
    /// <param name="featureNames">Names of the features, or null.</param>
    /// <param name="value">The number.</param>
    /// <returns>The error.</returns>
    public InvalidOperationException NonFinite(long row, int place, IReadOnlyList<string>? featureNames, float value)
    {
        if (Layout is null || place < Layout.FeatureWidth)
            return DataErrors.NonFiniteFeature(Name!, row, place, featureNames?[place], value);
        var (column, slot) = Layout.At(place);
        return DataErrors.NonFiniteFeature(column.Name, row, slot, null, value);
    }

    /// <summary>Finds the columns to read, whatever their width.</summary>
    /// <param name="schema">The columns of some data.</param>
    /// <returns>The columns, the feature column first.</returns>
    public DataViewSchema.Column[] Find(DataViewSchema schema)
    {
        if (Layout is not null)
            return FindAll(schema, Layout);
        if (HoldsImages(schema))
            return [schema[Name!]];
        var feature = Sets is { IsOneItem: true } one ? VectorReader.Find(schema, Name!, one.ItemWidth) : RowReader.Find(schema, Feature, Name!);
        var type = VectorReader.VectorType(feature);
        if (Sets is null)
            return [feature];
        if (type.IsKnownSize && type.Size % Sets.ItemWidth != 0)
            throw DataErrors.SetWidthMismatch(Name!, type.Size, Sets.ItemWidth);
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

    private bool HoldsImages(DataViewSchema schema) => Images is not null && schema.GetColumnOrNull(Name!) is { } column && ImageColumn.IsImage(column.Type);

    private DataViewSchema.Column[] FindAll(DataViewSchema schema, RowLayout layout)
    {
        var found = new List<DataViewSchema.Column>();
        if (layout.FeatureWidth > 0)
            found.Add(VectorReader.Find(schema, Name!, layout.FeatureWidth));
        foreach (var wanted in layout.Columns)
        {
            if (wanted.IsOptional && schema.GetColumnOrNull(wanted.Name) is null)
                continue;
            var input = InputColumn.Of(wanted);
            var column = RowReader.Find(schema, input.Role, input.Name);
            var width = WidthOf(column, input);
            if (!wanted.IsVariable && width != wanted.Width)
            {
                throw width is { } size
                    ? DataErrors.ColumnWidthMismatch(wanted.Name, wanted.Width, size)
                    : DataErrors.WrongType(input.Role, wanted.Name, "a vector of known size, as in training", DataErrors.Describe(column.Type));
            }

            if (wanted.IsVariable && column.Type is not VectorDataViewType)
                throw DataErrors.WrongType(input.Role, wanted.Name, "a vector of keys, as in training", DataErrors.Describe(column.Type));
            found.Add(column);
        }

        return [.. found];
    }

    private static RowColumn ColumnOf(DataViewSchema schema, InputColumn wanted)
    {
        var column = RowReader.Find(schema, wanted.Role, wanted.Name);
        var width = WidthOf(column, wanted);
        if (VectorReader.ItemType(column.Type) is not KeyDataViewType key)
            return new(column.Name, width!.Value, 0, false) { IsOptional = wanted.IsOptionalInScoring };
        return key.Count <= RowLayout.MostKeys
            ? new(column.Name, width ?? 1, (int)key.Count, width is null) { IsOptional = wanted.IsOptionalInScoring }
            : throw DataErrors.TooManyKeys(wanted.Role, column.Name, key.Count, RowLayout.MostKeys);
    }

    /// <summary>How many values a column has, or null where that differs from row to row.</summary>
    private static int? WidthOf(DataViewSchema.Column column, InputColumn wanted)
    {
        var vector = column.Type as VectorDataViewType;
        var item = VectorReader.ItemType(column.Type);
        var isWanted = item is KeyDataViewType
            ? wanted.Types.HasFlag(InputColumnTypes.Keys)
            : VectorReader.IsNumber(item) && wanted.Types.HasFlag(InputColumnTypes.Numbers) && vector is null or { IsKnownSize: true };
        if (!isWanted)
            throw DataErrors.WrongType(wanted.Role, column.Name, wanted.Expected, DataErrors.Describe(column.Type));
        return vector is null ? 1 : vector.IsKnownSize ? vector.Size : null;
    }

    private static int NumbersOf(DataViewSchema.Column column) =>
        VectorReader.IsNumber(column.Type) ? 1
        : column.Type is VectorDataViewType { IsKnownSize: true } vector && VectorReader.IsNumber(vector.ItemType) ? vector.Size
        : throw DataErrors.WrongType("context", column.Name, "a number or a vector of numbers of known size", DataErrors.Describe(column.Type));
}
