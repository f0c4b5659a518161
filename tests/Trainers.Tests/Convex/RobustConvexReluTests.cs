using MlNetMlp.Convex;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Convex;

/// <summary>The convex program of adversarial training and its parts.</summary>
public sealed class RobustConvexReluTests
{
    [Fact]
    public void The_projection_onto_the_robust_cone_is_the_nearest_point()
    {
        using var scope = NewDisposeScope();
        var (n, d) = (6, 3);
        var epsilon = tensor(new[] { 0.3, 0, 0.7 });
        foreach (var weights in new[] { null, ConvexProblem.Normal(8, n, 1).abs().Plus(0.3) })
        {
            var (q0, r0) = (ConvexProblem.Normal(1, n, 2, 5), ConvexProblem.Normal(2, d, 2, 5).Times(2));
            var (q, r) = (q0.clone(), r0.clone());
            RobustConvexReluProgram.Project(q, r, epsilon, weights);
            Assert.True(Lack(q, r).max().ToDouble() < 1e-9);

            // Of a convex set the nearest point is the one from which all others lie at an angle of 90° or more.
            for (ulong seed = 10; seed < 60; seed++)
            {
                var s = r.Plus(ConvexProblem.Normal(seed, d, 2, 5).Times(seed % 2 == 0 ? 0.01 : 1));
                var t = q.Plus(ConvexProblem.Normal(seed + 100, n, 2, 5).Times(0.01));
                t = t.Plus(Lack(t, s).relu());
                var inner = q0.sub(q).mul(t.sub(q)).sum([0L]).Plus(r0.sub(r).mul(s.sub(r)).sum([0L]));
                Assert.True(inner.max().ToDouble() < 1e-8);
            }

            Tensor Lack(Tensor a, Tensor b)
            {
                var needed = b.abs().mul(epsilon.view(-1, 1, 1)).sum(0L, keepdim: true);
                return (weights is null ? needed : needed.mul(weights.unsqueeze(2))).sub(a);
            }
        }
    }

    [Theory]
    [InlineData(ConvexReluLoss.Squared)]
    [InlineData(ConvexReluLoss.Logistic)]
    [InlineData(ConvexReluLoss.Hinge)]
    public void The_robust_proximal_point_is_the_least(ConvexReluLoss kind)
    {
        using var scope = NewDisposeScope();
        var loss = ConvexReluLossFunction.Of(kind);
        var (n, d, sigma) = (12, 3, 0.4);
        var epsilon = tensor(new[] { 0.3, 0, 0.7 });
        var (p0, m0) = (ConvexProblem.Normal(1, n, 1).Times(2), ConvexProblem.Normal(2, n, d));
        var y = ConvexProblem.Normal(3, n, 1);
        if (kind != ConvexReluLoss.Squared)
            y = y.sign();
        var (p, m) = RobustConvexReluProgram.Proximal(p0, m0, y, loss, epsilon, sigma);
        var least = Value(p, m);

        // The function is convex, so that nothing near being better is enough.
        for (ulong seed = 10; seed < 110; seed++)
        {
            var size = Math.Pow(10, -1 - (double)(seed % 4));
            var other = Value(p.Plus(ConvexProblem.Normal(seed, n, 1).Times(size)), m.Plus(ConvexProblem.Normal(seed + 500, n, d).Times(size)));
            Assert.True(other.sub(least).min().ToDouble() > -1e-9);
        }

        Tensor Value(Tensor a, Tensor b)
        {
            var distance = a.sub(p0).mul(a.sub(p0)).squeeze(1).Plus(b.sub(m0).mul(b.sub(m0)).sum([1L]));
            return loss.WorstValues(a, b.abs().mv(epsilon).unsqueeze(1), y).squeeze(1).Plus(distance.Times(sigma / 2));
        }
    }

    [Theory]
    [InlineData(ConvexReluLoss.Squared)]
    [InlineData(ConvexReluLoss.Hinge)]
    public void Without_perturbations_it_is_the_plain_program(ConvexReluLoss loss)
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(c: 1, loss: loss);
        using var robust = new RobustConvexReluProgram(problem.Program, zeros(3, ScalarType.Float64));
        using var plain = ConvexProblem.Solve(problem.Program, tolerance: 1e-5);
        using var admm = Solve(robust);

        var expected = problem.Program.Objective(problem.Program.Gated(problem.Program.Difference(plain.V)), plain.V);
        Assert.Equal(expected, robust.Objective(admm.V), 1e-3 * expected);
    }

    [Theory]
    [InlineData(ConvexReluLoss.Squared, false, 0.005)]
    [InlineData(ConvexReluLoss.Logistic, true, 0.005)]
    [InlineData(ConvexReluLoss.Hinge, false, 0.02)]
    public void The_worst_move_attains_the_robust_loss_and_no_attack_exceeds_it(ConvexReluLoss loss, bool weighted, double gap)
    {
        using var scope = NewDisposeScope();
        using var problem = Robust(loss, weighted, out var epsilon);
        using var robust = new RobustConvexReluProgram(problem.Program, epsilon);
        using var admm = Solve(robust);
        var v = admm.V;
        var objective = robust.Objective(v);
        var (bound, stationarity) = admm.Judge();
        // Kinks take ADMM many iterations.
        Assert.InRange(bound, objective * (1 - gap), objective * 1.001);
        Assert.True(stationarity < 4 * gap);
        Assert.True(robust.ConeViolation(v) < 2e-3);

        var attained = Attacked(robust.WorstMoves(v));
        Assert.Equal(objective, attained, 2e-3 * objective);
        for (ulong start = 0; start < 5; start++)
            Assert.True(Attacked(Ascend(start)) <= objective * (1 + 2e-3));

        double Attacked(Tensor move) => problem.Program.Objective(ConvexReluProgram.NetworkOutputs(problem.X.Plus(move), v), v);

        // Projected gradient ascent on the network itself.
        Tensor Ascend(ulong seed)
        {
            var move = ConvexProblem.Normal(seed + 1, problem.X.shape).sign().mul(epsilon).Times(0.5);
            for (var step = 0; step < 30; step++)
            {
                var x = problem.X.Plus(move).requires_grad_();
                var hidden = x.mm(v.view(3, -1)).relu().view(x.shape[0], 2, -1).sum(2L);
                var f = hidden.narrow(1, 0, 1).sub(hidden.narrow(1, 1, 1));
                problem.Loss.Values(f, problem.Targets).sum().backward();
                move = move.Plus(x.grad!.sign().mul(epsilon).Times(0.1)).minimum(epsilon).maximum(epsilon.neg()).detach();
            }

            return move;
        }
    }

    // Rows apart enough for boxes that hyperplanes do not cut.
    private static ConvexProblem Robust(ConvexReluLoss loss, bool weighted, out Tensor epsilon)
    {
        var problem = new ConvexProblem(n: 14, p: 6, c: 1, loss: loss, beta: 0.1, weighted: weighted, smooth: true, hasConstantPattern: true);
        epsilon = tensor(new[] { 0.02, 0.03, 0 });
        return problem;
    }

    private static RobustConvexReluAdmm Solve(RobustConvexReluProgram program)
    {
        using var threads = TorchThreads.Limit(1);
        var admm = new RobustConvexReluAdmm(program, new(1, 1.6, 2e-5, 2e-5));
        while (!admm.Next().IsConverged && admm.Iterations < 2500)
        {
        }

        return admm;
    }
}
