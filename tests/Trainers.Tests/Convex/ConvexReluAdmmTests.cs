using MlNetMlp.Convex;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Convex;

/// <summary>The solution of the convex program: what holds at an optimum, and cases whose optimum is known.</summary>
public sealed class ConvexReluAdmmTests
{
    [Theory]
    [InlineData(ConvexReluLoss.Squared)]
    [InlineData(ConvexReluLoss.Logistic)]
    [InlineData(ConvexReluLoss.Hinge)]
    public void At_the_optimum_cone_network_duality_and_stationarity_hold(ConvexReluLoss loss)
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(loss: loss, weighted: true);
        var program = problem.Program;
        using var admm = ConvexProblem.Solve(program, tolerance: loss == ConvexReluLoss.Hinge ? 1e-5 : 1e-6);
        var v = admm.V;
        var f = program.Unscaled(program.Gated(program.Difference(v)));
        var network = ConvexReluProgram.NetworkOutputs(program.Plain, v);
        var objective = program.Objective(f, v);

        var (convex, ofNetwork, violation) = program.Trace(v);
        Assert.True(convex.sub(f).abs().max().ToDouble() < 1e-12);
        Assert.True(ofNetwork.sub(network).abs().max().ToDouble() < 1e-12);
        Assert.InRange(violation, 0, 1e-3);
        Assert.True(f.sub(network).abs().max().ToDouble() < 1e-3);
        Assert.True(f.sub(admm.Fit()).abs().max().ToDouble() < 1e-3);
        Assert.Equal(objective, program.Objective(network, v), 1e-3 * objective);
        var (bound, stationarity) = admm.Judge();
        Assert.True(stationarity < 1e-3);
        Assert.InRange(bound, objective * (1 - 1e-3), objective * (1 + 1e-4));
        Assert.True(ConvexReluProgram.GroupNorms(v).IsAbove(0).sum().item<long>() > 0);

        // No other feasible point is better.
        foreach (var scale in new[] { 0.9, 0.99, 1.01 })
        {
            var other = v.Times(scale);
            Assert.True(program.Objective(program.Unscaled(program.Gated(program.Difference(other))), other) > objective);
        }
    }

    [Theory]
    [InlineData(ConvexReluLoss.Squared)]
    [InlineData(ConvexReluLoss.Logistic)]
    public void The_bound_is_below_the_optimum_at_every_iterate(ConvexReluLoss loss)
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(loss: loss);
        using var solved = ConvexProblem.Solve(problem.Program);
        var optimum = problem.Program.Objective(problem.Program.Gated(problem.Program.Difference(solved.V)), solved.V);
        using var step = new ConvexReluRowFactor(problem.Program);
        using var admm = new ConvexReluAdmm(problem.Program, step, new(2, 1.5));
        for (var i = 0; i < 60; i++)
        {
            admm.Next();
            Assert.True(admm.Judge().Bound <= optimum * (1 + 1e-4));
        }
    }

    [Fact]
    public void The_optimum_depends_neither_on_rho_nor_on_the_step_nor_on_the_start()
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(c: 1, loss: ConvexReluLoss.Squared);
        var program = problem.Program;
        using var first = ConvexProblem.Solve(program, rho: 0.5);
        using var second = ConvexProblem.Solve(program, rho: 5, dualStep: 1.4, initial: ConvexProblem.Normal(77, first.V.shape));

        Assert.True(program.Gated(program.Difference(first.V)).sub(program.Gated(program.Difference(second.V))).abs().max().ToDouble() < 1e-3);
        Assert.Equal(ConvexReluProgram.GroupNorms(first.V).sum().ToDouble(), ConvexReluProgram.GroupNorms(second.V).sum().ToDouble(), 1e-3);
    }

    [Fact]
    public void The_form_for_any_loss_agrees_with_that_for_squares()
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(weighted: true);
        using var split = new ConvexReluProgram(problem.X, problem.Gates, problem.Targets, problem.Weights, new SplitSquares(problem.Loss), problem.Beta, coneScale: 1);
        using var first = ConvexProblem.Solve(problem.Program);
        using var second = ConvexProblem.Solve(split);

        Assert.True(problem.Program.Gated(problem.Program.Difference(first.V)).sub(split.Gated(split.Difference(second.V))).abs().max().ToDouble() < 1e-3);
    }

    [Fact]
    public void One_pattern_of_all_rows_with_orthonormal_features_has_the_known_solution()
    {
        using var scope = NewDisposeScope();
        const double beta = 0.3;

        // Xᵀy is inside of the cone: y itself is positive and in the span of X.
        var (q, _) = linalg.qr(cat([ones(9, 1, ScalarType.Float64), ConvexProblem.Normal(5, 9, 2)], 1));
        var y = q.mm(tensor(new double[] { 3, 0.3, -0.2 }, [3, 1]).mul(q.narrow(0, 0, 1).narrow(1, 0, 1).sign()));
        Assert.True(y.min().ToDouble() > 0);
        using var program = new ConvexReluProgram(
            q, ones(9, 1, ScalarType.Float64), y, null, ConvexReluLossFunction.Of(ConvexReluLoss.Squared), beta);
        using var admm = ConvexProblem.Solve(program);

        var slopes = q.t().mm(y);
        var expected = slopes.Times(1 - (beta / linalg.vector_norm(slopes).ToDouble()));
        Assert.True(admm.V.narrow(1, 0, 1).reshape(-1).sub(expected.view(-1)).abs().max().ToDouble() < 1e-5);
        Assert.Equal(0, linalg.vector_norm(admm.V.narrow(1, 1, 1)).ToDouble());
    }

    [Fact]
    public void With_the_patterns_of_a_network_the_optimum_is_at_least_as_good_as_that_network()
    {
        using var scope = NewDisposeScope();
        for (ulong seed = 1; seed <= 3; seed++)
        {
            using var problem = new ConvexProblem(n: 24, d: 3, c: 1, seed: 10 * seed, smooth: true);
            using var random = new Generator(seed);
            var (w, a) = ConvexReluPatterns.Train(problem.X, problem.Targets, null, problem.Loss, problem.Beta, 8, random, () => { }, steps: 200);
            var f = problem.X.mm(w).relu().mm(a);

            // Balanced, the penalty is β times the products of lengths.
            var balanced = linalg.vector_norm(w, 2, [0]).mul(a.view(-1).abs()).sum().ToDouble() * problem.Beta;
            var network = problem.Program.LossSum(f) + balanced;
            using var program = new ConvexReluProgram(problem.X, ConvexReluPatterns.Of(problem.X, w, 100), problem.Targets, null, problem.Loss, problem.Beta, coneScale: 1);
            using var admm = ConvexProblem.Solve(program);

            Assert.True(program.Objective(program.Gated(program.Difference(admm.V)), admm.V) <= network * (1 + 1e-4));
        }
    }

    [Fact]
    [Trait("Category", "Heavy")]
    public void Over_all_patterns_the_optimum_is_that_of_the_best_network()
    {
        using var scope = NewDisposeScope();
        const double beta = 0.1;
        var x = ConvexProblem.Normal(3, 8, 2);
        var y = ConvexProblem.Normal(4, 8, 1);

        // Two features: as the direction turns, a pattern ends where a row is crossed.
        var angles = linspace(0, 2 * Math.PI, 20_001, ScalarType.Float64);
        var gates = ConvexReluPatterns.Of(x, stack([angles.cos(), angles.sin()], 0), 1000);
        var loss = ConvexReluLossFunction.Of(ConvexReluLoss.Squared);
        using var program = new ConvexReluProgram(x, gates, y, null, loss, beta, coneScale: 1);
        using var admm = ConvexProblem.Solve(program);
        var convex = program.Objective(program.Gated(program.Difference(admm.V)), admm.V);

        var best = double.PositiveInfinity;
        for (ulong start = 0; start < 8; start++)
        {
            using var random = new Generator(start);
            var (w, a) = ConvexReluPatterns.Train(x, y, null, loss, beta, 40, random, () => { }, steps: 3000);
            var penalty = beta / 2 * (Math.Pow(linalg.vector_norm(w).ToDouble(), 2) + Math.Pow(linalg.vector_norm(a).ToDouble(), 2));
            best = Math.Min(best, program.LossSum(x.mm(w).relu().mm(a)) + penalty);
        }

        Assert.InRange(best, convex * (1 - 1e-6), convex * (1 + 1e-3));
    }

    [Fact]
    public void Weights_are_repeated_rows()
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(n: 20, c: 1);
        var counts = tensor(Enumerable.Range(0, 20).Select(i => 1L + (i % 3)).ToArray());
        using var weighted = new ConvexReluProgram(problem.X, problem.Gates, problem.Targets, counts.to(ScalarType.Float64), problem.Loss, problem.Beta);
        var index = tensor(Enumerable.Range(0, 20).Select(i => (long)i).ToArray()).repeat_interleave(counts);
        using var repeated = new ConvexReluProgram(
            problem.X.index_select(0, index), problem.Gates.index_select(0, index), problem.Targets.index_select(0, index), null, problem.Loss, problem.Beta);
        using var step = new ConvexReluRowFactor(weighted);
        using var other = new ConvexReluRowFactor(repeated);
        using var first = new ConvexReluAdmm(weighted, step, new(1));
        using var second = new ConvexReluAdmm(repeated, other, new(1));
        for (var i = 0; i < 30; i++)
        {
            var (a, b) = (first.Next(), second.Next());
            Assert.Equal(a.Primal, b.Primal, 1e-9);
            Assert.Equal(a.Dual, b.Dual, 1e-9);
        }

        Assert.True(first.V.sub(second.V).abs().max().ToDouble() < 1e-10);
        Assert.Equal(first.Judge().Bound, second.Judge().Bound, 1e-8);
    }

    [Fact]
    public void Patterns_are_distinct_have_an_active_row_and_stay_when_more_are_drawn()
    {
        using var scope = NewDisposeScope();
        var x = ConvexProblem.Normal(1, 12, 2);
        using var random = new Generator(3);
        var directions = ConvexReluPatterns.Draw(2, 500, random, x);
        var few = ConvexReluPatterns.Of(x, directions, 8);
        var all = ConvexReluPatterns.Of(x, directions, 500);
        var columns = Enumerable.Range(0, (int)all.shape[1]).Select(i => string.Concat(all[.., i].data<double>().ToArray())).ToArray();

        // Twelve lines through the origin cut the plane into 24 parts.
        Assert.InRange(columns.Length, 15, 24);
        Assert.Equal(columns.Length, columns.Distinct().Count());
        Assert.DoesNotContain(new string('0', 12), columns);
        Assert.True(few.equal(all.narrow(1, 0, 8)).all().item<bool>());
    }

    private sealed class SplitSquares(ConvexReluLossFunction squares) : ConvexReluLossFunction
    {
        public override Tensor Values(Tensor f, Tensor y) => squares.Values(f, y);

        public override Tensor Slopes(Tensor f, Tensor y) => squares.Slopes(f, y);

        public override Tensor Proximal(Tensor q, Tensor y, double rho) => squares.Proximal(q, y, rho);

        public override Tensor DualValues(Tensor a, Tensor y) => squares.DualValues(a, y);
    }
}
