using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>What the readout of a fixed feature map is to be.</summary>
public sealed record ReadoutSettings
{
    /// <summary>α, the ridge penalty, at least 0; null (the default) to choose it by leaving out rows.</summary>
    public double? Penalty { get; init; }

    /// <summary>Whether <see cref="Penalty"/> is added to sums over rows as it is; false (the default): in units of their largest eigenvalue.</summary>
    public bool IsPenaltyAbsolute { get; init; }

    /// <summary>Whether a penalty is chosen by the errors of single rows left out; false (the default): by generalised cross-validation.</summary>
    public bool LeavesOutRows { get; init; }

    /// <summary>Bytes that features may take to be kept between passes.</summary>
    public required long MemoryBudget { get; init; }
}

/// <summary>A readout and how it was come by.</summary>
/// <param name="Readout">The readout; whoever gets the solution owns it.</param>
/// <param name="Penalty">α, or null where only its share of the eigenvalues is known.</param>
/// <param name="TrainingLoss">Mean loss of the training rows: the squared error of an output, or cross-entropy with its penalty.</param>
public sealed record ReadoutSolution(LinearReadout Readout, double? Penalty, double TrainingLoss);

/// <summary>
/// Solves for the readout of a fixed feature map, the only part that is trained of random features, bundled networks and the like, in each of
/// the ways that numbers of rows and features call for; and makes probabilities of what least squares puts out.
/// </summary>
/// <param name="data">The rows.</param>
/// <param name="head">The task.</param>
/// <param name="run">The device, and ways to report and to be stopped.</param>
/// <param name="settings">The penalty and how it is chosen.</param>
public sealed class ReadoutSolver(TrainingSet data, TaskHead head, TrainingRun run, ReadoutSettings settings)
{
    /// <summary>Length of the coefficients from which on Single precision in scoring is not enough.</summary>
    public const double GreatestNorm = 1e6;

    /// <summary>Most features whose products with each other are worth their memory and their eigenvectors.</summary>
    public const int MostPrimalFeatures = 8192;

    /// <summary>Most rows whose products with each other are worth their memory and their eigenvectors.</summary>
    public const int MostDualRows = 8192;

    private const string SumsName = "sums";
    private const string RowsName = "rows";
    private const int CalibrationValues = 4_000_000;
    private const int ConjugateGradientSteps = 300;

    // Relative error of a feature in Single precision.
    private const double Rounding = 6e-8;

    /// <summary>Whether there are fewer rows than features, and few enough to solve for the readout by products of rows.</summary>
    /// <param name="features">M, number of features.</param>
    public bool PrefersDual(int features) => data.RowCount < features && data.RowCount <= MostDualRows && !data.IsStreamed;

    /// <summary>Chooses α, where the settings leave it open by leaving out rows: one at a time, or on average.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="ridge">The solutions for all α.</param>
    /// <param name="rows">Some of the rows.</param>
    /// <returns>α, and the mean squared error of rows left out with its standard error, where it was looked at.</returns>
    public static (double Penalty, double? Error, double? StandardError) Choose(ReadoutSettings settings, RidgeReadout ridge, FeatureBlock rows)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(ridge);
        ArgumentNullException.ThrowIfNull(rows);
        if (settings.Penalty is { } given)
            return (settings.IsPenaltyAbsolute ? given : given * ridge.Path.LargestEigenvalue, null, null);
        using var scope = NewDisposeScope();
        var size = Math.Sqrt(rows.Features.mul(rows.Features).mean().cpu().item<float>());
        var (noise, greatest) = (Rounding * size, GreatestNorm / Math.Max(size, Rounding));
        return settings.LeavesOutRows ? ridge.LeastError(rows, noise, greatest) : (ridge.Path.Choose(noise, greatest), null, null);
    }

    /// <summary>Ridge regression from sums of products.</summary>
    /// <param name="sums">The sums, which stay as they are.</param>
    /// <param name="sample">Makes some of the rows, by which a penalty is chosen.</param>
    /// <returns>The solution.</returns>
    public ReadoutSolution SolveSums(LeastSquaresSums sums, Func<FeatureBlock> sample)
    {
        ArgumentNullException.ThrowIfNull(sums);
        ArgumentNullException.ThrowIfNull(sample);
        if (SolveOnePenalty(sums) is { } one)
            return one;
        using var ridge = RidgeReadout.Primal(sums);
        using var rows = sample();
        var penalty = Choose(settings, ridge, rows).Penalty;
        return new(ridge.Solve(penalty), penalty, Loss(ridge, penalty, sums.Outputs));
    }

    /// <summary>Ridge regression from the products of rows with each other.</summary>
    /// <param name="rows">The rows, which have to fit the memory.</param>
    /// <param name="sample">Makes some of the rows, by which a penalty is chosen.</param>
    /// <returns>The solution.</returns>
    public ReadoutSolution SolveDual(FeatureRows rows, Func<FeatureBlock> sample)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(sample);
        using var ridge = RidgeReadout.Dual(rows);
        using var some = sample();
        var penalty = Choose(settings, ridge, some).Penalty;
        return new(ridge.Solve(penalty), penalty, Loss(ridge, penalty, rows.Outputs));
    }

    /// <summary>Ridge regression by conjugate gradients, a pass over the rows for each step.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="monitor">Hears of the passes.</param>
    /// <returns>The solution.</returns>
    public ReadoutSolution SolveWide(FeatureRows rows, TrainingMonitor monitor)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(monitor);

        // Without eigenvalues there is no cross-validation; their sum is known, and bounds the largest.
        var relative = settings.Penalty ?? 1e-6;
        var (readout, end) = ConjugateGradientReadout.Solve(
            rows, trace => settings is { IsPenaltyAbsolute: true, Penalty: { } l2 } ? l2 : relative * trace,
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

        return new(readout, null, loss / weight);
    }

    /// <summary>Logistic loss or cross-entropy, which starts from ridge regression and takes as penalty what the rows held out say.</summary>
    /// <param name="rows">The rows, of a binary or multiclass task.</param>
    /// <param name="sums">Their sums of products, which stay as they are.</param>
    /// <param name="sample">Makes some of the rows, by which the penalty of the ridge regression is chosen.</param>
    /// <param name="monitor">Hears of the ridge regression as the first epoch, and of the steps of the second.</param>
    /// <returns>The solution.</returns>
    public ReadoutSolution SolveCrossEntropy(FeatureRows rows, LeastSquaresSums sums, Func<FeatureBlock> sample, TrainingMonitor monitor)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(sums);
        ArgumentNullException.ThrowIfNull(sample);
        ArgumentNullException.ThrowIfNull(monitor);
        using var ridge = RidgeReadout.Primal(sums);
        double penalty;
        using (var some = sample())
            penalty = Choose(settings, ridge, some).Penalty;
        monitor.OnLoss(Loss(ridge, penalty, sums.Outputs));
        monitor.OnEpoch(null);
        using var readout = new CrossEntropyReadout(rows, ridge, settings.MemoryBudget);

        // The loss bends a quarter as much as the squared error; how much more penalty it wants, the rows held out say.
        double[] candidates = settings.Penalty is null && data.Validation is not null ? [25 * penalty, 2.5 * penalty, 0.25 * penalty] : [0.25 * penalty];
        var found = new List<(ReadoutSolution Solution, double Held)>();
        foreach (var candidate in candidates.Select(value => Math.Max(value, 1e-9 * ridge.Path.LargestEigenvalue)))
        {
            var start = found.Count > 0 ? found[^1].Solution.Readout : null;
            var (solution, end) = readout.Solve(candidate, start, report: (_, loss) => monitor.OnStep(loss, data.RowCount));
            found.Add((new(solution, candidate, end.Value), candidates.Length > 1 ? readout.Loss(solution, rows.HeldBlocks()) : 0));
        }

        var best = found.MinBy(candidate => candidate.Held).Solution;
        foreach (var (other, _) in found.Where(candidate => candidate.Solution != best))
            other.Readout.Dispose();
        return best;
    }

    /// <summary>Makes logits of what least squares puts out for classes, by the rows held out or, where there are none, by all; not for regression.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="readout">The readout, changed in place.</param>
    public void Calibrate(FeatureRows rows, LinearReadout readout)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(readout);
        if (head is not (BinaryHead or MulticlassHead))
            return;
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

    /// <summary>Judges a network by the rows held out.</summary>
    /// <param name="network">The network, on the CPU.</param>
    /// <returns>Loss and measure; null where no rows are held out.</returns>
    public (double Loss, double Metric)? Judge(Network network)
    {
        ArgumentNullException.ThrowIfNull(network);
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

    /// <summary>Keeps sums in the model, so that a fit can go on with more rows.</summary>
    /// <param name="sums">The sums of all rows so far.</param>
    public void Keep(LeastSquaresSums sums)
    {
        ArgumentNullException.ThrowIfNull(sums);
        run.KeepState([NamedTensor.Of(SumsName, sums.ToArray(), LeastSquaresSums.PackedLength(sums.Features, sums.Outputs)), NamedTensor.Of(RowsName, [sums.Rows], 1)]);
    }

    /// <summary>The sums that an earlier model holds by <see cref="Keep"/>.</summary>
    /// <param name="features">M, the number of its features.</param>
    /// <returns>The sums, which the caller owns.</returns>
    /// <exception cref="InvalidOperationException">It holds none.</exception>
    public LeastSquaresSums TakeEarlier(int features)
    {
        if (run.InitialState is not { } state || !state.TryGet(SumsName, out _))
        {
            throw new InvalidOperationException(
                "The option 'InitialModel' holds a model without the sums of its rows, from which alone a fit can go on. Train it with 'KeepSums' = true.");
        }

        var reader = state.Read();
        var sums = reader.TakeDoubles(SumsName, LeastSquaresSums.PackedLength(features, head.Outputs));
        var count = reader.TakeIntegers(RowsName, 1).Span[0];
        reader.Finish();
        return LeastSquaresSums.FromArray(features, head.Outputs, count, sums.Span, run.Device);
    }

    private static double Loss(RidgeReadout ridge, double penalty, int outputs) => ridge.Path.ResidualSquares(penalty) / ridge.TotalWeight / outputs;

    // Where the penalty is a number that no eigenvalue is needed for, a Cholesky factor is a tenth of the work of eigenvectors.
    private ReadoutSolution? SolveOnePenalty(LeastSquaresSums sums)
    {
        if (settings is not { Penalty: { } penalty, IsPenaltyAbsolute: true })
            return null;
        using var scope = NewDisposeScope();
        using var centered = sums.Center();
        if (centered.Solve(penalty) is not { } coefficients)
            return null;
        var fitted = centered.Gram.mm(coefficients).sub_(centered.Moments).sub_(centered.Moments).mul_(coefficients).sum().cpu().item<double>();
        var loss = (centered.LabelSquares.Sum() + fitted) / centered.Weight / sums.Outputs;
        return new(
            new(coefficients.MoveToOuterDisposeScope(), centered.Intercept(coefficients).MoveToOuterDisposeScope()), penalty, Math.Max(0, loss));
    }
}
