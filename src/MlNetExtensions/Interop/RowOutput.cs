using System.Globalization;
using System.Numerics;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;

namespace MlNetMlp.Interop;

/// <summary>A computed column of a row that is scored.</summary>
internal abstract class RowOutput(DataViewSchema.Column column)
{
    public string Name => column.Name;

    public JsonEncodedText JsonName { get; } = JsonEncodedText.Encode(column.Name);

    public static RowOutput Of(DataViewRow row, DataViewSchema.Column column)
    {
        var item = VectorReader.ItemType(column.Type);
        var writer = Writer(column, item);
        var generic = column.Type is VectorDataViewType ? typeof(Vector<>) : typeof(Scalar<>);
        return (RowOutput)Activator.CreateInstance(generic.MakeGenericType(item.RawType), row, column, writer)!;
    }

    public abstract object? ToObject();

    public abstract int Write(Span<float> results);

    public abstract void Write(Utf8JsonWriter json);

    private static object Writer(DataViewSchema.Column column, DataViewType item) => item switch
    {
        KeyDataViewType key when item.RawType == typeof(uint) => new Keys(KeyNames.Of(column, key.Count > int.MaxValue ? 0 : (int)key.Count)),
        KeyDataViewType or NumberDataViewType when item.RawType != typeof(DataViewRowId) => Activator.CreateInstance(typeof(Numbers<>).MakeGenericType(item.RawType))!,
        BooleanDataViewType => new Booleans(),
        TextDataViewType => new Texts(),
        _ => throw new NotSupportedException($"The column '{column.Name}' holds {column.Type}, which a row scorer cannot tell."),
    };

    private abstract class Values<T>
    {
        public abstract object? ToObject(T value);

        public abstract void Write(Utf8JsonWriter json, T value);

        public virtual float ToSingle(T value) => throw new InvalidOperationException("Only numbers, keys and Booleans are written to spans.");
    }

    private sealed class Numbers<T> : Values<T>
        where T : struct, INumber<T>
    {
        public override object? ToObject(T value) => value;

        public override void Write(Utf8JsonWriter json, T value)
        {
            // JSON has no other numbers than finite ones.
            if (!T.IsFinite(value))
                json.WriteNullValue();
            else if (typeof(T) == typeof(float))
                json.WriteNumberValue(float.CreateTruncating(value));
            else if (typeof(T) == typeof(double))
                json.WriteNumberValue(double.CreateTruncating(value));
            else if (typeof(T) == typeof(ulong))
                json.WriteNumberValue(ulong.CreateTruncating(value));
            else
                json.WriteNumberValue(long.CreateTruncating(value));
        }

        public override float ToSingle(T value) => float.CreateTruncating(value);
    }

    private sealed class Booleans : Values<bool>
    {
        public override object? ToObject(bool value) => value;

        public override void Write(Utf8JsonWriter json, bool value) => json.WriteBooleanValue(value);

        public override float ToSingle(bool value) => value ? 1 : 0;
    }

    private sealed class Texts : Values<ReadOnlyMemory<char>>
    {
        public override object? ToObject(ReadOnlyMemory<char> value) => value.ToString();

        public override void Write(Utf8JsonWriter json, ReadOnlyMemory<char> value) => json.WriteStringValue(value.Span);
    }

    private sealed class Keys(IReadOnlyList<string>? names) : Values<uint>
    {
        private readonly string[]? _names = names?.ToArray();
        private readonly JsonEncodedText[]? _json = names?.Select(name => JsonEncodedText.Encode(name)).ToArray();

        public override object? ToObject(uint value) => value == 0 ? null : _names is not null && value <= _names.Length ? _names[value - 1] : value;

        public override void Write(Utf8JsonWriter json, uint value)
        {
            if (value == 0)
                json.WriteNullValue();
            else if (_json is not null && value <= _json.Length)
                json.WriteStringValue(_json[value - 1]);
            else
                json.WriteNumberValue(value);
        }

        public override float ToSingle(uint value) => value;
    }

    private sealed class Scalar<T>(DataViewRow row, DataViewSchema.Column column, object values) : RowOutput(column)
    {
        private readonly ValueGetter<T> _getter = row.GetGetter<T>(column);
        private readonly Values<T> _values = (Values<T>)values;
        private T _value = default!;

        public override object? ToObject()
        {
            _getter(ref _value);
            return _values.ToObject(_value);
        }

        public override int Write(Span<float> results)
        {
            if (results.IsEmpty)
                throw NoRoom(1, 0);
            _getter(ref _value);
            results[0] = _values.ToSingle(_value);
            return 1;
        }

        public override void Write(Utf8JsonWriter json)
        {
            _getter(ref _value);
            _values.Write(json, _value);
        }
    }

    private sealed class Vector<T>(DataViewRow row, DataViewSchema.Column column, object values) : RowOutput(column)
    {
        private readonly ValueGetter<VBuffer<T>> _getter = row.GetGetter<VBuffer<T>>(column);
        private readonly Values<T> _values = (Values<T>)values;
        private VBuffer<T> _value;
        private T[] _dense = [];

        public override object? ToObject()
        {
            var dense = Dense();
            if (dense.Length > 0 && _values.ToObject(dense[0]) is T)
                return dense.ToArray();
            var items = new object?[dense.Length];
            for (var i = 0; i < items.Length; i++)
                items[i] = _values.ToObject(dense[i]);
            return items.All(item => item is string or null) ? Array.ConvertAll(items, item => (string?)item) : items;
        }

        public override int Write(Span<float> results)
        {
            var dense = Dense();
            if (results.Length < dense.Length)
                throw NoRoom(dense.Length, results.Length);
            for (var i = 0; i < dense.Length; i++)
                results[i] = _values.ToSingle(dense[i]);
            return dense.Length;
        }

        public override void Write(Utf8JsonWriter json)
        {
            json.WriteStartArray();
            foreach (var item in Dense())
                _values.Write(json, item);
            json.WriteEndArray();
        }

        private ReadOnlySpan<T> Dense()
        {
            _getter(ref _value);
            if (_value.IsDense)
                return _value.GetValues();
            if (_dense.Length < _value.Length)
                _dense = new T[_value.Length];
            _value.CopyTo(_dense);
            return _dense.AsSpan(0, _value.Length);
        }
    }

    private ArgumentException NoRoom(int wanted, int left) => new(string.Create(CultureInfo.InvariantCulture, $"The column '{Name}' has {wanted} values, but there is room for {left}."));
}
