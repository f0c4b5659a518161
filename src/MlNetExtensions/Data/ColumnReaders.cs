using System.Numerics;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Data;

/// <summary>Reads a vector of the current row as Single values, whatever number type the column has.</summary>
internal abstract class VectorReader(DataViewRow row, DataViewSchema.Column column)
{
    /// <summary>What a feature column must be, for an error.</summary>
    public const string Expected = "a vector of numbers (best Single)";

    // 0 for vectors whose size differs from row to row.
    private readonly int _size = LabelWidth(column);

    /// <summary>Takes the vector of the current row.</summary>
    /// <returns>Its number of values.</returns>
    /// <exception cref="InvalidOperationException">It has not as many values as the type of the column says.</exception>
    public int Load()
    {
        // Data views of others may break the promise, and what a short vector leaves out would be memory that nobody has written to.
        var length = LoadVector();
        return length == _size || _size == 0 ? length : throw DataErrors.OtherLength(column.Name, row.Position, _size, length);
    }

    /// <summary>Takes the vector of the current row.</summary>
    /// <returns>Its number of values.</returns>
    protected abstract int LoadVector();

    /// <summary>Copies the vector that was taken last.</summary>
    /// <param name="destination">Room for exactly one vector.</param>
    public abstract void Write(Span<float> destination);

    /// <summary>Copies the vector of the current row.</summary>
    /// <param name="destination">Room for exactly one vector.</param>
    public void Read(Span<float> destination)
    {
        Load();
        Write(destination);
    }

    /// <summary>Number of slots of a feature column.</summary>
    /// <param name="column">The column.</param>
    /// <returns>Its number of slots.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The column is not a vector of numbers of known size.</exception>
    public static int Width(DataViewSchema.Column column) =>
        VectorType(column) is { IsKnownSize: true } vector ? vector.Size : throw DataErrors.UnknownSize(column.Name, DataErrors.Describe(column.Type));

    /// <summary>The type of a feature column, of known size or not.</summary>
    /// <param name="column">The column.</param>
    /// <returns>The type.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The column is not a vector of numbers.</exception>
    public static VectorDataViewType VectorType(DataViewSchema.Column column) => column.Type is VectorDataViewType vector && IsNumber(vector.ItemType)
        ? vector
        : throw DataErrors.WrongType("feature", column.Name, Expected, DataErrors.Describe(column.Type));

    /// <summary>The feature column of rows to score.</summary>
    /// <param name="schema">The columns.</param>
    /// <param name="name">Name of the feature column.</param>
    /// <param name="width">Number of features that the model was trained on.</param>
    /// <returns>The column.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such column, or it is of another type or width.</exception>
    public static DataViewSchema.Column Find(DataViewSchema schema, string name, int width)
    {
        var column = RowReader.Find(schema, "feature", name);
        var found = Width(column);
        return found == width ? column : throw DataErrors.WidthMismatch(name, width, found);
    }

    /// <summary>Number of values of a label: 1 unless it is a vector.</summary>
    /// <param name="column">A column that a trainer has found to be a label of its task.</param>
    /// <returns>The number, at least 1.</returns>
    public static int LabelWidth(DataViewSchema.Column column) => column.Type is VectorDataViewType vector ? vector.Size : 1;

    /// <summary>The type of the values of a column, which may be vectors of them.</summary>
    /// <param name="type">The type of the column.</param>
    /// <returns>The type.</returns>
    public static DataViewType ItemType(DataViewType type) => type is VectorDataViewType vector ? vector.ItemType : type;

    public static bool IsNumber(DataViewType type) => type is NumberDataViewType or BooleanDataViewType;

    /// <summary>Reads a label as a vector of <see cref="LabelWidth"/> values; NaN is a missing value.</summary>
    /// <param name="row">The row.</param>
    /// <param name="column">The label column.</param>
    /// <returns>The reader.</returns>
    public static VectorReader CreateLabel(DataViewRow row, DataViewSchema.Column column) =>
        column.Type is VectorDataViewType ? Create(row, column) : new OneValueReader(row, column);

    public static VectorReader Create(DataViewRow row, DataViewSchema.Column column)
    {
        var item = ((VectorDataViewType)column.Type).ItemType.RawType;
        if (item == typeof(float))
            return new SingleReader(row, column);
        if (item == typeof(bool))
            return new Converter<bool>(row, column, static value => value ? 1 : 0);
        return Type.GetTypeCode(item) switch
        {
            TypeCode.Double => Number<double>(row, column),
            TypeCode.SByte => Number<sbyte>(row, column),
            TypeCode.Byte => Number<byte>(row, column),
            TypeCode.Int16 => Number<short>(row, column),
            TypeCode.UInt16 => Number<ushort>(row, column),
            TypeCode.Int32 => Number<int>(row, column),
            TypeCode.UInt32 => Number<uint>(row, column),
            TypeCode.Int64 => Number<long>(row, column),
            _ => Number<ulong>(row, column),
        };
    }

    private static Converter<T> Number<T>(DataViewRow row, DataViewSchema.Column column)
        where T : struct, INumber<T> =>
        new(row, column, static value => float.CreateTruncating(value));

    private sealed class OneValueReader(DataViewRow row, DataViewSchema.Column column) : VectorReader(row, column)
    {
        private readonly Func<float> _read = ScalarReader.Create(row, column);

        public override void Write(Span<float> destination) => destination[0] = _read();

        protected override int LoadVector() => 1;
    }

    private sealed class SingleReader(DataViewRow row, DataViewSchema.Column column) : VectorReader(row, column)
    {
        private readonly ValueGetter<VBuffer<float>> _getter = row.GetGetter<VBuffer<float>>(column);
        private VBuffer<float> _buffer;

        protected override int LoadVector()
        {
            _getter(ref _buffer);
            return _buffer.Length;
        }

        public override void Write(Span<float> destination)
        {
            if (_buffer.IsDense)
                _buffer.GetValues().CopyTo(destination);
            else
                _buffer.CopyTo(destination);
        }
    }

    private sealed class Converter<T>(DataViewRow row, DataViewSchema.Column column, Func<T, float> convert) : VectorReader(row, column)
        where T : struct
    {
        private readonly ValueGetter<VBuffer<T>> _getter = row.GetGetter<VBuffer<T>>(column);
        private VBuffer<T> _buffer;

        protected override int LoadVector()
        {
            _getter(ref _buffer);
            return _buffer.Length;
        }

        public override void Write(Span<float> destination)
        {
            var values = _buffer.GetValues();
            if (_buffer.IsDense)
            {
                for (var i = 0; i < values.Length; i++)
                    destination[i] = convert(values[i]);
                return;
            }

            destination.Clear();
            var indices = _buffer.GetIndices();
            for (var i = 0; i < values.Length; i++)
                destination[indices[i]] = convert(values[i]);
        }
    }
}

/// <summary>Reads labels, weights and flags of the current row as Single values; NaN is a missing value.</summary>
internal static class ScalarReader
{
    public static Func<float> Create(DataViewRow row, DataViewSchema.Column column)
    {
        if (column.Type is KeyDataViewType key)
        {
            return Type.GetTypeCode(key.RawType) switch
            {
                TypeCode.Byte => Key<byte>(row, column),
                TypeCode.UInt16 => Key<ushort>(row, column),
                TypeCode.UInt32 => Key<uint>(row, column),
                _ => Key<ulong>(row, column),
            };
        }

        return column.Type.RawType == typeof(bool)
            ? Convert<bool>(row, column, static value => value ? 1 : 0)
            : Type.GetTypeCode(column.Type.RawType) switch
            {
                TypeCode.Single => Convert<float>(row, column, static value => value),
                TypeCode.Double => Number<double>(row, column),
                TypeCode.SByte => Number<sbyte>(row, column),
                TypeCode.Byte => Number<byte>(row, column),
                TypeCode.Int16 => Number<short>(row, column),
                TypeCode.UInt16 => Number<ushort>(row, column),
                TypeCode.Int32 => Number<int>(row, column),
                TypeCode.UInt32 => Number<uint>(row, column),
                TypeCode.Int64 => Number<long>(row, column),
                _ => Number<ulong>(row, column),
            };
    }

    private static Func<float> Number<T>(DataViewRow row, DataViewSchema.Column column)
        where T : struct, INumber<T> => Convert<T>(row, column, static value => float.CreateTruncating(value));

    // Keys count from 1, and 0 is a missing value; classes count from 0.
    private static Func<float> Key<T>(DataViewRow row, DataViewSchema.Column column)
        where T : struct, INumber<T> => Convert<T>(row, column, static value => T.IsZero(value) ? float.NaN : float.CreateTruncating(value) - 1);

    private static Func<float> Convert<T>(DataViewRow row, DataViewSchema.Column column, Func<T, float> convert)
    {
        var getter = row.GetGetter<T>(column);
        T value = default!;
        return () =>
        {
            getter(ref value);
            return convert(value);
        };
    }
}
