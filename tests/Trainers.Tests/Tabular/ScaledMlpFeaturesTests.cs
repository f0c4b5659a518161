using System.Globalization;
using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Tabular;
using MlNetMlp.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Tabular;

public class ScaledMlpFeaturesTests
{
    private const int Inputs = 6;

    private readonly MLContext _ml = new(1);

    public sealed class Row
    {
        [VectorType(Inputs)]
        public float[] Features { get; set; } = [];

        public float Target { get; set; }

        public bool Flag { get; set; }

        public string Kind { get; set; } = "";
    }

    public sealed class Digit
    {
        [VectorType(64)]
        public float[] Features { get; set; } = [];

        public int Number { get; set; }
    }

    public static TheoryData<ScaledMlpArchitecture, ScaledMlpNormalization> Networks => new()
    {
        { ScaledMlpArchitecture.InvertedBottleneck, ScaledMlpNormalization.Layer },
        { ScaledMlpArchitecture.InvertedBottleneck, ScaledMlpNormalization.Batch },
        { ScaledMlpArchitecture.InvertedBottleneck, ScaledMlpNormalization.None },
        { ScaledMlpArchitecture.Standard, ScaledMlpNormalization.Layer },
    };

    [Theory]
    [MemberData(nameof(Networks))]
    public void Features_times_the_weights_of_the_last_layer_are_the_scores(ScaledMlpArchitecture architecture, ScaledMlpNormalization normalization)
    {
        var data = Rows(300, 1);
        var options = Quick with { Architecture = architecture, Normalization = normalization };
        foreach (var model in new ITransformer[]
        {
            _ml.BinaryClassification.Trainers.ScaledMlp(options with { LabelColumnName = "Flag" }).Fit(data),
            _ml.Regression.Trainers.ScaledMlp(options with { LabelColumnName = "Target" }).Fit(data),
        })
        {
            var network = NetworkModel.Find(model)!;
            var (mean, scale) = network.Head is RegressionHead head ? (head.LabelMean, head.LabelScale) : (0, 1);
            var reader = network.Weights.Read();
            var (w, b) = (reader.Take("output.weight", 1, Quick.Width).ToArray(), reader.Take("output.bias", 1).Span[0]);

            var scored = _ml.Transforms.ScaledMlpFeatures("Deep", model).Fit(data).Transform(model.Transform(data));

            var scores = scored.GetColumn<float>("Score").ToArray();
            Assert.All(Vectors(scored, "Deep").Zip(scores), pair =>
            {
                Assert.Equal(Quick.Width, pair.First.Length);
                var output = pair.First.Zip(w, (x, y) => (double)x * y).Sum() + b;
                Assert.Equal((output * scale) + mean, pair.Second, 1e-5 * scale * (1 + Math.Abs(output)));
            });
        }
    }

    [Theory]
    [MemberData(nameof(Networks))]
    public void Managed_and_native_scoring_of_the_body_agree(ScaledMlpArchitecture architecture, ScaledMlpNormalization normalization)
    {
        var data = Rows(200, 2);
        var model = _ml.Transforms.ScaledMlpFeatures(
            "Deep", Quick with { LabelColumnName = "Flag", Architecture = architecture, Normalization = normalization }).Fit(data);

        using var scope = NewDisposeScope();
        using var network = model.Network.CreateNetwork();
        using var noGradient = no_grad();
        var rows = Vectors(data, "Features");
        var expected = network.call(tensor(rows.SelectMany(row => row).ToArray(), [rows.Length, Inputs]));
        var features = tensor(Vectors(model.Transform(data), "Deep").SelectMany(row => row).ToArray(), expected.shape);
        Assert.True((features - expected).abs().max().ToSingle() < 1e-5);
        Assert.Equal(network.parameters().Concat(network.buffers()).Sum(t => t.numel()), model.Network.WeightCount);
        Assert.Null(model.Network.Definition.Body);
    }

    [Theory]
    [InlineData("Target")]
    [InlineData("Flag")]
    [InlineData("Key")]
    [InlineData("Targets")]
    public void Every_label_teaches_features(string label)
    {
        var data = _ml.Transforms.Conversion.MapValueToKey("Key", "Kind").Append(_ml.Transforms.Concatenate("Targets", "Target", "Target"))
            .Fit(Rows(200, 3)).Transform(Rows(200, 3));
        var estimator = _ml.Transforms.ScaledMlpFeatures("Features", labelColumnName: label, width: 16, blocks: 1, epochs: 2);

        var model = estimator.Fit(data);

        Assert.Equal(("Features", "Features"), (model.InputColumnName, model.OutputColumnName));
        Assert.All(Vectors(model.Transform(data), "Features"), row => Assert.Equal(16, row.Length));
        using var stream = new MemoryStream();
        _ml.Model.Save(model, data.Schema, stream);
        Assert.Equal(Vectors(model.Transform(data), "Features"), Vectors(new MLContext().Model.Load(stream, out _).Transform(data), "Features"));
    }

    [Fact]
    public void Models_of_other_methods_are_refused()
    {
        var e = Assert.Throws<ArgumentException>(() => _ml.Transforms.ScaledMlpFeatures("Deep", _ml.Transforms.CopyColumns("A", "Target").Fit(Rows(5, 1))));
        Assert.Contains("holds no network", e.Message, StringComparison.Ordinal);
        Assert.Contains(
            "ScaledMlp: option 'Width' must be at least 8",
            Assert.Throws<ArgumentOutOfRangeException>(() => _ml.Transforms.ScaledMlpFeatures("Deep", width: 4)).Message,
            StringComparison.Ordinal);
        NetworkFeatureEstimator estimator = _ml.Transforms.ScaledMlpFeatures("Deep", new() { Width = 32 });
        Assert.NotNull(estimator);
    }

    [Fact]
    public void The_short_form_has_the_defaults_of_the_options()
    {
        var defaults = new ScaledMlp.Options();
        var door = typeof(ScaledMlpFeaturesCatalog).GetMethods(BindingFlags.Public | BindingFlags.Static).Single(m => m.GetParameters().Length > 4);
        Assert.All(door.GetParameters().Skip(3), parameter =>
        {
            var option = char.ToUpperInvariant(parameter.Name![0]) + parameter.Name[1..];
            Assert.Equal(typeof(ScaledMlp.Options).GetProperty(option)!.GetValue(defaults), parameter.DefaultValue);
        });
    }

    // A linear trainer that sees ten rows of each digit does with trained features what it does neither with pixels nor with random features.
    [DataFact("digits8x8")]
    public void A_linear_probe_does_better_on_features_than_on_pixels_and_random_features()
    {
        var digits = File.ReadLines(Path.Combine(TestData.Folder!, "digits8x8", "digits8x8.csv")).Skip(1).Select(line =>
        {
            float[] values = [.. line.Split(',').Select(value => float.Parse(value, CultureInfo.InvariantCulture))];
            return new Digit { Features = values[..64], Number = (int)values[64] };
        }).ToList();
        var train = Keyed(digits.Where((_, i) => i % 2 == 0));
        var others = digits.Where((_, i) => i % 2 == 1).GroupBy(digit => digit.Number).Select(group => group.ToList()).ToList();
        var (few, rest) = (Keyed(others.SelectMany(group => group.Take(10))), Keyed(others.SelectMany(group => group.Skip(10))));
        var options = new ScaledMlp.Options { Epochs = 15, Seed = 1 };

        var trained = Probe(_ml.Transforms.ScaledMlpFeatures("Deep", options).Fit(train));
        var random = Probe(_ml.Transforms.ScaledMlpFeatures("Deep", options with { Epochs = 1, LearningRate = 1e-12 }).Fit(train));
        var pixels = Probe(_ml.Transforms.CopyColumns("Deep", "Features").Fit(train));

        Assert.True(trained > Math.Max(random, pixels) + 0.05, $"accuracy {trained:0.000} with features, {random:0.000} with random ones, {pixels:0.000} with pixels");

        double Probe(ITransformer features)
        {
            var probe = _ml.Transforms.NormalizeMinMax("Deep").Append(_ml.MulticlassClassification.Trainers.LbfgsMaximumEntropy("Label", "Deep"))
                .Fit(features.Transform(few));
            return _ml.MulticlassClassification.Evaluate(probe.Transform(features.Transform(rest))).MicroAccuracy;
        }

        IDataView Keyed(IEnumerable<Digit> rows)
        {
            var view = _ml.Data.LoadFromEnumerable(rows.OrderBy(digit => digit.Number));
            return _ml.Transforms.Conversion.MapValueToKey("Label", "Number").Fit(view).Transform(view);
        }
    }

    private static ScaledMlp.Options Quick => new() { Width = 16, Blocks = 2, Epochs = 5, BatchSize = 32, LearningRate = 3e-3, Seed = 1 };

    private static float[][] Vectors(IDataView data, string column) =>
        [.. data.GetColumn<VBuffer<float>>(column).Select(row => row.DenseValues().ToArray())];

    private IDataView Rows(int count, ulong seed)
    {
        var random = new DeterministicRandom(seed);
        return _ml.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(_ =>
        {
            float[] x = [.. Enumerable.Range(0, Inputs).Select(_ => (float)((random.NextDouble() * 4) - 2))];
            return new Row { Features = x, Target = 10 + (3 * x[0]) - (2 * x[1] * x[1]), Flag = x[0] * x[1] > 0, Kind = x[0] > 0.7f ? "big" : x[1] > 0 ? "medium" : "small" };
        }).ToList());
    }
}
