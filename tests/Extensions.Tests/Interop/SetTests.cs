using System.Reflection;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Rows that are sets of items, from vectors of any size and other columns.</summary>
public sealed class SetTests
{
    private const int Width = 2;

    private static readonly MLContext Ml = new(1);

    private static readonly MeanOfItems.Options Plain = new()
    {
        FeatureColumnName = "Items", LabelColumnName = "Target", ItemWidth = Width, Context = ["Place", "Time"], Seed = 1, Epochs = 2, ValidationFraction = 0,
    };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rows_are_laid_out_as_count_context_items_and_zeros(bool streamed)
    {
        SetRow[] rows = [.. Rows(20)];
        var columns = FeatureColumns.Of(View(rows).Schema, "Items", new SetInput(Width, ["Place", "Time"], null), []);
        var width = columns.Sets!.RowWidth(rows.Max(row => row.Items.Length) / Width);
        var budget = streamed ? RowStore.BytesPerRow(width, 1) * 6 : long.MaxValue;
        var settings = new LoadSettings(TaskKind.Regression, new ColumnNames(columns, "Target", null, null), [], null, 0, budget, false, 1);
        var (set, _) = new TrainingSetLoader(settings, _ => { }, () => { }).Load(View(rows), null, null);
        using (set)
        {
            Assert.Equal(streamed, set.IsStreamed);
            Assert.Equal((width, columns.Sets), (set.FeatureCount, set.Sets));
            var read = new List<float>();
            foreach (var block in set.Blocks(7))
            {
                using (block)
                    read.AddRange(TensorMemory.Floats(block.Features).ToArray());
            }

            Assert.Equal(
                rows.SelectMany(row => (float[])[row.Items.Length / Width, .. row.Place, row.Time, .. row.Items, .. new float[width - 4 - row.Items.Length]]), read);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rows_of_all_lengths_score_alike_alone_in_blocks_in_engines_and_from_files(bool isManaged)
    {
        SetRow[] rows = [.. Rows(80)];
        var model = Ml.Regression.Trainers.CreateTrainer(new MeanOfItems(Plain with { IsManaged = isManaged })).Fit(View(rows));

        // Longer ones than those trained on, and some so long that a block of rows has to end before them.
        SetRow[] others = [.. Rows(3000, 2).Select((row, i) => i % 500 != 3 ? row : row with { Items = Long(i % 1000 == 3 ? 90_000 : 40) })];
        var scores = Scores(model, others);

        Assert.Equal(others.Length, scores.Length);
        var network = Assert.IsType<MeanOfItemsDefinition>(model.Model.Network.Definition);
        var weight = model.Model.Network.Weights.Single(tensor => tensor.Name == "linear.weight").Floats.ToArray();
        var bias = model.Model.Network.Weights.Single(tensor => tensor.Name == "linear.bias").Floats.ToArray()[0];
        var head = (RegressionHead)model.Model.Network.Head;
        for (var i = 0; i < others.Length; i++)
        {
            var summary = network.Summary([others[i].Items.Length / Width, .. others[i].Place, others[i].Time, .. others[i].Items]);
            Assert.Equal(((bias + summary.Zip(weight, (x, w) => x * w).Sum()) * head.LabelScale) + head.LabelMean, scores[i], 1e-3);
        }

        using var engine = Ml.Model.CreatePredictionEngine<SetRow, Scored>(model);
        foreach (var i in new[] { 0, 3, 4, 503, 504, 1003 })
        {
            Assert.Equal(scores[i], Scores(model, [others[i]]).Single(), 1e-3);
            Assert.Equal(scores[i], engine.Predict(others[i]).Score, 1e-3);
        }

        var loaded = ModelZip.Load(ModelZip.Save(model, View(rows)));
        Assert.Equal(scores, Scores(loaded, others));
        Assert.Equal(model.Model.Network.Sets, NetworkModel.Find(loaded)!.Sets);
        Assert.Equal(others.Select(row => row.Time), model.Transform(View(others)).GetColumn<float>("Time"));
    }

    [Fact]
    public void Validation_rows_may_be_longer()
    {
        SetRow[] rows = [.. Rows(50)];
        SetRow[] held = [.. Rows(20, 3).Select(row => row with { Items = [.. row.Items, .. row.Items, .. row.Items] })];
        var model = Ml.Regression.Trainers.CreateTrainer(new MeanOfItems(Plain)).Fit(View(rows), View(held));

        Assert.All(model.Model.Network.LearningCurve.Points, point => Assert.NotNull(point.ValidationLoss));
        Assert.Equal(held.Max(row => row.Items.Length) + 4, model.Model.Network.Inputs);
    }

    [Fact]
    public void Items_alone_serve_one_versus_all_and_those_with_context_say_that_they_do_not()
    {
        var key = Ml.Transforms.Conversion.MapValueToKey("Class", "Kind");
        var data = key.Fit(View([.. Rows(200)])).Transform(View([.. Rows(200)]));
        var alone = Plain with { Context = [], Epochs = 40, LearningRate = 0.05, LabelColumnName = "Class" };
        var several = Ml.MulticlassClassification.Trainers.OneVersusAll(Ml.BinaryClassification.Trainers.CreateTrainer(new MeanOfItems(alone)), "Class");
        Assert.True(Ml.MulticlassClassification.Evaluate(several.Fit(data).Transform(data), "Class").MicroAccuracy > 0.5);

        var with = Ml.BinaryClassification.Trainers.CreateTrainer(new MeanOfItems(Plain with { LabelColumnName = "Class" }));
        Assert.Contains("several columns", Assert.ThrowsAny<ArgumentException>(() => Ml.MulticlassClassification.Trainers.OneVersusAll(with, "Class")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("itemWidth", "0")]
    [InlineData("itemWidth", "3")]
    [InlineData("context", "[{\"name\":\"Place\",\"width\":2},{\"name\":\"Time\",\"width\":2000000000}]")]
    [InlineData("context", "[{\"name\":\"Place\",\"width\":-2}]")]
    [InlineData("context", "[null]")]
    [InlineData("countColumnName", "\"\"")]
    [InlineData("isOneItem", "true")]
    public void A_file_whose_layout_does_not_fit_is_refused(string member, string value)
    {
        var file = ModelZip.Save(Ml.Regression.Trainers.CreateTrainer(new MeanOfItems(Plain)).Fit(View([.. Rows(30)])), View([.. Rows(30)]));
        var e = Assert.ThrowsAny<Exception>(() => ModelZip.Load(ModelZip.ChangeJson(file, node => node["sets"]![member] = JsonNode.Parse(value))));

        while (e is TargetInvocationException { InnerException: { } inner })
            e = inner;
        Assert.StartsWith("network.json: ", Assert.IsType<ModelFormatException>(e).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Estimators_see_in_advance_what_they_cannot_read()
    {
        SetRow[] rows = [.. Rows(30)];
        Says(Plain with { Context = ["Place", "Nowhere"] }, "'Nowhere'", "context column");
        Says(Plain with { Context = ["Items"] }, "'Items'", "context column", "known size");
        Says(Plain with { Count = "Kind" }, "'Kind'", "count column", "number");
        Says(Plain with { ItemWidth = null, Context = [] }, "'Items'", "unknown size", "'ItemWidth'");

        void Says(MeanOfItems.Options options, params string[] parts)
        {
            var trainer = Ml.Regression.Trainers.CreateTrainer(new MeanOfItems(options));
            var shape = (SchemaShape)typeof(SchemaShape).GetMethod("Create", BindingFlags.Static | BindingFlags.NonPublic)!.Invoke(null, [View(rows).Schema])!;
            foreach (var action in new Action[] { () => trainer.GetOutputSchema(shape), () => trainer.Fit(View(rows)) })
            {
                var message = Assert.Throws<ArgumentOutOfRangeException>(action).Message;
                Assert.All(parts, part => Assert.Contains(part, message, StringComparison.Ordinal));
            }
        }
    }

    private static float[] Long(int items) => [.. Enumerable.Range(0, items * Width).Select(i => (i % 7) - 3f)];

    private static IDataView View(IEnumerable<SetRow> rows) => Ml.Data.LoadFromEnumerable(rows);

    private static float[] Scores(ITransformer model, IEnumerable<SetRow> rows) => [.. model.Transform(View(rows)).GetColumn<float>("Score")];

    private static IEnumerable<SetRow> Rows(int count, ulong seed = 1)
    {
        var random = new DeterministicRandom(seed);
        float Next() => (float)((random.NextDouble() * 2) - 1);
        for (var i = 0; i < count; i++)
        {
            float[] items = [.. Enumerable.Range(0, Width * (1 + random.Next(5))).Select(_ => Next())];
            var mean = items.Chunk(Width).Average(item => item[0]);
            yield return new() { Items = items, Place = [Next(), Next()], Time = Next(), Target = mean, Kind = mean < -0.2f ? "low" : mean < 0.2f ? "middle" : "high" };
        }
    }

    private sealed record SetRow
    {
        [VectorType]
        public float[] Items { get; init; } = [];

        [VectorType(2)]
        public float[] Place { get; init; } = [];

        public float Time { get; init; }

        public float Target { get; init; }

        public string Kind { get; init; } = "";
    }

    private sealed class Scored
    {
        public float Score { get; set; }
    }
}
