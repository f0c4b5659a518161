using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;

namespace MlNetMlp.Tests.Interop;

/// <summary>Rows that are read from several columns: features, keys and numbers.</summary>
public sealed class LayoutTests
{
    private static readonly MLContext Ml = new(1);

    private static readonly InputColumn[] All =
        [new("User"), new("Pair"), new("Tags"), new("Dose", InputColumnTypes.Numbers, "treatment"), new("IsNew", InputColumnTypes.Keys | InputColumnTypes.Numbers)];

    private static readonly KeyedLinear.Options Plain = new()
    {
        LabelColumnName = "Target", Inputs = All, Seed = 1, Epochs = 3, ValidationFraction = 0, LearningRate = 0.05,
    };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rows_are_laid_out_as_features_and_columns_in_their_order(bool isStreamed)
    {
        var rows = Rows(40);
        var view = Keys().Fit(View(rows)).Transform(View(rows));
        var columns = FeatureColumns.Of(view.Schema, "Features", null, All).Measured([view], () => { });
        var layout = columns.Layout!;
        Assert.Equal(
            [new("User", 1, 5, false), new("Pair", 2, 3, false), new("Tags", 4, 6, true), new("Dose", 1, 0, false), new("IsNew", 1, 0, false)], layout.Columns);
        Assert.Equal((2 + 1 + 2 + 4 + 2, 5), (layout.Width, layout.StartOf(2)));
        var budget = isStreamed ? RowStore.BytesPerRow(layout.Width, 1) * 6 : long.MaxValue;
        var settings = new LoadSettings(TaskKind.Regression, new ColumnNames(columns, "Target", null, null), [], null, 0, budget, false, 1);
        var (set, _) = new TrainingSetLoader(settings, _ => { }, () => { }).Load(view, null, null);
        using (set)
        {
            Assert.Equal((isStreamed, layout.Width), (set.IsStreamed, set.FeatureCount));
            Assert.Equal(layout, set.Layout);
            Assert.Equal(layout.Columns.Select(column => column.IsKey ? column.KeyCount : (int?)null), set.KeyNames.Select(names => names?.Count));
            VBuffer<ReadOnlyMemory<char>> told = default;
            view.Schema["Tags"].GetKeyValues(ref told);
            Assert.Equal(told.DenseValues().Select(value => value.ToString()), set.KeyNames[2]);
            var read = new List<float>();
            foreach (var block in set.Blocks(7))
            {
                using (block)
                    read.AddRange(TensorMemory.Floats(block.Features).ToArray());
            }

            Assert.Equal(rows.SelectMany(Expected), read);
        }

        static float[] Expected(Row row)
        {
            float[] tags = [.. row.Tags.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(tag => (float)(tag[0] - 'a' + 1))];
            return [.. row.Features, row.User is null ? 0 : row.User[1] - '0', row.Left[0] - 'x' + 1, row.Right[0] - 'x' + 1, .. tags, .. new float[4 - tags.Length], row.Dose, row.IsNew ? 1 : 0];
        }
    }

    [Fact]
    public void All_ways_to_score_agree_also_from_a_file()
    {
        var rows = Rows(80);
        var model = Chain(Plain).Fit(View(rows));
        var scores = Fitted.Scores(model, View(rows));
        Assert.Equal(scores, Fitted.Scores(model, View(rows)));
        using var stream = new MemoryStream();
        Ml.Model.Save(model, View(rows).Schema, stream);
        var loaded = new MLContext().Model.Load(stream, out _);
        Assert.Equal(scores, Fitted.Scores(loaded, View(rows)));
        Assert.Equal(Network(model).Layout, Network(loaded).Layout);
        using var engine = Ml.Model.CreatePredictionEngine<Row, Answer>(loaded);
        Assert.All(rows.Zip(scores), pair => Assert.Equal(pair.Second, engine.Predict(pair.First).Score, 1e-5f));
    }

    [Fact]
    public void Keys_alone_are_enough()
    {
        var options = Plain with { FeatureColumnName = null, Inputs = [new("User")], Epochs = 60, BatchSize = 32 };
        var rows = Rows(400);
        var model = Chain(options).Fit(View(rows));
        Assert.True(Ml.Regression.Evaluate(model.Transform(View(Rows(200, seed: 2))), "Target").RSquared > 0.3);
        var without = Keys().Append(Ml.Transforms.DropColumns("Features")).Fit(View(rows));
        Assert.Equal(Fitted.Scores(model, View(rows)), Fitted.Scores(((TransformerChain<NetworkPredictionTransformer<RegressionNetworkModel>>)model).LastTransformer, without.Transform(View(rows))));
        using var stream = new MemoryStream();
        Ml.Model.Save(model, View(rows).Schema, stream);
        Assert.Equal(Fitted.Scores(model, View(rows)), Fitted.Scores(new MLContext().Model.Load(stream, out _), View(rows)));
        using var engine = Ml.Model.CreatePredictionEngine<Row, Answer>(model);
        Assert.True(float.IsFinite(engine.Predict(rows[0]).Score));
    }

    [Fact]
    public void New_keys_are_out_of_vocabulary_and_key_0_is_missing()
    {
        var options = Plain with { FeatureColumnName = null, Inputs = [new("User")] };
        var model = Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(options)).Fit(Numbered(4, [1, 2, 3, 4, 1, 2]));

        // Key 5 of a key of five values, and key 9 of one of nine, were both never seen; a key of two values knows no 3.
        float[] five = Fitted.Scores(model, Numbered(5, [1, 2, 5, 0])), nine = Fitted.Scores(model, Numbered(9, [1, 2, 9, 0])), two = Fitted.Scores(model, Numbered(2, [1, 2, 0, 0]));
        Assert.Equal(five, nine);
        Assert.Equal((five[0], five[1], five[3]), (two[0], two[1], two[3]));
        Assert.NotEqual(five[2], five[3]);
        using var network = Network(model).CreateNetwork();
        Assert.All(TensorMemory.ToFloats(((KeyedLinearNetwork)network).Embedding.Table.Weight)[..KeyedLinearDefinition.Width], value => Assert.Equal(0, value));
    }

    [Fact]
    public void Vectors_longer_than_those_of_training_count_by_their_first_keys()
    {
        var options = Plain with { FeatureColumnName = null, Inputs = [new("Tags")] };
        var rows = Rows(60);
        var model = Chain(options).Fit(View(rows));
        Row longer = new() { Tags = "b d a c f e" }, first = new() { Tags = "b d a c" }, none = new() { Tags = "" };
        var scores = Fitted.Scores(model, View([longer, first, none]));
        Assert.Equal(scores[1], scores[0]);
        Assert.NotEqual(scores[2], scores[0]);
    }

    [Fact]
    public void A_column_that_is_missing_or_of_another_type_is_refused_by_name_everywhere()
    {
        var keyed = Keys().Fit(View(Rows(40))).Transform(View(Rows(40)));
        var model = Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(Plain)).Fit(keyed);
        (IEstimator<ITransformer> Change, string[] Says)[] wrong =
        [
            (Ml.Transforms.DropColumns("User"), ["'User'", "categorical", "no column"]),
            (Ml.Transforms.CopyColumns("User", "Text"), ["'User'", "String", "key"]),
            (Ml.Transforms.CopyColumns("Pair", "Dose"), ["'Pair'", "Single", "key"]),
            (Ml.Transforms.CopyColumns("Dose", "User"), ["'Dose'", "Key", "number"]),
            (Ml.Transforms.CopyColumns("Tags", "Text"), ["'Tags'", "String"]),
        ];
        foreach (var (change, says) in wrong)
        {
            var data = change.Fit(keyed).Transform(keyed);
            var trainer = Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(Plain));
            foreach (var attempt in (Action[])[() => trainer.GetOutputSchema(Shape(data.Schema)), () => trainer.Fit(data), () => model.Transform(data)])
            {
                var message = Assert.ThrowsAny<ArgumentOutOfRangeException>(attempt).Message;
                Assert.All(says, part => Assert.Contains(part, message, StringComparison.Ordinal));
            }
        }

        var one = Ml.Transforms.CopyColumns("Pair", "User").Append(Ml.Transforms.CopyColumns("Tags", "User")).Fit(keyed).Transform(keyed);
        Assert.Contains("'Pair' has 1 values, but the model was trained on 2", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => model.Transform(one)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_of_more_values_than_a_Single_can_tell_apart_is_refused()
    {
        var hashed = Ml.Transforms.Conversion.Hash("User", "Text", numberOfBits: 24).Fit(View(Rows(20))).Transform(View(Rows(20)));
        var options = Plain with { FeatureColumnName = null, Inputs = [new("User")] };
        var message = Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(options)).Fit(hashed)).Message;
        Assert.All((string[])["'User'", "16777216", "16777215", "numberOfBits"], part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    [Fact]
    public void Validation_data_whose_keys_stand_for_other_values_are_refused()
    {
        var (rows, others) = (Rows(40), Rows(40).Reverse().ToArray());
        var train = Keys(sorted: false).Fit(View(rows)).Transform(View(rows));
        var held = Keys(sorted: false).Fit(View(others)).Transform(View(others));
        var trainer = Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(Plain with { Inputs = [new("User")] }));
        Assert.Contains("'User'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => trainer.Fit(train, held)).Message, StringComparison.Ordinal);
        trainer.Fit(train, train);
    }

    [Fact]
    public void A_bad_number_is_refused_by_its_own_column()
    {
        var rows = Rows(30);
        rows[7].Dose = float.NaN;
        var message = Assert.ThrowsAny<InvalidOperationException>(() => Chain(Plain).Fit(View(rows))).Message;
        Assert.Contains("'Dose', row 7, slot 0", message, StringComparison.Ordinal);
        var model = Chain(Plain).Fit(View(Rows(30)));
        Assert.Contains("'Dose', row 7, slot 0", Assert.ThrowsAny<InvalidOperationException>(() => Fitted.Scores(model, View(rows))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_features_are_allowed_only_where_other_columns_are_read()
    {
        var message = Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.Regression.Trainers.CreateTrainer(new PlainMlp(new() { FeatureColumnName = null }))).Message;
        Assert.Contains("'FeatureColumnName'", message, StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(Plain with { FeatureColumnName = "" })));
    }

    [Fact]
    public void What_sees_one_vector_only_refuses_such_models()
    {
        var data = Keys().Fit(View(Rows(60))).Transform(View(Rows(60)));
        var binary = Ml.BinaryClassification.Trainers.CreateTrainer(new KeyedLinear(Plain with { LabelColumnName = "Flag" }));
        Assert.Contains("several columns", Assert.ThrowsAny<ArgumentException>(() => Ml.MulticlassClassification.Trainers.OneVersusAll(binary)).Message, StringComparison.Ordinal);
        var model = Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(Plain)).Fit(data);
        Assert.Contains("other columns", Assert.ThrowsAny<ArgumentException>(() => Ml.Transforms.ExplainPrediction(model)).Message, StringComparison.Ordinal);
        var flagged = binary.Fit(data);
        Assert.Contains("other columns", Assert.ThrowsAny<ArgumentException>(() => Ml.BinaryClassification.EvaluateRobustness(data, flagged)).Message, StringComparison.Ordinal);
        Assert.Contains("other columns", Assert.ThrowsAny<ArgumentException>(() => Ml.Model.EvaluateBoundaryTilt(flagged, data)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Training_goes_on_with_the_vocabulary_of_the_earlier_model()
    {
        var options = Plain with { FeatureColumnName = null, Inputs = [new("User")] };
        var first = Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(options)).Fit(Numbered(4, [1, 2, 3, 4, 1, 2]));
        var second = Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(options)).Fit(Numbered(9, [1, 2, 9, 8, 1, 7]), first.Model);
        Assert.Equal(Network(first).Layout, Network(second).Layout);
        Assert.NotEqual(Fitted.Scores(first, Numbered(4, [1])), Fitted.Scores(second, Numbered(4, [1])));
        var other = options with { Inputs = [new("Other")] };
        var renamed = Ml.Transforms.CopyColumns("Other", "User").Fit(Numbered(4, [1, 2])).Transform(Numbered(4, [1, 2]));
        Assert.Contains("InitialModel", Assert.ThrowsAny<InvalidOperationException>(() => Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(other)).Fit(renamed, first.Model)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Full_batches_cannot_train_tables_of_rows()
    {
        var options = Plain with { Optimizer = OptimizerKind.Lbfgs };
        Assert.Contains("L-BFGS", Assert.ThrowsAny<InvalidOperationException>(() => Chain(options).Fit(View(Rows(20)))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Batches_in_parts_train_tables_as_whole_ones_do()
    {
        var options = Plain with { BatchSize = 20, RowDecay = 0.01, GradientClipNorm = 0.5 };
        float[] whole = Fitted.Scores(Chain(options).Fit(View(Rows(60))), View(Rows(60))), parts = Fitted.Scores(Chain(options with { MicroBatchSize = 7 }).Fit(View(Rows(60))), View(Rows(60)));
        Assert.Equal(whole, parts, (x, y) => Math.Abs(x - y) < 1e-3);
        Assert.NotEqual(whole, Fitted.Scores(Chain(options with { RowDecay = 10 }).Fit(View(Rows(60))), View(Rows(60))));
    }

    [Fact]
    public void A_method_that_forgets_the_layout_is_told_so()
    {
        var message = Assert.ThrowsAny<InvalidOperationException>(() => Chain(Plain with { ForgetsLayout = true }).Fit(View(Rows(20)))).Message;
        Assert.Contains("layout", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("featureWidth", 3)]
    [InlineData("featureWidth", -1)]
    [InlineData("keyCount", -1)]
    [InlineData("width", 0)]
    [InlineData("width", int.MaxValue)]
    [InlineData("name", "")]
    public void A_layout_that_no_rows_have_is_refused(string member, object value)
    {
        var model = Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(Plain)).Fit(Keys().Fit(View(Rows(30))).Transform(View(Rows(30))));
        var changed = ModelZip.ChangeJson(ModelZip.Save(model, View(Rows(1))), header =>
        {
            var layout = header["definition"]!["layout"]!.AsObject();
            var part = member == "featureWidth" ? layout : layout["columns"]![0]!.AsObject();
            part[member] = value is int number ? JsonValue.Create(number) : JsonValue.Create((string)value);
        });
        var error = Assert.ThrowsAny<Exception>(() => ModelZip.Load(changed));
        while (error is not ModelFormatException && error.InnerException is { } inner)
            error = inner;
        Assert.Contains("network.json", Assert.IsType<ModelFormatException>(error).Message, StringComparison.Ordinal);
    }

    private static SchemaShape Shape(DataViewSchema schema) =>
        (SchemaShape)typeof(SchemaShape).GetMethod("Create", BindingFlags.Static | BindingFlags.NonPublic)!.Invoke(null, [schema])!;

    private static TrainedNetwork Network(ITransformer model) => Fitted.Network(model);

    private static EstimatorChain<NetworkPredictionTransformer<RegressionNetworkModel>> Chain(KeyedLinear.Options options) =>
        Keys().Append(Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(options)));

    private static EstimatorChain<ITransformer> Keys(bool sorted = true)
    {
        var order = sorted ? ValueToKeyMappingEstimator.KeyOrdinality.ByValue : ValueToKeyMappingEstimator.KeyOrdinality.ByOccurrence;
        return new EstimatorChain<ITransformer>()
            .Append(Ml.Transforms.Conversion.MapValueToKey("User", "User", keyOrdinality: order))
            .Append(Ml.Transforms.Concatenate("Pair", "Left", "Right"))
            .Append(Ml.Transforms.Conversion.MapValueToKey("Pair", "Pair", keyOrdinality: order))
            .Append(Ml.Transforms.Text.TokenizeIntoWords("Tags", "Tags"))
            .Append((IEstimator<ITransformer>)Ml.Transforms.Conversion.MapValueToKey("Tags", "Tags", keyOrdinality: order));
    }

    private static IDataView Numbered(int count, uint[] keys)
    {
        // ML.NET takes 0 of a field for key 1, and the count for a missing key.
        var schema = SchemaDefinition.Create(typeof(NumberedRow));
        schema[nameof(NumberedRow.User)].ColumnType = new KeyDataViewType(typeof(uint), count);
        return Ml.Data.LoadFromEnumerable(keys.Select((key, i) => new NumberedRow { User = key == 0 ? (uint)count : key - 1, Target = i }), schema);
    }

    private static IDataView View(IEnumerable<Row> rows) => Ml.Data.LoadFromEnumerable(rows);

    private static Row[] Rows(int count, ulong seed = 1)
    {
        var random = new DeterministicRandom(seed);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            var user = i < 5 ? i : random.Next(6);
            var tags = new StringBuilder();
            for (var j = i % 5; j > 0; j--)
                tags.Append((char)('a' + (((i * 5) + j) % 6))).Append(' ');
            return new Row
            {
                Features = [(float)random.NextDouble(), (float)random.NextDouble()],
                User = user == 5 ? null : $"u{user + 1}",
                Left = $"{(char)('x' + (i % 3))}",
                Right = $"{(char)('x' + (i / 3 % 3))}",
                Tags = tags.ToString().TrimEnd(),
                Dose = (float)random.NextDouble(),
                IsNew = i % 2 == 0,
                Text = $"t{i % 3}",
                Target = (2 * user) + (float)random.NextDouble(),
                Flag = user > 2,
            };
        })];
    }

    private sealed class Row
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [0, 0];

        public string? User { get; set; } = "u1";

        public string Left { get; set; } = "x";

        public string Right { get; set; } = "x";

        public string Tags { get; set; } = "";

        public float Dose { get; set; }

        public bool IsNew { get; set; }

        public string Text { get; set; } = "";

        public float Target { get; set; }

        public bool Flag { get; set; }
    }

    private sealed class NumberedRow
    {
        public uint User { get; set; }

        public float Target { get; set; }
    }

    private sealed class Answer
    {
        public float Score { get; set; }
    }
}
