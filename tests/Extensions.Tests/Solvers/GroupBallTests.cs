using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Solvers;

/// <summary>Ridge regression within a ball of sums of lengths of groups.</summary>
public sealed class GroupBallTests
{
    private const int Rows = 40;
    private const int Groups = 6;
    private const int GroupRows = 3;
    private const double Penalty = 0.1;

    [Fact]
    public void A_projection_is_the_nearest_point_of_the_ball()
    {
        using var scope = NewDisposeScope();
        var w = Normal(1, Groups * GroupRows, 2);
        var norm = GroupBall.Norm(w, GroupRows);
        var inside = w.clone();
        GroupBall.Project(inside, GroupRows, norm + 1);
        Assert.Equal(w.data<double>().ToArray(), inside.data<double>().ToArray());

        foreach (var radius in new[] { norm / 2, norm / 50 })
        {
            var projected = w.clone();
            GroupBall.Project(projected, GroupRows, radius);
            Assert.Equal(radius, GroupBall.Norm(projected, GroupRows), 1e-10);

            // ⟨w − p, u − p⟩ ≤ 0 for all points u of the ball, of which these are corners.
            for (ulong seed = 2; seed < 200; seed++)
            {
                var u = zeros_like(w);
                var group = u.narrow(0, (long)(seed % Groups) * GroupRows, GroupRows);
                var direction = Normal(seed, GroupRows, 2);
                group.copy_(direction.Times(radius / linalg.norm(direction).item<double>()));
                Assert.True(w.sub(projected).mul(u.sub(projected)).sum().item<double>() <= 1e-10);
            }
        }
    }

    [Fact]
    public void A_wide_ball_is_ridge_regression_and_a_tight_one_is_best_on_its_edge()
    {
        using var scope = NewDisposeScope();
        var (x, y) = (Normal(5, Rows, Groups * GroupRows), Normal(6, Rows, 2));
        var gram = x.t().mm(x).Plus(eye(Groups * GroupRows, dtype: ScalarType.Float64).Times(Penalty));
        var moments = x.t().mm(y);
        var squares = y.mul(y).sum().item<double>();
        var ridge = linalg.solve(gram, moments);
        var norm = GroupBall.Norm(ridge, GroupRows);
        var settings = new FistaSettings { GapTolerance = 1e-12 };
        var wide = GroupBall.Solve(gram, moments, squares, GroupRows, 2 * norm, zeros_like(ridge), settings);
        Assert.True(wide.Coefficients.sub(ridge).abs().max().item<double>() < 1e-6);

        var tight = GroupBall.Solve(gram, moments, squares, GroupRows, norm / 3, ridge, settings);
        Assert.True(tight.Result.Converged);
        Assert.Equal(norm / 3, GroupBall.Norm(tight.Coefficients, GroupRows), 1e-9);
        var least = Objective(tight.Coefficients);
        for (ulong seed = 10; seed < 110; seed++)
        {
            var other = tight.Coefficients.Plus(Normal(seed, Groups * GroupRows, 2).Times(0.1));
            GroupBall.Project(other, GroupRows, norm / 3);
            Assert.True(Objective(other) >= least - 1e-9);
        }

        double Objective(Tensor w) => gram.mm(w).Times(0.5).sub(moments).mul(w).sum().item<double>();
    }

    private static Tensor Normal(ulong seed, params long[] shape)
    {
        using var generator = new Generator(seed);
        return empty(shape, ScalarType.Float64).normal_(0, 1, generator);
    }
}
