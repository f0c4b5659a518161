using MlNetMlp.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Explanations;

/// <summary>Identities of boundaries that hold whatever the data are, and boundaries of networks that are known.</summary>
public sealed class BoundaryGeometryTests
{
    [Theory]
    [InlineData(1, 3, 40, 0.5)]
    [InlineData(2, 10, 200, 0.05)]
    [InlineData(3, 50, 30, 0.8)]
    public void Mean_distances_differ_by_one_over_the_cosine(ulong seed, int width, int count, double share)
    {
        var random = new DeterministicRandom(seed);
        var (rows, labels) = Draw(random, width, count, share);
        var centroids = Centroids(rows, labels);
        for (var trial = 0; trial < 20; trial++)
        {
            var boundary = new LinearBoundary(Vector(random, width), 5 * Normal(random));
            var distances = Distances(boundary, rows);
            var ratio = Signed(labels, [.. rows.Select(row => centroids.Distance(row))]) / Signed(labels, distances);
            var angle = centroids.AngleDegrees(boundary.Normal) * Math.PI / 180;
            Assert.Equal(1, ratio * Math.Cos(angle), 1e-10);
            Assert.Equal(ratio > 0 ? ratio : (double?)null, centroids.Strength(boundary.Normal), (a, b) => a is null ? b is null : Math.Abs(a.Value - b!.Value) < 1e-10 * a);
        }
    }

    [Fact]
    public void A_tilt_into_a_column_of_zeros_keeps_predictions_and_multiplies_the_strength()
    {
        var random = new DeterministicRandom(4);
        var (drawn, labels) = Draw(random, 6, 100, 0.4);
        float[][] rows = [.. drawn.Select(row => (float[])[.. row, 0])];
        var centroids = Centroids(rows, labels);
        var flat = new double[7];
        flat[6] = 1;
        var phi = 89 * Math.PI / 180;
        foreach (var normal in new[] { [.. centroids.Difference], (double[])[.. centroids.Difference.Select((d, i) => d + (i == 1 ? 0.7 * centroids.Length : 0))] })
        {
            var length = Math.Sqrt(normal.Sum(w => w * w));
            double[] tilted = [.. normal.Zip(flat, (w, t) => (Math.Cos(phi) * w / length) + (Math.Sin(phi) * t))];
            var offset = -normal.Zip(centroids.Middle, (w, m) => w * m).Sum();
            var (before, after) = (new LinearBoundary(normal, offset), new LinearBoundary(tilted, Math.Cos(phi) * offset / length));
            Assert.Equal(Distances(before, rows).Select(Math.Sign), Distances(after, rows).Select(Math.Sign));
            var factor = centroids.Strength(after.Normal)!.Value / centroids.Strength(before.Normal)!.Value;
            Assert.Equal(57.2987, factor, 1e-4);

            // What it is tilted along has no variance, which tells that nothing was gained.
            using var labelled = Labelled(rows, labels);
            using var boundaries = new LinearBoundaries([new double[7], tilted], [0, Math.Cos(phi) * offset / length]);
            var report = new BoundaryTiltEvaluation(labelled, boundaries, new()).Run();
            Assert.Equal(BoundaryTiltType.Type2, report.Tilt!.Type);
            Assert.InRange(report.Tilt.TiltVarianceRatio!.Value, 0, 0.01);
        }
    }

    [Fact]
    public void Turning_the_space_leaves_all_figures_as_they_are()
    {
        var random = new DeterministicRandom(5);
        const int width = 8;
        var (rows, labels) = Draw(random, width, 150, 0.3);
        var (noise, centroids) = (Vector(random, width), Centroids(rows, labels));
        double[] weights = [.. noise.Select((value, i) => (0.3 * value) + (centroids.Difference[i] / centroids.Length))];
        var bias = -weights.Zip(centroids.Middle, (w, m) => w * m).Sum();
        var rotation = Rotation(random, width);
        float[][] turned = [.. rows.Select(row => Turn([.. row.Select(value => (double)value)]).Select(value => (float)value).ToArray())];
        var (before, after) = (Report(rows, weights), Report(turned, Turn(weights)));
        Assert.InRange(before.Tilt!.DeviationAngleDegrees, 10, 80);
        Assert.Equal(before.Tilt.DeviationAngleDegrees, after.Tilt!.DeviationAngleDegrees, 1e-4);
        Assert.Equal(before.Tilt.TiltVarianceRatio!.Value, after.Tilt.TiltVarianceRatio!.Value, 1e-5);
        Assert.Equal(before.ErrorRate, after.ErrorRate);

        BoundaryTiltReport Report(float[][] features, double[] normal)
        {
            using var labelled = Labelled(features, labels);
            using var boundaries = new LinearBoundaries([new double[width], normal], [0, bias]);
            return new BoundaryTiltEvaluation(labelled, boundaries, new()).Run();
        }

        double[] Turn(double[] vector) => [.. rotation.Select(row => row.Zip(vector, (a, b) => a * b).Sum())];
    }

    [Fact]
    public void The_variance_ratio_is_that_of_the_pooled_covariance()
    {
        var random = new DeterministicRandom(6);
        const int width = 4;
        var (rows, labels) = Draw(random, width, 60, 0.3);
        var weights = Vector(random, width);
        using var labelled = Labelled(rows, labels);
        using var boundaries = new LinearBoundaries([new double[width], weights], [0, 0.1]);
        var found = new BoundaryTiltEvaluation(labelled, boundaries, new()).Run().Tilt!;

        var centroids = Centroids(rows, labels);
        var t = centroids.TiltDirection(weights)!;
        Assert.Equal(0, t.Zip(centroids.Difference, (a, b) => a * b).Sum(), 1e-10);
        var covariance = new double[width, width];
        for (var row = 0; row < rows.Length; row++)
        {
            for (var i = 0; i < width; i++)
            {
                for (var j = 0; j < width; j++)
                    covariance[i, j] += (rows[row][i] - Mean(row, i)) * (rows[row][j] - Mean(row, j)) / rows.Length;
            }
        }

        var (along, trace) = (0.0, 0.0);
        for (var i = 0; i < width; i++)
        {
            trace += covariance[i, i];
            for (var j = 0; j < width; j++)
                along += t[i] * covariance[i, j] * t[j];
        }

        Assert.Equal(along / (trace / width), found.TiltVarianceRatio!.Value, 1e-10);

        double Mean(int row, int i) => rows.Where((_, r) => labels[r] == labels[row]).Average(other => (double)other[i]);
    }

    [Fact]
    public void The_type_follows_from_the_limits_and_a_boundary_worse_than_chance_has_no_strength()
    {
        var random = new DeterministicRandom(7);
        var (rows, labels) = Draw(random, 5, 100, 0.5);
        double[] weights = [.. Centroids(rows, labels).Difference];
        weights[0] += 2 * Math.Sqrt(weights.Sum(w => w * w));
        var tilt = Of(labels, new());
        Assert.True(tilt.AdversarialStrength > 1.25 && tilt.TiltVarianceRatio > 0.05, $"{tilt}");
        Assert.Equal(BoundaryTiltType.Type1, tilt.Type);
        Assert.Equal(BoundaryTiltType.Type0, Of(labels, new() { LittleStrength = tilt.AdversarialStrength!.Value + 0.1 }).Type);
        Assert.Equal(BoundaryTiltType.Type2, Of(labels, new() { FlatVarianceRatio = tilt.TiltVarianceRatio!.Value + 0.1 }).Type);

        var other = Of([.. labels.Select(label => !label)], new());
        Assert.Null(other.AdversarialStrength);
        Assert.Equal(180 - tilt.DeviationAngleDegrees, other.DeviationAngleDegrees, 1e-9);

        BoundaryTilt Of(bool[] own, BoundaryTiltEvaluationOptions options)
        {
            using var labelled = Labelled(rows, own);
            using var boundaries = new LinearBoundaries([new double[5], weights], [0, 0]);
            return new BoundaryTiltEvaluation(labelled, boundaries, options).Run().Tilt!;
        }
    }

    // |x₀| − 1 > 0: two planes at −1 and 1, with the gradient 0 nowhere but at x₀ = 0.
    [Fact]
    public void The_nearer_of_two_planes_is_found()
    {
        using var boundaries = Network([1, 0, -1, 0], [0, 0], [1, 1], -1, units: 2);
        float[] rows = [0.5f, 9, 3, -2, -1.25f, 4, -0.9f, 0];
        var (distances, moves, normals) = (new double[4], new float[8], new float[8]);
        boundaries.Between(0, 1).Find(rows, distances, moves, normals);
        double[] expected = [-0.5, 2, 0.25, -0.1];
        float[] ways = [0.5f, 0, -2, 0, 0.25f, 0, -0.1f, 0], directions = [1, 0, 1, 0, -1, 0, -1, 0];
        for (var i = 0; i < 8; i++)
        {
            Assert.Equal(expected[i / 2], distances[i / 2], 2e-6);
            Assert.Equal(ways[i], moves[i], 2e-6);
            Assert.Equal(directions[i], normals[i], 1e-6);
        }

        boundaries.Between(1, 0).Find(rows, distances, [], []);
        Assert.Equal(expected.Select(value => -value), distances.Select(value => Math.Round(value, 5)));
    }

    // tanh(4·x₀) − 0.9: Newton's steps from where it is flat overshoot by far.
    [Fact]
    public void A_boundary_beyond_where_the_margin_is_flat_is_found_by_halving()
    {
        using var boundaries = Network([4, 0], [0], [1], -0.9, units: 1, Activation.Tanh);
        var (distances, moves) = (new double[3], new float[6]);
        boundaries.Between(0, 1).Find([-1.2f, 0, 0.1f, 1, 1.1f, 2], distances, moves, []);
        var at = Math.Atanh(0.9) / 4;
        double[] expected = [-1.2 - at, 0.1 - at, 1.1 - at];
        for (var i = 0; i < 3; i++)
            Assert.Equal(expected[i], distances[i], 1e-4);
    }

    [Fact]
    public void Where_there_is_no_boundary_none_is_found()
    {
        // max(x₀, 0) + 1 is never 0: in front of it the gradient is, behind it steps end where it is.
        using var boundaries = Network([1, 0], [0], [1], 1, units: 1);
        var (distances, moves, normals) = (new double[2], new float[4], new float[4]);
        boundaries.Between(0, 1).Find([2, 5, -2, 5], distances, moves, normals);
        Assert.All(distances, value => Assert.True(double.IsNaN(value)));
        Assert.All(moves, value => Assert.True(float.IsNaN(value)));
        Assert.Equal([1, 0], normals[..2]);
        Assert.All(normals[2..], value => Assert.True(float.IsNaN(value)));
    }

    [Fact]
    public void A_network_of_one_layer_is_the_linear_model_it_is()
    {
        var random = new DeterministicRandom(8);
        const int width = 12;
        var (rows, labels) = Draw(random, width, 300, 0.4);
        float[] weights = [.. Vector(random, width).Select(value => (float)value)];
        using var network = Network(weights, [0], [1], 0.75, units: 1, Activation.Identity);
        using var linear = new LinearBoundaries([new double[width], [.. weights.Select(w => (double)w)]], [0, 0.75]);
        var (expected, moved, found, moves) = (new double[300], new float[300 * width], new double[300], new float[300 * width]);
        float[] flat = [.. rows.SelectMany(row => row)];
        linear.Between(0, 1).Find(flat, expected, moved, []);
        network.Between(0, 1).Find(flat, found, moves, []);
        for (var i = 0; i < 300; i++)
            Assert.Equal(expected[i], found[i], 1e-5 * Math.Max(1, Math.Abs(expected[i])));
        for (var i = 0; i < moved.Length; i++)
            Assert.Equal(moved[i], moves[i], 2e-5);

        using var labelled = Labelled(rows, labels);
        var (one, other) = (new BoundaryTiltEvaluation(labelled, linear, new()).Run(), new BoundaryTiltEvaluation(labelled, network, new()).Run());
        Assert.Equal(one.ErrorRate, other.ErrorRate);
        Assert.Equal(one.Tilt!.DeviationAngleDegrees, other.Tilt!.DeviationAngleDegrees, 1e-3);
        Assert.Equal(one.Tilt.AdversarialStrength!.Value, other.Tilt.AdversarialStrength!.Value, 1e-4 * one.Tilt.AdversarialStrength.Value);
        Assert.Equal(one.Tilt.TiltVarianceRatio!.Value, other.Tilt.TiltVarianceRatio!.Value, 1e-5);
        Assert.Equal(one.Tilt.Type, other.Tilt.Type);
        var local = other.Tilt.Local!;
        Assert.Null(one.Tilt.Local);
        Assert.Equal((300, 0), (local.Rows, local.RowsWithoutBoundary));
        Assert.Equal(local.AngleDegrees!.Least, local.AngleDegrees.Greatest, 1e-3);
    }

    [Fact]
    public void Only_so_many_rows_of_a_class_are_looked_from()
    {
        var random = new DeterministicRandom(9);
        var (rows, labels) = Draw(random, 3, 200, 0.3);
        using var labelled = Labelled(rows, labels);
        using var network = Network([1, 2, 3], [0], [1], 0, units: 1, Activation.Identity);
        Assert.Equal(20, new BoundaryTiltEvaluation(labelled, network, new() { RowsPerClass = 10 }).Run().Tilt!.Local!.Rows);
    }

    [Fact]
    public void Quantiles_lie_between_the_values()
    {
        var summary = DistributionSummary.Of([3, 1, 2, 5, 4])!;
        Assert.Equal(new(1, 1.4, 2, 3, 4, 4.6, 5), summary with { Tenth = Math.Round(summary.Tenth, 9), NineTenths = Math.Round(summary.NineTenths, 9) });
        Assert.Null(DistributionSummary.Of([]));
    }

    private static NetworkBoundaries Network(
        float[] weights, float[] biases, float[] output, double constant, int units, Activation activation = Activation.Relu)
    {
        LibTorch.Load();
        var builder = new HiddenLayerBuilder(weights.Length / units, units, activation, [constant]);
        builder.Add(new(weights, biases, output, [0]), 1);
        using var network = builder.Build(1);
        return new(new(network.Definition, network.ReadWeights(), new BinaryHead()) { MethodName = "Known" }, 0, 20);
    }

    private static LabeledRows Labelled(float[][] rows, bool[] labels)
    {
        LibTorch.Load();
        return new(
            tensor(rows.SelectMany(row => row).ToArray(), [rows.Length, rows[0].Length]), [.. labels.Select(label => label ? 1f : 0)], new(new float[rows[0].Length], new float[rows[0].Length]));
    }

    private static double[] Distances(LinearBoundary boundary, float[][] rows)
    {
        var distances = new double[rows.Length];
        boundary.Find([.. rows.SelectMany(row => row)], distances, [], []);
        return distances;
    }

    // Half the difference of the means of both classes.
    private static double Signed(bool[] labels, double[] distances) =>
        (distances.Where((_, i) => labels[i]).Average() - distances.Where((_, i) => !labels[i]).Average()) / 2;

    private static CentroidBoundary Centroids(float[][] rows, bool[] labels)
    {
        return new(Mean(false), Mean(true));

        double[] Mean(bool own) => [.. Enumerable.Range(0, rows[0].Length).Select(i => rows.Where((_, row) => labels[row] == own).Average(row => (double)row[i]))];
    }

    // Classes of different, skewed shapes.
    private static (float[][] Rows, bool[] Labels) Draw(DeterministicRandom random, int width, int count, double share)
    {
        bool[] labels = [.. Enumerable.Range(0, count).Select(i => i < share * count)];
        return ([.. labels.Select(label =>
        {
            var common = Normal(random);
            return Enumerable.Range(0, width).Select(i => (float)(label
                ? 1 + (Math.Exp(0.5 * Normal(random)) * (1 + (i % 3))) + common
                : (0.3 * i * Normal(random)) - (0.2 * common * common))).ToArray();
        })], labels);
    }

    private static double[][] Rotation(DeterministicRandom random, int width)
    {
        var basis = new List<double[]>();
        while (basis.Count < width)
        {
            var vector = Vector(random, width);
            foreach (var other in basis.Concat(basis))
            {
                var along = vector.Zip(other, (a, b) => a * b).Sum();
                vector = [.. vector.Zip(other, (a, b) => a - (along * b))];
            }

            var length = Math.Sqrt(vector.Sum(value => value * value));
            basis.Add([.. vector.Select(value => value / length)]);
        }

        return [.. basis];
    }

    private static double[] Vector(DeterministicRandom random, int width) => [.. Enumerable.Range(0, width).Select(_ => Normal(random))];

    private static double Normal(DeterministicRandom random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
