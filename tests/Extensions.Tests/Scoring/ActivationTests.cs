using MlNetMlp.Scoring;

namespace MlNetMlp.Tests.Scoring;

public class ActivationTests
{
    public static TheoryData<Activation> All => [.. Enum.GetValues<Activation>()];

    [Theory]
    [InlineData(Activation.Identity, 0)]
    [InlineData(Activation.Relu, 0)]
    [InlineData(Activation.Gelu, 3e-7)]
    [InlineData(Activation.Silu, 6e-7)]
    [InlineData(Activation.Tanh, 2e-7)]
    [InlineData(Activation.Sigmoid, 2e-7)]
    [InlineData(Activation.SmoothClip, 6e-7)]
    [InlineData(Activation.Gaussian, 2e-7)]
    [InlineData(Activation.Sine, 1.5e-7)]
    [InlineData(Activation.Cosine, 1.5e-7)]
    [InlineData(Activation.Step, 0)]
    [InlineData(Activation.Softplus, 6e-7)]
    public void Follows_its_definition_between_minus_10_and_10(Activation activation, double tolerance)
    {
        float[] x = [.. Enumerable.Range(-200_000, 400_001).Select(i => i / 20_000f)];
        float[] y = Apply(activation, x);
        for (int i = 0; i < x.Length; i++)
            Assert.True(Math.Abs(ActivationReference.Of(activation, x[i]) - y[i]) <= tolerance, $"{activation}({x[i]}) gave {y[i]}");
    }

    [Theory]
    [InlineData(Activation.Gelu)]
    [InlineData(Activation.Silu)]
    [InlineData(Activation.Tanh)]
    [InlineData(Activation.Sigmoid)]
    [InlineData(Activation.SmoothClip)]
    [InlineData(Activation.Gaussian)]
    [InlineData(Activation.Sine)]
    [InlineData(Activation.Cosine)]
    [InlineData(Activation.Softplus)]
    public void Keeps_relative_precision_where_values_are_small(Activation activation)
    {
        float[] x = [.. Enumerable.Range(1, 100).Select(i => i * 1e-4f), .. Enumerable.Range(1, 100).Select(i => i * -1e-4f), 1e-20f, -4f];
        float[] y = Apply(activation, x);
        for (int i = 0; i < x.Length; i++)
        {
            double expected = ActivationReference.Of(activation, x[i]);
            Assert.True(Math.Abs(expected - y[i]) <= 3e-6 * Math.Abs(expected), $"{activation}({x[i]}) gave {y[i]}, expected {expected}");
        }
    }

    [Theory]
    [InlineData(Activation.Sine)]
    [InlineData(Activation.Cosine)]
    public void Waves_stay_precise_over_many_periods_and_bounded_beyond(Activation activation)
    {
        var random = new Random(1);
        float[] x = [.. Enumerable.Range(0, 200_000).Select(i => (float)((random.NextDouble() - 0.5) * Math.Pow(10, 1 + (i % 6)) * 2))];
        float[] y = Apply(activation, x);
        for (int i = 0; i < x.Length; i++)
            Assert.True(Math.Abs(ActivationReference.Of(activation, x[i]) - y[i]) <= 2e-7, $"{activation}({x[i]}) gave {y[i]}");
        Assert.All(Apply(activation, [1e8f, -1e20f, float.MaxValue, float.NegativeInfinity]), value => Assert.InRange(value, -1, 1));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Lets_nan_through_and_only_where_it_was(Activation activation)
    {
        foreach (VectorPath path in Enum.GetValues<VectorPath>())
        {
            for (int at = 0; at < 19; at++)
            {
                float[] x = [.. Enumerable.Range(0, 19).Select(i => i - 9f)];
                x[at] = float.NaN;
                float[] y = Apply(activation, x, path, width: 19);
                Assert.All(y, (value, i) => Assert.Equal(i == at, float.IsNaN(value)));
            }
        }
    }

    [Theory]
    [InlineData(Activation.Relu, 0, float.PositiveInfinity)]
    [InlineData(Activation.Gelu, 0, float.PositiveInfinity)]
    [InlineData(Activation.Silu, 0, float.PositiveInfinity)]
    [InlineData(Activation.Tanh, -1, 1)]
    [InlineData(Activation.Sigmoid, 0, 1)]
    [InlineData(Activation.SmoothClip, -3, 3)]
    [InlineData(Activation.Gaussian, 0, 0)]
    [InlineData(Activation.Step, 0, 1)]
    [InlineData(Activation.Softplus, 0, float.PositiveInfinity)]
    public void Reaches_its_limits(Activation activation, float low, float high)
    {
        foreach (float far in new[] { 1e4f, 1e20f, float.MaxValue, float.PositiveInfinity })
        {
            float[] y = Apply(activation, [-far, far]);
            Assert.Equal(low, y[0], 1e-6f);
            if (float.IsInfinity(high))
                Assert.Equal(far, y[1]);
            else
                Assert.Equal(high, y[1], 1e-6f);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Gives_the_same_bits_on_every_vector_width(Activation activation)
    {
        float[] x = [.. Enumerable.Range(-40_000, 80_001).Select(i => i / 3_000f), float.NaN, 1e30f, -1e30f, 1e-40f, -0f];
        float[] expected = Apply(activation, x, VectorPath.Lanes512);
        Bits.Equal(expected, Apply(activation, x, VectorPath.Lanes256));
        Bits.Equal(expected, Apply(activation, x, VectorPath.Lanes128));
    }

    private static float[] Apply(Activation activation, float[] x, VectorPath? path = null, int width = 1)
    {
        var builder = new DenseProgramBuilder(width);
        DenseProgram program = builder.Build(builder.Elementwise(builder.Input, activation), path ?? DenseProgram.MachinePath);
        return program.ScoreAll(x);
    }
}
