using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Conformance;
using MlNetMlp.Interop;
using MlNetMlp.RandomFeatures;

namespace MlNetMlp.Tests.RandomFeatures;

/// <summary>The range of the weights decides: sin 20πx of 400 rows, judged by 1,001 others.</summary>
public sealed class BandwidthTests
{
    private readonly MLContext _ml = new(1);

    public sealed class Point
    {
        [VectorType(1)]
        public float[] Features { get; set; } = [];

        public float Label { get; set; }
    }

    [Fact]
    public void A_narrow_range_learns_nothing_at_any_width_and_a_wide_one_all()
    {
        Assert.True(Error(1, 1000) >= 0.65);
        Assert.True(Error(50, 200) <= 0.01);
        Assert.True(Error(50, 1000) <= 0.001);

        // Without biases that reach the data a wide range does not help.
        Assert.True(Error(50, 200, biasScale: 1) > 0.1);

        double Error(double scale, int units, double? biasScale = null) => Rmse(new()
        {
            HiddenUnits = units, Activation = RandomActivation.Gaussian, WeightScale = scale, BiasScale = biasScale ?? scale, StandardizeInputs = false,
            L2 = 1e-12, ValidationFraction = 0, Diagnose = false, Seed = 1,
        });
    }

    [Fact]
    public void The_scale_of_rectified_units_does_not_matter()
    {
        double Error(double scale) => Rmse(new()
        {
            HiddenUnits = 200, Activation = RandomActivation.Relu, WeightScale = scale, BiasScale = scale, StandardizeInputs = false, L2 = 1e-12,
            ValidationFraction = 0, Diagnose = false, Seed = 1,
        });
        Assert.Equal(Error(1), Error(64), 1e-3);
    }

    [Fact]
    public void The_search_finds_the_range_and_keeps_its_table()
    {
        var log = new List<string>();
        _ml.Log += (_, e) => log.Add(e.Message);
        var model = _ml.Regression.Trainers.RandomFeatureNetwork(new() { Activation = RandomActivation.Gaussian, Seed = 1 }).Fit(Data(400));
        Assert.True(_ml.Regression.Evaluate(model.Transform(Data(1001))).RootMeanSquaredError < 1e-3);

        var report = RandomFeatureNetwork.GetDiagnostics(model)!;
        Assert.InRange(report.Scale, 25, 100);
        Assert.Equal(12, report.Points.Select(point => point.Scale).Distinct().Count());
        Assert.Equal([125, 250, 300, 500, 1000], report.Points.Where(point => point.Scale == report.Scale).Select(point => point.Units));
        Assert.False(report.IsPlateau);
        Assert.Contains(log, line => line.Contains("The weight scale is 32", StringComparison.Ordinal));
        Assert.Equal(report, RandomFeatureNetwork.GetDiagnostics(Reload(model)));
        Assert.All(report.Points, point => Assert.InRange(point.CoefficientNorm, 0, 1e6 / 0.01));
        Assert.Null(RandomFeatureNetwork.GetDiagnostics(_ml.Transforms.CopyColumns("Copy", "Label").Fit(Data(10))));
    }

    [Fact]
    public void A_plateau_is_told_where_the_range_is_too_narrow()
    {
        var log = new List<string>();
        _ml.Log += (_, e) => log.Add(e.Message);
        var report = _ml.Regression.EvaluateBandwidth(Data(400), new() { Activation = RandomActivation.Gaussian, WeightScale = 1, HiddenUnits = 400, Seed = 1 });
        Assert.True(report.IsPlateau);
        Assert.False(report.IsStarved);
        Assert.Contains("WeightScale", Assert.Single(report.Findings), StringComparison.Ordinal);
        Assert.Equal(48, report.Points.Count);
        Assert.Equal(1, report.Scale);
        Assert.InRange(report.Best!.Scale, 8, 100);

        var model = _ml.Regression.Trainers.RandomFeatureNetwork(new() { Activation = RandomActivation.Gaussian, WeightScale = 1, Seed = 1 }).Fit(Data(400));
        Assert.True(RandomFeatureNetwork.GetDiagnostics(model)!.IsPlateau);
        Assert.Contains(log, line => line.Contains("Plateau", StringComparison.Ordinal));

        // Found by the search, the range has none.
        Assert.False(_ml.Regression.EvaluateBandwidth(Data(400), new() { Activation = RandomActivation.Gaussian, HiddenUnits = 400, Seed = 1 }).IsPlateau);
    }

    [Fact]
    public void Starved_is_told_where_units_are_missing()
    {
        var report = _ml.Regression.EvaluateBandwidth(Data(400), new() { Activation = RandomActivation.Gaussian, WeightScale = 64, HiddenUnits = 160, Seed = 1 });
        Assert.True(report.IsStarved);
        Assert.Contains(report.Findings, finding => finding.Contains("HiddenUnits", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(new[] { 1.0, 0.5, 0.49, 0.6 }, 0.05, 2.0)]
    [InlineData(new[] { 1.0, 0.5, 0.4, 0.6 }, 0.01, 4.0)]
    [InlineData(new[] { 0.5, 0.5, 0.5, 0.5 }, 0.01, 1.0)]
    public void The_smallest_scale_within_a_standard_error_is_chosen(double[] errors, double standardError, double expected)
    {
        var points = errors.Select((error, i) => new BandwidthPoint(Math.Pow(2, i), 10, 0, error, standardError, 1, 10, 0, 0, 0)).ToArray();
        Assert.Equal(expected, BandwidthReport.Choose(points, 100).Scale);

        // Large coefficients are passed over, unless all are large.
        points[1] = points[1] with { CoefficientNorm = 1000 };
        points[2] = points[2] with { CoefficientNorm = 2000 };
        Assert.True(BandwidthReport.Choose(points, 100).Scale is 1.0 or 8.0);
        Assert.Equal(1000, BandwidthReport.Choose(points[1..3], 100).CoefficientNorm);
    }

    private double Rmse(RandomFeatureNetwork.Options options) =>
        _ml.Regression.Evaluate(_ml.Regression.Trainers.RandomFeatureNetwork(options).Fit(Data(400)).Transform(Data(1001))).RootMeanSquaredError;

    private static ITransformer Reload(ITransformer model)
    {
        using var stream = new MemoryStream();
        new MLContext(1).Model.Save(model, null, stream);
        return new MLContext(1).Model.Load(stream, out _);
    }

    private IDataView Data(int count) => _ml.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(i =>
    {
        var x = (float)(-1 + (2.0 * i / (count - 1)));
        return new Point { Features = [x], Label = (float)Math.Sin(20 * Math.PI * x) };
    }).ToArray());
}
