using System.Collections;
using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;

namespace MlNetMlp.Interop;

/// <summary>A column of a row that is to be scored: takes a value and hands it on as ML.NET wants it.</summary>
internal abstract class RowInput(DataViewSchema.Column column)
{
    public string Name => column.Name;

    public int Index => column.Index;

    public byte[] Utf8Name { get; } = Encoding.UTF8.GetBytes(column.Name);

    public bool IsSet { get; set; }

    /// <summary>How many numbers it takes of a span of them.</summary>
    public virtual int Width => throw new InvalidOperationException($"The column '{Name}' holds {column.Type}: only Single and vectors of Single of known size are read from spans.");

    public abstract Delegate Getter { get; }

    protected DataViewType Type => column.Type;

    public static RowInput Of(DataViewSchema.Column column)
    {
        var item = VectorReader.ItemType(column.Type);
        var reader = ReaderOf(column, item);
        var generic = column.Type is VectorDataViewType ? typeof(Vector<>) : typeof(Scalar<>);
        return (RowInput)Activator.CreateInstance(generic.MakeGenericType(item.RawType), column, reader)!;
    }

    public abstract void Set(object? value);

    public abstract void Set(ReadOnlySpan<float> values);

    public abstract void Set(ref Utf8JsonReader reader);

    public ArgumentException Lacking() => new($"The row has no value for the column '{Name}' ({Type}). Give it one, or null where it is missing.");

    protected ArgumentException Wrong(string value) => new($"The column '{Name}' holds {Type}; the row has {value}.");

    private static object ReaderOf(DataViewSchema.Column column, DataViewType item) => item switch
    {
        NumberDataViewType when item.RawType != typeof(DataViewRowId) => Activator.CreateInstance(typeof(Numbers<>).MakeGenericType(item.RawType))!,
        BooleanDataViewType => new Booleans(),
        TextDataViewType => new Texts(),
        DateTimeDataViewType => new Dates(),
        KeyDataViewType key when item.RawType == typeof(uint) => new Keys(key, KeyNames.Of(column, key.GetCountAsInt32())),
        _ => throw new NotSupportedException($"The column '{column.Name}' holds {column.Type}, which a row scorer cannot be given."),
    };

    /// <summary>Makes values of one type of what people write.</summary>
    private abstract class Values<T>
    {
        /// <summary>Makes a value; false where it cannot be one.</summary>
        public abstract bool TryGet(object? value, out T result);

        public abstract bool TryGet(ref Utf8JsonReader reader, out T result);

        public virtual bool TryGet(float value, out T result)
        {
            result = default!;
            return false;
        }
    }

    private sealed class Numbers<T> : Values<T>
        where T : struct, INumberBase<T>
    {
        // Whole numbers have no value that stands for a missing one.
        private static readonly T? Missing = typeof(T) == typeof(float) || typeof(T) == typeof(double) ? T.CreateChecked(float.NaN) : null;

        public override bool TryGet(object? value, out T result)
        {
            result = Missing ?? default;
            if (value is null)
                return Missing is not null;
            if (value is T exact)
            {
                result = exact;
                return true;
            }

            if (value is string or bool or not IConvertible)
                return false;
            try
            {
                // Single from Double and back loses digits as a conversion of ML.NET does; whole numbers have to fit.
                result = (T)((IConvertible)value).ToType(typeof(T), CultureInfo.InvariantCulture);
                return true;
            }
            catch (Exception e) when (e is OverflowException or InvalidCastException or FormatException)
            {
                return false;
            }
        }

        public override bool TryGet(ref Utf8JsonReader reader, out T result)
        {
            result = Missing ?? default;
            return reader.TokenType == JsonTokenType.Null
                ? Missing is not null
                : reader.TokenType == JsonTokenType.Number && T.TryParse(reader.ValueSpan, NumberStyles.Float, CultureInfo.InvariantCulture, out result);
        }

        public override bool TryGet(float value, out T result)
        {
            result = T.CreateTruncating(value);
            return typeof(T) == typeof(float);
        }
    }

    private sealed class Booleans : Values<bool>
    {
        public override bool TryGet(object? value, out bool result)
        {
            result = value is true;
            return value is bool;
        }

        public override bool TryGet(ref Utf8JsonReader reader, out bool result)
        {
            result = reader.TokenType == JsonTokenType.True;
            return result || reader.TokenType == JsonTokenType.False;
        }
    }

    private sealed class Dates : Values<DateTime>
    {
        public override bool TryGet(object? value, out DateTime result)
        {
            result = value is DateTime date ? date : default;
            return value is DateTime;
        }

        public override bool TryGet(ref Utf8JsonReader reader, out DateTime result)
        {
            result = default;
            return reader.TokenType == JsonTokenType.String && reader.TryGetDateTime(out result);
        }
    }

    private sealed class Texts : Values<ReadOnlyMemory<char>>
    {
        private char[] _buffer = new char[64];
        private int _used;
        private bool _isNew = true;

        public override bool TryGet(object? value, out ReadOnlyMemory<char> result)
        {
            result = value switch { string text => text.AsMemory(), ReadOnlyMemory<char> text => text, _ => default };
            return value is null or string or ReadOnlyMemory<char>;
        }

        public override bool TryGet(ref Utf8JsonReader reader, out ReadOnlyMemory<char> result)
        {
            result = default;
            if (reader.TokenType == JsonTokenType.Null)
                return true;
            if (reader.TokenType != JsonTokenType.String)
                return false;

            // Never more characters than bytes. Texts of one vector lie one behind the other; a larger buffer leaves those before where they are.
            var most = reader.ValueSpan.Length;
            if (_isNew)
                (_used, _isNew) = (0, false);
            if (_buffer.Length - _used < most)
                (_buffer, _used) = (new char[2 * (_buffer.Length + most)], 0);
            var length = reader.CopyString(_buffer.AsSpan(_used));
            result = _buffer.AsMemory(_used, length);
            _used += length;
            return true;
        }

        public void Restart() => _isNew = true;
    }

    private sealed class Keys(KeyDataViewType type, IReadOnlyList<string>? names) : Values<uint>
    {
        private readonly Dictionary<string, uint>? _names = names?.Select((name, index) => (name, index)).DistinctBy(pair => pair.name).ToDictionary(pair => pair.name, pair => (uint)pair.index + 1);

        public override bool TryGet(object? value, out uint result)
        {
            result = 0;
            switch (value)
            {
                case null:
                    return true;
                case string name when _names is not null:
                    _names.TryGetValue(name, out result);
                    return true;
                case sbyte or byte or short or ushort or int or uint or long or ulong when Convert.ToDecimal(value, CultureInfo.InvariantCulture) is >= 0 and var number && number <= type.Count:
                    result = (uint)number;
                    return true;
                default:
                    return false;
            }
        }

        public override bool TryGet(ref Utf8JsonReader reader, out uint result)
        {
            result = 0;
            return reader.TokenType switch
            {
                JsonTokenType.Null => true,
                JsonTokenType.Number => reader.TryGetUInt32(out result) && result <= type.Count,
                JsonTokenType.String => TryGet(reader.GetString(), out result),
                _ => false,
            };
        }
    }

    private sealed class Scalar<T>(DataViewSchema.Column column, object values) : RowInput(column)
    {
        private readonly Values<T> _values = (Values<T>)values;
        private T _value = default!;

        public override int Width => typeof(T) == typeof(float) ? 1 : base.Width;

        public override Delegate Getter => (ValueGetter<T>)((ref T value) => value = _value);

        public override void Set(object? value)
        {
            if (!_values.TryGet(value, out _value))
                throw Wrong(value is null ? "null" : $"'{value}' ({value.GetType().Name})");
        }

        public override void Set(ReadOnlySpan<float> values) => _values.TryGet(values[0], out _value);

        public override void Set(ref Utf8JsonReader reader)
        {
            (_values as Texts)?.Restart();
            if (!_values.TryGet(ref reader, out _value))
                throw Wrong(reader.TokenType is JsonTokenType.StartArray or JsonTokenType.StartObject ? reader.TokenType.ToString() : Encoding.UTF8.GetString(reader.ValueSpan));
        }
    }

    private sealed class Vector<T>(DataViewSchema.Column column, object values) : RowInput(column)
    {
        private readonly Values<T> _values = (Values<T>)values;
        private T[] _items = new T[Math.Max(((VectorDataViewType)column.Type).Size, 4)];
        private int _count;

        public override int Width => typeof(T) == typeof(float) && Size > 0 ? Size : base.Width;

        // The reader may change what it gets, so that its own buffer is written to.
        public override Delegate Getter => (ValueGetter<VBuffer<T>>)((ref VBuffer<T> value) =>
        {
            var editor = VBufferEditor.Create(ref value, _count);
            _items.AsSpan(0, _count).CopyTo(editor.Values);
            value = editor.Commit();
        });

        private int Size => ((VectorDataViewType)Type).Size;

        public override void Set(object? value)
        {
            if (value is T[] exact)
            {
                Take(exact);
                return;
            }

            if (value is null or string or not IEnumerable)
                throw Wrong(value is null ? "null" : $"'{value}' ({value.GetType().Name})");
            _count = 0;
            foreach (var item in (IEnumerable)value)
                Add(_values.TryGet(item, out var result), result, item?.ToString() ?? "null");
            CheckCount();
        }

        public override void Set(ReadOnlySpan<float> values) => Take(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpan(ref System.Runtime.CompilerServices.Unsafe.As<float, T>(ref System.Runtime.InteropServices.MemoryMarshal.GetReference(values)), values.Length));

        public override void Set(ref Utf8JsonReader reader)
        {
            (_values as Texts)?.Restart();
            if (reader.TokenType != JsonTokenType.StartArray)
                throw Wrong($"a {reader.TokenType} where an array is expected");
            _count = 0;
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                if (!_values.TryGet(ref reader, out var item))
                    throw Wrong($"{Encoding.UTF8.GetString(reader.ValueSpan)} in slot {_count}");
                Add(true, item, "");
            }

            CheckCount();
        }

        private void Take(ReadOnlySpan<T> items)
        {
            _count = items.Length;
            CheckCount();
            if (_items.Length < _count)
                _items = new T[_count];
            items.CopyTo(_items);
        }

        private void Add(bool isOne, T item, string text)
        {
            if (!isOne)
                throw Wrong($"'{text}' in slot {_count}");
            if (_count == _items.Length)
                Array.Resize(ref _items, 2 * _count);
            _items[_count++] = item;
        }

        private void CheckCount()
        {
            if (Size > 0 && _count != Size)
                throw Wrong($"{_count} values");
        }
    }
}
