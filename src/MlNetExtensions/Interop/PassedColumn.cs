using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Interop;

/// <summary>A column of the source whose values wait in a block until their rows are handed on.</summary>
internal abstract class PassedColumn
{
    public static PassedColumn Create(DataViewRow source, DataViewSchema.Column column)
    {
        var type = column.Type is VectorDataViewType vector
            ? typeof(VectorColumn<>).MakeGenericType(vector.ItemType.RawType)
            : typeof(ScalarColumn<>).MakeGenericType(column.Type.RawType);
        return (PassedColumn)Activator.CreateInstance(type, source, column)!;
    }

    public abstract void Resize(int rows);

    public abstract void Read(int row);

    public abstract ValueGetter<TValue> GetGetter<TValue>(BatchedScoreCursor cursor);

    private static ValueGetter<TValue> Cast<TValue>(Delegate getter, Type type) =>
        getter as ValueGetter<TValue> ?? throw new InvalidOperationException($"The column holds {type}, not {typeof(TValue)}.");

    private sealed class ScalarColumn<T>(DataViewRow source, DataViewSchema.Column column) : PassedColumn
    {
        private readonly ValueGetter<T> _getter = source.GetGetter<T>(column);
        private T[] _values = [];

        public override void Resize(int rows) => _values = new T[rows];

        public override void Read(int row) => _getter(ref _values[row]);

        public override ValueGetter<TValue> GetGetter<TValue>(BatchedScoreCursor cursor) =>
            Cast<TValue>((ValueGetter<T>)((ref T value) => value = _values[cursor.Index]), typeof(T));
    }

    private sealed class VectorColumn<T>(DataViewRow source, DataViewSchema.Column column) : PassedColumn
    {
        private readonly ValueGetter<VBuffer<T>> _getter = source.GetGetter<VBuffer<T>>(column);
        private VBuffer<T>[] _values = [];

        public override void Resize(int rows) => _values = new VBuffer<T>[rows];

        public override void Read(int row) => _getter(ref _values[row]);

        // The reader may change what it gets, so the block's own buffer is not handed out.
        public override ValueGetter<TValue> GetGetter<TValue>(BatchedScoreCursor cursor) =>
            Cast<TValue>((ValueGetter<VBuffer<T>>)((ref VBuffer<T> value) => _values[cursor.Index].CopyTo(ref value)), typeof(VBuffer<T>));
    }
}
