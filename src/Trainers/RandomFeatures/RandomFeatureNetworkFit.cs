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
    private const string SumsName = "sums";
    private const string RowsName = "rows";
    private const int LargestSums = 8192;
    private const int MostDualRows = 8192;
    private const int CalibrationValues = 4_000_000;
    private const int ConjugateGradientSteps = 300;

    // Relative error of a feature in Single precision.
    private const double Rounding = 6e-8;

    private readonly bool _isClassification = head is BinaryHead or MulticlassHead;

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
        var solution = solver switch
        {
            RandomFeatureNetworkSolver.Dual => SolveDual(rows, sample, monitor),
            RandomFeatureNetworkSolver.ConjugateGradient => SolveWide(rows, monitor),
            _ => SolveSums(rows, sample, earlier, monitor, solver == RandomFeatureNetworkSolver.CrossEntropy),
        };
        using var readout = solution.Readout;
        if (solution.Kept is { } kept)
            layer = layer.Select(kept);
        if (_isClassification && solver != RandomFeatureNetworkSolver.CrossEntropy)
        {
            using var left = layer.Map(scale, run.Device);
            Calibrate(new FeatureRows(data, head, run, left), readout);
        }

        var network = Build(layer, scale, readout);
        monitor.OnLoss(solution.TrainingLoss);
        monitor.OnEpoch(Judge(network));
        if (!monitor.KeepsBest)
            run.CheckCancelled();
        monitor.Finish($"The readout of {layer.Units} units is solved for by {solver}{(solution.Penalty is { } penalty ? FormattableString.Invariant($", α = {penalty:G4}") : "")}.");
        return network;
    }

    /// <summary>
    /// Chooses α by the options, and where they leave it open by leaving out rows: one at a time, or on average where none may be held out.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <param name="ridge">The solutions.</param>
    /// <param name="rows">Some of the rows.</param>
    /// <returns>α, and the error of rows left out where it was looked at.</returns>
    internal static (double Penalty, double? Error, double? StandardError) Choose(RandomFeatureNetwork.Options options, RidgeReadout ridge, FeatureBlock rows)
    {
        if (options.L2 is { } l2)
            return (options.L2Unit == RandomFeatureNetworkPenaltyUnit.LargestEigenvalue ? l2 * ridge.Path.LargestEigenvalue : l2, null, null);
        using var scope = NewDisposeScope();
        var size = Math.Sqrt(rows.Features.mul(rows.Features).mean().cpu().item<float>());
        var (noise, greatest) = (Rounding * size, BandwidthSweep.GreatestNorm / Math.Max(size, Rounding));
        return options.ValidationFraction > 0 ? ridge.LeastError(rows, noise, greatest) : (ridge.Path.Choose(noise, greatest), null, null);
    }

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
        using var sweep = new BandwidthSweep(head, run, sample, layer, (ridge, rows) => Choose(options, ridge, rows));
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
            : data.RowCount < options.HiddenUnits && data.RowCount <= MostDualRows && !data.IsStreamed ? RandomFeatureNetworkSolver.Dual
            : options.HiddenUnits <= LargestSums || options.KeepSums == true ? RandomFeatureNetworkSolver.NormalEquations
            : RandomFeatureNetworkSolver.ConjugateGradient;
    }

    private Solution SolveSums(FeatureRows rows, RowBlock sample, LeastSquaresSums? earlier, TrainingMonitor monitor, bool crossEntropy)
    {
        var sums = rows.Sum(monitor.OnRows);
        try
        {
            if (earlier is not null)
                sums.Add(earlier);
            IReadOnlyList<int>? kept = null;
            if (options.L1 > 0)
            {
                kept = SparseUnits(sums);
                var all = sums;
                sums = all.Select(kept);
                all.Dispose();
            }

            Keep(sums, crossEntropy);
            if (!crossEntropy && SolveOnePenalty(sums, kept) is { } one)
                return one;
            using var ridge = RidgeReadout.Primal(sums);
            using var some = SelectUnits(rows.MapBlock(sample), kept);
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
    private Solution? SolveOnePenalty(LeastSquaresSums sums, IReadOnlyList<int>? kept)
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

    private Solution SolveDual(FeatureRows rows, RowBlock sample, TrainingMonitor monitor)
    {
        if (options.KeepsSums(head.Outputs))
        {
            using var sums = rows.Sum();
            Keep(sums, crossEntropy: false);
        }

        using var ridge = RidgeReadout.Dual(rows);
        monitor.OnRows(data.RowCount);
        using var some = rows.MapBlock(sample);
        var penalty = Choose(options, ridge, some).Penalty;
        return new(ridge.Solve(penalty), penalty, ridge.Path.ResidualSquares(penalty) / ridge.TotalWeight / rows.Outputs, null);
    }

    private Solution SolveWide(FeatureRows rows, TrainingMonitor monitor)
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

    private Solution SolveCrossEntropy(FeatureRows rows, RidgeReadout ridge, double penalty, double ridgeLoss, TrainingMonitor monitor)
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

    private void Calibrate(FeatureRows rows, LinearReadout readout)
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

    private FeatureBlock SelectUnits(FeatureBlock rows, IReadOnlyList<int>? kept)
    {
        if (kept is null)
            return rows;
        using var index = tensor([.. kept.Select(unit => (long)unit)], device: run.Device);
        var part = rows with { Features = rows.Features.index_select(1, index) };
        rows.Features.Dispose();
        return part;
    }

    private void Keep(LeastSquaresSums sums, bool crossEntropy)
    {
        if (!crossEntropy && options.KeepsSums(head.Outputs))
            run.KeepState([NamedTensor.Of(SumsName, sums.ToArray(), LeastSquaresSums.PackedLength(sums.Features, sums.Outputs)), NamedTensor.Of(RowsName, [sums.Rows], 1)]);
    }

    private LeastSquaresSums? EarlierSums(out RandomLayer? layer)
    {
        layer = null;
        if (run.Initial is not { } initial)
            return null;
        layer = RandomLayer.From(initial);
        if (options.Solver is not (RandomFeatureNetworkSolver.Auto or RandomFeatureNetworkSolver.NormalEquations))
            throw new InvalidOperationException($"With the option 'InitialModel' the readout is solved for from sums: 'Solver' must be Auto or NormalEquations, but is {options.Solver}.");
        if (layer is null || run.InitialState is not { } state || !state.TryGet(SumsName, out _))
        {
            throw new InvalidOperationException(
                "The option 'InitialModel' holds a model without the sums of its rows, from which alone a fit can go on. Train it with 'KeepSums' = true.");
        }

        if (layer.Activation != options.Activation.ToActivation())
            throw new InvalidOperationException($"The option 'InitialModel' holds units of {layer.Activation}, but the option 'Activation' is {options.Activation}.");
        var reader = state.Read();
        var sums = reader.TakeDoubles(SumsName, LeastSquaresSums.PackedLength(layer.Units, head.Outputs));
        var count = reader.TakeIntegers(RowsName, 1).Span[0];
        reader.Finish();
        return LeastSquaresSums.FromArray(layer.Units, head.Outputs, count, sums.Span, run.Device);
    }

    private sealed record Solution(LinearReadout Readout, double? Penalty, double TrainingLoss, IReadOnlyList<int>? Kept);
}
