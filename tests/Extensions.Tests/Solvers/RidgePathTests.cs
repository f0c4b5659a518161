using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using static MlNetMlp.Tests.Training.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Solvers;

public sealed class RidgePathTests
{
    [Theory]
    [InlineData(30, 8)]
    [InlineData(8, 30)]
    public void Primal_and_dual_agree_with_each_other_and_with_the_normal_equations(int rows, int features)
    {
        using var scope = NewDisposeScope();
        var (h, y, w) = Problem(rows, features, 2);
        using var primal = RidgePath.Primal(Sums(h, y, w));
        using var dual = RidgePath.Dual(h.mm(h.t()), y, w);
        var (ht, yt) = Centered(h, y, w);
        Assert.Equal(primal.LargestEigenvalue, dual.LargestEigenvalue, 1e-9 * primal.LargestEigenvalue);
        Assert.Equal(Math.Min(features, rows - 1), primal.Rank);
        Assert.Equal(primal.Rank, dual.Rank);
        foreach (var penalty in new[] { 1e-3, 1, 100 })
        {
            var expected = linalg.solve(ht.t().mm(ht).Plus(eye(features, dtype: ScalarType.Float64).Times(penalty)), ht.t().mm(yt));
            Assert.True(MaxDifference(primal.Solve(penalty), expected) < 1e-8);
            Assert.True(MaxDifference(h.t().mm(dual.Solve(penalty)), expected) < 1e-8);

            var residuals = yt.sub(ht.mm(expected));
            foreach (var path in new[] { primal, dual })
            {
                Assert.Equal(Fista.InnerProduct(residuals, residuals), path.ResidualSquares(penalty), 1e-8);
                Assert.Equal(Fista.Norm(expected), path.CoefficientNorm(penalty), 1e-8);
            }
        }
    }

    [Fact]
    public void Cross_validation_and_degrees_of_freedom_are_those_of_the_smoothing_matrix()
    {
        // GCV is leave-one-out cross-validation where all leverages are replaced by their mean.
        const int rows = 30;
        using var scope = NewDisposeScope();
        var (h, y, _) = Problem(rows, 6, 1);
        var columns = cat([ones(rows, 1, ScalarType.Float64), h], 1);
        foreach (var penalty in new[] { 1e-6, 0.5, 20 })
        {
            var ridge = eye(7, dtype: ScalarType.Float64).Times(penalty);
            ridge[0, 0] = 0;
            var smoother = columns.mm(linalg.inv(columns.t().mm(columns).Plus(ridge))).mm(columns.t());
            var trace = smoother.diagonal().sum().ToDouble();
            var residual = y.sub(smoother.mm(y));
            var expected = residual.Times(1 / (1 - (trace / rows))).pow(tensor(2.0)).mean().ToDouble();
            foreach (var path in new[] { RidgePath.Primal(Sums(h, y, null)), RidgePath.Dual(h.mm(h.t()), y) })
            {
                Assert.Equal(trace, path.DegreesOfFreedom(penalty), 1e-8);
                Assert.Equal(expected, path.CrossValidation(penalty), 1e-8 * expected);
            }
        }
    }

    [Theory]
    [InlineData(30, 6)]
    [InlineData(12, 40)]
    public void Leave_one_out_is_what_leaving_one_out_gives(int rows, int features)
    {
        using var scope = NewDisposeScope();
        var (h, y, w) = Problem(rows, features, 2);
        var (ht, yt) = Centered(h, y, w);
        using var primal = RidgePath.Primal(Sums(h, y, w));
        using var dual = RidgePath.Dual(h.mm(h.t()), y, w);
        double[] penalties = [0.1, 5];
        var shares = w.div(w.sum());
        var (fromSums, fromRows) = (primal.LeaveOneOut(penalties, ht, 0, yt, shares), dual.LeaveOneOut(penalties, null, 0, yt, shares));
        Assert.Equal([rows, 2], fromSums.shape);
        for (var i = 0; i < rows; i += 5)
        {
            var others = tensor(Enumerable.Range(0, rows).Where(row => row != i).Select(row => (long)row).ToArray());
            var sums = Sums(h.index_select(0, others), y.index_select(0, others), w.index_select(0, others));
            for (var p = 0; p < penalties.Length; p++)
            {
                var c = sums.Solve(penalties[p])!;
                var error = y[i].sub(h[i].matmul(c)).sub(sums.Intercept(c));
                var expected = w[i].mul(error.mul(error).mean()).ToDouble();
                Assert.Equal(expected, fromSums[i, p].ToDouble(), 1e-8 * expected);
                Assert.Equal(expected, fromRows[i, p].ToDouble(), 1e-8 * expected);
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Without_a_penalty_it_interpolates_and_with_a_great_one_it_is_constant(bool isDual)
    {
        using var scope = NewDisposeScope();
        var (h, y, _) = Problem(10, 40, 1);
        var sums = Sums(h, y, null);
        using var path = isDual ? RidgePath.Dual(h.mm(h.t()), y) : RidgePath.Primal(sums);
        Tensor Predict(double penalty)
        {
            var c = isDual ? h.t().mm(path.Solve(penalty)) : path.Solve(penalty);
            return h.mm(c).Plus(sums.Intercept(c));
        }

        Assert.True(MaxDifference(Predict(0), y) < 1e-6);
        Assert.True(MaxDifference(Predict(1e14), y.mean().expand(10, 1)) < 1e-8);
        Assert.Equal(double.PositiveInfinity, path.CrossValidation(0));
    }

    [Fact]
    public void Chooses_a_small_penalty_for_clean_labels_and_a_large_one_for_noise()
    {
        using var scope = NewDisposeScope();
        var (h, y, _) = Problem(60, 20, 1);
        using var clean = RidgePath.Primal(Sums(h, h.mm(Normal(9, ScalarType.Float64, 20, 1)), null));
        using var noise = RidgePath.Primal(Sums(h, Normal(10, ScalarType.Float64, 60, 1), null));
        // A penalty of 1e-7 of the eigenvalues adds 1e-14 of the squared labels to the squared error: their rounding.
        Assert.True(clean.Choose() < 1e-6 * clean.LargestEigenvalue);
        Assert.True(noise.Choose() > 0.1 * noise.LargestEigenvalue);

        // Coefficients that would blow up rounding errors of features are refused.
        var allowed = clean.Choose(greatestNorm: 0.5 * clean.CoefficientNorm(0));
        Assert.True(clean.CoefficientNorm(allowed) <= 0.5 * clean.CoefficientNorm(0));
        Assert.True(clean.Choose(featureNoise: 0.1) > clean.Choose());
        using var flat = RidgePath.Primal(Sums(ones(60, 20, ScalarType.Float64), y, null));
        Assert.Equal(0, Fista.Norm(flat.Solve(flat.Choose())), 1e-9);
    }

    private static CenteredSums Sums(Tensor h, Tensor y, Tensor? w)
    {
        using var sums = new LeastSquaresSums((int)h.shape[1], (int)y.shape[1]);
        sums.Add(h, y, w);
        return sums.Center();
    }

    private static (Tensor H, Tensor Y) Centered(Tensor h, Tensor y, Tensor w)
    {
        var (share, root) = (w.div(w.sum()), w.sqrt().unsqueeze(1));
        return (h.sub(h.t().mv(share)).mul(root), y.sub(y.t().mv(share)).mul(root));
    }

    private static (Tensor H, Tensor Y, Tensor W) Problem(int rows, int features, int outputs) =>
        (Normal(1, ScalarType.Float64, rows, features).Plus(1), Normal(2, ScalarType.Float64, rows, outputs).Plus(5), Normal(3, ScalarType.Float64, rows).abs().Plus(0.1));
}
