using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Convex;

/// <summary>One fit of a <see cref="RobustConvexRelu"/>.</summary>
internal sealed class RobustConvexReluFit(TrainingSet data, TaskHead head, TrainingRun run, RobustConvexRelu.Options options)
{
    // Hyperplanes drawn for each pattern that is wanted, and perturbations of the rows tried for each: many give the same pattern.
    private const int Draws = 2;
    private const int Perturbations = 3;

    private readonly ConvexReluLoss _kind = options.Loss ?? (head is RegressionHead ? ConvexReluLoss.Squared : ConvexReluLoss.Hinge);

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
        var epsilon = Epsilon(rows);
        var gates = Patterns(rows, epsilon);
        CheckMemory(rows.X.shape[1] * gates.shape[1]);
        using var inner = new ConvexReluProgram(rows.X, gates, rows.Targets, rows.Weights, ConvexReluLossFunction.For(_kind, head), beta);
        using var program = new RobustConvexReluProgram(inner, epsilon);
        using var admm = new RobustConvexReluAdmm(
            program, new(options.Rho ?? ConvexReluAdmmSettings.UsualRho(beta, rows.TotalWeight), options.DualStep, options.AbsoluteTolerance, options.RelativeTolerance));
        run.Log($"{inner.Patterns} distinct activation patterns of {inner.Rows} rows and their perturbations.");
        var monitor = run.Watch(head, options.MaxIterations, inner.Rows, patience: 0);
        var last = new ConvexReluIterations(run, monitor, inner).Run(options.MaxIterations, patience: 0, admm.Next, () => null, () => { });
        var v = admm.V.clone();
        var kept = ConvexReluFit.Prune(v, options.PruneThreshold);
        var attacked = inner.Plain.Plus(program.WorstMoves(v));
        var network = inner.Objective(ConvexReluProgram.NetworkOutputs(attacked, v), v);
        var (bound, stationarity) = admm.Judge();
        var certificate = new ConvexReluCertificate(
            program.Objective(v), network, Math.Max(0, bound), program.ConeViolation(v), stationarity, last.Primal, last.Dual, admm.Iterations,
            inner.Patterns, kept, beta, admm.Rho, $"a factor of {inner.Width * inner.Patterns} x {inner.Width * inner.Patterns}, of features and patterns");
        run.KeepDiagnostics(certificate);
        run.Log(FormattableString.Invariant(
            $"{kept} units. Under the worst perturbation the network's objective is {network:G5}, the convex one {certificate.ConvexObjective:G5}, and nothing below {bound:G5} is possible with these patterns."));
        var (units, outputs) = ConvexReluFit.Recover(v);
        return (units, outputs, rows.Calibrate(x => ConvexReluProgram.NetworkOutputs(x, v), _kind));
    }

    // In the units of X, 0 for the constant.
    private Tensor Epsilon(ConvexReluRows rows)
    {
        var radii = options.Unit.For(data.Statistics).Select((unit, j) => (float)(options.Epsilon * unit * (rows.Standardization?.Factor[j] ?? 1)));
        return tensor([.. radii, .. Enumerable.Repeat(0f, (int)rows.X.shape[1] - data.FeatureCount)], device: rows.X.device);
    }

    private Tensor Patterns(ConvexReluRows rows, Tensor epsilon)
    {
        using var scope = NewDisposeScope();
        var random = run.Random.Weights;
        var directions = ConvexReluPatterns.Draw(rows.X.shape[1], Draws * options.SampledPatterns, random, rows.X);
        if (run.Initial is { } initial && rows.UnitsOf(initial) is { } units)
            directions = cat([units, directions], 1);

        // With all rows active the network is linear, and no box is cut.
        List<Tensor> gates = [ones([rows.X.shape[0], 1], device: rows.X.device), ConvexReluPatterns.Of(rows.X, directions, options.SampledPatterns)];
        for (var i = 0; i < Perturbations && options.Epsilon > 0; i++)
        {
            // NOTE[DIFF]: all rows move alike, which moves the hyperplane: patterns must not depend on where a row stands, nor on how often.
            using var noise = rand([directions.shape[1], directions.shape[0]], generator: random);
            var signs = noise.Plus(-0.5).sign().t().to(rows.X.device);
            gates.Add(ConvexReluPatterns.Of(rows.X, directions, options.SampledPatterns, signs.mul(directions).mul(epsilon.unsqueeze(1)).sum(0L)));
        }

        // Turn by turn, so that each kind is among those that are kept.
        var most = gates.Max(part => part.shape[1]);
        var mixed = Enumerable.Range(0, (int)most).SelectMany(i => gates.Where(part => i < part.shape[1]).Select(part => part.narrow(1, i, 1)));
        return ConvexReluPatterns.Distinct(cat([.. mixed], 1), options.SampledPatterns).MoveToOuterDisposeScope();
    }

    private void CheckMemory(long size)
    {
        var (bytes, budget) = (12 * size * size, (options.MemoryBudget ?? MemoryBudget.Default) / 2);
        if (bytes > budget)
        {
            throw new InvalidOperationException(
                $"The factorisation of {size} features times patterns would take {MemoryBudget.Format(bytes)}, more than the {MemoryBudget.Format(budget)} that half of the option 'MemoryBudget' leaves to it. Raise that, or lower 'SampledPatterns'.");
        }
    }
}
