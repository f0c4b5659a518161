using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Scoring;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Interop;

/// <summary>The activations before the last layer as a column for other trainers.</summary>
public class NetworkFeatureTests
{
    private const int Hidden = 8;

    private static readonly MLContext Ml = Fitted.Ml;

    private sealed class Deep
    {
        public int Number { get; set; }

        [ColumnName("Deep")]
        public float[] Features { get; set; } = [];
    }

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void Features_are_what_the_last_layer_reads(TaskKind task, bool isDense)
    {
        var model = Fitted.Model(task, isDense);
        var whole = Fitted.Network(model);

        var features = Read(Featurizer(model).Fit(Fitted.Named).Transform(Fitted.Named));

        using var scope = NewDisposeScope();
        using var network = (PlainMlpNetwork)whole.CreateNetwork();
        var layer = network.named_children().Single(child => child.name == "output").module;
        var outputs = ((Dense)layer).call(tensor(features.SelectMany(row => row).ToArray(), [features.Length, Hidden]));
        var expected = network.call(tensor(Vectors(Fitted.Named, "Features").SelectMany(row => row).ToArray(), [features.Length, whole.Inputs]));
        Assert.True((outputs - expected).abs().max().item<float>() < 1e-5);
        Assert.All(features, row => Assert.Equal(Hidden, row.Length));
        Assert.All(features, row => Assert.All(row, value => Assert.True(value >= 0)));
        Assert.Contains(features, row => row.Any(value => value > 0));
    }

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void The_type_of_the_label_says_what_is_learned(TaskKind task, bool isDense)
    {
        var data = Labelled();

        var trained = Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(Fitted.Options(task, isDense))).Fit(data);

        // The same seed trains the same network, whether its last layer is kept or not.
        Bits.Equal(Flat(Featurizer(Fitted.Model(task, isDense)).Fit(data).Transform(data)), Flat(trained.Transform(data)));
        Assert.Equal(new FeatureHead { Width = Hidden }, trained.Network.Head);
        Assert.Equal("PlainMlp", trained.Network.MethodName);
        Assert.Equal(Fitted.Network(Fitted.Model(task, isDense)).LearningCurve, trained.Network.LearningCurve);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_saved_transformer_gives_the_same_bits_and_keeps_no_last_layer(bool isDense)
    {
        var model = Featurizer(Fitted.Model(TaskKind.Multiclass, isDense)).Fit(Fitted.Named);

        var file = ModelZip.Save(model, Fitted.Named);
        var loaded = Assert.IsType<NetworkFeatureTransformer>(ModelZip.Load(file));

        Bits.Equal(Flat(model.Transform(Fitted.Named)), Flat(loaded.Transform(Fitted.Named)));
        Assert.Equal(("Deep", "Features"), (loaded.OutputColumnName, loaded.InputColumnName));
        var entry = Assert.Single(ModelZip.Read(file, ModelZip.Weights));
        var weights = SafeTensors.Read(new MemoryStream(entry), entry.Length);
        Assert.Equal(["hidden.bias", "hidden.weight", "mean", "scale"], weights.Select(tensor => tensor.Name).Order());
        Assert.Equal(model.Network.WeightCount, weights.Sum(tensor => (long)tensor.ElementCount));
        Assert.Equal(ModelZip.Read(file, ModelZip.Header), ModelZip.Read(ModelZip.Save(loaded, Fitted.Named), ModelZip.Header));
        Assert.Equal(model.Network.FeatureNames, loaded.Network.FeatureNames);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_disposed_transformer_holds_no_native_memory_and_still_works(bool isDense)
    {
        var model = Featurizer(Fitted.Model(TaskKind.Binary, isDense)).Fit(Fitted.Named);
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var expected = Flat(model.Transform(Fitted.Named));
        Assert.Equal(!isDense, DisposeScopeManager.Statistics.ThreadTotalLiveCount > before);

        model.Dispose();

        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        Bits.Equal(expected, Flat(model.Transform(Fitted.Named)));
        model.Dispose();
    }

    [Fact]
    public void A_network_that_puts_out_another_number_of_features_than_promised_is_found_out()
    {
        var body = Featurizer(Fitted.Model(TaskKind.Binary, isDense: false)).Fit(Fitted.Named).Network;
        var lying = new TrainedNetwork(body.Definition with { Outputs = 5 }, body.Weights, new FeatureHead { Width = 5 }) { MethodName = "PlainMlp" };

        var e = Assert.Throws<InvalidOperationException>(() => lying.Score(new float[2 * lying.Inputs], new float[2 * 5]));
        Assert.Contains("promises 5 values for a row, but its network puts out 8", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Large_bodies_are_saved_too()
    {
        var options = Fitted.Options(TaskKind.Regression) with { Hidden = 40_000, Epochs = 1 };
        var model = Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(options)).Fit(Fitted.Named);
        Assert.True(model.Network.Weights.ByteCount > 1_000_000);

        var loaded = ModelZip.Load(ModelZip.Save(model, Fitted.Named));

        Bits.Equal(Flat(model.Transform(Fitted.Named)), Flat(loaded.Transform(Fitted.Named)));
    }

    [Fact]
    public void Another_trainer_learns_from_the_features_in_a_chain()
    {
        var (train, test) = (Rows.View(Ml, 1000), Rows.View(Ml, 300, seed: 2));
        var options = PipelineTests.Small("Target");
        var deep = Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(options)).Append(Ml.Regression.Trainers.Sdca("Target", "Deep")).Fit(train);
        var plain = Ml.Regression.Trainers.Sdca("Target").Fit(train);

        var better = Ml.Regression.Evaluate(deep.Transform(test), "Target").RSquared;
        var worse = Ml.Regression.Evaluate(plain.Transform(test), "Target").RSquared;

        Assert.True(better > 0.95 && worse < 0.8, $"R² {better} with features, {worse} without");
        Bits.Equal(
            [.. deep.Transform(test).GetColumn<float>("Score")], [.. ModelZip.Load(ModelZip.Save(deep, train)).Transform(test).GetColumn<float>("Score")]);
    }

    [Fact]
    public void A_featurizer_can_be_made_of_a_loaded_chain_and_of_another_featurizer()
    {
        var chain = Fitted.Model(TaskKind.Multiclass);
        var expected = Flat(Featurizer(chain).Fit(Fitted.Named).Transform(Fitted.Named));
        var features = Featurizer(ModelZip.Load(ModelZip.Save(chain))).Fit(Fitted.Named);

        Bits.Equal(expected, Flat(features.Transform(Fitted.Named)));
        Bits.Equal(expected, Flat(Featurizer(features).Fit(Fitted.Named).Transform(Fitted.Named)));

        var renamed = Ml.Transforms.CopyColumns("Other", "Features").Fit(Fitted.Named).Transform(Fitted.Named);
        Bits.Equal(expected, Flat(Ml.Transforms.CreateFeaturizer("Deep", chain, "Other", "PlainMlp").Fit(renamed).Transform(renamed)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_prediction_engine_gives_the_features_of_the_data_view(bool isDense)
    {
        var rows = Rows.Make(200);
        var options = PipelineTests.Small("Flag") with { Epochs = 3, IsDense = isDense };
        var model = Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(options)).Fit(Rows.View(Ml, rows));
        var expected = Read(model.Transform(Rows.View(Ml, rows)));

        using var engine = Ml.Model.CreatePredictionEngine<Rows.Row, Deep>(model);

        for (var i = 0; i < rows.Count; i++)
        {
            var deep = engine.Predict(rows[i]);
            Assert.Equal(rows[i].Number, deep.Number);
            Assert.Equal(expected[i], deep.Features, (a, b) => isDense ? a == b : Math.Abs(a - b) <= 2e-6 * (1 + Math.Abs(a)));
        }
    }

    [Theory]
    [InlineData("Deep")]
    [InlineData("Features")]
    [InlineData("Flag")]
    public void The_schema_promised_is_the_schema_delivered(string output)
    {
        var estimator = Ml.Transforms.CreateFeaturizer(output, new PlainMlp(Fitted.Options(TaskKind.Regression)));
        var model = estimator.Fit(Fitted.Named);
        foreach (var promised in new[] { estimator.GetOutputSchema(Shape(Fitted.Named.Schema)), Ml.Transforms.CreateFeaturizer(output, model).GetOutputSchema(Shape(Fitted.Named.Schema)) })
        {
            var delivered = Shape(model.Transform(Fitted.Named).Schema).ToDictionary(column => column.Name);
            Assert.Equal(promised.Select(column => column.Name).Order(), delivered.Keys.Order());
            foreach (var column in promised)
            {
                var other = delivered[column.Name];
                Assert.Equal((column.Kind, column.ItemType, column.IsKey), (other.Kind, other.ItemType, other.IsKey));
                Assert.Equal(column.Annotations.Select(a => a.Name).Order(), other.Annotations.Select(a => a.Name).Order());
            }
        }

        var schema = model.GetOutputSchema(Fitted.Named.Schema);
        Assert.Equal(schema.Select(Text), model.Transform(Fitted.Named).Schema.Select(Text));
        Assert.Equal(schema.Select(Text), ((ITransformer)model).GetRowToRowMapper(Fitted.Named.Schema).OutputSchema.Select(Text));
        Assert.Equal(new VectorDataViewType(NumberDataViewType.Single, Hidden), schema[output].Type);
        VBuffer<ReadOnlyMemory<char>> names = default;
        schema[output].GetSlotNames(ref names);
        Assert.Equal(["Feature0", "Feature1", "Feature7"], new[] { 0, 1, 7 }.Select(slot => names.GetItemOrDefault(slot).ToString()));

        static string Text(DataViewSchema.Column column) => $"{column.Index} {column.Name} {column.Type} {column.IsHidden}";
    }

    [Fact]
    public void A_column_may_take_the_place_of_the_features_or_of_any_other()
    {
        var rows = Rows.Make(300);
        var view = Rows.View(Ml, rows);
        var options = PipelineTests.Small("Target") with { Epochs = 2 };
        var expected = Read(Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(options with { Seed = 3 })).Fit(view).Transform(view));
        foreach (var output in (string[])["Features", "Kind", "Number"])
        {
            var scored = Ml.Transforms.CreateFeaturizer(output, new PlainMlp(options with { Seed = 3 })).Fit(view).Transform(view);
            Assert.Equal(expected, Vectors(scored, output));

            // All columns at once, the hidden one too, stay with their rows.
            using var cursor = scored.GetRowCursor(scored.Schema);
            Assert.All(scored.Schema, column => Assert.True(cursor.IsColumnActive(column)));
            var deep = cursor.GetGetter<VBuffer<float>>(scored.Schema[output]);
            var original = cursor.GetGetter<VBuffer<float>>(scored.Schema.First(column => column.Name == "Features"));
            var target = cursor.GetGetter<float>(scored.Schema["Target"]);
            var held = cursor.GetGetter<bool>(scored.Schema["Held"]);
            var number = cursor.GetGetter<int>(scored.Schema.First(column => column.Name == "Number"));
            VBuffer<float> features = default, before = default;
            var (value, flag, index, seen) = (0f, false, 0, 0);
            while (cursor.MoveNext())
            {
                deep(ref features);
                original(ref before);
                target(ref value);
                held(ref flag);
                number(ref index);
                Assert.Equal(seen, index);
                Assert.Equal(expected[index], features.DenseValues());
                Assert.Equal(rows[index].Features, before.DenseValues());
                Assert.Equal((rows[index].Target, rows[index].Held), (value, flag));
                seen++;
            }

            Assert.Equal(rows.Count, seen);
        }
    }

    [Fact]
    public void Cursor_sets_cover_every_row_once()
    {
        var rows = Rows.Make(6000, seed: 6);
        var model = Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(PipelineTests.Small("Target") with { Epochs = 1 })).Fit(Rows.View(Ml, 300));
        var expected = Read(model.Transform(Rows.View(Ml, rows)));
        var scored = model.Transform(Ml.Data.Cache(Rows.View(Ml, rows)));
        var seen = new int[rows.Count];

        var cursors = scored.GetRowCursorSet([scored.Schema["Number"], scored.Schema["Deep"]], 4);
        Parallel.ForEach(cursors, cursor =>
        {
            using (cursor)
            {
                var number = cursor.GetGetter<int>(scored.Schema["Number"]);
                var deep = cursor.GetGetter<VBuffer<float>>(scored.Schema["Deep"]);
                var index = 0;
                VBuffer<float> features = default;
                while (cursor.MoveNext())
                {
                    number(ref index);
                    deep(ref features);
                    Assert.Equal(expected[index], features.DenseValues());
                    Interlocked.Increment(ref seen[index]);
                }
            }
        });

        Assert.True(cursors.Length > 1);
        Assert.All(seen, times => Assert.Equal(1, times));
    }

    [Fact]
    public void Only_what_is_asked_for_is_read_and_computed()
    {
        var reads = 0;
        var counted = Ml.Transforms.CustomMapping<Rows.Row, Counted>((row, copy) =>
        {
            reads++;
            copy.Inputs = row.Features;
        }, null).Fit(Rows.View(Ml, 100)).Transform(Rows.View(Ml, 100));
        var model = Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(PipelineTests.Small("Target") with { Epochs = 1, FeatureColumnName = "Inputs" })).Fit(counted);
        var scored = model.Transform(counted);

        reads = 0;
        Assert.Equal(100, scored.GetColumn<int>("Number").Count());
        Assert.Equal(0, reads);
        Assert.Equal(100, Read(scored).Length);
        Assert.Equal(100, reads);
        using var cursor = scored.GetRowCursor([scored.Schema["Deep"]]);
        Assert.False(cursor.IsColumnActive(scored.Schema["Inputs"]));
        Assert.ThrowsAny<InvalidOperationException>(() => cursor.GetGetter<VBuffer<float>>(scored.Schema["Inputs"]));
    }

    [Fact]
    public void Columns_that_cannot_be_read_are_named()
    {
        var model = Featurizer(Fitted.Model(TaskKind.Regression)).Fit(Fitted.Named);
        Refused(Rows.View(Ml, 5), "The feature column 'Features' has 5 slots, but the model was trained on 7");
        Refused(Ml.Transforms.DropColumns("Features").Fit(Fitted.Named).Transform(Fitted.Named), "no column 'Features' to be the feature column");
        Refused(Ml.Transforms.CopyColumns("Features", "Kind").Fit(Fitted.Named).Transform(Fitted.Named), "'Features' must be a vector of numbers");

        var estimator = Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(Fitted.Options(TaskKind.Regression) with { LabelColumnName = "Kind" }));
        foreach (var attempt in (Action[])[() => estimator.Fit(Fitted.Named), () => estimator.GetOutputSchema(Shape(Fitted.Named.Schema))])
        {
            Assert.Contains(
                "The label column 'Kind' must be a number or a vector of numbers (regression), Boolean (binary classification) or a key",
                Assert.Throws<ArgumentOutOfRangeException>(attempt).Message,
                StringComparison.Ordinal);
        }

        Assert.Contains(
            "no column 'None' to be the label column",
            Assert.Throws<ArgumentOutOfRangeException>(
                () => Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(Fitted.Options(TaskKind.Regression) with { LabelColumnName = "None" })).Fit(Fitted.Named)).Message,
            StringComparison.Ordinal);

        void Refused(IDataView data, string message)
        {
            foreach (var attempt in (Action[])[() => model.Transform(data), () => model.GetOutputSchema(data.Schema), () => ((ITransformer)model).GetRowToRowMapper(data.Schema), () => Ml.Transforms.CreateFeaturizer("Deep", model).Fit(data)])
                Assert.Contains(message, Assert.Throws<ArgumentOutOfRangeException>(attempt).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_missing_value_is_an_error_that_says_where_unless_the_method_takes_them()
    {
        var rows = Rows.Make(100);
        var options = PipelineTests.Small("Target") with { Epochs = 1 };
        var model = Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(options)).Fit(Rows.View(Ml, rows));
        rows[70].Features[2] = float.NaN;

        var e = Assert.Throws<InvalidOperationException>(() => Read(model.Transform(Rows.View(Ml, rows))));
        Assert.Contains("Column 'Features', row 70, slot 2 is NaN", e.Message, StringComparison.Ordinal);
        using var engine = Ml.Model.CreatePredictionEngine<Rows.Row, Deep>(model);
        Assert.Contains("Column 'Features'", Assert.Throws<InvalidOperationException>(() => engine.Predict(rows[70])).Message, StringComparison.Ordinal);
        Assert.Equal(100, model.Transform(Rows.View(Ml, rows)).GetColumn<int>("Number").Count());
    }

    [Fact]
    public void What_holds_no_features_is_refused()
    {
        var other = Ml.Transforms.CopyColumns("Copy", "Target").Fit(Fitted.Data);
        Refused<ArgumentException>(() => Ml.Transforms.CreateFeaturizer("Deep", other), "The pretrained model holds no network of this library");
        Refused<ArgumentException>(
            () => Ml.Transforms.CreateFeaturizer("Deep", Fitted.Model(TaskKind.Binary), methodName: "Other"), "The pretrained model holds a PlainMlp, not a Other");
        Refused<ArgumentException>(() => Ml.Transforms.CreateFeaturizer("", Fitted.Model(TaskKind.Binary)), "outputColumnName");
        Refused<ArgumentNullException>(() => Ml.Transforms.CreateFeaturizer("Deep", (ITransformer)null!), "pretrained");
        Refused<ArgumentNullException>(() => Ml.Transforms.CreateFeaturizer("Deep", (INetworkMethod)null!), "method");
        Refused<ArgumentOutOfRangeException>(
            () => Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(Fitted.Options(TaskKind.Regression) with { ClassWeights = ClassWeights.Balanced })).Fit(Fitted.Named),
            "'ClassWeights' must be null for regression");
        Refused<ArgumentOutOfRangeException>(
            () => Ml.Transforms.CreateFeaturizer("Deep", new PlainMlp(Fitted.Options(TaskKind.Regression) with { Hidden = 0 })), "PlainMlp: option 'Hidden'");

        static void Refused<T>(Action attempt, string message)
            where T : Exception => Assert.Contains(message, Assert.Throws<T>(attempt).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(500, false)]
    [InlineData(60_000, true)]
    public void A_method_may_learn_features_without_labels(int count, bool isStreamed)
    {
        var random = new Random(1);
        var rows = Ml.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(_ => new Counted { Inputs = [.. Enumerable.Range(0, Rows.Width).Select(_ => (float)random.NextDouble())] }).ToArray());
        var method = new Unlabelled(new() { FeatureColumnName = "Inputs", Seed = 1, Epochs = isStreamed ? 2 : 20, Hidden = Hidden, BatchSize = 50, LearningRate = 0.01, MemoryBudget = 1_000_000 });
        var estimator = Ml.Transforms.CreateFeaturizer("Deep", method);

        var model = estimator.Fit(rows);

        Assert.Equal(isStreamed, method.WasStreamed);
        Assert.Equal(new FeatureHead { Width = Rows.Width }, method.Head);
        Assert.Equal(new FeatureHead { Width = Hidden }, model.Network.Head);
        Assert.All(method.Labels, label => Assert.Equal(0, label));
        var points = model.Network.LearningCurve.Points;
        Assert.True(points[^1].ValidationLoss < 0.1 * points[0].TrainingLoss);
        Assert.Equal(points[^1].ValidationLoss, points[^1].Metric);
        var features = Read(model.Transform(Ml.Data.TakeRows(rows, 100)));
        Assert.True(features.Average(row => Math.Abs(row.Average() - 1)) < 0.2);
        Assert.Equal(model.Transform(rows).Schema.Select(column => column.Name).Order(), estimator.GetOutputSchema(Shape(rows.Schema)).Select(column => column.Name).Order());
        using var file = new MemoryStream();
        Ml.Model.Save(model, rows.Schema, file);
        Assert.Equal(features[7], Read(new MLContext().Model.Load(file, out _).Transform(Ml.Data.TakeRows(rows, 100)))[7]);

        Assert.Contains("learns without labels", Assert.Throws<ArgumentException>(() => Ml.Regression.Trainers.CreateTrainer(method)).Message, StringComparison.Ordinal);
        Assert.Contains("'Nothing'", Assert.Throws<ArgumentOutOfRangeException>(
            () => Ml.Transforms.CreateFeaturizer("Deep", new Unlabelled(new() { FeatureColumnName = "Nothing" })).Fit(rows)).Message, StringComparison.Ordinal);
        Assert.Contains("'ClassWeights'", Assert.Throws<ArgumentOutOfRangeException>(
            () => Ml.Transforms.CreateFeaturizer("Deep", new Unlabelled(new() { ClassWeights = ClassWeights.Balanced }))).Message, StringComparison.Ordinal);

    }

    /// <summary>Hidden units whose mean is to be 1, whatever the row.</summary>
    private sealed class Unlabelled(PlainMlp.Options options) : INetworkMethod
    {
        public TaskHead? Head { get; private set; }

        public bool WasStreamed { get; private set; }

        public float[] Labels { get; private set; } = [];

        public string Name => nameof(Unlabelled);

        public bool ReadsLabels => false;

        NetworkOptions INetworkMethod.Options => options;

        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            (Head, WasStreamed) = (head, data.IsStreamed);
            using (var sample = data.Sample(10))
                Labels = TensorMemory.ToFloats(sample.Labels);
            var network = run.Create(new PlainMlpDefinition { Inputs = data.FeatureCount, Outputs = options.Hidden, Hidden = options.Hidden, IsBody = true, IsDense = true });
            run.Minimize(network, data, head, options.ToSettings(data.RowCount), (net, batch) => Loss(net, batch.Features), (net, batch) => Loss(net, batch.Features));
            return network;

            static Tensor Loss(Network net, Tensor rows) => net.call(rows).mean([1L]).sub(ones(1)).square().mean();
        }
    }

    private static PretrainedFeatureEstimator Featurizer(ITransformer model) => Ml.Transforms.CreateFeaturizer("Deep", model);

    // The labels of all tasks beside the features, as the chains of the fitted models have them.
    private static IDataView Labelled() => Ml.Transforms.Concatenate("Targets", "Target", "Weight", "Number2")
        .Append(Ml.Transforms.Conversion.MapValueToKey("Key", "Kind")).Fit(Fitted.Named).Transform(Fitted.Named);

    private static float[][] Read(IDataView data) => Vectors(data, "Deep");

    private static float[][] Vectors(IDataView data, string column) =>
        [.. data.GetColumn<VBuffer<float>>(column).Select(row => row.DenseValues().ToArray())];

    private static float[] Flat(IDataView data) => [.. Read(data).SelectMany(row => row)];

    private static SchemaShape Shape(DataViewSchema schema) =>
        (SchemaShape)typeof(SchemaShape).GetMethod("Create", BindingFlags.Static | BindingFlags.NonPublic)!.Invoke(null, [schema])!;

    private sealed class Counted
    {
        [VectorType(Rows.Width)]
        public float[] Inputs { get; set; } = [];
    }
}
