using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.ScalableKernels;

/// <summary>Solves for the last matrix of a stack whose other parts stay as they are.</summary>
internal sealed class ScalableKernelClosedForm(TrainingSet data, TaskHead head, TrainingRun run, ScalableKernelNetwork.Options options)
{
    // Rows by which a penalty is chosen.
    private const int SampleRows = 5000;

    private readonly ReadoutSolver _solver = new(data, head, run, new()
    {
        Penalty = options.L2, LeavesOutRows = options.ValidationFraction > 0, MemoryBudget = options.MemoryBudget ?? MemoryBudget.Default,
    });

    private bool IsCrossEntropy => options.Readout == ScalableKernelReadout.CrossEntropy;

    public void Solve(ScalableKernelStack network)
    {
        if (IsCrossEntropy && head is not (BinaryHead or MulticlassHead))
            throw new InvalidOperationException($"The option 'Readout' is {options.Readout}, which is for classification. Choose LeastSquares for regression.");
        if (IsCrossEntropy && run.IsContinued)
            throw new InvalidOperationException("With the option 'InitialModel' the last matrix is solved for from sums: 'Readout' must be LeastSquares.");
        data.MoveTo(run.Device);
        using var earlier = run.IsContinued ? _solver.TakeEarlier(options.FeatureCount) : null;
        var rows = new FeatureRows(data, head, run, new ScalableKernelMap(network));
        var monitor = run.Watch(head, IsCrossEntropy ? 2 : 1, data.RowCount, patience: 0);
        using var sample = data.Sample(SampleRows);
        var solution = Solve(rows, () => rows.MapBlock(sample), earlier, monitor);
        using var readout = solution.Readout;
        if (!IsCrossEntropy)
            _solver.Calibrate(rows, readout);
        network.SetReadout(readout);
        network.to(CPU);
        network.eval();
        monitor.OnLoss(solution.TrainingLoss);
        monitor.OnEpoch(_solver.Judge(network));
        if (!monitor.KeepsBest)
            run.CheckCancelled();
        monitor.Finish($"The readout of {rows.Features} features is solved for{(solution.Penalty is { } penalty ? FormattableString.Invariant($", α = {penalty:G4}") : "")}.");
    }

    private ReadoutSolution Solve(FeatureRows rows, Func<FeatureBlock> sample, LeastSquaresSums? earlier, TrainingMonitor monitor)
    {
        var keeps = options.KeepsSums(head.Outputs);
        var isDual = earlier is null && !IsCrossEntropy && _solver.PrefersDual(rows.Features);
        if (earlier is null && !isDual && !IsCrossEntropy && !keeps && rows.Features > ReadoutSolver.MostPrimalFeatures)
            return _solver.SolveWide(rows, monitor);
        if (isDual && !keeps)
        {
            monitor.OnRows(data.RowCount);
            return _solver.SolveDual(rows, sample);
        }

        using var sums = rows.Sum(monitor.OnRows);
        if (earlier is not null)
            sums.Add(earlier);
        if (IsCrossEntropy)
            return _solver.SolveCrossEntropy(rows, sums, sample, monitor);
        if (keeps)
            _solver.Keep(sums);
        return isDual ? _solver.SolveDual(rows, sample) : _solver.SolveSums(sums, sample);
    }
}
