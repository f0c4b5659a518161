using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Networks;

namespace MlNetMlp.Conformance;

/// <summary>A row of generated data that any method learns quickly, with a label for each task.</summary>
public sealed class SampleRow
{
    /// <summary>Features, evenly spread in [-2, 2].</summary>
    public float[] Features { get; set; } = [];

    /// <summary>The label for regression: 10 + 3·x₀ - 2·x₁² and a little noise. The second of two outputs is its opposite.</summary>
    public float Number { get; set; }

    /// <summary>The label for binary classification: whether x₀ + x₁ is positive.</summary>
    public bool Flag { get; set; }

    /// <summary>The label for multiclass classification: <c>big</c>, <c>medium</c> or <c>small</c>.</summary>
    public string? Kind { get; set; } = "";

    /// <summary>An example weight.</summary>
    public float Weight { get; set; } = 1;

    /// <summary>Number of the row.</summary>
    public int Id { get; set; }

    /// <summary>A text that has nothing to do with the labels.</summary>
    public string Text { get; set; } = "";

    /// <summary>
    /// A key of four values, as a data view reads it: 0 to 3 are keys 1 to 4, and 4 is a missing one. It has nothing to do with the labels.
    /// </summary>
    public uint Group { get; set; }

    /// <summary>Up to three keys of six values that have nothing to do with the labels.</summary>
    public uint[] Words { get; set; } = [];

    /// <summary>Whether the row has had a treatment, which has nothing to do with the labels: the default name of that column.</summary>
    public bool Treatment { get; set; }

    /// <summary>A copy with features of its own.</summary>
    /// <param name="change">Changes the copy.</param>
    /// <returns>The copy.</returns>
    public SampleRow With(Action<SampleRow> change)
    {
        var copy = (SampleRow)MemberwiseClone();
        copy.Features = [.. Features];
        change(copy);
        return copy;
    }
}

/// <summary>Generated rows, and data views of them.</summary>
internal static class Samples
{
    private const int Groups = 4;
    private const int AllWords = 6;

    /// <summary>The classes of <see cref="SampleRow.Kind"/>, in the order of their keys.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["big", "medium", "small"];

    /// <summary>Makes rows, the same ones for the same arguments.</summary>
    /// <param name="count">How many.</param>
    /// <param name="features">Number of features, at least 2.</param>
    /// <param name="seed">Decides the values.</param>
    /// <returns>The rows.</returns>
    public static IReadOnlyList<SampleRow> Make(int count, int features, int seed = 1)
    {
        var random = new Random(seed);
        var rows = new SampleRow[count];
        for (var i = 0; i < count; i++)
        {
            var x = new float[features];
            for (var j = 0; j < features; j++)
                x[j] = (float)((random.NextDouble() * 4) - 2);
            rows[i] = new()
            {
                Features = x,
                Number = 10 + (3 * x[0]) - (2 * x[1] * x[1]) + (float)(0.1 * (random.NextDouble() - 0.5)),
                Flag = x[0] + x[1] > 0,
                Kind = x[0] > 0.7f ? "big" : x[1] > 0 ? "medium" : "small",
                Weight = 1 + (i % 3),
                Id = i,
                Text = "row " + (i % 7),
                Group = (uint)(i * 7 % 5),
                Treatment = i * 5 % 7 < 3,
                Words = [.. Enumerable.Range(0, i % 4).Select(j => (uint)((i + j) % 6))],
            };
        }

        return rows;
    }

    /// <summary>Makes rows in time order whose features are channels of a series: a wave each, with a little noise.</summary>
    /// <param name="count">How many.</param>
    /// <param name="channels">Number of channels.</param>
    /// <param name="seed">Decides the values.</param>
    /// <returns>The rows.</returns>
    public static IReadOnlyList<SampleRow> MakeSeries(int count, int channels, int seed = 1)
    {
        var noise = new Random(seed);
        return
        [
            .. Make(count, Math.Max(2, channels), seed).Select((row, t) => row.With(r =>
                r.Features = [.. Enumerable.Range(0, channels).Select(c => (float)((1.9 * Math.Sin(seed + c + (0.35 * (1 + (0.1 * c)) * t))) + (0.1 * (noise.NextDouble() - 0.5))))])),
        ];
    }

    /// <summary>A data view of rows, with the columns of <see cref="SampleRow"/> and <c>Label</c> for a task.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="task">The task.</param>
    /// <param name="rows">The rows.</param>
    /// <param name="features">Number of features of a row.</param>
    /// <param name="isNamed">Whether the features have names: f0, f1 and so on.</param>
    /// <returns>The data.</returns>
    public static IDataView View(MLContext ml, EstimatorTask task, IEnumerable<SampleRow> rows, int features, bool isNamed = false)
    {
        var schema = Schema(features);
        if (isNamed)
        {
            var names = Enumerable.Range(0, features).Select(i => $"f{i}".AsMemory()).ToArray();
            schema[nameof(SampleRow.Features)].AddAnnotation(
                "SlotNames", new VBuffer<ReadOnlyMemory<char>>(features, names), new VectorDataViewType(TextDataViewType.Instance, features));
        }

        var view = ml.Data.LoadFromEnumerable(rows, schema);
        return task switch
        {
            EstimatorTask.Regression or EstimatorTask.Causal or EstimatorTask.Forecasting => ml.Transforms.CopyColumns("Label", nameof(SampleRow.Number)).Fit(view).Transform(view),
            EstimatorTask.MultiOutput => ml.Transforms.Expression("Opposite", "x : -x", nameof(SampleRow.Number))
                .Append(ml.Transforms.Concatenate("Label", nameof(SampleRow.Number), "Opposite")).Fit(view).Transform(view),
            EstimatorTask.Binary => ml.Transforms.CopyColumns("Label", nameof(SampleRow.Flag)).Fit(view).Transform(view),
            _ => Key(ml, nameof(SampleRow.Kind), Kinds).Fit(view).Transform(view),
        };
    }

    /// <summary>Makes <c>Label</c> a key of a column, with the classes in a given order.</summary>
    /// <typeparam name="T">Type of the values.</typeparam>
    /// <param name="ml">The context.</param>
    /// <param name="column">The column.</param>
    /// <param name="classes">The classes, in the order of their keys.</param>
    /// <returns>The estimator.</returns>
    public static IEstimator<ITransformer> Key<T>(MLContext ml, string column, IEnumerable<T> classes) => ml.Transforms.Conversion.MapValueToKey(
        "Label", column, keyData: ml.Data.LoadFromEnumerable(classes.Select(value => new Named<T> { Value = value })));

    /// <summary>The schema of <see cref="SampleRow"/> with a number of features.</summary>
    /// <param name="features">Number of features of a row.</param>
    /// <returns>The schema.</returns>
    public static SchemaDefinition Schema(int features)
    {
        var schema = SchemaDefinition.Create(typeof(SampleRow));
        schema[nameof(SampleRow.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, features);
        schema[nameof(SampleRow.Group)].ColumnType = new KeyDataViewType(typeof(uint), Groups);
        schema[nameof(SampleRow.Words)].ColumnType = new VectorDataViewType(new KeyDataViewType(typeof(uint), AllWords));
        return schema;
    }

    /// <summary>The numbers of a row as a network gets them.</summary>
    /// <param name="row">The row.</param>
    /// <param name="layout">How they lie where the network reads other columns beside the features; null where it does not.</param>
    /// <returns>The numbers.</returns>
    public static IEnumerable<float> Numbers(SampleRow row, RowLayout? layout)
    {
        return layout is null ? row.Features : row.Features.Concat(layout.Columns.SelectMany(column => column.IsKey ? Keys(column) : [row.Treatment ? 1 : 0]));

        IEnumerable<float> Keys(RowColumn column)
        {
            uint[] keys = column.Name == nameof(SampleRow.Group) ? [row.Group] : row.Words;
            return keys.Select(key => key < column.KeyCount ? key + 1f : 0).Concat(new float[column.Width - keys.Length]);
        }
    }

    private sealed class Named<T>
    {
        public T Value { get; set; } = default!;
    }
}
