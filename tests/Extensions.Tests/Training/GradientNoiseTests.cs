using System.ComponentModel.DataAnnotations;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Training;

public class GradientNoiseTests
{
    [Fact]
    public void TheDeviationFollowsItsFormula()
    {
        GradientNoise noise = new() { Eta = 0.3 };
        Assert.Equal(Math.Sqrt(0.3), noise.StandardDeviationAt(0), 1e-15);
        Assert.Equal(0.1544, noise.StandardDeviationAt(99), 5e-5);
        Assert.Equal(Math.Sqrt(0.3 / Math.Pow(100, 0.55)), noise.StandardDeviationAt(99), 1e-15);
        Assert.Equal(1, new GradientNoise { Eta = 1, Gamma = 0 }.StandardDeviationAt(12345), 1e-15);
        GradientNoise constant = new() { Schedule = GradientNoiseSchedule.Constant, StandardDeviation = 0.02 };
        Assert.Equal(0.02, constant.StandardDeviationAt(9), 1e-15);
    }

    [Theory]
    [InlineData(0.3, 0.55, true)]
    [InlineData(-0.1, 0.55, false)]
    [InlineData(0.3, 2.5, false)]
    public void RangesAreData(double eta, double gamma, bool valid)
    {
        GradientNoise noise = new() { Eta = eta, Gamma = gamma };
        Assert.Equal(valid, Validator.TryValidateObject(noise, new(noise), null, validateAllProperties: true));
    }

    [Fact]
    public void TheDrawsAreWhiteGaussian()
    {
        const int n = 1_000_000;
        using var network = nn.Sequential(("a", nn.Linear(1000, 500, false)), ("b", nn.Linear(500, 1000, false)));
        using FlatParameters flat = new(network);
        using GradientNoiseSource source = new(new() { Eta = 0.3 }, flat, 7);
        using var gradient = Networks.Normal(8, ScalarType.Float32, n);
        List<Tensor> draws = [];
        for (var t = 0; t < 2; t++)
        {
            flat.Gradient.copy_(gradient);
            source.Apply();
            draws.Add(flat.Gradient.to(ScalarType.Float64) - gradient);
            var sigma = source.Settings.StandardDeviationAt(t);
            Assert.Equal(1, draws[t].var().ToDouble() / (sigma * sigma), 0.01);
            Assert.True(Math.Abs(draws[t].mean().ToDouble()) < 4 * sigma / Math.Sqrt(n));
        }
        Assert.True(Math.Abs(Correlation(draws[0], draws[1])) < 0.01);
        Assert.True(Math.Abs(Correlation(draws[0].narrow(0, 0, n / 2), draws[0].narrow(0, n / 2, n / 2))) < 0.01);
        Assert.Equal(2, source.StepCount);
    }

    [Fact]
    public void TheSeedDecides()
    {
        Assert.Equal(Draw(new() { Seed = 3 }, 1), Draw(new() { Seed = 3 }, 2));
        Assert.Equal(Draw(new(), 3), Draw(new() { Seed = 3 }, 1));
        Assert.NotEqual(Draw(new() { Seed = 3 }, 1), Draw(new() { Seed = 4 }, 1));
        Assert.All(Draw(new() { Eta = 0 }, 1), number => Assert.Equal(0, number));
    }

    [Fact]
    public void NoiseIsNotClipped()
    {
        using var network = Networks.Perceptron(1);
        using FlatParameters flat = new(network);
        foreach (var eta in (double[])[0, 1])
        {
            using GradientNoiseSource source = new(new() { Eta = eta }, flat, 1);
            flat.Gradient.fill_(5);
            flat.ClipGradient(1);
            source.Apply();
            Assert.Equal(eta > 0, flat.GradientNorm() > 1.001);
        }
    }

    [Fact]
    public void ConstantNoiseOnAParabolaSettlesAtItsStationaryVariance()
    {
        // θ ← (1−α)θ − ασε has variance α²σ²/(1−(1−α)²) = ασ²/(2−α). 20,000 coordinates and 10 draws of each, 20 steps apart.
        const double rate = 0.3, sigma = 0.5;
        using var network = nn.Linear(200, 100, hasBias: false);
        using FlatParameters flat = new(network);
        using Sgd sgd = new(flat);
        using GradientNoiseSource source = new(
            new() { Schedule = GradientNoiseSchedule.Constant, StandardDeviation = sigma }, flat, 11);
        flat.Values.zero_();
        var variance = 0.0;
        for (var step = 1; step <= 240; step++)
        {
            flat.Gradient.copy_(flat.Values);
            source.Apply();
            sgd.Step(rate);
            if (step > 40 && step % 20 == 0)
                variance += flat.Values.square().mean().ToDouble() / 10;
        }
        Assert.Equal(1, variance / (rate * sigma * sigma / (2 - rate)), 0.05);
    }

    private static float[] Draw(GradientNoise noise, long seed)
    {
        using var network = Networks.Perceptron(1);
        using FlatParameters flat = new(network);
        using GradientNoiseSource source = new(noise, flat, seed);
        source.Apply();
        return Networks.Numbers(flat.Gradient);
    }

    private static double Correlation(Tensor a, Tensor b) =>
        ((a - a.mean()) * (b - b.mean())).mean().ToDouble() / Math.Sqrt(a.var().ToDouble() * b.var().ToDouble());
}
