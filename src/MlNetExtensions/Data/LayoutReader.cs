using System.Numerics;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Networks;

namespace MlNetMlp.Data;

/// <summary>A row that is made of several columns.</summary>
internal sealed class LayoutReader : FeatureReader
{
    private readonly RowLayout _layout;
    private readonly VectorReader? _features;
    private readonly ColumnReader[] _columns;

    public LayoutReader(DataViewRow row, string? featureColumn, RowLayout layout)
    {
        _layout = layout;
        _features = layout.FeatureWidth > 0 ? VectorReader.Create(row, row.Schema[featureColumn!]) : null;
        _columns = [.. layout.Columns.Select(column => row.Schema.GetColumnOrNull(column.Name) is { } found ? ColumnReader.Create(row, found, column) : new AbsentColumn(column.Width))];
    }

    public override int Load() => _layout.Width;

    public override void Write(Span<float> destination)
    {
        _features?.Read(destination[.._layout.FeatureWidth]);
        var start = _layout.FeatureWidth;
        foreach (var column in _columns)
        {
            column.Read(destination.Slice(start, column.Width));
            start += column.Width;
        }

        destination[start..].Clear();
    }
}

/// <summary>An optional column that the data lack.</summary>
internal sealed class AbsentColumn(int width) : ColumnReader(width)
{
    public override void Read(Span<float> destination) => destination.Clear();
}

/// <summary>Reads what a column adds to the current row.</summary>
internal abstract class ColumnReader(int width)
{
    public int Width => width;

    /// <summary>Makes the reader of a column.</summary>
    /// <param name="row">The rows.</param>
    /// <param name="column">A column that <see cref="FeatureColumns"/> has checked.</param>
    /// <param name="layout">What it takes of a row.</param>
    /// <returns>The reader.</returns>
    public static ColumnReader Create(DataViewRow row, DataViewSchema.Column column, RowColumn layout) => !layout.IsKey
        ? new NumberReader(VectorReader.CreateLabel(row, column), layout.Width)
        : Type.GetTypeCode(VectorReader.ItemType(column.Type).RawType) switch
        {
            TypeCode.Byte => Keys<byte>(row, column, layout),
            TypeCode.UInt16 => Keys<ushort>(row, column, layout),
            TypeCode.UInt32 => Keys<uint>(row, column, layout),
            _ => Keys<ulong>(row, column, layout),
        };

    /// <summary>Makes what tells the length of a vector of keys of the current row.</summary>
    /// <param name="row">The rows.</param>
    /// <param name="column">A column of vectors of keys.</param>
    /// <returns>The function.</returns>
    public static Func<int> CreateLength(DataViewRow row, DataViewSchema.Column column) => Type.GetTypeCode(VectorReader.ItemType(column.Type).RawType) switch
    {
        TypeCode.Byte => Length<byte>(row, column),
        TypeCode.UInt16 => Length<ushort>(row, column),
        TypeCode.UInt32 => Length<uint>(row, column),
        _ => Length<ulong>(row, column),
    };

    /// <summary>Reads the current row.</summary>
    /// <param name="destination">Room for exactly <see cref="Width"/> numbers.</param>
    public abstract void Read(Span<float> destination);

    private static ColumnReader Keys<T>(DataViewRow row, DataViewSchema.Column column, RowColumn layout)
        where T : unmanaged, INumber<T> => column.Type is VectorDataViewType
            ? new KeyVectorReader<T>(row.GetGetter<VBuffer<T>>(column), layout)
            : new KeyReader<T>(row.GetGetter<T>(column), layout);

    private static Func<int> Length<T>(DataViewRow row, DataViewSchema.Column column)
    {
        var getter = row.GetGetter<VBuffer<T>>(column);
        VBuffer<T> buffer = default;
        return () =>
        {
            getter(ref buffer);
            return buffer.Length;
        };
    }

    // A key of another count may hold numbers that training knew nothing of.
    private static float Known<T>(T key, RowColumn layout)
        where T : unmanaged, INumber<T> => ulong.CreateTruncating(key) is var number && number <= (ulong)layout.KeyCount ? number : layout.OutOfVocabulary;

    private sealed class NumberReader(VectorReader vector, int width) : ColumnReader(width)
    {
        public override void Read(Span<float> destination) => vector.Read(destination);
    }

    private sealed class KeyReader<T>(ValueGetter<T> getter, RowColumn layout) : ColumnReader(layout.Width)
        where T : unmanaged, INumber<T>
    {
        private T _key;

        public override void Read(Span<float> destination)
        {
            getter(ref _key);
            destination[0] = Known(_key, layout);
        }
    }

    private sealed class KeyVectorReader<T>(ValueGetter<VBuffer<T>> getter, RowColumn layout) : ColumnReader(layout.Width)
        where T : unmanaged, INumber<T>
    {
        private VBuffer<T> _buffer;

        public override void Read(Span<float> destination)
        {
            getter(ref _buffer);

            // What a vector does not reach is missing, and so is what a sparse one leaves out.
            destination.Clear();
            var values = _buffer.GetValues();
            var indices = _buffer.IsDense ? default : _buffer.GetIndices();
            for (var i = 0; i < values.Length; i++)
            {
                var place = _buffer.IsDense ? i : indices[i];
                if (place >= destination.Length)
                    break;
                destination[place] = Known(values[i], layout);
            }
        }
    }
}
