using System.Buffers;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Interop;

/// <summary>One row on its way through a model: where its values lie, and where the results come from. It serves one thread at a time.</summary>
internal sealed class RowLane : IDisposable
{
    private readonly RowInput[] _inputs;
    private readonly RowOutput[] _outputs;
    private readonly Source _source;
    private readonly DataViewRow _mapped;
    private readonly Utf8JsonWriter _json = new(Stream.Null);

    public RowLane(RowBinding binding)
    {
        _inputs = [.. binding.Inputs.Select(RowInput.Of)];
        _source = new(binding.Schema, _inputs);
        _mapped = binding.Mapper.GetRow(_source, binding.Outputs);
        _outputs = [.. binding.Outputs.Select(column => RowOutput.Of(_mapped, column))];
    }

    public void Read(IReadOnlyDictionary<string, object?> row)
    {
        foreach (var input in _inputs)
        {
            if (!row.TryGetValue(input.Name, out var value))
                throw input.Lacking();
            input.Set(value);
        }

        _source.Advance();
    }

    public void Read(ReadOnlySpan<float> values)
    {
        var rest = values;
        foreach (var input in _inputs)
        {
            var width = input.Width;
            if (rest.Length < width)
                break;
            input.Set(rest[..width]);
            rest = rest[width..];
        }

        var wanted = 0;
        foreach (var input in _inputs)
            wanted += input.Width;
        if (values.Length != wanted)
            throw new ArgumentException($"There are {values.Length} values, but the columns {string.Join(", ", _inputs.Select(input => $"'{input.Name}'"))} take {wanted}.", nameof(values));
        _source.Advance();
    }

    public void ReadJson(ReadOnlySpan<byte> json)
    {
        foreach (var input in _inputs)
            input.IsSet = false;
        var reader = new Utf8JsonReader(json);
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            throw new ArgumentException("A row is a JSON object.", nameof(json));
        var next = 0;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            // Members mostly come in one order.
            var found = -1;
            for (var i = 0; i < _inputs.Length && found < 0; i++)
            {
                var candidate = (next + i) % _inputs.Length;
                if (reader.ValueTextEquals(_inputs[candidate].Utf8Name))
                    found = candidate;
            }

            reader.Read();
            if (found < 0)
            {
                reader.Skip();
                continue;
            }

            _inputs[found].Set(ref reader);
            _inputs[found].IsSet = true;
            next = found + 1;
        }

        // Whatever follows the object is refused by the reader.
        while (reader.Read())
        {
        }

        foreach (var input in _inputs)
        {
            if (!input.IsSet)
                throw input.Lacking();
        }

        _source.Advance();
    }

    public Dictionary<string, object?> ToDictionary()
    {
        var results = new Dictionary<string, object?>(_outputs.Length);
        foreach (var output in _outputs)
            results[output.Name] = output.ToObject();
        return results;
    }

    public int Write(Span<float> results)
    {
        var written = 0;
        foreach (var output in _outputs)
            written += output.Write(results[written..]);
        return written;
    }

    public void WriteJson(IBufferWriter<byte> target)
    {
        _json.Reset(target);
        _json.WriteStartObject();
        foreach (var output in _outputs)
        {
            _json.WritePropertyName(output.JsonName);
            output.Write(_json);
        }

        _json.WriteEndObject();
        _json.Flush();
    }

    public void Dispose()
    {
        _mapped.Dispose();
        _json.Dispose();
    }

    /// <summary>The row as ML.NET sees it.</summary>
    private sealed class Source(DataViewSchema schema, RowInput[] inputs) : DataViewRow
    {
        private long _position = -1;

        public override DataViewSchema Schema => schema;

        public override long Position => _position;

        public override long Batch => 0;

        // Models keep what they computed of a row for all of its columns, as long as the position is the same.
        public void Advance() => _position++;

        public override bool IsColumnActive(DataViewSchema.Column column) => inputs.Any(input => input.Index == column.Index);

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            var input = inputs.FirstOrDefault(input => input.Index == column.Index) ?? throw new InvalidOperationException($"The column '{column.Name}' is not read.");
            return input.Getter as ValueGetter<TValue> ?? throw new InvalidOperationException($"The column '{column.Name}' holds {column.Type}, not {typeof(TValue)}.");
        }

        public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = new DataViewRowId((ulong)_position, 0);
    }
}
