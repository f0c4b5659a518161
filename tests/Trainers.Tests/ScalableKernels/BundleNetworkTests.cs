using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Runtime;
using MlNetMlp.ScalableKernels;
using MlNetMlp.Tests.RandomFeatures;
using MlNetMlp.Tests.Support;
using TorchSharp;
using Xunit.Abstractions;
using static TorchSharp.torch;
using Row = MlNetMlp.Tests.RandomFeatures.RandomFeatureNetworkTests.Row;

namespace MlNetMlp.Tests.ScalableKernels;

/// <summary>Trained networks compressed into one matrix behind random features.</summary>
public sealed class BundleNetworkTests(ITestOutputHelper output)
{
    private static readonly RandomFeatureNetwork.Options Waves = new()
    {
        HiddenUnits = 30, Activation = RandomActivation.Cosine, WeightScale = 1, L2 = 1e-2, ValidationFraction = 0, Diagnose = false, Seed = 1,
    };

    private readonly MLContext _ml = new(1);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_dense_layer_behind_merges_exactly(int depth)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        var network = (ScalableKernelStack)new ScalableKernelNetwork.Options { FeatureCount = 30 }.Define(4, outputs: 6, depth, width: 5).Build(CPU);
        using var noGradient = no_grad();
        network.Initialize(random);
        network.Bias!.normal_(0, 1, random);
        network.to(ScalarType.Float64);
        Tensor Normal(ulong seed, params long[] shape) => TestData.Normal(seed, shape).to(ScalarType.Float64);
        var (x, v, c) = (Normal(2, 50, 4), Normal(3, 3, 6), Normal(4, 3));
        var expected = network.call(x).mm(v.t()).Plus(c);
        Assert.True(expected.sub(network.Merge(v, c).call(x)).abs().max().ToDouble() <= 1e-6 * expected.abs().max().ToDouble());
    }

    [Theory]
    [InlineData(RandomActivation.Cosine)]
    [InlineData(RandomActivation.Sine)]
    public void Without_training_outputs_of_waves_are_met_as_features_grow(RandomActivation activation)
    {
        var rows = View(RandomFeatureNetworkTests.Rows(200));
        var model = _ml.Regression.Trainers.RandomFeatureNetwork(Waves with { Activation = activation }).Fit(rows);
        double Deviation(int features) => Enumerable.Range(1, 6).Average(seed =>
            BundleNetwork.GetReport(_ml.Transforms.BundleNetwork(model, new() { FeatureCount = features, Refine = false, Seed = seed }).Fit(rows))!.MeanDeviation!.Value);
        var (few, many) = (Deviation(512), Deviation(8192));
        output.WriteLine($"{few} and {many}");
        Assert.InRange(few / many, 4 / 1.6, 4 * 1.6);

        // What needs no data is no worse than where rows tell how long they are.
        var free = _ml.Transforms.BundleNetwork(model, new() { FeatureCount = 8192, Seed = 1 }).Convert();
        Assert.Null(BundleNetwork.GetReport(free)!.MaxDeviation);
        Assert.True(Scores(free, rows).Zip(Scores(model, rows)).Average(pair => Math.Abs(pair.First - pair.Second)) < 3 * many);
    }

    [Fact]
    public void Rows_bring_it_much_nearer()
    {
        var rows = View(RandomFeatureNetworkTests.Rows(400));
        var model = _ml.Regression.Trainers.RandomFeatureNetwork(Waves).Fit(rows);
        var before = Scores(model, rows);
        BundleReport Report(bool refine) => BundleNetwork.GetReport(_ml.Transforms.BundleNetwork(model, new() { FeatureCount = 100, Refine = refine, Seed = 1 }).Fit(rows))!;
        var (refined, plain) = (Report(true), Report(false));
        Assert.True(refined.IsRefined && !plain.IsRefined);
        Assert.True(refined.MeanDeviation < plain.MeanDeviation / 5, $"{refined.MeanDeviation} and {plain.MeanDeviation}");
        Assert.True(refined.MaxDeviation >= refined.MeanDeviation);
        Assert.Equal(refined.Fingerprint, plain.Fingerprint);
        Assert.Equal((101, 30 * (3 + 1 + 1) + 2), (refined.ParametersAfter, refined.ParametersBefore));
        Assert.Equal(before, Scores(model, rows));

        var other = _ml.Regression.Trainers.RandomFeatureNetwork(Waves with { Seed = 2 }).Fit(rows);
        Assert.NotEqual(refined.Fingerprint, BundleNetwork.GetReport(_ml.Transforms.BundleNetwork(other, 10).Fit(rows))!.Fingerprint);
    }

    [Fact]
    public void A_chain_of_any_task_keeps_its_columns_and_comes_back_from_a_file()
    {
        var rows = View(RandomFeatureNetworkTests.Rows(300));
        var first = _ml.Transforms.NormalizeMinMax("Features");
        Check(first.Append(_ml.Regression.Trainers.GradientBoostedNetwork(new() { TotalUnits = 8, UnitsPerStep = 4, Restarts = 1 })).Fit(rows));
        Check(first.Append(_ml.BinaryClassification.Trainers.ScaledMlp(labelColumnName: "Flag", width: 8, blocks: 1, epochs: 2)).Fit(rows));
        Check(first.Append(_ml.Transforms.Conversion.MapValueToKey("Key", "Kind"))
            .Append(_ml.MulticlassClassification.Trainers.RandomFeatureNetwork(labelColumnName: "Key", hiddenUnits: 20, weightScale: 1))
            .Append(_ml.Transforms.Conversion.MapKeyToValue("Predicted", "PredictedLabel")).Fit(rows));

        void Check<TModel>(TModel model)
            where TModel : class, ITransformer
        {
            var bundled = _ml.Transforms.BundleNetwork(model, new BundleNetwork.Options { FeatureCount = 60, Seed = 1 }).Fit(rows);
            var (before, after) = (model.GetOutputSchema(rows.Schema), bundled.GetOutputSchema(rows.Schema));
            Assert.Equal(Describe(before), Describe(after));
            using var stream = new MemoryStream();
            _ml.Model.Save(bundled, rows.Schema, stream);
            var loaded = new MLContext(1).Model.Load(stream, out _);
            Assert.Equal(Describe(after), Describe(loaded.GetOutputSchema(rows.Schema)));
            Assert.Equal(BundleNetwork.GetReport(bundled), BundleNetwork.GetReport(loaded));
            Assert.Equal(60, ((ScalableKernelDefinition)NetworkModel.Find(loaded)!.Definition).FeatureCount);
            if (after["Score"].Type is NumberDataViewType)
                Assert.Equal(Scores(bundled, rows), Scores(loaded, rows));
            else
                Assert.Equal(bundled.Transform(rows).GetColumn<float[]>("Score"), loaded.Transform(rows).GetColumn<float[]>("Score"));
        }

        static string[] Describe(DataViewSchema schema) =>
            [.. schema.Select(column => $"{column.Name} {column.Type} {string.Join(", ", column.Annotations.Schema.Select(annotation => annotation.Name).Order())}")];
    }

    [Fact]
    public void Says_why_it_needs_rows()
    {
        var rows = View(RandomFeatureNetworkTests.Rows(100));
        Says("Tanh", () => _ml.Transforms.BundleNetwork(_ml.Regression.Trainers.RandomFeatureNetwork(Waves with { Activation = RandomActivation.Tanh }).Fit(rows)).Convert());
        Says("one hidden layer", () => _ml.Transforms.BundleNetwork(_ml.Regression.Trainers.ScaledMlp(width: 8, epochs: 1).Fit(rows)).Convert());
        Says("more than the features", () => _ml.Transforms.BundleNetwork(
            _ml.Regression.Trainers.GradientBoostedNetwork(new() { TotalUnits = 4, UnitsPerStep = 4, Restarts = 1 }).Fit(rows), new BundleNetwork.Options { Refine = false }).Fit(rows));
        Says("no network", () => _ml.Transforms.BundleNetwork(_ml.Regression.Trainers.Sdca().Fit(rows)));
        var model = _ml.Regression.Trainers.RandomFeatureNetwork(Waves).Fit(rows);
        Says("'FeatureCount'", () => _ml.Transforms.BundleNetwork(model, 0));
        Says("'Features'", () => _ml.Transforms.BundleNetwork(model).Fit(_ml.Transforms.DropColumns("Features").Fit(rows).Transform(rows)));
        Says("no rows", () => _ml.Transforms.BundleNetwork(model).Fit(View([])));

        static void Says(string what, Action action) => Assert.Contains(what, Assert.ThrowsAny<Exception>(action).Message, StringComparison.Ordinal);
    }

    [DataFact(ScalableKernelDigitsTests.File)]
    [Trait("Category", "Heavy")]
    public void A_fifth_of_the_values_costs_digits_at_most_two_points()
    {
        var (train, test) = ScalableKernelDigitsTests.Split(_ml, 1);
        var model = _ml.MulticlassClassification.Trainers.ScaledMlp(new() { Seed = 1, Epochs = 60 }).Fit(train);
        double Accuracy(ITransformer scored) => _ml.MulticlassClassification.Evaluate(scored.Transform(test)).MicroAccuracy;
        var before = Accuracy(model);
        foreach (var features in new[] { 128, 256, 400 })
        {
            var bundled = _ml.Transforms.BundleNetwork(model, new BundleNetwork.Options { FeatureCount = features, Seed = 1 }).Fit(train);
            var (after, report) = (Accuracy(bundled), BundleNetwork.GetReport(bundled)!);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{features} features: {before:P1} to {after:P1}; {report}"));
            if (features != 256)
                continue;
            Assert.True(after >= before - 0.02, $"{before} to {after}");
            Assert.True(5 * report.ParametersAfter <= report.ParametersBefore && 5 * report.ValuesAfter <= report.ValuesBefore, $"{report}");
        }
    }

    private static float[] Scores(ITransformer model, IDataView rows) => [.. model.Transform(rows).GetColumn<float>("Score")];

    private IDataView View(IEnumerable<Row> rows) => _ml.Data.LoadFromEnumerable(rows);
}
