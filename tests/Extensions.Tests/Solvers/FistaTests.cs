using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using static MlNetMlp.Tests.Training.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Solvers;

public sealed class FistaTests
{
    [Fact]
    public void Finds_nonnegative_least_squares()
    {
        // ½‖x − a‖² in a box is the nearest point of the box; with a matrix the slope is 0 inside and points outward on the border.
        using var scope = NewDisposeScope();
        var (a, b) = (Normal(1, ScalarType.Float64, 40, 12), Normal(2, ScalarType.Float64, 40));
        var x = zeros(12, ScalarType.Float64);
        var result = Fista.Minimize(x, Gradient(a, b), (z, _) => z.copy_(nn.functional.relu(z)), new() { StepTolerance = 1e-13 });

        Assert.True(result.Converged);
        Assert.Null(result.Gap);
        var (values, slopes) = (x.data<double>().ToArray(), Gradient(a, b)(x).data<double>().ToArray());
        Assert.Contains(values, value => value == 0);
        Assert.Contains(values, value => value > 0.1);
        foreach (var (value, slope) in values.Zip(slopes))
            Assert.True(value > 0 ? Math.Abs(slope) < 1e-9 : value == 0 && slope > -1e-9, $"x = {value}, slope {slope}");
    }

    [Theory]
    [InlineData(ScalarType.Float64, 1e-8)]
    [InlineData(ScalarType.Float32, 1e-3)]
    public void Minimises_a_sum_of_logistic_loss_and_absolute_values(ScalarType type, double tolerance)
    {
        // Not quadratic, so the step found at the start is not that of all points.
        const double penalty = 4;
        using var scope = NewDisposeScope();
        var a = Normal(3, type, 100, 8);
        var y = a.select(1, 0).Plus(Normal(4, type, 100)).IsAbove(0).to(type);
        Tensor Slope(Tensor x) => a.t().mv(a.mv(x).sigmoid().sub(y));
        var x = zeros(8, type);
        var result = Fista.Minimize(x, Slope, (z, step) => SoftThreshold(z, step * penalty), new() { StepTolerance = type == ScalarType.Float64 ? 1e-12 : 1e-6 });

        Assert.True(result.Converged);
        var (values, slopes) = (x.to(ScalarType.Float64).data<double>().ToArray(), Slope(x).to(ScalarType.Float64).data<double>().ToArray());
        Assert.Contains(values, value => value == 0);
        foreach (var (value, slope) in values.Zip(slopes))
        {
            Assert.True(
                value == 0 ? Math.Abs(slope) <= penalty + tolerance : Math.Abs(slope + (penalty * Math.Sign(value))) < penalty * tolerance,
                $"x = {value}, slope {slope}");
        }
    }

    [Fact]
    public void Needs_far_fewer_steps_than_without_momentum()
    {
        using var scope = NewDisposeScope();
        var a = Conditioned(1e4);
        var b = Normal(6, ScalarType.Float64, 30);
        var exact = linalg.solve(a.t().mm(a), a.t().mv(b));
        var gradient = Gradient(a, b);
        var (steps, x) = (0, zeros(30, ScalarType.Float64));
        Fista.Minimize(x, gradient, (_, _) => { }, new() { StepTolerance = 0 }, report: progress => Distance(x, exact) > 1e-6 * Fista.Norm(exact) && (steps = progress.Iteration) > 0);

        var (plain, y) = (0, zeros(30, ScalarType.Float64));
        var lipschitz = linalg.eigvalsh(a.t().mm(a)).max().ToDouble();
        while (Distance(y, exact) > 1e-6 * Fista.Norm(exact) && plain < 20 * steps)
        {
            using var inner = NewDisposeScope();
            y.AddScaled(gradient(y), -1 / lipschitz);
            plain++;
        }

        Assert.InRange(steps, 10, 9000);
        Assert.Equal(20 * steps, plain);
    }

    [Fact]
    public void Estimates_the_largest_eigenvalue()
    {
        using var scope = NewDisposeScope();
        var a = Normal(7, ScalarType.Float64, 50, 20);
        var largest = linalg.eigvalsh(a.t().mm(a)).max().ToDouble();
        var x = Normal(8, ScalarType.Float64, 20);

        Assert.InRange(Fista.EstimateLipschitz(x, Gradient(a, Normal(9, ScalarType.Float64, 50))), 0.97 * largest, 1.02 * largest);
        Assert.Equal(0, Fista.EstimateLipschitz(x, _ => ones(20, ScalarType.Float64)));
        Assert.Throws<ArgumentException>(() => { _ = Fista.EstimateLipschitz(x, z => z.Times(double.PositiveInfinity)); });
    }

    [Fact]
    public void Recovers_from_a_constant_that_is_far_too_small()
    {
        using var scope = NewDisposeScope();
        var (a, b) = (Normal(10, ScalarType.Float64, 30, 6), Normal(11, ScalarType.Float64, 30));
        var x = zeros(6, ScalarType.Float64);
        var result = Fista.Minimize(x, Gradient(a, b), (_, _) => { }, new() { Lipschitz = 0.1, StepTolerance = 1e-13 });

        Assert.True(result.Converged);
        Assert.True(Distance(x, linalg.solve(a.t().mm(a), a.t().mv(b))) < 1e-10);
    }

    [Fact]
    public void Stops_when_told_or_cancelled_or_where_nothing_is_finite()
    {
        using var scope = NewDisposeScope();
        var (a, b) = (Normal(12, ScalarType.Float64, 30, 6), Normal(13, ScalarType.Float64, 30));
        var x = zeros(6, ScalarType.Float64);
        Assert.Equal(new FistaResult(3, FistaStop.Stopped, null), Fista.Minimize(x, Gradient(a, b), (_, _) => { }, report: progress => progress.Iteration < 3));
        Assert.Equal(FistaStop.MaxIterations, Fista.Minimize(x, Gradient(a, b), (_, _) => { }, new() { MaxIterations = 2, StepTolerance = 0 }).Reason);
        Assert.Throws<OperationCanceledException>(() => { _ = Fista.Minimize(x, Gradient(a, b), (_, _) => { }, cancellation: new CancellationToken(true)); });

        var before = x.clone();
        Assert.Equal(FistaStop.NotFinite, Fista.Minimize(x, z => z.Times(double.NaN), (_, _) => { }, new() { Lipschitz = 1 }).Reason);
        Assert.Equal(0, Distance(x, before));
    }

    private static void SoftThreshold(Tensor z, double t)
    {
        using var column = z.unsqueeze(1);
        GroupLasso.Shrink(column, t);
    }

    private static Func<Tensor, Tensor> Gradient(Tensor a, Tensor b) => x => a.t().mv(a.mv(x).sub_(b));

    private static Tensor Conditioned(double condition)
    {
        var (left, _) = linalg.qr(Normal(5, ScalarType.Float64, 30, 30));
        return left.mul(logspace(0, Math.Log10(condition) / 2, 30, dtype: ScalarType.Float64));
    }

    private static double Distance(Tensor x, Tensor y)
    {
        using var difference = x.sub(y);
        return Fista.Norm(difference);
    }
}
