using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.RandomFeatures;
using Row = MlNetMlp.Tests.RandomFeatures.RandomFeatureNetworkTests.Row;

namespace MlNetMlp.Tests.RandomFeatures;

public sealed class RandomFeatureMapTests
{
    private readonly MLContext _ml = new(1);

    [Fact]
    public void Products_of_cosines_near_the_gaussian_kernel_at_the_rate_of_the_root()
    {
        const double scale = 0.8;
        var rows = RandomFeatureNetworkTests.Rows(40);
        double Error(int units, int seed)
        {
            var options = new RandomFeatureMap.Options
            {
                InputColumnName = "Features", Units = units, Activation = RandomActivation.Cosine, WeightDistribution = RandomWeightDistribution.Gaussian,
                WeightScale = scale, StandardizeInputs = false, Seed = seed,
            };
            var data = View(rows.Select(row => new Row { Features = [row.Features[0], row.Features[2], 0] }));
            var h = _ml.Transforms.RandomFeatureMap("Random", options).Fit(data).Transform(data).GetColumn<float[]>("Random").ToArray();
            var x = data.GetColumn<float[]>("Features").ToArray();
            var sum = 0.0;
            for (var i = 0; i < 20; i++)
            {
                var j = i + 20;
                var distance = x[i].Zip(x[j]).Sum(pair => Math.Pow(pair.First - pair.Second, 2));
                var product = 2.0 / units * h[i].Zip(h[j]).Sum(pair => (double)pair.First * pair.Second);
                sum += Math.Pow(product - Math.Exp(-scale * scale * distance / 2), 2);
            }

            return Math.Sqrt(sum / 20);
        }

        double Mean(int units) => Math.Sqrt(Enumerable.Range(1, 6).Average(seed => Math.Pow(Error(units, seed), 2)));
        var (few, many) = (Mean(100), Mean(6400));
        Assert.True(many < 0.02, $"error {many}");
        Assert.InRange(few / many, 8 / 1.6, 8 * 1.6);
    }

    [Theory]
    [InlineData(RandomWeightDistribution.Uniform)]
    [InlineData(RandomWeightDistribution.DataPairs)]
    public void Comes_back_from_a_file_and_feeds_a_linear_trainer(RandomWeightDistribution law)
    {
        var (rows, test) = (RandomFeatureNetworkTests.Rows(1000), RandomFeatureNetworkTests.Rows(300, seed: 2));
        var options = new RandomFeatureMap.Options { Units = 200, WeightDistribution = law, Seed = 1, Activation = RandomActivation.Tanh };
        var model = _ml.Transforms.RandomFeatureMap("Random", options)
            .Append(_ml.Regression.Trainers.Sdca("Label", "Random", maximumNumberOfIterations: 200)).Fit(View(rows));
        Assert.True(_ml.Regression.Evaluate(model.Transform(View(test))).RSquared > 0.7);

        using var stream = new MemoryStream();
        _ml.Model.Save(model, View(rows).Schema, stream);
        var loaded = new MLContext(1).Model.Load(stream, out _);
        Assert.Equal(model.Transform(View(test)).GetColumn<float>("Score"), loaded.Transform(View(test)).GetColumn<float>("Score"));
        Assert.Equal(model.Transform(View(test)).GetColumn<float[]>("Random").First(), loaded.Transform(View(test)).GetColumn<float[]>("Random").First());
    }

    [Fact]
    public void Draws_by_the_seed_and_looks_at_no_label()
    {
        var rows = RandomFeatureNetworkTests.Rows(50);
        float[] First(RandomFeatureMap.Options options, IDataView data) => new MLContext(1).Transforms.RandomFeatureMap("Random", options).Fit(data).Transform(data).GetColumn<float[]>("Random").First();
        var options = new RandomFeatureMap.Options { Units = 20, Seed = 1 };
        var expected = First(options, View(rows));
        Assert.Equal(20, expected.Length);
        Assert.Equal(expected, First(options, _ml.Transforms.SelectColumns("Features").Fit(View(rows)).Transform(View(rows))));
        Assert.NotEqual(expected, First(options with { Seed = 2 }, View(rows)));
        Assert.Equal(First(options with { Seed = null }, View(rows)), First(options with { Seed = null }, View(rows)));

        var shape = _ml.Transforms.RandomFeatureMap("Random", "Features", 20).GetOutputSchema(global::MlNetMlp.Conformance.Trial.Shape(View(rows).Schema));
        Assert.Contains(shape, column => column.Name == "Random" && column.Kind == SchemaShape.Column.VectorKind.Vector);
    }

    [Fact]
    public void Is_the_hidden_layer_of_the_trained_network()
    {
        var rows = RandomFeatureNetworkTests.Rows(50);
        var model = _ml.Regression.Trainers.RandomFeatureNetwork(new() { HiddenUnits = 20, WeightScale = 2, Seed = 1, Diagnose = false, ValidationFraction = 0 }).Fit(View(rows));
        var hidden = _ml.Transforms.CreateFeaturizer("Random", model).Fit(View(rows)).Transform(View(rows)).GetColumn<float[]>("Random").ToArray();
        var drawn = _ml.Transforms.RandomFeatureMap("Random", new RandomFeatureMap.Options { Units = 20, WeightScale = 2, Seed = 1 }).Fit(View(rows)).Transform(View(rows));
        Assert.Equal(drawn.GetColumn<float[]>("Random"), hidden);
    }

    [Fact]
    public void Refuses_what_it_cannot_read()
    {
        var rows = RandomFeatureNetworkTests.Rows(50);
        Says("'Features'", () => _ml.Transforms.RandomFeatureMap("Random", "Features", 5).Fit(_ml.Transforms.DropColumns("Features").Fit(View(rows)).Transform(View(rows))));
        Says("'Label'", () => _ml.Transforms.RandomFeatureMap("Random", "Label", 5).Fit(View(rows)));
        Says("'Features'", () => _ml.Transforms.RandomFeatureMap("Random", "Features", 5).Fit(View([])));
        Says("'Units'", () => _ml.Transforms.RandomFeatureMap("Random", "Features", 0));
        Says("'WeightScale'", () => _ml.Transforms.RandomFeatureMap("Random", "Features", 5, weightScale: -1));
        rows[7].Features[2] = float.NaN;
        Says("row 7, slot 2", () => _ml.Transforms.RandomFeatureMap("Random", "Features", 5).Fit(View(rows)));

        static void Says(string what, Action action) => Assert.Contains(what, Assert.ThrowsAny<Exception>(action).Message, StringComparison.Ordinal);
    }

    private IDataView View(IEnumerable<Row> rows) => _ml.Data.LoadFromEnumerable(rows);
}
