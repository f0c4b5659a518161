using MlNetMlp.Scoring;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Training;

public class HiddenLayerLeastSquaresTests
{
    private const double Penalty = 0.3;

    private static readonly (float[], float[]) Scaling = ([1, -2, 0.5f, 0, 3, 1], [0.5f, 2, 1, 1, 3, 0.1f]);

    public static TheoryData<Activation, int, int> Shapes
    {
        get
        {
            var shapes = new TheoryData<Activation, int, int>();
            foreach (var activation in (Activation[])[Activation.Sigmoid, Activation.Tanh, Activation.Relu])
            {
                foreach (var (units, outputs) in ((int, int)[])[(1, 1), (2, 3), (3, 1), (4, 2), (7, 5)])
                    shapes.Add(activation, units, outputs);
            }

            return shapes;
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void The_gradient_is_that_of_autograd_and_of_central_differences(Activation activation, int units, int outputs)
    {
        using var scope = NewDisposeScope();
        using var fit = Fit(activation, units, outputs, 150, ScalarType.Float64, out var x, out var r, out var w);
        var gradient = new double[fit.Parameters.Length];
        var value = fit.Evaluate(gradient);

        var point = tensor(fit.Parameters).requires_grad_();
        var loss = Loss(point, activation, units, outputs, x, r, w);
        loss.backward();
        Assert.Equal(loss.ToDouble(), value, 1e-9);
        var norm = point.grad!.norm().ToDouble();
        Assert.True((point.grad - tensor(gradient)).norm().ToDouble() < 1e-6 * norm);

        var other = new double[gradient.Length];
        for (var i = 0; i < gradient.Length; i++)
        {
            var start = fit.Parameters[i];
            fit.Parameters[i] = start + 1e-5;
            var above = fit.Evaluate(other);
            fit.Parameters[i] = start - 1e-5;
            var below = fit.Evaluate(other);
            fit.Parameters[i] = start;
            Assert.Equal(gradient[i], (above - below) / 2e-5, 1e-6 * Math.Max(1, norm));
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Managed_code_computes_what_tensors_do(Activation activation, int units, int outputs)
    {
        using var scope = NewDisposeScope();
        foreach (var rows in (int[])[1, 63, 64, 65, 700, 3001])
        {
            using var managed = Fit(activation, units, outputs, rows, ScalarType.Float32, out var x, out _, out _);
            using var exact = Fit(activation, units, outputs, rows, ScalarType.Float64, out _, out _, out _);
            var (actual, expected) = (new double[managed.Parameters.Length], new double[managed.Parameters.Length]);
            var (value, right) = (managed.Evaluate(actual), exact.Evaluate(expected));
            Assert.Equal(right, value, 2e-6 * Math.Max(1, right));
            var scale = Math.Sqrt(expected.Sum(g => g * g));
            for (var i = 0; i < actual.Length; i++)
                Assert.Equal(expected[i], actual[i], 3e-6 * Math.Max(1, scale));

            var predicted = managed.PredictRows();
            Assert.Equal([rows, outputs], predicted.shape);
            Assert.True(Networks.MaxDifference(predicted, managed.Predict(x.to(ScalarType.Float32))) < 1e-4);
            Assert.True(Networks.MaxDifference(predicted.to(ScalarType.Float64), exact.PredictRows()) < 1e-4);
        }
    }

    [Fact]
    public void No_number_of_rows_leaves_an_empty_block()
    {
        using var scope = NewDisposeScope();
        for (var rows = 2800; rows < 3300; rows += 20)
        {
            using var managed = Fit(Activation.Tanh, 24, 1, rows, ScalarType.Float32, out _, out _, out _);
            using var exact = Fit(Activation.Tanh, 24, 1, rows, ScalarType.Float64, out _, out _, out _);
            var gradient = new double[managed.Parameters.Length];
            Assert.Equal(1, managed.Evaluate(gradient) / exact.Evaluate(gradient), 1e-5);
        }
    }

    [Fact]
    public void The_number_of_threads_changes_no_bit()
    {
        using var scope = NewDisposeScope();
        var before = torch.get_num_threads();
        try
        {
            double[] Result(int threads)
            {
                torch.set_num_threads(threads);
                using var fit = Fit(Activation.Tanh, 8, 2, 40_000, ScalarType.Float32, out _, out _, out _);
                var gradient = new double[fit.Parameters.Length];
                return [fit.Evaluate(gradient), .. gradient];
            }

            Assert.Equal(Result(1), Result(3));
        }
        finally
        {
            torch.set_num_threads(before);
        }
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void Fits_that_share_rows_share_nothing_else(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var fit = Fit(Activation.Tanh, 4, 2, 300, type, out var x, out var r, out var w);
        using var shared = fit.ShareRows();
        fit.Parameters.CopyTo(shared.Parameters, 0);
        shared.SetTargets((r * 2).to(type), w.to(type));
        var (gradient, other) = (new double[fit.Parameters.Length], new double[fit.Parameters.Length]);
        var before = fit.Evaluate(gradient);
        Assert.NotEqual(before, shared.Evaluate(other));
        shared.SetTargets(r.to(type), w.to(type));
        Assert.Equal(before, shared.Evaluate(other));
        Assert.Equal(gradient, other);
        Assert.Equal(fit.Predict(x.to(type)).to(ScalarType.Float32).data<float>(), shared.Predict(x.to(type)).to(ScalarType.Float32).data<float>());
        fit.Dispose();
        Assert.Equal(before, shared.Evaluate(other));
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void Both_minimise_to_a_flat_place_and_adam_comes_near(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var fit = Fit(Activation.Sigmoid, 2, 1, 400, type, out _, out _, out _);
        var gradient = new double[fit.Parameters.Length];
        var start = fit.Evaluate(gradient);
        double[] before = [.. fit.Parameters];
        var result = fit.Minimize(new() { GradientTolerance = 1e-5, RelativeTolerance = 0, MaxIterations = 2000 }, () => { });
        Assert.Equal(result.Value, fit.Evaluate(gradient), 1e-7);
        Assert.True(Math.Sqrt(gradient.Sum(g => g * g)) < 2e-5 && result.Value < start, $"{result}");
        before.CopyTo(fit.Parameters, 0);
        Assert.InRange(fit.Descend(0.05, 500, 0, () => { }), 0, (result.Value + start) / 2);
    }

    [Fact]
    public void Outputs_solved_in_closed_form_leave_no_gradient_there()
    {
        using var scope = NewDisposeScope();
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64])
        {
            using var fit = Fit(Activation.Tanh, 5, 3, 300, type, out _, out _, out _);
            var gradient = new double[fit.Parameters.Length];
            fit.Evaluate(gradient);
            Assert.Contains(gradient[30..], g => Math.Abs(g) > 1e-2);
            fit.SolveOutputs();
            fit.Evaluate(gradient);
            Assert.All(gradient[35..], g => Assert.Equal(0, g, 1e-6));
        }
    }

    [Fact]
    public void Arrays_are_minimised_as_tensors_are()
    {
        // The chained function of Rosenbrock, whose valley takes a good many curved steps.
        const int n = 20;
        double Value(ReadOnlySpan<double> x, Span<double> g)
        {
            g.Clear();
            double value = 0;
            for (var i = 0; i < n - 1; i++)
            {
                var (a, b) = (x[i + 1] - (x[i] * x[i]), 1 - x[i]);
                value += (100 * a * a) + (b * b);
                g[i] += (-400 * a * x[i]) - (2 * b);
                g[i + 1] += 200 * a;
            }

            return value;
        }

        var array = Enumerable.Repeat(-0.5, n).ToArray();
        using var vector = tensor(array);
        var settings = new LbfgsSettings { GradientTolerance = 1e-8, RelativeTolerance = 0 };
        var one = LbfgsMinimizer.Minimize(array, gradient => Value(array, gradient), settings);
        var two = LbfgsMinimizer.Minimize(
            vector,
            gradient =>
            {
                var slopes = new double[n];
                var value = Value(vector.data<double>().ToArray(), slopes);
                gradient.copy_(tensor(slopes));
                return value;
            },
            settings);
        Assert.Equal(LbfgsStop.GradientTolerance, one.Reason);
        Assert.All(array, value => Assert.Equal(1, value, 1e-7));
        Assert.Equal(two.Value, one.Value, 1e-12);
        Assert.InRange(one.Iterations, two.Iterations * 0.8, two.Iterations * 1.25);
        Assert.Throws<ArgumentException>(() => LbfgsMinimizer.Minimize([], _ => 0));
    }

    private static HiddenLayerLeastSquares Fit(
        Activation activation, int units, int outputs, int rows, ScalarType type, out Tensor x, out Tensor r, out Tensor w)
    {
        var fit = new HiddenLayerLeastSquares(6, units, outputs, activation, Penalty, rows, CPU, Scaling, type);
        x = Networks.Normal(1, ScalarType.Float32, rows, 6).to(ScalarType.Float64);
        r = Networks.Normal(2, ScalarType.Float32, rows, outputs).to(ScalarType.Float64);
        w = Networks.Normal(3, ScalarType.Float32, rows).abs().to(ScalarType.Float64);
        var first = Math.Min(rows, 100);
        fit.PutRows(0, x.narrow(0, 0, first).to(type));
        if (rows > first)
            fit.PutRows(first, x.narrow(0, first, rows - first).to(type));
        fit.SetTargets(r.to(type), w.to(type));
        Networks.Normal(4, ScalarType.Float64, fit.Parameters.Length).data<double>().CopyTo(fit.Parameters);
        return fit;
    }

    private static Tensor Loss(Tensor point, Activation activation, int units, int outputs, Tensor x, Tensor r, Tensor w)
    {
        var a = point.narrow(0, 0, units * 6).view(units, 6);
        var c = point.narrow(0, units * 7, outputs * units).view(outputs, units);
        var z = (x - tensor(Scaling.Item1)).mul(tensor(Scaling.Item2)).matmul(a.t()) + point.narrow(0, units * 6, units);
        var h = activation switch { Activation.Tanh => z.tanh(), Activation.Relu => z.clamp_min(0), _ => z.sigmoid() };
        var e = h.matmul(c.t()) + point.narrow(0, (units * 7) + (outputs * units), outputs) - r;
        return (e.square().sum(1).mul(w).sum() / w.sum() / 2) + ((a.square().sum() + c.square().sum()) * (Penalty / 2 / x.shape[0]));
    }
}
