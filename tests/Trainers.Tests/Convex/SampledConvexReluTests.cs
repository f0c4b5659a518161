using MlNetMlp.Convex;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Convex;

/// <summary>The lasso over random units.</summary>
public sealed class SampledConvexReluTests
{
    [Theory]
    [InlineData(ConvexReluLoss.Squared)]
    [InlineData(ConvexReluLoss.Logistic)]
    public void At_the_optimum_the_gap_is_closed_and_the_conditions_hold(ConvexReluLoss loss)
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(n: 30, loss: loss, weighted: true);
        var units = ConvexProblem.Normal(7, 3, 40);
        using var program = new SampledConvexProgram(problem.X, units, problem.Targets, problem.Weights, problem.Loss, 0.5, keeps: true);
        var alpha = Solve(program, 40, 2);
        var (objective, bound, stationarity) = program.Judge(alpha);

        Assert.InRange(bound, objective * (1 - 1e-6), objective * (1 + 1e-12));
        Assert.True(stationarity < 1e-3);
        Assert.InRange(alpha.abs().IsAbove(0).sum().item<long>(), 1, 79);
    }

    [Fact]
    public void For_squares_it_is_the_lasso()
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(n: 30, c: 1);
        var units = ConvexProblem.Normal(7, 3, 20);
        using var program = new SampledConvexProgram(problem.X, units, problem.Targets, null, problem.Loss, 0.5, keeps: false);
        var alpha = Solve(program, 20, 1);

        var h = problem.X.mm(units).relu();
        var squares = problem.Targets.mul(problem.Targets).sum().ToDouble();
        var (expected, _) = GroupLasso.Solve(h.t().mm(h), h.t().mm(problem.Targets), squares, 0.5, settings: new() { MaxIterations = 50_000 });
        Assert.True(h.mm(alpha.sub(expected)).abs().max().ToDouble() < 1e-4);
    }

    [Fact]
    public void Units_that_are_made_anew_give_what_units_that_are_kept_give()
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(n: 30, weighted: true);
        var units = ConvexProblem.Normal(7, 3, 20);
        using var kept = new SampledConvexProgram(problem.X, units, problem.Targets, problem.Weights, problem.Loss, 0.5, keeps: true);
        using var anew = new SampledConvexProgram(problem.X, units, problem.Targets, problem.Weights, problem.Loss, 0.5, keeps: false);
        var alpha = ConvexProblem.Normal(9, 20, 2);

        Assert.True(kept.Gradient(alpha).sub(anew.Gradient(alpha)).abs().max().ToDouble() < 1e-10);
        Assert.Equal(kept.Judge(alpha).Objective, anew.Judge(alpha).Objective, 1e-9);
    }

    private static Tensor Solve(SampledConvexProgram program, long units, long outputs)
    {
        using var threads = TorchThreads.Limit(1);
        var alpha = zeros([units, outputs], ScalarType.Float64);
        var result = Fista.Minimize(alpha, program.Gradient, program.Shrink, new() { MaxIterations = 50_000, GapTolerance = 1e-8 }, a => Gap(program, a));
        Assert.True(result.Converged);
        return alpha;

        static double Gap(SampledConvexProgram program, Tensor alpha)
        {
            var (objective, bound, _) = program.Judge(alpha);
            return (objective - bound) / program.Empty;
        }
    }
}
