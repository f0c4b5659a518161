using MlNetMlp.Convex;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Convex;

/// <summary>Losses against brute force.</summary>
public sealed class ConvexReluLossTests
{
    public static TheoryData<ConvexReluLoss> Losses => [ConvexReluLoss.Squared, ConvexReluLoss.Logistic, ConvexReluLoss.Hinge];

    [Theory]
    [MemberData(nameof(Losses))]
    public void Proximal_points_are_least_on_a_fine_grid(ConvexReluLoss kind)
    {
        using var scope = NewDisposeScope();
        var loss = ConvexReluLossFunction.Of(kind);
        var grid = linspace(-12, 12, 240_001, ScalarType.Float64);
        foreach (var rho in new[] { 0.2, 1, 30 })
        {
            foreach (var (q, y) in new[] { (0.3, 1.0), (-4, 1), (5, -1), (0.99, 1), (1.5, 1) })
            {
                var (point, label) = (tensor(q, ScalarType.Float64), tensor(y, ScalarType.Float64));
                var away = grid.sub(point);
                var best = grid[loss.Values(grid, label).Plus(away.mul(away).Times(rho / 2)).argmin()].ToDouble();
                Assert.Equal(best, loss.Proximal(point, label, rho).ToDouble(), 1e-4);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public void Slopes_are_derivatives_and_dual_values_least_values(ConvexReluLoss kind)
    {
        using var scope = NewDisposeScope();
        var loss = ConvexReluLossFunction.Of(kind);
        var grid = linspace(-12, 12, 240_001, ScalarType.Float64);
        foreach (var (f, y) in new[] { (0.3, 1.0), (-2.0, 1.0), (0.5, -1.0) })
        {
            var (point, label) = (tensor(f, ScalarType.Float64), tensor(y, ScalarType.Float64));
            var a = loss.Slopes(point, label);
            var difference = loss.Values(point.Plus(1e-6), label).sub(loss.Values(point.Plus(-1e-6), label)).ToDouble() / 2e-6;
            Assert.Equal(-difference, a.ToDouble(), 1e-6);

            // Where the slope is that of f, the least value of ℓ + a·f is at f.
            var least = loss.Values(grid, label).Plus(grid.mul(a)).min().ToDouble();
            Assert.Equal(least, loss.DualValues(a, label).ToDouble(), 1e-6);
            Assert.Equal(loss.Values(point, label).ToDouble() + (a.ToDouble() * f), loss.DualValues(a, label).ToDouble(), 1e-9);
        }
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public void The_worst_value_is_the_worst_of_an_interval(ConvexReluLoss kind)
    {
        using var scope = NewDisposeScope();
        var loss = ConvexReluLossFunction.Of(kind);
        var around = linspace(-0.7, 0.7, 1401, ScalarType.Float64);
        foreach (var (p, y) in new[] { (0.3, 1.0), (-0.2, 1.0), (0.5, -1.0), (1.2, 1.0) })
        {
            var (point, label) = (tensor(p, ScalarType.Float64), tensor(y, ScalarType.Float64));
            var worst = loss.Values(around.Plus(p), label).max().ToDouble();
            Assert.Equal(worst, loss.WorstValues(point, tensor(0.7, ScalarType.Float64), label).ToDouble(), 1e-9);
        }
    }
}
