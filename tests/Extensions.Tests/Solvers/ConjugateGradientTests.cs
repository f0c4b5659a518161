using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using static MlNetMlp.Tests.Training.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Solvers;

public sealed class ConjugateGradientTests
{
    [Fact]
    public void Solves_in_as_many_steps_as_there_are_unknowns()
    {
        using var scope = NewDisposeScope();
        var (a, b) = System(12, 3);
        var x = zeros_like(b);
        var result = ConjugateGradient.Solve(a.mm, b, x);
        Assert.True(result.Converged);
        Assert.InRange(result.Iterations, 2, 14);
        Assert.True(MaxDifference(x, linalg.solve(a, b)) < 1e-8);
    }

    [Fact]
    public void A_column_of_zeros_stays_zero_beside_others()
    {
        using var scope = NewDisposeScope();
        var (a, b) = System(12, 2);
        b.select(1, 0).zero_();
        var x = zeros_like(b);
        Assert.True(ConjugateGradient.Solve(a.mm, b, x).Converged);
        Assert.Equal(0, Fista.Norm(x.select(1, 0)));
        Assert.True(MaxDifference(x, linalg.solve(a, b)) < 1e-8);
    }

    [Fact]
    public void Needs_fewer_steps_with_the_diagonal_where_scales_differ()
    {
        using var scope = NewDisposeScope();
        var (a, b) = System(60, 1);
        var scale = logspace(0, 3, 60, dtype: ScalarType.Float64);
        a = a.mul(scale).mul(scale.unsqueeze(1));
        var (x, y) = (zeros_like(b), zeros_like(b));
        var plain = ConjugateGradient.Solve(a.mm, b, x, settings: new() { MaxIterations = 5000 });
        var scaled = ConjugateGradient.Solve(a.mm, b, y, a.diagonal().unsqueeze(1), new() { MaxIterations = 5000 });
        Assert.True(scaled.Converged);
        Assert.True(scaled.Iterations * 3 < plain.Iterations, $"{scaled.Iterations} and {plain.Iterations}");
        Assert.True(MaxDifference(y, linalg.solve(a, b)) < 1e-8);
    }

    [Fact]
    public void Starts_where_it_is_told_and_stops_when_it_is_told()
    {
        using var scope = NewDisposeScope();
        var (a, b) = System(12, 1);
        var x = linalg.solve(a, b);
        Assert.Equal(0, ConjugateGradient.Solve(a.mm, b, x).Iterations);
        x = zeros_like(b);
        Assert.Equal(3, ConjugateGradient.Solve(a.mm, b, x, report: (iteration, _) => iteration < 3).Iterations);
        Assert.Equal(new(2, false), (ConjugateGradient.Solve(a.mm, b, zeros_like(b), settings: new() { MaxIterations = 2 }) is var r ? (r.Iterations, r.Converged) : default));
        Assert.Throws<OperationCanceledException>(() => { _ = ConjugateGradient.Solve(a.mm, b, zeros_like(b), cancellation: new(true)); });
    }

    private static (Tensor A, Tensor B) System(int size, int columns)
    {
        var m = Normal(1, ScalarType.Float64, 3 * size, size);
        return (m.t().mm(m), Normal(2, ScalarType.Float64, size, columns));
    }
}
