using MlNetMlp.Networks;
using MlNetMlp.Scoring;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Networks;

public class InputKnotsTests
{
    [Fact]
    public void Rows_at_their_knots_have_their_normal_scores()
    {
        // Levels of 1, 2, 2, 4: 1/8, 1/2, 7/8; of which Φ⁻¹ is ∓1.1503 and 0.
        var knots = InputKnots.AtQuantiles([4, 2, 1, 2], [1, 1, 1, 1], 1, 5);
        Assert.Equal([1f, 2, 4, 4, 4], knots.Positions.ToArray());
        Assert.Equal([-1.150349f, 0, 1.150349f, 1.150349f, 1.150349f], knots.Values.ToArray().Select(v => MathF.Round(v, 6)));
    }

    [Fact]
    public void A_row_of_weight_two_is_two_rows()
    {
        var random = new Random(1);
        float[] rows = [.. Enumerable.Range(0, 120).Select(_ => (float)Math.Round(random.NextDouble(), 2))];
        float[] twice = [.. rows, .. rows[..60]];
        var weighted = InputKnots.AtQuantiles(rows, [.. Enumerable.Range(0, 40).Select(i => i < 20 ? 2f : 1f)], 3, 8);
        var repeated = InputKnots.AtQuantiles(twice, [.. Enumerable.Repeat(1f, 60)], 3, 8);
        Assert.Equal(repeated.Positions.ToArray(), weighted.Positions.ToArray());
        Assert.Equal(repeated.Values.ToArray(), weighted.Values.ToArray());
    }

    [Fact]
    public void The_greatest_value_is_a_knot_whatever_the_ties()
    {
        float[] rows = [.. Enumerable.Repeat(0f, 900), .. Enumerable.Range(1, 100).Select(i => (float)i)];
        var knots = InputKnots.AtQuantiles(rows, [.. Enumerable.Repeat(1f, 1000)], 1, 16);
        Assert.Equal((0f, 100f), (knots.Positions[0], knots.Positions[15]));
        Assert.True(knots.Values[0] < knots.Values[15]);
    }

    [Fact]
    public void A_constant_feature_maps_to_zero()
    {
        using var scope = NewDisposeScope();
        var knots = InputKnots.AtQuantiles([5, 5, 5], [1, 1, 1], 1, 3);
        Assert.Equal([0f, 0, 0], knots.Map(tensor(new float[] { 4, 5, 6 }, [3, 1])).data<float>().ToArray());
    }

    [Fact]
    public void Tensors_and_vector_code_interpolate_as_plain_arithmetic_does()
    {
        using var scope = NewDisposeScope();
        const int inputs = 5, count = 9;
        var random = new Random(2);
        float[] rows = [.. Enumerable.Range(0, 200 * inputs).Select(i => (float)Math.Round(random.NextDouble() * 4, i % inputs == 0 ? 0 : 3))];
        var knots = InputKnots.AtQuantiles(rows, [.. Enumerable.Repeat(1f, 200)], inputs, count);
        float[] points = [.. rows, .. Enumerable.Range(0, 20 * inputs).Select(_ => (float)((random.NextDouble() * 12) - 4)), .. knots.Positions.ToArray().Take(inputs)];
        var mapped = knots.Map(tensor(points, [points.Length / inputs, inputs])).flatten().data<float>().ToArray();
        var builder = new DenseProgramBuilder(inputs);
        var scored = new float[points.Length];
        builder.Build(builder.PiecewiseLinear(builder.Input, knots.Positions, knots.Values)).Score(points, scored);
        for (var i = 0; i < points.Length; i++)
        {
            var (p, v) = (knots.Positions.Slice(i % inputs * count, count).ToArray(), knots.Values.Slice(i % inputs * count, count).ToArray());
            var k = Enumerable.Range(0, count - 1).Last(k => k == 0 || p[k] <= points[i]);
            while (k > 0 && p[k] == p[k + 1])
                k--;
            double t = points[i] <= p[0] ? 0 : points[i] >= p[count - 1] ? 1 : ((double)points[i] - p[k]) / ((double)p[k + 1] - p[k]);
            Assert.Equal(v[k] + (t * (v[k + 1] - v[k])), mapped[i], 1e-5);
            Assert.Equal(mapped[i], scored[i], 1e-6f);
        }
    }

    [Fact]
    public void Faults_are_named()
    {
        Assert.Contains("decrease from 2 to 1", Assert.Throws<ArgumentException>(() => new InputKnots(3, [1, 2, 1], [0, 0, 0])).Message);
        Assert.Throws<ArgumentException>(() => new InputKnots(3, [1, 2, 3, 4], [0, 0, 0, 0]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new InputKnots(2, [1, 2], [0, 0]));
        var builder = new DenseProgramBuilder(2);
        Assert.Throws<ArgumentException>(() => builder.PiecewiseLinear(builder.Input, new float[4], new float[4]));
    }
}
