using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using static MlNetMlp.Tests.Training.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Solvers;

public sealed class GroupLassoTests
{
    [Fact]
    public void Thresholds_orthogonal_features_softly()
    {
        using var scope = NewDisposeScope();
        var x = linalg.qr(Normal(1, ScalarType.Float64, 20, 6)).Q;
        var y = Normal(2, ScalarType.Float64, 20, 1);
        var moments = x.t().mm(y);
        var (w, result) = GroupLasso.Solve(x.t().mm(x), moments, Squares(y), 0.4);

        Assert.True(result.Converged);
        var expected = moments.data<double>().ToArray().Select(b => Math.Sign(b) * Math.Max(0, Math.Abs(b) - 0.4)).ToArray();
        Assert.Contains(0.0, expected);
        foreach (var (value, wanted) in w.data<double>().ToArray().Zip(expected))
            Assert.Equal(wanted, value, 1e-9);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Meets_the_conditions_of_a_minimum(int outputs)
    {
        using var scope = NewDisposeScope();
        var (gram, moments, squares) = Problem(outputs);
        var penalty = 0.3 * GroupLasso.LeastEmptyPenalty(moments);
        var (w, result) = GroupLasso.Solve(gram, moments, squares, penalty, settings: new() { GapTolerance = 1e-13 });

        Assert.True(result.Converged);
        Assert.InRange(result.Gap!.Value, 0, 1e-13);
        var slopes = moments.sub(gram.mm(w));
        var active = 0;
        for (var j = 0; j < gram.shape[0]; j++)
        {
            var (row, slope) = (w[j], slopes[j]);
            var size = Fista.Norm(row);
            if (size == 0)
            {
                Assert.True(Fista.Norm(slope) <= penalty * (1 + 1e-6));
                continue;
            }

            active++;
            Assert.True(Fista.Norm(slope.sub(row.Times(penalty / size))) < 1e-4 * penalty);
        }

        Assert.InRange(active, 1, gram.shape[0] - 1);
    }

    [Fact]
    public void Is_empty_from_the_greatest_slope_on_and_least_squares_without_a_penalty()
    {
        using var scope = NewDisposeScope();
        var (gram, moments, squares) = Problem(2);
        var most = GroupLasso.LeastEmptyPenalty(moments);

        Assert.Equal(0, Fista.Norm(GroupLasso.Solve(gram, moments, squares, most).Coefficients));
        Assert.True(Fista.Norm(GroupLasso.Solve(gram, moments, squares, 0.99 * most).Coefficients) > 0);
        var free = GroupLasso.Solve(gram, moments, squares, 0, settings: new() { GapTolerance = 0 }).Coefficients;
        Assert.True(Fista.Norm(free.sub(linalg.solve(gram, moments))) < 1e-6);
    }

    [Fact]
    public void Its_gap_bounds_how_far_the_objective_is_from_the_minimum()
    {
        using var scope = NewDisposeScope();
        var (gram, moments, squares) = Problem(2);
        var penalty = 0.2 * GroupLasso.LeastEmptyPenalty(moments);
        double Objective(Tensor w) => (squares / 2) - Fista.InnerProduct(moments, w) + (Fista.InnerProduct(gram.mm(w), w) / 2)
            + (penalty * linalg.vector_norm(w, 2, [1]).sum().ToDouble());
        var best = Objective(GroupLasso.Solve(gram, moments, squares, penalty, settings: new() { GapTolerance = 1e-14 }).Coefficients);
        for (var i = 0; i < 20; i++)
        {
            var w = Normal((ulong)(100 + i), ScalarType.Float64, moments.shape).Times(i / 40.0);
            Assert.InRange(Objective(w) - best, -1e-9, GroupLasso.Gap(gram, moments, squares, penalty, w) + 1e-9);
        }
    }

    private static double Squares(Tensor y) => Fista.InnerProduct(y, y);

    private static (Tensor Gram, Tensor Moments, double Squares) Problem(int outputs)
    {
        var x = Normal(3, ScalarType.Float64, 60, 15);
        var y = x.mm(Normal(4, ScalarType.Float64, 15, outputs)).Plus(Normal(5, ScalarType.Float64, 60, outputs));
        return (x.t().mm(x), x.t().mm(y), Squares(y));
    }
}
