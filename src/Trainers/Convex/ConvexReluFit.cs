using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Convex;

/// <summary>One fit of a <see cref="ConvexRelu"/>: patterns are drawn, the convex program is solved, and its solution becomes a network.</summary>
internal sealed class ConvexReluFit(TrainingSet data, TaskHead head, TrainingRun run, ConvexRelu.Options options)
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
        var beta = options.Beta * rows.TotalWeight;
        var gates = Patterns(rows, beta);
        using var program = new ConvexReluProgram(rows.X, gates, rows.Targets, rows.Weights, _loss, beta);
        gates.Dispose();
        run.Log(FormattableString.Invariant($"{program.Patterns} distinct activation patterns of {program.Rows} rows; the duals take {MemoryBudget.Format(4 * program.Rows * program.Groups * program.Patterns)}."));
        var (step, solver) = ConvexReluSolverChoice.Choose(
            program, options.Solver, (options.MemoryBudget ?? MemoryBudget.Default) / 2, options.MaxIterations, run.Log, run.CheckCancelled);
        using var owned = step;
        using var admm = new ConvexReluAdmm(
            program, step, new(options.Rho ?? ConvexReluAdmmSettings.UsualRho(beta, rows.TotalWeight), options.DualStep, options.AbsoluteTolerance, options.RelativeTolerance));
        var (v, last) = Iterate(rows, program, admm);
        var kept = Prune(v, options.PruneThreshold);
        var (convex, network, violation) = program.Trace(v);
        var (bound, stationarity) = admm.Judge();
        var certificate = new ConvexReluCertificate(
            program.Objective(convex, v), program.Objective(network, v), Math.Max(0, bound), violation, stationarity, last.Primal, last.Dual, admm.Iterations,
            program.Patterns, kept, beta, admm.Rho, solver);
        run.KeepDiagnostics(certificate);
        run.Log(FormattableString.Invariant(
            $"{certificate.ActiveNeurons} units. The network's objective is {certificate.NetworkObjective:G5}, the convex one {certificate.ConvexObjective:G5}, and nothing below {certificate.DualBound:G5} is possible with these patterns; the cone is violated by {certificate.ConeViolation:G2}."));
        var (units, outputs) = Recover(v);
        return (units, outputs, rows.Calibrate(x => ReferenceEquals(x, rows.X) ? network : ConvexReluProgram.NetworkOutputs(x, v), options.Loss));
    }

    private Tensor Patterns(ConvexReluRows rows, double beta)
    {
        using var scope = NewDisposeScope();
        var random = run.Random.Weights;
        var width = rows.X.shape[1];
        List<Tensor> directions = [];
        if (run.Initial is { } initial && rows.UnitsOf(initial) is { } units)
            directions.Add(units);
        if (options.PatternSource == ConvexReluPatternSource.GaussianPlusTrainedNetwork)
        {
            directions.Add(ConvexReluPatterns.Train(
                rows.X, rows.Targets, rows.Weights, _loss, beta, (options.SampledPatterns + 1) / 2, random, run.CheckCancelled).Hidden);
        }

        // Some hyperplanes have all rows, or none, on one side.
        directions.Add(ConvexReluPatterns.Draw(width, 2 * options.SampledPatterns, random, rows.X));
        return ConvexReluPatterns.Of(rows.X, cat(directions, 1), options.SampledPatterns).MoveToOuterDisposeScope();
    }

    private (Tensor V, ConvexReluIteration Last) Iterate(ConvexReluRows rows, ConvexReluProgram program, ConvexReluAdmm admm)
    {
        var monitor = run.Watch(head, options.MaxIterations, program.Rows, options.EarlyStoppingRounds);
        var best = admm.V.clone();

        // While everything is still zero there is nothing to judge.
        var last = new ConvexReluIterations(run, monitor, program).Run(
            options.MaxIterations, options.EarlyStoppingRounds, admm.Next,
            () => admm.V.any().item<bool>() ? rows.Judge(x => ConvexReluProgram.NetworkOutputs(x, admm.V), _loss) : null,
            () => best.copy_(admm.V));
        return (best, last);
    }

    /// <summary>Leaves out what is shorter than the threshold times the longest.</summary>
    /// <returns>Number of units that are left.</returns>
    internal static int Prune(Tensor v, double threshold)
    {
        using var scope = NewDisposeScope();
        var norms = ConvexReluProgram.GroupNorms(v);
        var kept = norms.ge(norms.max().Times(threshold)).logical_and(norms.IsAbove(0));
        v.mul_(kept.to(v.dtype));
        return (int)kept.sum().item<long>();
    }

    /// <summary>v = u·α with ‖u‖ = |α|: the units u/√‖v‖ and output weights ±√‖v‖, the least penalty for the same function.</summary>
    internal static (float[] Units, float[] Outputs) Recover(Tensor v)
    {
        using var scope = NewDisposeScope();
        var norms = ConvexReluProgram.GroupNorms(v);
        var (groups, outputs) = (v.shape[1], v.shape[1] / 2);
        var places = norms.nonzero();                                              // [units, (group, pattern)]
        var roots = norms.sqrt();
        var flat = v.div(roots).view(v.shape[0], -1);
        var (group, pattern) = (places.select(1, 0), places.select(1, 1));
        var index = group.mul(tensor(v.shape[2], device: v.device)).Plus(pattern);
        var units = flat.index_select(1, index).t().contiguous();
        var signs = arange(groups, device: v.device).lt(tensor(outputs, device: v.device)).to(v.dtype).Times(2).Plus(-1);
        var weights = zeros([outputs, index.shape[0]], v.dtype, v.device);
        if (index.shape[0] > 0)
        {
            var strength = roots.view(-1).index_select(0, index).mul(signs.index_select(0, group));
            weights.scatter_(0, group.remainder(tensor(outputs, device: v.device)).unsqueeze(0), strength.unsqueeze(0));
        }

        return (TensorMemory.ToFloats(units), TensorMemory.ToFloats(weights));
    }
}
