using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Training;

public class LbfgsMinimizerTests
{
    private static readonly LbfgsSettings Exact = new() { GradientTolerance = 1e-9, RelativeTolerance = 0 };

    [Theory]
    [InlineData(2)]
    [InlineData(100)]
    public void SolvesRosenbrock(int n)
    {
        using var x = torch.zeros(n, ScalarType.Float64);
        for (var i = 0; i < n; i++)
            x[i] = i % 2 == 0 ? -1.2 : 1;
        WolfeCheck check = new(x, g => Rosenbrock(x, g));
        var result = LbfgsMinimizer.Minimize(x, check.Evaluate, Exact, check.Accept);
        Assert.Equal(LbfgsStop.GradientTolerance, result.Reason);
        Assert.True(result.Converged);
        Assert.True(Networks.MaxDifference(x, torch.ones_like(x)) < 1e-8);
        Assert.True(result.GradientNorm <= 1e-9);
        Assert.Equal(result.Iterations, check.Accepted);
        Assert.Equal(result.Evaluations, check.Evaluations);
        Assert.InRange(result.Evaluations, result.Iterations + 1, n == 2 ? 100 : 1000);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(20)]
    public void SolvesAnIllConditionedQuadratic(int history)
    {
        // f = ½xᵀAx − bᵀx with eigenvalues from 1 to 10,000 in a random basis.
        const int n = 40;
        var basis = torch.linalg.qr(Networks.Normal(1, ScalarType.Float64, n, n)).Q;
        var a = basis.mul(torch.logspace(0, 4, n, dtype: ScalarType.Float64)).mm(basis.t());
        var b = Networks.Normal(2, ScalarType.Float64, n);
        var solution = torch.linalg.solve(a, b);
        using var x = torch.zeros(n, ScalarType.Float64);
        double Evaluate(Tensor g)
        {
            g.copy_(a.mv(x)).sub_(b);
            return 0.5 * (x.dot(g) - x.dot(b)).ToDouble();
        }
        WolfeCheck check = new(x, Evaluate);
        var result = LbfgsMinimizer.Minimize(x, check.Evaluate,
            Exact with { History = history, MaxIterations = 5000, MaxEvaluations = 10_000 }, check.Accept);
        Assert.Equal(LbfgsStop.GradientTolerance, result.Reason);
        Assert.True(Networks.MaxDifference(x, solution) < 1e-8);
    }

    [Theory]
    [InlineData(ScalarType.Float64, 1e-9)]
    [InlineData(ScalarType.Float32, 1e-4)]
    public void FitsLogisticRegressionLikeNewton(ScalarType type, double tolerance)
    {
        const double l2 = 0.01;
        var features = Networks.Normal(3, ScalarType.Float64, 300, 8);
        var labels = (features.mv(Networks.Normal(4, ScalarType.Float64, 8)) + Networks.Normal(5, ScalarType.Float64, 300)).gt(0)
            .to(ScalarType.Float64);
        var newton = torch.zeros(8, ScalarType.Float64);
        for (var i = 0; i < 30; i++)
        {
            var p = features.mv(newton).sigmoid();
            var gradient = features.t().mv(p - labels) / 300 + l2 * newton;
            var hessian = features.t().mm(features * (p * (1 - p)).unsqueeze(1)) / 300 + l2 * torch.eye(8, dtype: ScalarType.Float64);
            newton -= torch.linalg.solve(hessian, gradient);
        }

        using var model = nn.Linear(8, 1, hasBias: false).to(type);
        using FlatParameters flat = new(model);
        flat.Values.fill_(0);
        var (x, y) = (features.to(type), labels.to(type));
        double Evaluate(Tensor g)
        {
            flat.ZeroGradient();
            var loss = nn.functional.binary_cross_entropy_with_logits(model.forward(x).squeeze(1), y)
                + model.parameters().First().square().sum() * (l2 / 2);
            loss.backward();
            g.copy_(flat.Gradient);
            return loss.ToDouble();
        }
        var result = LbfgsMinimizer.Minimize(flat.Values, Evaluate,
            new() { GradientTolerance = type == ScalarType.Float64 ? 1e-11 : 1e-6, RelativeTolerance = 0 });
        Assert.Equal(LbfgsStop.GradientTolerance, result.Reason);
        Assert.True(Networks.MaxDifference(flat.Values, newton) < tolerance);
        Assert.InRange(result.Iterations, 3, 60);
    }

    [Fact]
    public void SurvivesARegionWithoutValues()
    {
        // x − ln x + 100(y − x)² has values only where x > 0, and its first steps lead outside.
        using var x = torch.tensor(new[] { 1e-3, 30.0 });
        var outside = 0;
        double Evaluate(Tensor g)
        {
            var (u, v) = (x[0].ToDouble(), x[1].ToDouble());
            outside += u <= 0 ? 1 : 0;
            g[0] = 1 - 1 / u - 200 * (v - u);
            g[1] = 200 * (v - u);
            return u - Math.Log(u) + 100 * (v - u) * (v - u);
        }
        WolfeCheck check = new(x, Evaluate);
        var result = LbfgsMinimizer.Minimize(x, check.Evaluate, Exact, check.Accept);
        Assert.True(result.Converged);
        Assert.Equal(1, x[0].ToDouble(), 1e-8);
        Assert.Equal(1, x[1].ToDouble(), 1e-8);

        using var y = torch.tensor(new[] { 2.0 });
        result = LbfgsMinimizer.Minimize(y, g =>
        {
            var u = y[0].ToDouble();
            outside += u <= 1.9 ? 1 : 0;
            g.fill_(u <= 1.9 ? double.NaN : 2 * (u - 1.95));
            return u <= 1.9 ? double.PositiveInfinity : (u - 1.95) * (u - 1.95);
        }, Exact);
        Assert.True(result.Converged);
        Assert.Equal(1.95, y[0].ToDouble(), 1e-8);
        Assert.True(outside > 0);
    }

    [Fact]
    public void SaysWhyItStopped()
    {
        using var x = torch.tensor(new[] { -1.2, 1.0 });
        LbfgsResult From(LbfgsSettings settings, Func<LbfgsProgress, bool>? report = null)
        {
            x[0] = -1.2;
            x[1] = 1.0;
            var result = LbfgsMinimizer.Minimize(x, g => Rosenbrock(x, g), settings, report);
            Assert.Equal(result.Value, Rosenbrock(x, torch.zeros_like(x)));
            return result;
        }
        var limited = From(new() { MaxIterations = 3 });
        Assert.Equal((LbfgsStop.MaxIterations, 3), (limited.Reason, limited.Iterations));
        for (var n = 1; n < 12; n++)
        {
            limited = From(new() { MaxEvaluations = n });
            Assert.Equal((LbfgsStop.MaxEvaluations, n), (limited.Reason, limited.Evaluations));
        }
        Assert.Equal(LbfgsStop.RelativeTolerance, From(new() { RelativeTolerance = 0.5, GradientTolerance = 0 }).Reason);
        var stopped = From(new(), progress => progress.Iteration < 5);
        Assert.Equal((LbfgsStop.Stopped, 5), (stopped.Reason, stopped.Iterations));
        Assert.Equal(LbfgsStop.GradientTolerance, From(new() { GradientTolerance = 1e3 }).Reason);

        // A gradient that points the wrong way: nothing to be found, and the point stays.
        x[0] = 3;
        var failed = LbfgsMinimizer.Minimize(x, g => -WithGradient(g, x.neg(), x));
        Assert.Equal((LbfgsStop.LineSearchFailed, 0, 3.0), (failed.Reason, failed.Iterations, x[0].ToDouble()));
        x[0] = double.NaN;
        Assert.Equal(LbfgsStop.NotFiniteAtStart, LbfgsMinimizer.Minimize(x, g => Rosenbrock(x, g)).Reason);
    }

    [Fact]
    public void CancellingLeavesTheLastAcceptedPoint()
    {
        using var x = torch.tensor(new[] { -1.2, 1.0 });
        using CancellationTokenSource source = new();
        Tensor? accepted = null;
        Assert.Throws<OperationCanceledException>(() => LbfgsMinimizer.Minimize(x, g => Rosenbrock(x, g), null, progress =>
        {
            accepted = x.clone();
            if (progress.Iteration == 4)
                source.Cancel();
            return true;
        }, source.Token));
        Assert.Equal(0, Networks.MaxDifference(accepted!, x));
    }

    [Fact]
    public void LeavesNoTensorBehindAndRepeatsItself()
    {
        LbfgsResult Solve(Tensor x)
        {
            x.fill_(-1.2);
            return LbfgsMinimizer.Minimize(x, g => Rosenbrock(x, g), Exact);
        }
        using var x = torch.zeros(50, ScalarType.Float64);
        using var y = torch.zeros(50, ScalarType.Float64);
        var first = Solve(x);
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        Assert.Equal(first, Solve(y));
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        Assert.Equal(0, Networks.MaxDifference(x, y));
    }

    [Fact]
    public void WrongPointsAndConstantsAreRefused()
    {
        Assert.Throws<ArgumentException>("settings", () => LbfgsMinimizer.Minimize(torch.zeros(2), _ => 0, new() { Curvature = 1e-5 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => LbfgsMinimizer.Minimize(torch.zeros(2), _ => 0, new() { History = 0 }));
        Assert.Throws<ArgumentException>("x", () => LbfgsMinimizer.Minimize(torch.zeros(2, 2), _ => 0));
        Assert.Throws<ArgumentException>("x", () => LbfgsMinimizer.Minimize(torch.zeros(2, requires_grad: true), _ => 0));
        Assert.Throws<ArgumentException>("x", () => LbfgsMinimizer.Minimize(torch.zeros(2, ScalarType.Int64), _ => 0));
    }

    private static double WithGradient(Tensor gradient, Tensor value, Tensor x)
    {
        gradient.copy_(value);
        return -x.square().sum().ToDouble() / 2;
    }

    private static double Rosenbrock(Tensor x, Tensor gradient)
    {
        var point = x.data<double>().ToArray();
        var slopes = new double[point.Length];
        var sum = 0.0;
        for (var i = 0; i + 1 < point.Length; i++)
        {
            var (u, v) = (point[i], point[i + 1] - point[i] * point[i]);
            sum += 100 * v * v + (1 - u) * (1 - u);
            slopes[i] += -400 * u * v - 2 * (1 - u);
            slopes[i + 1] += 200 * v;
        }
        gradient.copy_(torch.tensor(slopes));
        return sum;
    }

    // Records every evaluation and checks both strong Wolfe conditions between accepted points: with s the whole step, both sides of
    // each condition are multiplied by its length.
    private sealed class WolfeCheck(Tensor x, Func<Tensor, double> evaluate)
    {
        private (Tensor X, Tensor Gradient, double Value)? _accepted;
        private (Tensor X, Tensor Gradient, double Value) _last;

        public int Evaluations { get; private set; }

        public int Accepted { get; private set; }

        public double Evaluate(Tensor gradient)
        {
            Evaluations++;
            var value = evaluate(gradient);
            _last = (x.clone().DetachFromDisposeScope(), gradient.clone().DetachFromDisposeScope(), value);
            _accepted ??= _last;
            return value;
        }

        public bool Accept(LbfgsProgress progress)
        {
            Accepted++;
            var before = _accepted!.Value;
            Assert.Equal(0, Networks.MaxDifference(x, _last.X));
            Assert.Equal(_last.Value, progress.Value);
            Assert.Equal(_last.Gradient.norm().ToDouble(), progress.GradientNorm, 1e-9 * progress.GradientNorm + 1e-15);
            var step = _last.X - before.X;
            var (slope, slopeAfter) = (before.Gradient.dot(step).ToDouble(), _last.Gradient.dot(step).ToDouble());
            Assert.True(slope < 0);
            // Among values that differ by rounding only, the decrease shows in the slopes.
            var decreases = _last.Value <= before.Value + 1e-4 * slope
                || (Math.Abs(_last.Value - before.Value) <= 4e-11 * Math.Abs(before.Value) && slopeAfter <= (2e-4 - 1) * slope);
            Assert.True(decreases, $"decrease in step {Accepted}");
            Assert.True(Math.Abs(slopeAfter) <= 0.9 * -slope * (1 + 1e-6) + 1e-16, $"curvature in step {Accepted}");
            _accepted = _last;
            return true;
        }
    }
}
