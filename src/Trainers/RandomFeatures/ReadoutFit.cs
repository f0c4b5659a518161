using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
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

/// <summary>A solved readout.</summary>
/// <param name="Readout">The readout.</param>
/// <param name="Penalty">α, where it was chosen.</param>
/// <param name="TrainingLoss">Loss of the rows trained on.</param>
/// <param name="Kept">Indexes of the features that are left; null for all.</param>
internal sealed record ReadoutSolution(LinearReadout Readout, double? Penalty, double TrainingLoss, IReadOnlyList<int>? Kept);

/// <summary>Solves for the readout of a fixed feature map, in whatever way suits the numbers of rows and features.</summary>
internal sealed class ReadoutFit(TrainingSet data, TaskHead head, TrainingRun run, IReadoutOptions options)
{
    private const string SumsName = "sums";
    private const string RowsName = "rows";
    private const int LargestSums = 8192;
    private const int LargestKeptSums = 2000;
    private const int MostDualRows = 8192;
    private const int CalibrationValues = 4_000_000;
    private const int ConjugateGradientSteps = 300;

    // Relative error of a feature in Single precision.
    private const double Rounding = 6e-8;

    private readonly bool _isClassification = head is BinaryHead or MulticlassHead;
    private RandomFeatureNetworkSolver _solver;
    private TrainingMonitor? _monitor;

    /// <summary>Whether the readout is one of least squares for classes, whose outputs are no logits yet.</summary>
    public bool NeedsCalibration => _isClassification && _solver != RandomFeatureNetworkSolver.CrossEntropy;

    /// <summary>
    /// Chooses α by the options, and where they leave it open by leaving out rows: one at a time, or on average where none may be held out.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <param name="ridge">The solutions.</param>
    /// <param name="rows">Some of the rows.</param>
    /// <returns>α, and the error of rows left out where it was looked at.</returns>
    public static (double Penalty, double? Error, double? StandardError) Choose(IReadoutOptions options, RidgeReadout ridge, FeatureBlock rows)
    {
        if (options.L2 is { } l2)
            return (options.L2Unit == RandomFeatureNetworkPenaltyUnit.LargestEigenvalue ? l2 * ridge.Path.LargestEigenvalue : l2, null, null);
        using var scope = NewDisposeScope();
        var size = Math.Sqrt(rows.Features.mul(rows.Features).mean().cpu().item<float>());
        var (noise, greatest) = (Rounding * size, BandwidthSweep.GreatestNorm / Math.Max(size, Rounding));
        return options.ValidationFraction > 0 ? ridge.LeastError(rows, noise, greatest) : (ridge.Path.Choose(noise, greatest), null, null);
    }

    /// <summary>Solves.</summary>
    /// <param name="rows">The rows behind the map.</param>
    /// <param name="sample">Some of the rows, drawn at random, that penalties are judged by.</param>
    /// <param name="earlier">Sums of rows of an earlier fit, or null.</param>
    /// <param name="select">Chooses the features that are left, by the sums; null for all.</param>
    /// <returns>The solution, whose readout the caller owns.</returns>
    public ReadoutSolution Solve(FeatureRows rows, RowBlock sample, LeastSquaresSums? earlier, Func<LeastSquaresSums, IReadOnlyList<int>>? select = null)
    {
        _solver = ChooseSolver(rows.Features, earlier, select is not null);
        var monitor = _monitor = run.Watch(head, _solver == RandomFeatureNetworkSolver.CrossEntropy ? 2 : 1, data.RowCount, patience: 0);
        return _solver switch
        {
            RandomFeatureNetworkSolver.Dual => SolveDual(rows, sample, monitor),
            RandomFeatureNetworkSolver.ConjugateGradient => SolveWide(rows, monitor),
            _ => SolveSums(rows, sample, earlier, select, monitor),
        };
    }

    /// <summary>Judges the network, and says that training is over.</summary>
    /// <param name="network">The network with the readout.</param>
    /// <param name="solution">What was solved for.</param>
    /// <param name="what">What the readout is one of.</param>
    public void Finish(Network network, ReadoutSolution solution, string what)
    {
        var monitor = _monitor ?? throw new InvalidOperationException("There is nothing to finish before a readout is solved for.");
        monitor.OnLoss(solution.TrainingLoss);
        monitor.OnEpoch(Judge(network));
        if (!monitor.KeepsBest)
            run.CheckCancelled();
        monitor.Finish($"The readout of {what} is solved for by {_solver}{(solution.Penalty is { } penalty ? FormattableString.Invariant($", α = {penalty:G4}") : "")}.");
    }

    /// <summary>The sums that an earlier fit has kept.</summary>
    /// <param name="features">Number of features of the earlier model; null where it is of another kind.</param>
    /// <returns>The sums; the caller owns them.</returns>
    public LeastSquaresSums EarlierSums(int? features)
    {
        if (options.Solver is not (RandomFeatureNetworkSolver.Auto or RandomFeatureNetworkSolver.NormalEquations))
            throw new InvalidOperationException($"With the option 'InitialModel' the readout is solved for from sums: 'Solver' must be Auto or NormalEquations, but is {options.Solver}.");
        if (features is not { } count || run.InitialState is not { } state || !state.TryGet(SumsName, out _))
        {
            throw new InvalidOperationException(
                "The option 'InitialModel' holds a model without the sums of its rows, from which alone a fit can go on. Train it with 'KeepSums' = true.");
        }

        var reader = state.Read();
        var sums = reader.TakeDoubles(SumsName, LeastSquaresSums.PackedLength(count, head.Outputs));
        var rows = reader.TakeIntegers(RowsName, 1).Span[0];
        reader.Finish();
        return LeastSquaresSums.FromArray(count, head.Outputs, rows, sums.Span, run.Device);
    }

    /// <summary>Makes logits of the outputs, by the rows held out where there are any.</summary>
    /// <param name="rows">The rows behind the map.</param>
    /// <param name="readout">The readout, changed in place.</param>
    public void Calibrate(FeatureRows rows, LinearReadout readout)
    {
        using var scope = NewDisposeScope();
        var (outputs, targets, weights) = (new List<Tensor>(), new List<Tensor>(), new List<Tensor>());

        // Of very many rows some blocks will do, spread over all of them.
        var (stride, index) = (Math.Max(1, (data.Validation?.Rows ?? data.RowCount) * head.Outputs / CalibrationValues), 0L);
        foreach (var block in data.Validation is null ? rows.Blocks() : rows.HeldBlocks())
        {
            using var part = block;
            if (index++ % stride != 0)
                continue;
            outputs.Add(readout.Predict(block.Features));
            targets.Add(block.Targets.clone());
            if (block.Weights is { } w)
                weights.Add(w.clone());
        }

        OutputCalibration.Fit(head, cat(outputs), cat(targets), weights.Count > 0 ? cat(weights) : null).ApplyTo(readout);
    }

    private RandomFeatureNetworkSolver ChooseSolver(int features, LeastSquaresSums? earlier, bool selects)
    {
        if (options.Solver == RandomFeatureNetworkSolver.CrossEntropy && !_isClassification)
            throw new InvalidOperationException($"The option 'Solver' is {options.Solver}, which is for classification. Choose Auto for regression.");
        if (earlier is not null || selects)
            return RandomFeatureNetworkSolver.NormalEquations;
        return options.Solver != RandomFeatureNetworkSolver.Auto ? options.Solver
            : data.RowCount < features && data.RowCount <= MostDualRows && !data.IsStreamed ? RandomFeatureNetworkSolver.Dual
            : features <= LargestSums || options.KeepSums == true ? RandomFeatureNetworkSolver.NormalEquations
            : RandomFeatureNetworkSolver.ConjugateGradient;
    }

    private ReadoutSolution SolveSums(
        FeatureRows rows, RowBlock sample, LeastSquaresSums? earlier, Func<LeastSquaresSums, IReadOnlyList<int>>? select, TrainingMonitor monitor)
    {
        var crossEntropy = _solver == RandomFeatureNetworkSolver.CrossEntropy;
        var sums = rows.Sum(monitor.OnRows);
        try
        {
            if (earlier is not null)
                sums.Add(earlier);
            IReadOnlyList<int>? kept = null;
            if (select is not null)
            {
                kept = select(sums);
                var all = sums;
                sums = all.Select(kept);
                all.Dispose();
            }

            if (!crossEntropy)
                Keep(sums);
            if (!crossEntropy && SolveOnePenalty(sums, kept) is { } one)
                return one;
            using var ridge = RidgeReadout.Primal(sums);
            using var some = SelectFeatures(rows.MapBlock(sample), kept);
            var penalty = Choose(options, ridge, some).Penalty;
            var loss = ridge.Path.ResidualSquares(penalty) / ridge.TotalWeight / rows.Outputs;
            return crossEntropy ? SolveCrossEntropy(rows, ridge, penalty, loss, monitor) : new(ridge.Solve(penalty), penalty, loss, kept);
        }
        finally
        {
            sums.Dispose();
        }
    }

    // Where the penalty is a number that no eigenvalue is needed for, a Cholesky factor is a tenth of the work of eigenvectors.
    private ReadoutSolution? SolveOnePenalty(LeastSquaresSums sums, IReadOnlyList<int>? kept)
    {
        if (options is not { L2: { } penalty, L2Unit: RandomFeatureNetworkPenaltyUnit.Absolute })
            return null;
        using var scope = NewDisposeScope();
        using var centered = sums.Center();
        if (centered.Solve(penalty) is not { } coefficients)
            return null;
        var fitted = centered.Gram.mm(coefficients).sub_(centered.Moments).sub_(centered.Moments).mul_(coefficients).sum().cpu().item<double>();
        var loss = (centered.LabelSquares.Sum() + fitted) / centered.Weight / sums.Outputs;
        return new(
            new(coefficients.MoveToOuterDisposeScope(), centered.Intercept(coefficients).MoveToOuterDisposeScope()), penalty, Math.Max(0, loss), kept);
    }

    private ReadoutSolution SolveDual(FeatureRows rows, RowBlock sample, TrainingMonitor monitor)
    {
        if (Keeps(rows.Features))
        {
            using var sums = rows.Sum();
            Keep(sums);
        }

        using var ridge = RidgeReadout.Dual(rows);
        monitor.OnRows(data.RowCount);
        using var some = rows.MapBlock(sample);
        var penalty = Choose(options, ridge, some).Penalty;
        return new(ridge.Solve(penalty), penalty, ridge.Path.ResidualSquares(penalty) / ridge.TotalWeight / rows.Outputs, null);
    }

    private ReadoutSolution SolveWide(FeatureRows rows, TrainingMonitor monitor)
    {
        // Without eigenvalues there is no cross-validation; their sum is known, and bounds the largest.
        var relative = options.L2 ?? 1e-6;
        var (readout, end) = ConjugateGradientReadout.Solve(
            rows, trace => options.L2Unit == RandomFeatureNetworkPenaltyUnit.Absolute && options.L2 is { } l2 ? l2 : relative * trace,
            new() { MaxIterations = ConjugateGradientSteps, Tolerance = 1e-6 }, () => monitor.OnRows(data.RowCount));
        run.Log($"Conjugate gradients ended after {end.Iterations} passes with a residual of {end.Residual:G3}.");
        var (loss, weight) = (0.0, 0.0);
        foreach (var block in rows.Blocks())
        {
            using var part = block;
            using var scope = NewDisposeScope();
            var error = readout.Predict(block.Features).sub(block.Targets);
            var squares = error.mul(error).mean([1L]);
            loss += (block.Weights is { } w ? squares.dot(w) : squares.sum()).cpu().item<double>();
            weight += block.Weights?.sum().cpu().item<double>() ?? squares.shape[0];
        }

        return new(readout, null, loss / weight, null);
    }

    private ReadoutSolution SolveCrossEntropy(FeatureRows rows, RidgeReadout ridge, double penalty, double ridgeLoss, TrainingMonitor monitor)
    {
        monitor.OnLoss(ridgeLoss);
        monitor.OnEpoch(null);
        using var readout = new CrossEntropyReadout(rows, ridge, options.MemoryBudget ?? MemoryBudget.Default);

        // The loss bends a quarter as much as the squared error; how much more penalty it wants, the rows held out say.
        double[] candidates = options.L2 is null && data.Validation is not null ? [25 * penalty, 2.5 * penalty, 0.25 * penalty] : [0.25 * penalty];
        var found = new List<(LinearReadout Readout, double Penalty, double Loss, double Held)>();
        foreach (var candidate in candidates.Select(value => Math.Max(value, 1e-9 * ridge.Path.LargestEigenvalue)))
        {
            var start = found.Count > 0 ? found[^1].Readout : null;
            var (solution, end) = readout.Solve(candidate, start, report: (_, loss) => monitor.OnStep(loss, data.RowCount));
            found.Add((solution, candidate, end.Value, candidates.Length > 1 ? readout.Loss(solution, rows.HeldBlocks()) : 0));
        }

        var best = found.MinBy(solution => solution.Held);
        foreach (var other in found.Where(solution => solution.Readout != best.Readout))
            other.Readout.Dispose();
        return new(best.Readout, best.Penalty, best.Loss, null);
    }

    private (double Loss, double Metric)? Judge(Network network)
    {
        if (data.Validation is not { } held)
            return null;
        var (loss, metric) = (0.0, 0.0);
        for (long start = 0; start < held.Rows; start += 4096)
        {
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            var count = Math.Min(4096, held.Rows - start);
            var outputs = network.call(held.Features.narrow(0, start, count).cpu());
            var labels = held.Labels.narrow(0, start, count).cpu();
            loss += count * head.Loss(outputs, labels, held.Weights?.narrow(0, start, count).cpu()).item<float>();
            metric += head.MetricSum(outputs, labels);
        }

        return (loss / held.Rows, head.Metric(metric / held.Rows));
    }

    private FeatureBlock SelectFeatures(FeatureBlock rows, IReadOnlyList<int>? kept)
    {
        if (kept is null)
            return rows;
        using var index = tensor([.. kept.Select(feature => (long)feature)], device: run.Device);
        var part = rows with { Features = rows.Features.index_select(1, index) };
        rows.Features.Dispose();
        return part;
    }

    private bool Keeps(int features) => options.KeepSums ?? features + head.Outputs <= LargestKeptSums;

    private void Keep(LeastSquaresSums sums)
    {
        if (Keeps(sums.Features))
            run.KeepState([NamedTensor.Of(SumsName, sums.ToArray(), LeastSquaresSums.PackedLength(sums.Features, sums.Outputs)), NamedTensor.Of(RowsName, [sums.Rows], 1)]);
    }
}
