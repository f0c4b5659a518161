using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Scoring;
using Row = MlNetMlp.Tests.RandomFeatures.RandomFeatureNetworkTests.Row;

namespace MlNetMlp.Tests.RandomFeatures;

/// <summary>A fit that goes on with more rows, from the sums that the model keeps.</summary>
public sealed class RandomFeatureNetworkContinuationTests
{
    private static readonly RandomFeatureNetwork.Options Quick = new() { HiddenUnits = 50, WeightScale = 1.5, ValidationFraction = 0, Diagnose = false, Seed = 1 };

    private readonly MLContext _ml = new(1);

    [Theory]
    [InlineData(null)]
    [InlineData("Weight")]
    public void Two_parts_give_the_weights_of_all_rows_at_once(string? weights)
    {
        // The first fit decides the units and the scale of the labels; it has few rows of its own.
        var rows = RandomFeatureNetworkTests.Rows(600);
        var trainer = _ml.Regression.Trainers.RandomFeatureNetwork(Quick with { ExampleWeightColumnName = weights });
        var start = trainer.Fit(View(rows[..60]));
        var atOnce = trainer.Fit(View(rows[60..]), start.Model);
        var inParts = trainer.Fit(View(rows[60..200]), start.Model);
        inParts = trainer.Fit(View(rows[200..]), ((ISingleFeaturePredictionTransformer<RegressionNetworkModel>)Reload(inParts)).Model);

        Assert.Equal(Tensor(start, "hidden.weight"), Tensor(inParts, "hidden.weight"));
        Near(Tensor(atOnce, "output.weight"), Tensor(inParts, "output.weight"), 1e-5);
        Near(Scores(atOnce, rows), Scores(inParts, rows), 1e-6);
        Assert.False(Near(Scores(start, rows), Scores(inParts, rows)));

        // Where the first part has the scale of all rows, one plain fit with the same units is the same again.
        var twice = rows[..300].Concat(rows[..300]).ToArray();
        var plain = trainer.Fit(View(twice));
        var halves = trainer.Fit(View(rows[..300]), trainer.Fit(View(rows[..300])).Model);
        Near(Scores(plain, rows), Scores(halves, rows), 2e-3);
        var given = _ml.Regression.Trainers.RandomFeatureNetwork(Quick with { ExampleWeightColumnName = weights, L2 = 1e-5 });
        Near(Scores(given.Fit(View(twice)), rows), Scores(given.Fit(View(rows[..300]), given.Fit(View(rows[..300])).Model), rows), 1e-5);
    }

    [Fact]
    public void The_option_says_the_same_as_the_argument()
    {
        var rows = RandomFeatureNetworkTests.Rows(200);
        var trainer = _ml.Regression.Trainers.RandomFeatureNetwork(Quick);
        var start = trainer.Fit(View(rows[..100]));
        var byOption = _ml.Regression.Trainers.RandomFeatureNetwork(Quick with { InitialModel = start }).Fit(View(rows[100..]));
        Assert.Equal(Scores(trainer.Fit(View(rows[100..]), start.Model), rows), Scores(byOption, rows));
    }

    [Fact]
    public void Classes_and_sparse_units_go_on_too()
    {
        var rows = RandomFeatureNetworkTests.Rows(900);
        var trainer = _ml.BinaryClassification.Trainers.RandomFeatureNetwork(Quick with { LabelColumnName = "Flag" });
        var (start, rest) = (trainer.Fit(View(rows[..100])), View(rows[100..600]));
        var further = trainer.Fit(rest, start.Model);
        var test = View(rows[600..]);
        Assert.True(_ml.BinaryClassification.Evaluate(further.Transform(test), "Flag").LogLoss < _ml.BinaryClassification.Evaluate(start.Transform(test), "Flag").LogLoss);

        var sparse = _ml.Regression.Trainers.RandomFeatureNetwork(Quick with { L1 = 1e-3 });
        var few = sparse.Fit(View(rows[..300]));
        var units = HiddenLayerModel.Find(few)!.HiddenUnits;
        Assert.InRange(units, 2, 49);
        Assert.InRange(HiddenLayerModel.Find(sparse.Fit(View(rows[300..600]), few.Model))!.HiddenUnits, 1, units);
    }

    [Fact]
    public void A_model_without_sums_or_with_other_units_cannot_go_on()
    {
        var data = View(RandomFeatureNetworkTests.Rows(100));
        var trainer = _ml.Regression.Trainers.RandomFeatureNetwork(Quick);
        var with = trainer.Fit(data);
        var without = _ml.Regression.Trainers.RandomFeatureNetwork(Quick with { KeepSums = false }).Fit(data);
        Assert.Null(without.Model.Network.State);
        Assert.True(Save(with).Length > Save(without).Length + 4000);
        Assert.Contains("'KeepSums'", Assert.Throws<InvalidOperationException>(() => { _ = trainer.Fit(data, without.Model); }).Message, StringComparison.Ordinal);

        var other = _ml.Regression.Trainers.RandomFeatureNetwork(Quick with { Activation = RandomActivation.Relu });
        Assert.Contains(nameof(Activation.Relu), Assert.Throws<InvalidOperationException>(() => { _ = other.Fit(data, with.Model); }).Message, StringComparison.Ordinal);
        var dual = _ml.Regression.Trainers.RandomFeatureNetwork(Quick with { Solver = RandomFeatureNetworkSolver.Dual });
        Assert.Contains("'Solver'", Assert.Throws<InvalidOperationException>(() => { _ = dual.Fit(data, with.Model); }).Message, StringComparison.Ordinal);
    }

    private static float[] Tensor(NetworkPredictionTransformer<RegressionNetworkModel> model, string name)
    {
        Assert.True(model.Model.Network.Weights.TryGet(name, out var tensor));
        return tensor!.Floats.ToArray();
    }

    private static void Near(float[] expected, float[] actual, double tolerance)
    {
        var size = expected.Max(Math.Abs);
        foreach (var (e, a) in expected.Zip(actual))
            Assert.True(Math.Abs(e - a) <= tolerance * size, $"{e} and {a}, of {size}");
    }

    private static bool Near(float[] expected, float[] actual) => expected.Zip(actual).All(pair => Math.Abs(pair.First - pair.Second) < 1e-3);

    private float[] Scores(NetworkPredictionTransformer<RegressionNetworkModel> model, IEnumerable<Row> rows) => [.. model.Transform(View(rows)).GetColumn<float>("Score")];

    private byte[] Save(ITransformer model)
    {
        using var stream = new MemoryStream();
        _ml.Model.Save(model, null, stream);
        return stream.ToArray();
    }

    private ITransformer Reload(ITransformer model) => new MLContext(1).Model.Load(new MemoryStream(Save(model)), out _);

    private IDataView View(IEnumerable<Row> rows) => _ml.Data.LoadFromEnumerable(rows);
}
