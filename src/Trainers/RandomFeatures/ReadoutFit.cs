using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.RandomFeatures;

/// <summary>What a readout of random features is solved for by.</summary>
internal interface IReadoutOptions
{
    double? L2 { get; }

    RandomFeatureNetworkPenaltyUnit L2Unit { get; }

    RandomFeatureNetworkSolver Solver { get; }

    bool? KeepSums { get; }

    double ValidationFraction { get; }

    long? MemoryBudget { get; }
}

/// <summary>Leads a fit whose only trained part is the readout: from the solver that suits rows and features to the end of the learning curve.</summary>
internal sealed class ReadoutFit(TrainingSet data, TaskHead head, TrainingRun run, IReadoutOptions options)
{
    private const int LargestKeptSums = 2000;

    private readonly ReadoutSolver _solver = new(data, head, run, Settings(options));
    private readonly bool _isClassification = head is BinaryHead or MulticlassHead;
    private RandomFeatureNetworkSolver _chosen;
    private TrainingMonitor? _monitor;

    /// <summary>Whether the readout is one of least squares for classes, whose outputs are no logits yet.</summary>
    public bool NeedsCalibration => _isClassification && _chosen != RandomFeatureNetworkSolver.CrossEntropy;

    /// <summary>Indexes of the features that are left; null for all.</summary>
    public IReadOnlyList<int>? Kept { get; private set; }

    /// <summary>What the options say of the penalty.</summary>
    public static ReadoutSettings Settings(IReadoutOptions options) => new()
    {
        Penalty = options.L2,
        IsPenaltyAbsolute = options.L2Unit == RandomFeatureNetworkPenaltyUnit.Absolute,
        LeavesOutRows = options.ValidationFraction > 0,
        MemoryBudget = options.MemoryBudget ?? MemoryBudget.Default,
    };

    /// <summary>Solves.</summary>
    /// <param name="rows">The rows behind the map.</param>
    /// <param name="sample">Some of the rows, drawn at random, that penalties are judged by.</param>
    /// <param name="earlier">Sums of rows of an earlier fit, or null.</param>
    /// <param name="select">Chooses the features that are left, by the sums; null for all.</param>
    /// <returns>The solution, whose readout the caller owns.</returns>
    public ReadoutSolution Solve(FeatureRows rows, RowBlock sample, LeastSquaresSums? earlier, Func<LeastSquaresSums, IReadOnlyList<int>>? select = null)
    {
        _chosen = ChooseSolver(rows.Features, earlier, select is not null);
        var monitor = _monitor = run.Watch(head, _chosen == RandomFeatureNetworkSolver.CrossEntropy ? 2 : 1, data.RowCount, patience: 0);
        return _chosen switch
        {
            RandomFeatureNetworkSolver.Dual => SolveDual(rows, sample, monitor),
            RandomFeatureNetworkSolver.ConjugateGradient => _solver.SolveWide(rows, monitor),
            _ => SolveSums(rows, sample, earlier, select, monitor),
        };
    }

    /// <summary>Makes logits of the outputs, by the rows held out where there are any.</summary>
    /// <param name="rows">The rows behind the map.</param>
    /// <param name="readout">The readout, changed in place.</param>
    public void Calibrate(FeatureRows rows, LinearReadout readout) => _solver.Calibrate(rows, readout);

    /// <summary>Judges the network, and says that training is over.</summary>
    /// <param name="network">The network with the readout.</param>
    /// <param name="solution">What was solved for.</param>
    /// <param name="what">What the readout is one of.</param>
    public void Finish(Network network, ReadoutSolution solution, string what)
    {
        var monitor = _monitor ?? throw new InvalidOperationException("There is nothing to finish before a readout is solved for.");
        monitor.OnLoss(solution.TrainingLoss);
        monitor.OnEpoch(_solver.Judge(network));
        if (!monitor.KeepsBest)
            run.CheckCancelled();
        monitor.Finish($"The readout of {what} is solved for by {_chosen}{(solution.Penalty is { } penalty ? FormattableString.Invariant($", α = {penalty:G4}") : "")}.");
    }

    /// <summary>The sums that an earlier fit has kept.</summary>
    /// <param name="features">Number of features of the earlier model; null where it is of another kind.</param>
    /// <returns>The sums; the caller owns them.</returns>
    public LeastSquaresSums EarlierSums(int? features)
    {
        if (options.Solver is not (RandomFeatureNetworkSolver.Auto or RandomFeatureNetworkSolver.NormalEquations))
            throw new InvalidOperationException($"With the option 'InitialModel' the readout is solved for from sums: 'Solver' must be Auto or NormalEquations, but is {options.Solver}.");
        return features is { } count
            ? _solver.TakeEarlier(count)
            : throw new InvalidOperationException("The option 'InitialModel' holds a network of another kind, from which a fit cannot go on.");
    }

    private RandomFeatureNetworkSolver ChooseSolver(int features, LeastSquaresSums? earlier, bool selects)
    {
        if (options.Solver == RandomFeatureNetworkSolver.CrossEntropy && !_isClassification)
            throw new InvalidOperationException($"The option 'Solver' is {options.Solver}, which is for classification. Choose Auto for regression.");
        if (earlier is not null || selects)
            return RandomFeatureNetworkSolver.NormalEquations;
        return options.Solver != RandomFeatureNetworkSolver.Auto ? options.Solver
            : _solver.PrefersDual(features) ? RandomFeatureNetworkSolver.Dual
            : features <= ReadoutSolver.MostPrimalFeatures || options.KeepSums == true ? RandomFeatureNetworkSolver.NormalEquations
            : RandomFeatureNetworkSolver.ConjugateGradient;
    }

    private ReadoutSolution SolveSums(
        FeatureRows rows, RowBlock sample, LeastSquaresSums? earlier, Func<LeastSquaresSums, IReadOnlyList<int>>? select, TrainingMonitor monitor)
    {
        var sums = rows.Sum(monitor.OnRows);
        try
        {
            if (earlier is not null)
                sums.Add(earlier);
            if (select is not null)
            {
                Kept = select(sums);
                var all = sums;
                sums = all.Select(Kept);
                all.Dispose();
            }

            if (_chosen == RandomFeatureNetworkSolver.CrossEntropy)
                return _solver.SolveCrossEntropy(rows, sums, () => rows.MapBlock(sample), monitor);
            if (Keeps(sums.Features))
                _solver.Keep(sums);
            return _solver.SolveSums(sums, () => SelectFeatures(rows.MapBlock(sample)));
        }
        finally
        {
            sums.Dispose();
        }
    }

    private ReadoutSolution SolveDual(FeatureRows rows, RowBlock sample, TrainingMonitor monitor)
    {
        if (Keeps(rows.Features))
        {
            using var sums = rows.Sum();
            _solver.Keep(sums);
        }

        monitor.OnRows(data.RowCount);
        return _solver.SolveDual(rows, () => rows.MapBlock(sample));
    }

    private FeatureBlock SelectFeatures(FeatureBlock rows)
    {
        if (Kept is null)
            return rows;
        using var index = tensor([.. Kept.Select(feature => (long)feature)], device: run.Device);
        var part = rows with { Features = rows.Features.index_select(1, index) };
        rows.Features.Dispose();
        return part;
    }

    private bool Keeps(int features) => options.KeepSums ?? features + head.Outputs <= LargestKeptSums;
}
