using MlNetMlp.Runtime;
using MlNetMlp.ScalableKernels;
using MlNetMlp.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.ScalableKernels;

/// <summary>That products of the features of inputs and weights are what they estimate, on average and at the rate they should.</summary>
public sealed class ScalableKernelLayerTests
{
    private const int Width = 8;
    private const int Rows = 6;

    private static readonly FourierSpectrum Waves = new([new(0.1, 0.7), new(-0.25, 0.2, 0.4), new(0.3, 0, -0.5), new(0, 0.3)]);

    // Unit rows and weights, as the estimators need them to be.
    private static readonly Tensor X = Unit(1), W = Unit(2), B = TestData.Normal(3, Rows).Times(0.3).DetachFromDisposeScope();

    [Theory]
    [InlineData(ScalableKernel.ReluArcCos)]
    [InlineData(ScalableKernel.Cosine)]
    [InlineData(ScalableKernel.Sine)]
    [InlineData(ScalableKernel.CustomFourier)]
    [InlineData(ScalableKernel.TaylorSeries)]
    public void Products_are_right_on_average_and_their_error_falls_with_the_root(ScalableKernel kernel)
    {
        var expected = Expected(kernel);
        double RootMeanSquare(int features, int seeds)
        {
            var estimates = Enumerable.Range(1, seeds).Select(seed => Estimate(kernel, features, seed)).ToArray();
            for (var i = 0; i < Rows; i++)
            {
                var values = estimates.Select(estimate => estimate[i]).ToArray();
                var mean = values.Average();
                var error = Math.Sqrt(values.Sum(value => Math.Pow(value - mean, 2)) / (seeds - 1) / seeds);
                Assert.True(Math.Abs(mean - expected[i]) <= 3 * error, $"{kernel}, {features} features, pair {i}: {mean} ± {error}, not {expected[i]}");
            }

            return Math.Sqrt(estimates.Average(estimate => estimate.Zip(expected).Average(pair => Math.Pow(pair.First - pair.Second, 2))));
        }

        // A series gives its high powers one feature each until there are many.
        var few = kernel == ScalableKernel.TaylorSeries ? 1000 : 100;
        var (narrow, wide) = (RootMeanSquare(few, 200), RootMeanSquare(16 * few, 200));
        var slope = Math.Log(wide / narrow) / Math.Log(16);
        Assert.InRange(slope, -0.6, -0.4);
    }

    [Theory]
    [InlineData(ScalableKernel.ReluArcCos)]
    [InlineData(ScalableKernel.Cosine)]
    public void Orthogonal_directions_have_less_variance(ScalableKernel kernel)
    {
        double Error(bool orthogonal, int features)
        {
            var expected = Expected(kernel);
            return Enumerable.Range(1, 1500).Average(seed => Estimate(kernel, features, seed, orthogonal).Zip(expected).Average(pair => Math.Pow(pair.First - pair.Second, 2)));
        }

        foreach (var features in new[] { Width / 2, Width })
            Assert.True(Error(true, features) < Error(false, features), $"{kernel}, {features} features");
    }

    [Fact]
    public void A_constant_carries_the_bias_of_kernels_that_are_no_waves()
    {
        using var scope = NewDisposeScope();
        var options = new ScalableKernelFeatures.Options { FeatureCount = 20_000, NormalizeInput = false };
        var layer = Draw(options, 1);
        var product = layer.Phi(X).mul(layer.Psi(W, B)).sum(1L).data<float>().ToArray();
        var (x, w) = (cat([X, ones(Rows, 1)], 1), cat([W, B.unsqueeze(1)], 1));
        var expected = ArcCosine(x, w);
        for (var i = 0; i < Rows; i++)
            Assert.Equal(expected[i], product[i], 0.02);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(100)]
    public void A_series_has_features_for_each_power_it_has(int more)
    {
        foreach (var series in new[] { PowerSeries.Tanh, PowerSeries.Gelu, new PowerSeries([2]), new PowerSeries([1, 1]) })
        {
            var counts = series.Share(series.Powers + more);
            Assert.Equal(series.Powers + more, counts.Sum());
            Assert.All(counts.Zip(series.Coefficients), pair => Assert.Equal(pair.Second != 0, pair.First > 0));
        }
    }

    [Fact]
    public void Series_and_waves_are_the_functions_that_they_are_named_after()
    {
        foreach (var z in new[] { -0.5, 0, 0.3, 0.6 })
        {
            Assert.Equal(Math.Tanh(z), PowerSeries.Tanh.At(z), 1e-4);
            Assert.Equal(nn.functional.gelu(tensor(z)).ToDouble(), PowerSeries.Gelu.At(z), 1e-4);
            Assert.Equal(Math.Cos(z), FourierSpectrum.Cosine.At(z), 1e-12);
            Assert.Equal(Math.Sin(z), FourierSpectrum.Sine.At(z), 1e-12);
        }

        Assert.Equal(new PowerSeries([1, 2]), new PowerSeries([1, 2]));
        Assert.NotEqual(new FourierSpectrum([new(1, 2)]), new FourierSpectrum([new(1, 3)]));
    }

    private static double[] Expected(ScalableKernel kernel)
    {
        using var scope = NewDisposeScope();
        if (kernel == ScalableKernel.ReluArcCos)
            return ArcCosine(X, W);
        var z = X.mul(W).sum(1L).data<float>().ToArray();
        var b = B.data<float>().ToArray();
        return
        [
            .. z.Zip(b).Select(pair => kernel switch
            {
                ScalableKernel.Cosine => Math.Cos(pair.First + pair.Second),
                ScalableKernel.Sine => Math.Sin(pair.First + pair.Second),
                ScalableKernel.CustomFourier => Waves.At(pair.First + pair.Second),
                _ => PowerSeries.Tanh.At(pair.First),
            }),
        ];
    }

    // ‖x‖‖w‖(sin θ + (π − θ)·cos θ)/2π.
    private static double[] ArcCosine(Tensor x, Tensor w)
    {
        using var scope = NewDisposeScope();
        double[] Values(Tensor t) => [.. t.data<float>().ToArray().Select(value => (double)value)];
        var (dots, a, b) = (Values(x.mul(w).sum(1L)), Values(linalg.vector_norm(x, 2, [1])), Values(linalg.vector_norm(w, 2, [1])));
        return
        [
            .. Enumerable.Range(0, dots.Length).Select(i =>
            {
                var cosine = dots[i] / (a[i] * b[i]);
                var angle = Math.Acos(cosine);
                return a[i] * b[i] * (Math.Sin(angle) + ((Math.PI - angle) * cosine)) / (2 * Math.PI);
            }),
        ];
    }

    private static double[] Estimate(ScalableKernel kernel, int features, int seed, bool orthogonal = true)
    {
        using var scope = NewDisposeScope();
        var layer = Draw(
            new()
            {
                FeatureCount = features, Kernel = kernel, Orthogonal = orthogonal, AppendConstant = false, NormalizeInput = false,
                Spectrum = kernel == ScalableKernel.CustomFourier ? Waves : null,
            },
            seed);
        return [.. layer.Phi(X).mul(layer.Psi(W, B)).to(ScalarType.Float64).sum(1L).data<double>().ToArray()];
    }

    private static ScalableKernelLayer Draw(ScalableKernelFeatures.Options options, int seed)
    {
        using var random = new Generator((ulong)seed);
        var definition = options.Define(Width, outputs: null);
        var layer = new ScalableKernelLayer(definition, definition.LayerInputs(0), null, CPU);
        layer.Initialize(random);
        return layer;
    }

    private static Tensor Unit(ulong seed)
    {
        using var scope = NewDisposeScope();
        return nn.functional.normalize(TestData.Normal(seed, Rows, Width), 2, 1, 1e-12).DetachFromDisposeScope();
    }
}
