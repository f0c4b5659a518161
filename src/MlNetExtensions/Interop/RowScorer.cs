using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.ML.Data;
using MlNetMlp.Interop;

namespace Microsoft.ML;

/// <summary>Scores single rows by any model of ML.NET.</summary>
public static class RowScoring
{
    /// <summary>Makes a scorer of single rows that needs no classes: rows come as dictionaries, JSON or spans of numbers.</summary>
    /// <param name="model">A fitted or loaded model that works row by row, ours or ML.NET's own, alone or a chain.</param>
    /// <param name="inputSchema">
    /// The columns that the model was fitted on, as <c>Model.Load</c> gives them. Null: the first row says what there is; numbers are taken for Single, texts for text,
    /// arrays for vectors.
    /// </param>
    /// <param name="outputColumns">The columns to compute. Null: <c>Score</c>, <c>Probability</c> and <c>PredictedLabel</c>, or, where the model has none of them, all columns that it adds.</param>
    /// <returns>The scorer, one for any number of threads.</returns>
    /// <exception cref="ArgumentException">The model does not work row by row, or lacks an output column.</exception>
    public static RowScorer CreateRowScorer(this ITransformer model, DataViewSchema? inputSchema = null, IReadOnlyList<string>? outputColumns = null) => new(model, inputSchema, outputColumns);
}

/// <summary>
/// Scores single rows of any model of ML.NET, from any number of threads at once, as <c>Transform</c> would. Columns that the wanted ones do not depend on, such as the
/// label, need not be given.
/// </summary>
/// <remarks>
/// Spans and JSON are scored without allocating once every thread has scored a row. Numbers that are missing are <see cref="float.NaN"/> or JSON's <c>null</c>, and so they
/// are in results. Keys are given and told as the values that they stand for, where the model knows them as texts.
/// </remarks>
public sealed class RowScorer
{
    private readonly ITransformer _model;
    private readonly IReadOnlyList<string>? _outputColumns;
    private readonly Lock _lock = new();
    private volatile Pool? _pool;

    internal RowScorer(ITransformer model, DataViewSchema? inputSchema, IReadOnlyList<string>? outputColumns)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!model.IsRowToRowMapper)
            throw new ArgumentException("The model does not work row by row: a part of it filters, shuffles or looks at several rows.", nameof(model));
        (_model, _outputColumns) = (model, outputColumns);
        if (inputSchema is not null)
            _pool = new(new RowBinding(model, inputSchema, outputColumns));
    }

    /// <summary>The columns that a row has to give.</summary>
    /// <exception cref="InvalidOperationException">They are not known before the first row.</exception>
    public IReadOnlyList<DataViewSchema.Column> InputColumns => Known.Binding.Inputs;

    /// <summary>The columns that are computed.</summary>
    /// <exception cref="InvalidOperationException">They are not known before the first row.</exception>
    public IReadOnlyList<DataViewSchema.Column> OutputColumns => Known.Binding.Outputs;

    private Pool Known => _pool ?? throw new InvalidOperationException("The columns are not known before the first row: make the scorer with the schema of the model's input.");

    /// <summary>Scores a row.</summary>
    /// <param name="row">
    /// Values by column: numbers of any type, texts, Booleans, <see cref="DateTime"/>, arrays of numbers or texts for vectors; null for what is missing. Other columns are passed over.
    /// </param>
    /// <returns>Values by column: <see cref="float"/> and other numbers, <see cref="bool"/>, <see cref="string"/>, arrays of them; null for a missing key.</returns>
    /// <exception cref="ArgumentException">The row lacks a column, or a value is not of its type; the message names the column.</exception>
    public IReadOnlyDictionary<string, object?> Score(IReadOnlyDictionary<string, object?> row)
    {
        ArgumentNullException.ThrowIfNull(row);
        var pool = _pool ?? Bind(() => InferredSchema.Of(row));
        var lane = pool.Rent();
        try
        {
            lane.Read(row);
            return lane.ToDictionary();
        }
        finally
        {
            pool.Return(lane);
        }
    }

    /// <summary>Scores a row of numbers.</summary>
    /// <param name="values">The values of all <see cref="InputColumns"/>, which have to be Single or vectors of Single of known size, one after the other in the order of the schema.</param>
    /// <param name="results">Gets the values of all <see cref="OutputColumns"/> one after the other; keys as their number, from 1, and Booleans as 0 or 1.</param>
    /// <returns>How many values were written.</returns>
    /// <exception cref="ArgumentException">There are not as many values as the columns take, or there is no room for the results.</exception>
    /// <exception cref="InvalidOperationException">A column holds something other than numbers, or the columns are not known.</exception>
    public int Score(ReadOnlySpan<float> values, Span<float> results)
    {
        var pool = Known;
        var lane = pool.Rent();
        try
        {
            lane.Read(values);
            return lane.Write(results);
        }
        finally
        {
            pool.Return(lane);
        }
    }

    /// <summary>Scores a row of JSON.</summary>
    /// <param name="json">A JSON object with a member for each column, such as <c>{"Age": 33, "City": "Bern"}</c>; other members are passed over.</param>
    /// <returns>A JSON object with a member for each of <see cref="OutputColumns"/>.</returns>
    /// <exception cref="ArgumentException">The row lacks a column, or a value is not of its type; the message names the column.</exception>
    /// <exception cref="JsonException">The text is not JSON.</exception>
    public string ScoreJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        var output = new ArrayBufferWriter<byte>(256);
        ScoreJson(Encoding.UTF8.GetBytes(json), output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    /// <summary>Scores a row of JSON, as a web server has it.</summary>
    /// <param name="utf8Json">A JSON object in UTF-8 with a member for each column.</param>
    /// <param name="output">Gets a JSON object in UTF-8 with a member for each of <see cref="OutputColumns"/>.</param>
    /// <exception cref="ArgumentException">The row lacks a column, or a value is not of its type; the message names the column.</exception>
    /// <exception cref="JsonException">The text is not JSON.</exception>
    public void ScoreJson(ReadOnlySpan<byte> utf8Json, IBufferWriter<byte> output)
    {
        ArgumentNullException.ThrowIfNull(output);
        if (_pool is not { } pool)
        {
            var text = utf8Json.ToArray();
            pool = Bind(() => InferredSchema.Of(text));
        }

        var lane = pool.Rent();
        try
        {
            lane.ReadJson(utf8Json);
            lane.WriteJson(output);
        }
        finally
        {
            pool.Return(lane);
        }
    }

    private Pool Bind(Func<DataViewSchema> infer)
    {
        lock (_lock)
            return _pool ??= new(new RowBinding(_model, infer(), _outputColumns));
    }

    /// <summary>Lanes that wait for a row: a mapper of ML.NET serves one thread at a time.</summary>
    private sealed class Pool(RowBinding binding)
    {
        private readonly RowLane?[] _free = new RowLane?[2 * Environment.ProcessorCount];

        public RowBinding Binding => binding;

        public RowLane Rent()
        {
            foreach (ref var place in _free.AsSpan())
            {
                if (Volatile.Read(ref place) is not null && Interlocked.Exchange(ref place, null) is { } lane)
                    return lane;
            }

            return new RowLane(binding);
        }

        public void Return(RowLane lane)
        {
            foreach (ref var place in _free.AsSpan())
            {
                if (Volatile.Read(ref place) is null && Interlocked.CompareExchange(ref place, lane, null) is null)
                    return;
            }

            lane.Dispose();
        }
    }
}
