using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using TorchSharp;
using static MlNetMlp.Tests.Training.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Training;

/// <summary>Linear readouts of a fixed map, against the same problems written out as matrices.</summary>
public sealed class ReadoutTests
{
    private const int Count = 160;

    [Theory]
    [InlineData(TaskKind.Regression, false, 12)]
    [InlineData(TaskKind.Regression, true, 200)]
    [InlineData(TaskKind.Multiclass, true, 12)]
    [InlineData(TaskKind.Binary, false, 200)]
    [InlineData(TaskKind.MultiOutputRegression, true, 12)]
    public void Sums_rows_and_conjugate_gradients_solve_the_same_ridge_regression(TaskKind task, bool weighted, int features)
    {
        using var scope = NewDisposeScope();
        using var problem = new Problem(task, features, weighted);
        var (h, y, w) = problem.Matrices();
        using var sums = problem.Rows.Sum();
        using var primal = RidgeReadout.Primal(sums);
        using var dual = RidgeReadout.Dual(problem.Rows);
        var penalty = 1e-3 * primal.Path.LargestEigenvalue;

        var share = w.div(w.sum());
        var (hm, ym) = (h.t().mv(share), y.t().mv(share));
        var (hc, yc) = (h.sub(hm), y.sub(ym));
        var c = linalg.solve(hc.t().mm(hc.mul(w.unsqueeze(1))).Plus(eye(features, dtype: ScalarType.Float64).Times(penalty)), hc.t().mm(yc.mul(w.unsqueeze(1))));
        var (wide, end) = ConjugateGradientReadout.Solve(problem.Rows, _ => penalty, new() { Tolerance = 1e-12 });

        Assert.True(end.Converged);
        Assert.Equal(w.sum().ToDouble(), primal.TotalWeight, 1e-6);
        foreach (var readout in new[] { primal.Solve(penalty), dual.Solve(penalty), wide })
        {
            Assert.True(MaxDifference(readout.Coefficients, c) < 1e-8, $"{MaxDifference(readout.Coefficients, c)}");
            Assert.True(MaxDifference(readout.Intercept, ym.sub(c.t().mv(hm))) < 1e-8);
            Assert.True(MaxDifference(readout.Predict(h), h.mm(c).Plus(ym.sub(c.t().mv(hm)))) < 1e-8);
        }

        // Both know the same errors of rows left out, and choose the same.
        using var sample = problem.Rows.Blocks().Single();
        var (fromSums, fromRows) = (primal.LeaveOneOut(sample, [penalty]).Single(), dual.LeaveOneOut(sample, [penalty]).Single());
        Assert.Equal(fromSums.Mean, fromRows.Mean, 1e-8 * fromSums.Mean);
        Assert.Equal(fromSums.StandardError, fromRows.StandardError, 1e-8 * fromSums.Mean);
        Assert.InRange(fromSums.StandardError, 1e-6 * fromSums.Mean, fromSums.Mean);
        Assert.Equal(primal.LeastError(sample).Penalty, dual.LeastError(sample).Penalty, 1e-6 * primal.Path.LargestEigenvalue);
        Assert.True(primal.LeastError(sample).Mean <= fromSums.Mean);
        Assert.True(primal.LeastError(sample, featureNoise: 1).Penalty > primal.LeastError(sample).Penalty);
        var norm = 0.5 * primal.Path.CoefficientNorm(primal.LeastError(sample).Penalty);
        Assert.InRange(primal.Path.CoefficientNorm(primal.LeastError(sample, greatestNorm: norm).Penalty), 0, norm);

        using var centered = sums.Center();
        Assert.True(MaxDifference(centered.Solve(penalty)!, c) < 1e-8);
        Assert.Null(new CenteredSums(zeros_like(centered.Gram), centered.Moments, centered.FeatureMeans, centered.LabelMeans, [1], 1, 1).Solve(0));
    }

    [Theory]
    [InlineData(TaskKind.Binary, false, true)]
    [InlineData(TaskKind.Binary, true, false)]
    [InlineData(TaskKind.Multiclass, true, true)]
    [InlineData(TaskKind.Multiclass, false, false)]
    public void Cross_entropy_ends_where_its_gradient_is_zero(TaskKind task, bool weighted, bool keeps)
    {
        const double penalty = 0.3;
        using var scope = NewDisposeScope();
        using var problem = new Problem(task, 12, weighted);
        using var sums = problem.Rows.Sum();
        using var ridge = RidgeReadout.Primal(sums);
        using var readout = new CrossEntropyReadout(problem.Rows, ridge, keeps ? long.MaxValue : 0);
        var (found, result) = readout.Solve(penalty, settings: new() { GradientTolerance = 1e-10, RelativeTolerance = 0 });
        Assert.True(result.Reason is LbfgsStop.GradientTolerance or LbfgsStop.LineSearchFailed, $"{result}");
        Assert.InRange(result.Iterations, 1, 180);

        // The loss as torch's own gradients see it.
        var (h, y, w) = problem.Matrices();
        var c = found.Coefficients.clone().requires_grad_();
        var b = found.Intercept.clone().requires_grad_();
        var f = addmm(b, h, c, 1, 1);
        var losses = task == TaskKind.Binary ? nn.functional.softplus(f.mul(y).neg()).squeeze(1) : f.log_softmax(1).mul(y).sum(1L).neg();
        var loss = losses.mul(w).sum().Plus(c.mul(c).sum().Times(penalty / 2));
        loss.backward();
        Assert.Equal(loss.ToDouble() / w.sum().ToDouble(), result.Value, 1e-9);
        Assert.True(c.grad!.abs().max().ToDouble() < 1e-5);
        Assert.True(b.grad!.abs().max().ToDouble() < 1e-5);

        Assert.Equal(losses.mul(w).sum().ToDouble() / w.sum().ToDouble(), readout.Loss(found, problem.Rows.Blocks()), 1e-6);
    }

    [Fact]
    public void A_streamed_set_has_the_sums_of_the_same_rows_in_memory()
    {
        using var scope = NewDisposeScope();
        using var memory = new Problem(TaskKind.Regression, 12, weighted: true, rows: 3000);
        using var stream = new Problem(TaskKind.Regression, 12, weighted: true, rows: 3000, budget: 1_000);
        Assert.True(stream.Data.IsStreamed);
        using var expected = memory.Rows.Sum();
        using var actual = stream.Rows.Sum();
        Assert.Equal(3000, actual.Rows);
        Assert.Equal(expected.ToArray(), actual.ToArray());
    }

    private sealed class Problem : IDisposable
    {
        public Problem(TaskKind task, int features, bool weighted, int rows = Count, long budget = long.MaxValue)
        {
            var ml = new MLContext(1);
            var view = Support.Rows.View(ml, rows);
            var prepared = task switch
            {
                TaskKind.Multiclass => ml.Transforms.Conversion.MapValueToKey("Key", "Kind").Fit(view).Transform(view),
                TaskKind.MultiOutputRegression => ml.Transforms.Concatenate("Targets", "Target", "Weight").Fit(view).Transform(view),
                _ => view,
            };
            var label = task switch { TaskKind.Regression => "Target", TaskKind.Binary => "Flag", TaskKind.Multiclass => "Key", _ => "Targets" };
            string[] classes = task switch { TaskKind.Binary => ["no", "yes"], TaskKind.Multiclass => ["a", "b", "c"], _ => [] };
            var loader = new TrainingSetLoader(
                new LoadSettings(task, new(new("Features"), label, weighted ? "Weight" : null, null), classes, null, 0, budget, false, 1), _ => { }, () => { });
            (Data, Head) = loader.Load(prepared, null, null);
            Run = new TrainingRun(CPU, 1, new TrainingObserver(_ => { }, null, () => { }, false, default), null);
            Rows = new FeatureRows(Data, Head, Run, new TanhMap(Data.FeatureCount, features));
        }

        public TrainingSet Data { get; }

        public TaskHead Head { get; }

        public TrainingRun Run { get; }

        public FeatureRows Rows { get; }

        public (Tensor H, Tensor Y, Tensor W) Matrices()
        {
            using var block = Rows.Blocks().Single();
            return (block.Features.to(ScalarType.Float64), block.Targets.to(ScalarType.Float64), block.Weights?.alias() ?? ones(Count, ScalarType.Float64));
        }

        public void Dispose()
        {
            ((IDisposable)Run).Dispose();
            ((IDisposable)Data).Dispose();
        }
    }

    private sealed class TanhMap(int inputs, int features) : FeatureMap
    {
        private readonly Tensor _weights = Normal(5, ScalarType.Float32, inputs + 1, features).DetachFromDisposeScope();

        public override int Inputs => inputs;

        public override int Features => features;

        public override Tensor Map(Tensor x)
        {
            using var scope = NewDisposeScope();
            return x.mm(_weights.narrow(0, 0, inputs)).Plus(_weights[inputs]).tanh().MoveToOuterDisposeScope();
        }
    }
}
