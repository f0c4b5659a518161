using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Single rows without classes: the same bits as Transform gives, in every form, from every thread.</summary>
public sealed class RowScorerTests
{
    private static readonly string[] Kinds = ["red", "green", "blue"];

    private static readonly MLContext Ml = new(1);

    private sealed class House
    {
        public float Rooms { get; set; }

        public string Town { get; set; } = "";

        public string Words { get; set; } = "";

        public bool HasGarden { get; set; }

        [VectorType(3)]
        public float[] Sizes { get; set; } = [];

        public double Age { get; set; }

        public float Price { get; set; }

        public string Kind { get; set; } = "";

        public bool IsSold { get; set; }
    }

    private static readonly House[] Houses =
    [
        .. Enumerable.Range(0, 80).Select(i => new House
        {
            Rooms = i % 7 == 3 ? float.NaN : i % 7, Town = Kinds[i % 3], Words = i % 2 == 0 ? "large and \"bright\"" : "small, near tram\t9", HasGarden = i % 5 < 2,
            Sizes = [i * 0.1f, 1f / (i + 1), i % 4], Age = i * 1.25, Price = (i % 7 * 10) + i, Kind = Kinds[i % 3], IsSold = i % 7 > 3,
        }),
    ];

    private static readonly IDataView Data = Ml.Data.LoadFromEnumerable(Houses);

    private static EstimatorChain<ColumnConcatenatingTransformer> Features() =>
        Ml.Transforms.Categorical.OneHotEncoding("Place", "Town")
            .Append(Ml.Transforms.Text.FeaturizeText("Text", "Words"))
            .Append(Ml.Transforms.ReplaceMissingValues("Rooms"))
            .Append(Ml.Transforms.Conversion.ConvertType("Garden", "HasGarden"))
            .Append(Ml.Transforms.Conversion.ConvertType("Years", "Age"))
            .Append(Ml.Transforms.Concatenate("Features", "Place", "Text", "Rooms", "Garden", "Sizes", "Years"));

    public static TheoryData<string> Names => ["ours", "trees", "classes", "flags", "clusters", "words"];

    private static readonly ConcurrentDictionary<string, Lazy<ITransformer>> Models = new();

    private static ITransformer Model(string name) => Models.GetOrAdd(name, key => new(() => Train(key))).Value;

    private static ITransformer Train(string name) => (name switch
    {
        "ours" => Features().Append(Ml.Regression.Trainers.CreateTrainer(new PlainMlp(new() { LabelColumnName = "Price", Epochs = 2, Hidden = 8, Seed = 1, IsDense = true }))),
        "trees" => Features().Append(Ml.Regression.Trainers.FastTree("Price", numberOfTrees: 5, minimumExampleCountPerLeaf: 3)),
        "classes" => Features().Append(Ml.Transforms.Conversion.MapValueToKey("Key", "Kind"))
            .Append(Ml.MulticlassClassification.Trainers.LbfgsMaximumEntropy("Key")).Append(Ml.Transforms.Conversion.MapKeyToValue("PredictedLabel")),
        "flags" => Features().Append(Ml.BinaryClassification.Trainers.LbfgsLogisticRegression("IsSold")),
        "clusters" => Features().Append(Ml.Clustering.Trainers.KMeans(numberOfClusters: 3)),
        _ => (IEstimator<ITransformer>)Ml.Transforms.Text.TokenizeIntoWords("Words2", "Words").Append(Ml.Transforms.Conversion.MapValueToKey("Words3", "Words2")),
    }).Fit(Data);

    private static Dictionary<string, object?> Row(House house) => new()
    {
        ["Rooms"] = float.IsNaN(house.Rooms) ? null : house.Rooms, ["Town"] = house.Town, ["Words"] = house.Words, ["HasGarden"] = house.HasGarden, ["Sizes"] = house.Sizes, ["Age"] = house.Age,
    };

    private static string Json(House house) => JsonSerializer.Serialize(Row(house));

    [Theory]
    [MemberData(nameof(Names))]
    public void Dictionaries_and_json_give_what_Transform_gives(string name)
    {
        var model = Model(name);
        var scorer = model.CreateRowScorer(Data.Schema);
        var scored = model.Transform(Data);
        var expected = scorer.OutputColumns.Select(column => Cells(scored, column.Name)).ToArray();

        for (var i = 0; i < Houses.Length; i++)
        {
            var results = scorer.Score(Row(Houses[i]));
            using var json = JsonDocument.Parse(scorer.ScoreJson(Json(Houses[i])));
            for (var j = 0; j < expected.Length; j++)
            {
                var column = scorer.OutputColumns[j].Name;
                Assert.Equal(expected[j][i], Text(results[column]));
                Assert.Equal(expected[j][i], Text(json.RootElement.GetProperty(column)));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void Networks_of_every_task_score_as_they_do_in_blocks(TaskKind task, bool isDense)
    {
        var model = Fitted.Model(task, isDense);
        var scorer = model.CreateRowScorer(Fitted.Data.Schema, ["Score"]);
        var scores = Fitted.Scores(model);
        var width = scores.Length / Fitted.FewRows;
        var rows = scorer.InputColumns.Select(column => Objects(Fitted.Data, column)).ToArray();

        for (var i = 0; i < Fitted.FewRows; i++)
        {
            var row = scorer.InputColumns.Select((column, j) => (column.Name, Value: rows[j][i])).ToDictionary(pair => pair.Name, pair => (object?)pair.Value);
            var score = scorer.Score(row)["Score"];
            float[] values = score as float[] ?? [(float)score!];

            // Networks of libtorch round products of one row otherwise than those of a block.
            for (var j = 0; j < width; j++)
                Assert.Equal(scores[(i * width) + j], values[j], isDense ? 0 : 1e-5f * Math.Max(1, Math.Abs(values[j])));
        }
    }

    private static List<object?> Objects(IDataView data, DataViewSchema.Column column) => column.Type switch
    {
        VectorDataViewType => [.. data.GetColumn<float[]>(column)],
        NumberDataViewType when column.Type.RawType == typeof(float) => [.. data.GetColumn<float>(column).Cast<object?>()],
        NumberDataViewType when column.Type.RawType == typeof(double) => [.. data.GetColumn<double>(column).Cast<object?>()],
        NumberDataViewType when column.Type.RawType == typeof(int) => [.. data.GetColumn<int>(column).Cast<object?>()],
        _ => [.. data.GetColumn<string>(column)],
    };

    [Fact]
    public void Spans_hold_the_columns_one_after_the_other()
    {
        var model = Ml.Transforms.Concatenate("Features", "Rooms", "Sizes").Append(Ml.Transforms.ReplaceMissingValues("Features"))
            .Append(Ml.MulticlassClassification.Trainers.LbfgsMaximumEntropy("Key")).Fit(Keyed());
        var scorer = model.CreateRowScorer(Data.Schema);
        Assert.Equal(["Rooms", "Sizes"], scorer.InputColumns.Select(column => column.Name));
        var scored = model.Transform(Data);
        var (scores, labels) = (scored.GetColumn<float[]>("Score").ToArray(), scored.GetColumn<uint>("PredictedLabel").ToArray());
        var results = new float[4];

        for (var i = 0; i < Houses.Length; i++)
        {
            Assert.Equal(4, scorer.Score([Houses[i].Rooms, .. Houses[i].Sizes], results));
            Assert.Equal([.. scores[i], labels[i]], results);
        }

        Assert.Contains("3 values, but the columns 'Rooms', 'Sizes' take 4", Assert.Throws<ArgumentException>(() => scorer.Score([1, 2, 3], results)).Message, StringComparison.Ordinal);
        Assert.Contains("take 4", Assert.Throws<ArgumentException>(() => scorer.Score([1, 2, 3, 4, 5], results)).Message, StringComparison.Ordinal);
        Assert.Contains("'Score' has 3 values, but there is room for 2", Assert.Throws<ArgumentException>(() => scorer.Score([1, 2, 3, 4], results.AsSpan(0, 2))).Message, StringComparison.Ordinal);
        Assert.Contains("'Words' holds String", Assert.Throws<InvalidOperationException>(() => Model("words").CreateRowScorer(Data.Schema).Score([1], results)).Message, StringComparison.Ordinal);

        static IDataView Keyed() => Ml.Transforms.Conversion.MapValueToKey("Key", "Kind").Fit(Data).Transform(Data);
    }

    [Fact]
    public void Keys_are_given_and_told_by_what_they_stand_for()
    {
        var keyed = Ml.Transforms.Conversion.MapValueToKey("Key", "Town").Append(Ml.Transforms.Conversion.MapValueToKey("Label", "Kind")).Fit(Data).Transform(Data);
        var model = Ml.Transforms.Conversion.MapKeyToVector("Place", "Key").Append(Ml.MulticlassClassification.Trainers.LbfgsMaximumEntropy("Label", "Place")).Fit(keyed);
        var scorer = model.CreateRowScorer(keyed.Schema);

        Assert.Equal("green", scorer.Score(new Dictionary<string, object?> { ["Key"] = "green" })["PredictedLabel"]);
        Assert.Equal("green", scorer.Score(new Dictionary<string, object?> { ["Key"] = 2 })["PredictedLabel"]);
        Assert.Contains("\"PredictedLabel\":\"blue\"", scorer.ScoreJson("{\"Key\": \"blue\"}"), StringComparison.Ordinal);
        Assert.Contains("\"PredictedLabel\":\"blue\"", scorer.ScoreJson("{\"Key\": 3}"), StringComparison.Ordinal);

        // What was never seen is missing, as in MapValueToKey.
        Assert.Equal(scorer.ScoreJson("{\"Key\": null}"), scorer.ScoreJson("{\"Key\": \"pink\"}"));
        Assert.Throws<ArgumentException>(() => scorer.ScoreJson("{\"Key\": 4}"));
    }

    [Theory]
    [InlineData("ours")]
    [InlineData("trees")]
    public void Without_a_schema_the_first_row_says_what_there_is(string name)
    {
        var model = Model(name);
        using var file = new MemoryStream();
        Ml.Model.Save(model, null, file);
        var (rows, json) = (new MLContext().Model.Load(file, out _).CreateRowScorer(), new MLContext().Model.Load(file, out _).CreateRowScorer());
        var expected = model.Transform(Data).GetColumn<float>("Score").ToArray();
        Assert.Throws<InvalidOperationException>(() => rows.InputColumns);

        for (var i = 0; i < Houses.Length; i++)
        {
            var row = Row(Houses[i]);
            row["Note"] = "nothing that the model knows";

            // The column was Double; what the row says is a number.
            row["Age"] = (float)Houses[i].Age;
            Assert.Equal(expected[i], rows.Score(row)["Score"]);
            Assert.Equal(expected[i], JsonDocument.Parse(json.ScoreJson(JsonSerializer.Serialize(row))).RootElement.GetProperty("Score").GetSingle());
        }
    }

    [Theory]
    [InlineData("{}", "The row has no value for the column 'Rooms' (Single)")]
    [InlineData("{\"Rooms\": \"three\"}", "The column 'Rooms' holds Single; the row has three.")]
    [InlineData("{\"Rooms\": true}", "The column 'Rooms' holds Single; the row has true.")]
    [InlineData("{\"Rooms\": [1]}", "The column 'Rooms' holds Single; the row has StartArray.")]
    [InlineData("{\"Sizes\": [1, 2]}", "The column 'Sizes' holds Vector<Single, 3>; the row has 2 values.")]
    [InlineData("{\"Sizes\": [1, 2, \"x\"]}", "The column 'Sizes' holds Vector<Single, 3>; the row has x in slot 2.")]
    [InlineData("{\"Sizes\": 1}", "where an array is expected")]
    [InlineData("{\"HasGarden\": null}", "The column 'HasGarden' holds Boolean; the row has null.")]
    [InlineData("[]", "A row is a JSON object.")]
    public void A_row_that_does_not_fit_is_told_by_column(string json, string message) =>
        Assert.Contains(message, Assert.Throws<ArgumentException>(() => Model("trees").CreateRowScorer(Data.Schema).ScoreJson(json)).Message, StringComparison.Ordinal);

    [Fact]
    public void Bad_models_columns_and_texts_are_told()
    {
        var scorer = Model("trees").CreateRowScorer(Data.Schema);
        Assert.ThrowsAny<JsonException>(() => scorer.ScoreJson("{\"Rooms\": "));
        Assert.ThrowsAny<JsonException>(() => scorer.ScoreJson(Json(Houses[0]) + " x"));
        Assert.Contains("'Rooms' holds Single; the row has 'x' (String)", Assert.Throws<ArgumentException>(() => scorer.Score(new Dictionary<string, object?>(Row(Houses[0])) { ["Rooms"] = "x" })).Message, StringComparison.Ordinal);
        Assert.Contains("computes no column 'Scores'", Assert.Throws<ArgumentException>(() => Model("trees").CreateRowScorer(Data.Schema, ["Scores"])).Message, StringComparison.Ordinal);

        // The scorer is as good as before.
        Assert.Equal(Model("trees").Transform(Data).GetColumn<float>("Score").First(), scorer.Score(Row(Houses[0]))["Score"]);
    }

    [Theory]
    [InlineData("ours")]
    [InlineData("flags")]
    public void One_scorer_serves_all_threads(string name)
    {
        var model = Model(name);
        var scorer = model.CreateRowScorer(Data.Schema, ["Score"]);
        var expected = model.Transform(Data).GetColumn<float>("Score").ToArray();

        Parallel.For(0, 2000, new() { MaxDegreeOfParallelism = 16 }, i =>
        {
            var house = Houses[i % Houses.Length];
            Assert.Equal(expected[i % Houses.Length], i % 2 == 0 ? scorer.Score(Row(house))["Score"] : JsonDocument.Parse(scorer.ScoreJson(Json(house))).RootElement.GetProperty("Score").GetSingle());
        });
    }

    [Fact]
    public void Nothing_is_allocated_for_spans_and_json()
    {
        var model = Ml.Transforms.Concatenate("Features", "Rooms", "Sizes")
            .Append(Ml.Regression.Trainers.CreateTrainer(new PlainMlp(new() { LabelColumnName = "Price", Epochs = 1, Hidden = 8, Seed = 1, IsDense = true }))).Fit(Ml.Data.FilterRowsByMissingValues(Data, "Rooms"));
        var scorer = model.CreateRowScorer(Data.Schema);
        var (values, results, json, output) = (new float[] { 1, 2, 3, 4 }, new float[1], Encoding.UTF8.GetBytes("{\"Other\":\"x\",\"Rooms\":1,\"Sizes\":[2,3,4]}"), new ArrayBufferWriter<byte>(1024));
        Score(100);

        Assert.Equal(0, Allocations.Of(() => Score(100)));

        void Score(int times)
        {
            for (var i = 0; i < times; i++)
            {
                scorer.Score(values, results);
                output.ResetWrittenCount();
                scorer.ScoreJson(json, output);
            }
        }
    }

    private static string[] Cells(IDataView scored, string name) => scored.Schema[name].Type switch
    {
        VectorDataViewType { ItemType: TextDataViewType } => [.. scored.GetColumn<string[]>(name).Select(value => Text(value))],
        VectorDataViewType { ItemType: KeyDataViewType } => [.. new MLContext().Transforms.Conversion.MapKeyToValue(name).Fit(scored).Transform(scored).GetColumn<string[]>(name).Select(value => Text(value))],
        VectorDataViewType => [.. scored.GetColumn<float[]>(name).Select(value => Text(value))],
        KeyDataViewType when scored.Schema[name].HasKeyValues() => [.. new MLContext().Transforms.Conversion.MapKeyToValue(name).Fit(scored).Transform(scored).GetColumn<string>(name).Select(value => Text(value))],
        KeyDataViewType => [.. scored.GetColumn<uint>(name).Select(value => Text(value))],
        TextDataViewType => [.. scored.GetColumn<string>(name).Select(value => Text(value))],
        BooleanDataViewType => [.. scored.GetColumn<bool>(name).Select(value => Text(value))],
        _ => [.. scored.GetColumn<float>(name).Select(value => Text(value))],
    };

    private static string Text(object? value) => value switch
    {
        JsonElement { ValueKind: JsonValueKind.Array } array => string.Join(' ', array.EnumerateArray().Select(item => Text(item))),
        JsonElement { ValueKind: JsonValueKind.String } text => text.GetString()!,
        JsonElement { ValueKind: JsonValueKind.Number } number => number.GetSingle().ToString("R", CultureInfo.InvariantCulture),
        JsonElement other => other.GetBoolean().ToString(),
        float[] values => string.Join(' ', values.Select(item => Text(item))),
        string[] values => string.Join(' ', values),
        float number => number.ToString("R", CultureInfo.InvariantCulture),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };
}
