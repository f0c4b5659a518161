using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Scoring;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Several numbers for each row: vectors as labels and as scores.</summary>
public class MultiOutputRegressionTests
{
    private const int Width = 4;
    private const int Outputs = 3;

    // The outputs differ in scale and mean, as columns of a table do.
    private static readonly double[,] Map = { { 1, 0, 2, -1 }, { 100, -50, 0, 25 }, { 0, 0.01, -0.02, 0.03 } };
    private static readonly double[] Offset = [0, 1000, -5];

    private static readonly MLContext Ml = new(1);

    public sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = [];

        [VectorType(Outputs)]
        public float[] Targets { get; set; } = [];

        [VectorType(Outputs)]
        public double[] Doubles { get; set; } = [];

        [VectorType(Outputs)]
        public int[] Wholes { get; set; } = [];

        [VectorType(1)]
        public float[] First { get; set; } = [];

        public float Target { get; set; }

        public float Weight { get; set; } = 1;

        public float[] Loose { get; set; } = [];

        [VectorType(Outputs)]
        public string[] Words { get; set; } = [];

        [VectorType(Outputs)]
        public bool[] Flags { get; set; } = [];

        [VectorType(2)]
        public float[] Two { get; set; } = [];
    }

    private sealed class Prediction
    {
        public float[] Score { get; set; } = [];
    }

    [Fact]
    public void Learns_a_linear_map_and_tells_its_error()
    {
        var (train, test) = (View(Make(1000, 1)), Make(200, 2));
        var options = Options("Targets") with { Hidden = 32, Epochs = 150, LearningRate = 0.01, Patience = 0 };

        var model = Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(options)).Fit(train, View(test));

        var scores = Scores(model, View(test));
        for (var k = 0; k < Outputs; k++)
        {
            var mean = test.Average(row => (double)row.Targets[k]);
            var residual = test.Zip(scores).Sum(pair => Math.Pow(pair.First.Targets[k] - pair.Second[k], 2));
            var r2 = 1 - (residual / test.Sum(row => Math.Pow(row.Targets[k] - mean, 2)));
            Assert.True(r2 > 0.99, $"R² of output {k}: {r2}");
        }

        var curve = model.Model.Network.LearningCurve;
        Assert.Equal("RMSE", curve.MetricName);
        var rmse = Math.Sqrt(test.Zip(scores).Average(pair => pair.First.Targets.Zip(pair.Second, (a, b) => Math.Pow(a - b, 2)).Average()));
        Assert.Equal(rmse, curve.Points[curve.BestEpoch - 1].Metric!.Value, rmse * 1e-3);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("Weight")]
    public void One_output_is_plain_regression_to_the_bit(string? weight)
    {
        var rows = Make(300, 3);
        for (var i = 0; i < rows.Count; i++)
            rows[i].Weight = 1 + (i % 3);

        var several = Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options("First") with { ExampleWeightColumnName = weight })).Fit(View(rows));
        var plain = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Options("Target") with { ExampleWeightColumnName = weight })).Fit(View(rows));

        Bits.Equal([.. plain.Transform(View(rows)).GetColumn<float>("Score")], Flat(several, View(rows)));
    }

    [Fact]
    public void Labels_of_every_number_type_are_the_same_labels()
    {
        var rows = Make(200, 4);
        rows.ForEach(row =>
        {
            row.Wholes = [.. row.Targets.Select(value => (int)MathF.Round(value))];
            row.Targets = [.. row.Wholes.Select(value => (float)value)];
            row.Doubles = [.. row.Wholes.Select(value => (double)value)];
        });
        var expected = Flat(Fit("Targets", rows), View(rows));

        Bits.Equal(expected, Flat(Fit("Doubles", rows), View(rows)));
        Bits.Equal(expected, Flat(Fit("Wholes", rows), View(rows)));
    }

    [Fact]
    public void A_row_that_lacks_any_label_is_passed_over_and_counted()
    {
        var rows = Make(200, 5);
        var whole = rows.Where((_, i) => i % 10 != 3).ToList();
        for (var i = 3; i < rows.Count; i += 10)
            rows[i].Targets[i % Outputs] = float.NaN;
        var ml = new MLContext(1);
        var lines = new List<string>();
        ml.Log += (_, line) => lines.Add(line.Message);

        var model = ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options("Targets"))).Fit(View(rows));

        Assert.Contains(lines, line => line.Contains("20 rows without a label were skipped", StringComparison.Ordinal));
        Bits.Equal(Flat(Fit("Targets", whole), View(whole)), Flat(model, View(whole)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_prediction_engine_gives_the_scores_of_the_data_view(bool isDense)
    {
        var rows = Make(100, 6);
        var model = Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options("Targets") with { IsDense = isDense })).Fit(View(rows));
        var expected = Scores(model, View(rows));

        using var engine = Ml.Model.CreatePredictionEngine<Row, Prediction>(model);

        for (var i = 0; i < rows.Count; i++)
            Assert.Equal(expected[i], engine.Predict(rows[i]).Score, (a, b) => isDense ? a == b : Math.Abs(a - b) <= 1e-5 * (1 + Math.Abs(a)));
    }

    [Fact]
    public void Slots_of_the_score_have_the_names_of_the_label_also_after_loading()
    {
        var data = Ml.Transforms.Concatenate("Named", "Target", "Weight").Fit(View(Make(60, 7))).Transform(View(Make(60, 7)));
        var model = Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options("Named"))).Fit(data);
        var loaded = ModelZip.Load(ModelZip.Save(model, data));

        Assert.Equal(["Target", "Weight"], Names(model.Transform(data)));
        Assert.Equal(["Target", "Weight"], Names(loaded.Transform(data)));
        Assert.IsType<NetworkPredictionTransformer<MultiOutputRegressionNetworkModel>>(loaded);
        Assert.False(Fit("Targets", Make(60, 7)).Transform(View(Make(60, 7))).Schema["Score"].HasSlotNames());
        Assert.Null(model.Transform(data).Schema.GetColumnOrNull("PredictedLabel"));

        static string[] Names(IDataView scored)
        {
            VBuffer<ReadOnlyMemory<char>> names = default;
            scored.Schema["Score"].GetSlotNames(ref names);
            return [.. names.DenseValues().Select(name => name.ToString())];
        }
    }

    [Theory]
    [InlineData("Named")]
    [InlineData("Targets")]
    public void The_schema_promised_is_the_schema_delivered(string label)
    {
        var data = Ml.Transforms.Concatenate("Named", "Target", "Weight").Fit(View(Make(60, 7))).Transform(View(Make(60, 7)));
        var trainer = Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options(label)));

        var promised = trainer.GetOutputSchema(Shape(data.Schema)).Single(column => column.Name == "Score");
        var delivered = Shape(trainer.Fit(data).Transform(data).Schema).Single(column => column.Name == "Score");

        Assert.Equal((SchemaShape.Column.VectorKind.Vector, NumberDataViewType.Single, false), (promised.Kind, promised.ItemType, promised.IsKey));
        Assert.Equal((delivered.Kind, delivered.ItemType, delivered.IsKey), (promised.Kind, promised.ItemType, promised.IsKey));
        Assert.Equal(delivered.Annotations.Select(a => a.Name).Order(), promised.Annotations.Select(a => a.Name).Order());
        Assert.Equal(label == "Named", promised.Annotations.Any(a => a.Name == "SlotNames"));
    }

    [Fact]
    public void Training_goes_on_from_an_earlier_model()
    {
        var rows = Make(200, 8);
        var first = Fit("Targets", rows);
        var again = Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options("Targets") with { InitialModel = first })).Fit(View(rows));

        Assert.Equal(first.Model.Network.Head, again.Model.Network.Head);
        Assert.True(again.Model.Network.LearningCurve.Points[^1].ValidationLoss < first.Model.Network.LearningCurve.Points[0].ValidationLoss);
    }

    [Theory]
    [InlineData("Target", "Single")]
    [InlineData("Loose", "VarVector<Single>")]
    [InlineData("Words", "Vector<String>")]
    [InlineData("Flags", "Vector<Boolean>")]
    public void A_label_of_another_type_is_refused(string label, string found)
    {
        var trainer = Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options(label)));
        foreach (var attempt in (Action[])[() => trainer.GetOutputSchema(Shape(View(Make(9, 1)).Schema)), () => trainer.Fit(View(Make(9, 1)))])
        {
            var e = Assert.Throws<ArgumentOutOfRangeException>(attempt);
            Assert.Contains($"The label column '{label}' must be a vector of numbers of known size (best Single)", e.Message, StringComparison.Ordinal);
            Assert.Contains(found, e.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Labels_that_cannot_be_learned_are_refused()
    {
        var missing = Make(20, 1);
        missing.ForEach(row => row.Targets[1] = float.NaN);
        Refused<InvalidOperationException>(() => Fit("Targets", missing), "the label 'Targets' is missing in all 20 rows");

        var infinite = Make(20, 1);
        infinite[7].Targets[2] = float.NegativeInfinity;
        Refused<InvalidOperationException>(() => Fit("Targets", infinite), "The label column 'Targets' is -Infinity in row 7, slot 2; it must be finite");

        var rows = View(Make(20, 1));
        var narrow = Ml.Transforms.CopyColumns("Targets", "Two").Fit(rows).Transform(rows);
        Refused<ArgumentOutOfRangeException>(
            () => Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options("Targets"))).Fit(rows, narrow),
            "The label column 'Targets' has 2 slots in the validation data, but 3 in the training data");

        Refused<ArgumentOutOfRangeException>(
            () => Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options("Targets") with { ClassWeights = ClassWeights.Balanced })),
            "'ClassWeights' must be null for regression");

        var two = Fit("Two", Make(20, 1));
        Refused<InvalidOperationException>(
            () => Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options("Targets") with { InitialModel = two })).Fit(rows),
            "'InitialModel' holds a PlainMlp for MultiOutputRegressionHead { Outputs = 2 }, which a PlainMlp for MultiOutputRegression of 3 outputs cannot go on from");

        static void Refused<T>(Action attempt, string message)
            where T : Exception => Assert.Contains(message, Assert.Throws<T>(attempt).Message, StringComparison.Ordinal);
    }

    private static PlainMlp.Options Options(string label) => new() { LabelColumnName = label, Epochs = 3, Hidden = 8, Seed = 1 };

    private static NetworkPredictionTransformer<MultiOutputRegressionNetworkModel> Fit(string label, IEnumerable<Row> rows) =>
        Ml.Regression.Trainers.CreateMultiOutputTrainer(new PlainMlp(Options(label))).Fit(View(rows));

    private static float[][] Scores(ITransformer model, IDataView data) =>
        [.. model.Transform(data).GetColumn<VBuffer<float>>("Score").Select(score => score.DenseValues().ToArray())];

    private static float[] Flat(ITransformer model, IDataView data) => [.. Scores(model, data).SelectMany(score => score)];

    private static IDataView View(IEnumerable<Row> rows) => Ml.Data.LoadFromEnumerable(rows);

    private static SchemaShape Shape(DataViewSchema schema) =>
        (SchemaShape)typeof(SchemaShape).GetMethod("Create", BindingFlags.Static | BindingFlags.NonPublic)!.Invoke(null, [schema])!;

    private static List<Row> Make(int count, ulong seed)
    {
        var random = new DeterministicRandom(seed);
        return [.. Enumerable.Range(0, count).Select(_ =>
        {
            float[] x = [.. Enumerable.Range(0, Width).Select(_ => (float)((random.NextDouble() * 4) - 2))];
            float[] y = [.. Enumerable.Range(0, Outputs).Select(k => (float)(Offset[k] + Enumerable.Range(0, Width).Sum(j => Map[k, j] * x[j])))];
            return new Row
            {
                Features = x, Targets = y, Doubles = [.. y.Select(value => (double)value)], Wholes = [1, 2, 3], First = [y[0]], Target = y[0],
                Loose = y, Words = ["a", "b", "c"], Flags = [true, false, true], Two = [y[0], y[1]],
            };
        })];
    }
}
