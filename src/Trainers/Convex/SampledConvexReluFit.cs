using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Convex;

/// <summary>ℓ(Hα, y) + β‖α‖₁ for units that stay as they are, H = (XU)₊: its gradient, its proximal operator and its gap.</summary>
internal sealed class SampledConvexProgram : IDisposable
{
    private const int BlockValues = 1 << 21;

    private readonly ConvexReluLossFunction _loss;
    private readonly Tensor _x;
    private readonly Tensor _units;
    private readonly Tensor _targets;
    private readonly Tensor? _weights;
    private readonly Tensor? _hidden;

    /// <summary>Takes the rows in; tensors are the caller's, and are not copied.</summary>
    /// <param name="x">X [n, d].</param>
    /// <param name="units">U [d, N].</param>
    /// <param name="targets">y [n, C].</param>
    /// <param name="weights">w [n], or null.</param>
    /// <param name="loss">ℓ.</param>
    /// <param name="beta">β.</param>
    /// <param name="keeps">Whether H is kept, rather than made anew in each step.</param>
    public SampledConvexProgram(Tensor x, Tensor units, Tensor targets, Tensor? weights, ConvexReluLossFunction loss, double beta, bool keeps)
    {
        (_x, _units, _targets, _weights, _loss, Beta) = (x, units, targets, weights?.unsqueeze(1).DetachFromDisposeScope(), loss, beta);
        _hidden = keeps ? x.mm(units).relu_().DetachFromDisposeScope() : null;
        using var scope = NewDisposeScope();
        Empty = Sum(loss.Values(zeros_like(targets), targets));
    }

    public double Beta { get; }

    /// <summary>The objective of α = 0.</summary>
    public double Empty { get; }

    /// <summary>Hα [n, C].</summary>
    public Tensor Outputs(Tensor alpha)
    {
        if (_hidden is not null)
            return _hidden.mm(alpha);
        var result = empty([_x.shape[0], alpha.shape[1]], _x.dtype, _x.device);
        ForBlocks((h, start, rows) => result.narrow(0, start, rows).copy_(h.mm(alpha)));
        return result;
    }

    /// <summary>Hᵀ(w·r) [N, C].</summary>
    public Tensor Slopes(Tensor r)
    {
        using var scope = NewDisposeScope();
        var weighted = _weights is null ? r : r.mul(_weights);
        if (_hidden is not null)
            return _hidden.t().mm(weighted).MoveToOuterDisposeScope();
        var result = zeros([_units.shape[1], r.shape[1]], _x.dtype, _x.device);
        ForBlocks((h, start, rows) => result.addmm_(h.t(), weighted.narrow(0, start, rows), 1, 1));
        return result.MoveToOuterDisposeScope();
    }

    public Tensor Gradient(Tensor alpha) => Slopes(_loss.Slopes(Outputs(alpha), _targets)).neg();

    /// <summary>Soft thresholding.</summary>
    public void Shrink(Tensor alpha, double step)
    {
        using var values = alpha.view(-1, 1);
        GroupLasso.Shrink(values, step * Beta);
    }

    /// <summary>The objective, a lower bound of its minimum, and the greatest |h_jᵀr − β·sign(α_j)| of the units in use, relative to β.</summary>
    public (double Objective, double Bound, double Stationarity) Judge(Tensor alpha)
    {
        using var scope = NewDisposeScope();
        var f = Outputs(alpha);
        var r = _loss.Slopes(f, _targets);
        var slopes = Slopes(r);
        var factor = slopes.abs().amax([0]).AtLeast(Beta).reciprocal().Times(Beta);
        var objective = Sum(_loss.Values(f, _targets)) + (Beta * alpha.abs().sum(ScalarType.Float64).ToDouble());
        var active = alpha.abs().IsAbove(0).to(alpha.dtype);
        return (objective, Sum(_loss.DualValues(r.mul(factor), _targets)), slopes.Times(1 / Beta).sub(alpha.sign()).mul(active).abs().max().ToDouble());
    }

    public void Dispose()
    {
        _hidden?.Dispose();
        _weights?.Dispose();
    }

    private double Sum(Tensor values) => (_weights is null ? values : values.mul(_weights)).sum(ScalarType.Float64).ToDouble();

    private void ForBlocks(Action<Tensor, long, long> visit)
    {
        var most = Math.Max(16, BlockValues / _units.shape[1]);
        for (long start = 0; start < _x.shape[0]; start += most)
        {
            using var scope = NewDisposeScope();
            var rows = Math.Min(most, _x.shape[0] - start);
            visit(_x.narrow(0, start, rows).mm(_units).relu_(), start, rows);
        }
    }
}

/// <summary>One fit of a <see cref="SampledConvexRelu"/>.</summary>
internal sealed class SampledConvexReluFit(TrainingSet data, TaskHead head, TrainingRun run, SampledConvexRelu.Options options)
{
    private readonly ConvexReluLossFunction _loss = ConvexReluLossFunction.For(options.Loss, head);

    public Network Run()
    {
        using var noGradient = no_grad();
        using var rows = new ConvexReluRows(data, head, run, options.StandardizeInputs, options.Bias);
        var (units, outputs, calibration) = Solve(rows);
        return rows.Build(units, outputs, calibration);
    }

    private (float[] Units, float[] Outputs, OutputCalibration Calibration) Solve(ConvexReluRows rows)
    {
        using var scope = NewDisposeScope();
        var units = Units(rows);
        var bytes = 4.0 * rows.X.shape[0] * units.shape[1];
        var keeps = bytes <= (options.MemoryBudget ?? MemoryBudget.Default) / 2.0;
        run.Log($"{units.shape[1]} units of {rows.X.shape[0]} rows take {MemoryBudget.Format((long)bytes)}: they are {(keeps ? "kept" : "made anew in each step, to stay within the memory budget")}.");
        using var program = new SampledConvexProgram(rows.X, units, rows.Targets, rows.Weights, _loss, options.Beta * rows.TotalWeight, keeps);
        var (alpha, gap, steps) = Minimize(rows, program, units);
        var used = alpha.abs().amax([1]).IsAbove(0).nonzero().view(-1);
        var (objective, bound, stationarity) = program.Judge(alpha);
        var certificate = new ConvexReluCertificate(
            objective, objective, Math.Max(0, bound), 0, stationarity, gap / Math.Max(options.GapTolerance, double.Epsilon), 0, steps, (int)units.shape[1],
            (int)used.shape[0], program.Beta, 0, "accelerated proximal gradients");
        run.KeepDiagnostics(certificate);
        run.Log(FormattableString.Invariant($"{certificate.ActiveNeurons} units are in use. The objective is {objective:G5}, and nothing below {bound:G5} is possible with these units."));
        var calibration = rows.Calibrate(x => x.mm(units).relu().mm(alpha), options.Loss);
        return (TensorMemory.ToFloats(units.index_select(1, used).t()), TensorMemory.ToFloats(alpha.index_select(0, used).t()), calibration);
    }

    private Tensor Units(ConvexReluRows rows)
    {
        using var scope = NewDisposeScope();
        var drawn = ConvexReluPatterns.Draw(rows.X.shape[1], options.HiddenUnits, run.Random.Weights, rows.X);
        if (run.Initial is { } initial && rows.UnitsOf(initial) is { } earlier)
            drawn = cat([earlier, drawn], 1).narrow(1, 0, Math.Max(options.HiddenUnits, earlier.shape[1]));
        return drawn.div(drawn.Norms([0])).nan_to_num(0, 0, 0).MoveToOuterDisposeScope();
    }

    private (Tensor Alpha, double Gap, int Steps) Minimize(ConvexReluRows rows, SampledConvexProgram program, Tensor units)
    {
        var monitor = run.Watch(head, options.MaxIterations, rows.X.shape[0], options.EarlyStoppingRounds);
        var alpha = zeros([units.shape[1], rows.Targets.shape[1]], rows.X.dtype, rows.X.device);
        var (best, held) = (alpha.clone(), rows.Held is { } rest ? rest.X.mm(units).relu_() : null);
        var result = Fista.Minimize(
            alpha, program.Gradient, program.Shrink, new() { MaxIterations = options.MaxIterations, GapTolerance = options.GapTolerance },
            a => Gap(program, a), Report);
        if (!monitor.KeepsBest)
            run.CheckCancelled();
        monitor.Finish(result.Reason switch
        {
            FistaStop.Stopped => monitor.HasStalled ? $"The validation loss has not fallen for {options.EarlyStoppingRounds} steps." : "It was cancelled.",
            FistaStop.MaxIterations => "All steps are done.",
            FistaStop.NotFinite => throw new InvalidOperationException("The loss is no longer finite: look for extreme values among features and labels."),
            _ => "The duality gap is closed.",
        });
        return (best, result.Gap ?? 1, result.Iterations);

        bool Report(FistaProgress step)
        {
            if (!monitor.KeepsBest)
                run.CheckCancelled();
            using var scope = NewDisposeScope();
            monitor.OnRows(rows.X.shape[0]);
            if (step.Gap is { } gap)
                monitor.OnLoss(gap);
            var judged = held is not null && alpha.any().item<bool>() ? rows.Judge(_ => held.mm(alpha), _loss) : null;
            if (monitor.OnEpoch(judged) || judged is null)
                best.copy_(alpha);
            return !monitor.HasStalled && !monitor.KeepsBest;
        }
    }

    private static double Gap(SampledConvexProgram program, Tensor alpha)
    {
        var (objective, bound, _) = program.Judge(alpha);
        return (objective - bound) / Math.Max(program.Empty, double.Epsilon);
    }
}
