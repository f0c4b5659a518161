using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.RandomFeatures;

/// <summary>One fit of a <see cref="RandomFeatureNetwork"/>: a layer is drawn or taken over, and its readout solved for.</summary>
internal sealed class RandomFeatureNetworkFit(TrainingSet data, TaskHead head, TrainingRun run, RandomFeatureNetwork.Options options)
{
    private readonly bool _isClassification = head is BinaryHead or MulticlassHead;
    private readonly ReadoutSolver _solver = new(data, head, run, Settings(options));

    public Network Run()
    {
        using var earlier = EarlierSums(out var layer);
        using var sample = data.Sample(BandwidthSweep.SampleRows);
        var scale = 1.0;
        if (layer is null)
            (layer, scale) = DrawLayer(sample);
        using var map = layer.Map(scale, run.Device);
        var rows = new FeatureRows(data, head, run, map);
        var solver = ChooseSolver(earlier);
        var monitor = run.Watch(head, solver == RandomFeatureNetworkSolver.CrossEntropy ? 2 : 1, data.RowCount, patience: 0);
        IReadOnlyList<int>? kept = null;
        var solution = solver switch
        {
            RandomFeatureNetworkSolver.Dual => SolveDual(rows, sample, monitor),
            RandomFeatureNetworkSolver.ConjugateGradient => _solver.SolveWide(rows, monitor),
            _ => SolveSums(rows, sample, earlier, monitor, solver == RandomFeatureNetworkSolver.CrossEntropy, out kept),
        };
        using var readout = solution.Readout;
        if (kept is not null)
            layer = layer.Select(kept);
        if (_isClassification && solver != RandomFeatureNetworkSolver.CrossEntropy)
        {
            using var left = layer.Map(scale, run.Device);
            _solver.Calibrate(new FeatureRows(data, head, run, left), readout);
        }

        var network = Build(layer, scale, readout);
        monitor.OnLoss(solution.TrainingLoss);
        monitor.OnEpoch(_solver.Judge(network));
        if (!monitor.KeepsBest)
            run.CheckCancelled();
        monitor.Finish($"The readout of {layer.Units} units is solved for by {solver}{(solution.Penalty is { } penalty ? FormattableString.Invariant($", α = {penalty:G4}") : "")}.");
        return network;
    }

    /// <summary>What the options say of the readout.</summary>
    internal static ReadoutSettings Settings(RandomFeatureNetwork.Options options) => new()
    {
        Penalty = options.L2,
        IsPenaltyAbsolute = options.L2Unit == RandomFeatureNetworkPenaltyUnit.Absolute,
        LeavesOutRows = options.ValidationFraction > 0,
        MemoryBudget = options.MemoryBudget ?? MemoryBudget.Default,
    };

    /// <summary>The scales that are tried.</summary>
    internal static IReadOnlyList<double> Grid(RandomFeatureNetwork.Options options)
    {
        var steps = options.ScaleGridSize;

        // Powers of two, so that doubled scales are exactly that.
        var octaves = Math.Log2(options.LargestScale / options.SmallestScale);
        return [.. Enumerable.Range(0, steps).Select(i => options.SmallestScale * Math.Pow(2, steps == 1 ? 0 : octaves * i / (steps - 1)))];
    }

    private (RandomLayer Layer, double Scale) DrawLayer(RowBlock sample)
    {
        var layer = RandomLayer.Draw(options, options.HiddenUnits, data.Statistics, sample.Features, run.Random.Weights);
        var given = options.WeightScale ?? RandomLayer.FixedScale(options);
        if (given is { } scale && !options.Diagnose)
            return (layer, scale);
        using var sweep = new BandwidthSweep(head, run, sample, layer, (ridge, rows) => ReadoutSolver.Choose(Settings(options), ridge, rows));
        var report = sweep.Run(RandomLayer.FixedScale(options) is { } only ? [only] : Grid(options), given, allWidths: false);
        run.KeepDiagnostics(report);
        run.Log($"The weight scale is {report.Scale:G4}{(given is null ? $", the smallest of {options.ScaleGridSize} whose error is within one standard error of the least" : "")}.");
        foreach (var finding in report.Findings)
            run.Log(finding);
        return (layer, report.Scale);
    }

    private RandomFeatureNetworkSolver ChooseSolver(LeastSquaresSums? earlier)
    {
        if (options.Solver == RandomFeatureNetworkSolver.CrossEntropy && !_isClassification)
            throw new InvalidOperationException($"The option 'Solver' is {options.Solver}, which is for classification. Choose Auto for regression.");
        if (earlier is not null || options.L1 > 0)
            return RandomFeatureNetworkSolver.NormalEquations;
        return options.Solver != RandomFeatureNetworkSolver.Auto ? options.Solver
            : _solver.PrefersDual(options.HiddenUnits) ? RandomFeatureNetworkSolver.Dual
            : options.HiddenUnits <= ReadoutSolver.MostPrimalFeatures || options.KeepSums == true ? RandomFeatureNetworkSolver.NormalEquations
            : RandomFeatureNetworkSolver.ConjugateGradient;
    }

    private ReadoutSolution SolveSums(
        FeatureRows rows, RowBlock sample, LeastSquaresSums? earlier, TrainingMonitor monitor, bool crossEntropy, out IReadOnlyList<int>? kept)
    {
        var sums = rows.Sum(monitor.OnRows);
        try
        {
            if (earlier is not null)
                sums.Add(earlier);
            var units = kept = options.L1 > 0 ? SparseUnits(sums) : null;
            if (units is not null)
            {
                var all = sums;
                sums = all.Select(units);
                all.Dispose();
            }

            if (crossEntropy)
                return _solver.SolveCrossEntropy(rows, sums, () => rows.MapBlock(sample), monitor);
            if (options.KeepsSums(head.Outputs))
                _solver.Keep(sums);
            return _solver.SolveSums(sums, () => SelectUnits(rows.MapBlock(sample), units));
        }
        finally
        {
            sums.Dispose();
        }
    }

    private ReadoutSolution SolveDual(FeatureRows rows, RowBlock sample, TrainingMonitor monitor)
    {
        if (options.KeepsSums(head.Outputs))
        {
            using var sums = rows.Sum();
            _solver.Keep(sums);
        }

        monitor.OnRows(data.RowCount);
        return _solver.SolveDual(rows, () => rows.MapBlock(sample));
    }

    // The lasso chooses the units; ridge regression on them then undoes its shrinkage.
    private int[] SparseUnits(LeastSquaresSums sums)
    {
        using var scope = NewDisposeScope();
        using var centered = sums.Center();
        var penalty = options.L1 * GroupLasso.LeastEmptyPenalty(centered.Moments);
        var (coefficients, result) = GroupLasso.Solve(
            centered.Gram, centered.Moments, centered.LabelSquares.Sum(), penalty, settings: new() { GapTolerance = 1e-5, MaxIterations = 20_000 });
        var norms = linalg.vector_norm(coefficients, 2, [1]).cpu().data<double>().ToArray();
        int[] kept = [.. Enumerable.Range(0, norms.Length).Where(unit => norms[unit] > 0)];
        run.Log($"{kept.Length} of {norms.Length} units are left by the penalty 'L1' after {result.Iterations} steps.");
        return kept.Length > 0 ? kept : [Array.IndexOf(norms, norms.Max())];
    }

    private Network Build(RandomLayer layer, double scale, LinearReadout readout)
    {
        var (weight, bias) = layer.At(scale);
        float[] output, intercept;
        using (NewDisposeScope())
        {
            output = readout.Coefficients.t().to(ScalarType.Float32).cpu().contiguous().data<float>().ToArray();
            intercept = readout.Intercept.to(ScalarType.Float32).cpu().data<float>().ToArray();
        }

        var builder = new HiddenLayerBuilder(layer.Inputs, layer.Units, layer.Activation, new double[head.Outputs], 1, layer.Standardization);
        builder.Add(new(weight, bias, output, intercept), 1);
        return builder.Build(1);
    }

    private FeatureBlock SelectUnits(FeatureBlock rows, IReadOnlyList<int>? kept)
    {
        if (kept is null)
            return rows;
        using var index = tensor([.. kept.Select(unit => (long)unit)], device: run.Device);
        var part = rows with { Features = rows.Features.index_select(1, index) };
        rows.Features.Dispose();
        return part;
    }

    private LeastSquaresSums? EarlierSums(out RandomLayer? layer)
    {
        layer = null;
        if (run.Initial is not { } initial)
            return null;
        layer = RandomLayer.From(initial);
        if (options.Solver is not (RandomFeatureNetworkSolver.Auto or RandomFeatureNetworkSolver.NormalEquations))
            throw new InvalidOperationException($"With the option 'InitialModel' the readout is solved for from sums: 'Solver' must be Auto or NormalEquations, but is {options.Solver}.");
        if (layer is null)
            throw new InvalidOperationException("The option 'InitialModel' holds a network that is not one layer of units, with which alone a fit can go on.");
        if (layer.Activation != options.Activation.ToActivation())
            throw new InvalidOperationException($"The option 'InitialModel' holds units of {layer.Activation}, but the option 'Activation' is {options.Activation}.");
        return _solver.TakeEarlier(layer.Units);
    }
}
