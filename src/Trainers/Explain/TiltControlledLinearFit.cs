using MlNetMlp.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace MlNetMlp.Explain;

/// <summary>One fit of a <see cref="TiltControlledLinear"/>: a path of normals from Fisher's discriminant to that of the nearest centroid, of which one is chosen.</summary>
internal sealed class TiltControlledLinearFit(TrainingSet data, TaskHead head, TrainingRun run, TiltControlledLinear.Options options)
{
    private const int BlockRows = 4096;
    private const double LowestDecade = -6;
    private const double HighestDecade = 2;
    private const double Precision = 1e-6;

    // Scores of a pass that may be kept at once: 256 MiB.
    private const long KeptScores = 1 << 25;

    /// <summary>Fits.</summary>
    /// <returns>The network, and its mean logistic loss on the training rows.</returns>
    public (Network Network, double Loss) Run()
    {
        using var noGradient = no_grad();
        var (weights, bias, scale, loss) = Find();
        var builder = new HiddenLayerBuilder(data.FeatureCount, 1, Activation.Identity, [0.0]);
        builder.Add(new([.. weights.Select(w => (float)(w * scale))], [0], [1], [(float)(bias * scale)]), 1);
        return (builder.Build(1), loss);
    }

    private (double[] Weights, double Bias, double Scale, double Loss) Find()
    {
        using var scope = NewDisposeScope();
        var (classes, solver) = Prepare();
        using var owned = solver;
        var unit = classes.MeanVariance;
        double[] grid = [.. Enumerable.Range(0, options.PathPoints).Select(i => Math.Pow(10, LowestDecade + ((HighestDecade - LowestDecade) * i / Math.Max(1, options.PathPoints - 1))))];

        // From the strongest on, so that each solution starts near the next.
        var path = SolveAll([.. grid.Reverse()]).Reverse().ToArray();
        var errors = Errors(path, data.Blocks(BlockRows), data.RowCount);
        var chosen = Choose(path, regularization => SolveAll([regularization])[0], regularization => solver.Solve(regularization * unit).Weights, classes.Centroids);
        var (scale, loss) = Calibrate(chosen.Weights, chosen.Bias);
        var report = new TiltReport(
            classes.Centroids.AngleDegrees(chosen.Weights), classes.Centroids.Strength(chosen.Weights), chosen.Regularization, [.. chosen.Weights.Select(w => (float)w)], (float)chosen.Bias,
            [.. path.Select((point, i) => new TiltPoint(point.Regularization, classes.Centroids.AngleDegrees(point.Weights), errors[i]))]);
        run.KeepDiagnostics(report);
        run.Log(FormattableString.Invariant(
            $"Regularisation {chosen.Regularization:G4} of the mean variance: the normal deviates by {report.DeviationAngleDegrees:F1}° from that of the nearest centroid, which makes adversarial examples {report.AdversarialStrength:G4} times as near."));
        return (chosen.Weights, chosen.Bias, scale, loss);

        (double Regularization, double[] Weights, double Bias)[] SolveAll(double[] regularizations)
        {
            var solutions = new (double[] Weights, double? Bias)[regularizations.Length];
            for (var i = 0; i < regularizations.Length; i++)
            {
                run.CheckCancelled();
                solutions[i] = solver.Solve(regularizations[i] * unit);
            }

            var biases = options.Bias == TiltBias.MinError ? LeastErrorBiases([.. solutions.Select(solution => solution.Weights)])
                : [.. solutions.Select(solution => options.Bias == TiltBias.LogPrior && solution.Bias is { } own ? own : Midpoint(solution.Weights))];
            return [.. regularizations.Select((regularization, i) => (regularization, solutions[i].Weights, biases[i]))];
        }

        double Midpoint(double[] weights) =>
            -TensorPrimitives.Dot<double>(weights, [.. classes.Centroids.Middle]) + (options.Bias == TiltBias.LogPrior ? classes.LogPrior : 0);
    }

    // Rows that are fewer than their features, or features too many for their covariance to be decomposed, are decomposed themselves; rows that do not fit the memory cannot be.
    private (ClassMoments Classes, TiltSolver Solver) Prepare()
    {
        if (options.Estimator == TiltEstimator.Logistic)
        {
            var rows = TiltRows.Read(data);
            var classes = rows.Moments();
            return (classes, new LogisticTilt(rows, classes.Centroids, run));
        }

        // NOTE[DIFF]: not for more than 2,000 features as well: with as many rows that takes two and a half times as long as the covariance, and three times the memory of the rows.
        if (!data.IsStreamed && data.RowCount < data.FeatureCount)
        {
            using var rows = TiltRows.Read(data);
            var classes = rows.Moments();
            return (classes, RidgeTilt.OfRows(rows, classes.Centroids));
        }

        var (moments, scatter) = ClassMoments.OfSums(data, head, run);
        using (scatter)
            return (moments, RidgeTilt.OfCovariance(scatter, moments.Centroids));
    }

    private (double Regularization, double[] Weights, double Bias) Choose(
        (double Regularization, double[] Weights, double Bias)[] path, Func<double, (double Regularization, double[] Weights, double Bias)> solve, Func<double, double[]> normal,
        CentroidBoundary centroids)
    {
        if (options.Regularization is { } given)
            return solve(given);
        if (data.Validation is { } held)
        {
            // The strongest whose error is within one standard error of the least.
            var errors = Errors(path, [held], held.Rows);
            var least = errors.Min();
            var limit = least + Math.Sqrt(least * (1 - least) / held.Rows);
            return path[Array.FindLastIndex(errors, error => error <= limit)];
        }

        if (centroids.AngleDegrees(path[0].Weights) <= options.MaxDeviationAngle)
            return path[0];
        var (low, high) = (Math.Log(path[0].Regularization), Math.Log(1e6));
        while (high - low > Precision)
        {
            var middle = (low + high) / 2;
            if (centroids.AngleDegrees(normal(Math.Exp(middle))) <= options.MaxDeviationAngle)
                high = middle;
            else
                low = middle;
        }

        var chosen = solve(Math.Exp(high));
        if (centroids.AngleDegrees(chosen.Weights) > options.MaxDeviationAngle)
            run.Log(FormattableString.Invariant($"Warning: no regularisation brings the angle down to {options.MaxDeviationAngle}°; it is {centroids.AngleDegrees(chosen.Weights):G4}°."));
        return chosen;
    }

    private double[] Errors((double Regularization, double[] Weights, double Bias)[] path, IEnumerable<RowBlock> blocks, double count)
    {
        using var scope = NewDisposeScope();
        var weights = tensor(path.SelectMany(point => point.Weights).ToArray(), [path.Length, data.FeatureCount]).t();
        var biases = tensor(path.Select(point => point.Bias).ToArray());
        var wrong = zeros(path.Length, ScalarType.Float64);
        foreach (var block in blocks)
        {
            using var inner = NewDisposeScope();
            run.CheckCancelled();
            var scores = block.Features.cpu().to(ScalarType.Float64).mm(weights).Plus(biases);
            wrong.AddScaled(scores.IsAbove(0).ne(block.Labels.cpu().IsAbove(0.5).unsqueeze(1)).sum(0L).to(ScalarType.Float64));
        }

        return [.. wrong.data<double>().ToArray().Select(sum => sum / count)];
    }

    // The scale of the logit alone: a shift would move the boundary.
    private (double Scale, double Loss) Calibrate(double[] normal, double bias)
    {
        var (columns, labels, weights) = Scores([normal]);
        double[] scores = [.. columns[0].Select(score => score + bias)];
        var total = weights.Sum();
        var size = Math.Sqrt(scores.Zip(weights, (score, weight) => score * score * weight).Sum() / total);
        if (!(size > 0))
            return (1, Math.Log(2));

        // One row more of each class on the wrong side keeps the logits of separable classes finite.
        var smoothing = 1 / (total + 2);
        double[] parameter = [Math.Log(2)];
        var result = LbfgsMinimizer.Minimize(
            parameter,
            gradient =>
            {
                var (factor, loss, slope) = (Math.Exp(parameter[0]) / size, 0.0, 0.0);
                for (var i = 0; i < scores.Length; i++)
                {
                    var (logit, wanted) = (factor * scores[i], smoothing + ((1 - (2 * smoothing)) * labels[i]));
                    loss += weights[i] * (Math.Max(logit, 0) + Math.Log(1 + Math.Exp(-Math.Abs(logit))) - (wanted * logit));
                    slope += weights[i] * ((1 / (1 + Math.Exp(-logit))) - wanted) * logit;
                }

                gradient[0] = slope / total;
                return loss / total;
            },
            new() { MaxIterations = 100, GradientTolerance = 1e-9 });
        return (Math.Exp(parameter[0]) / size, result.Value);
    }

    // All normals in one pass, or in as few as there is memory for.
    private double[] LeastErrorBiases(double[][] normals) =>
        [.. normals.Chunk((int)Math.Clamp(KeptScores / data.RowCount, 1, normals.Length)).SelectMany(some =>
        {
            var (columns, labels, weights) = Scores(some);
            return columns.Select(scores => LeastErrorBias(scores, [.. labels.Zip(weights, (label, weight) => label > 0 ? weight : -weight)]));
        })];

    // Along the sorted scores: the threshold that the last true and the first false rows by weight are on the wrong side of.
    private static double LeastErrorBias(double[] scores, double[] signed)
    {
        Array.Sort(scores, signed);

        // Below a threshold in the middle of two scores all are false.
        var wrong = -signed.Where(weight => weight < 0).Sum();
        var (least, place) = (wrong, 0);
        for (var i = 0; i < scores.Length; i++)
        {
            wrong += signed[i];
            if (wrong < least && (i + 1 == scores.Length || scores[i + 1] > scores[i]))
                (least, place) = (wrong, i + 1);
        }

        return place == 0 ? -scores[0] + Math.Abs(scores[0]) + 1 : place == scores.Length ? -scores[^1] - 1 : -(scores[place - 1] + scores[place]) / 2;
    }

    // The products of all rows with each normal.
    private (double[][] Scores, float[] Labels, double[] Weights) Scores(double[][] normals)
    {
        using var scope = NewDisposeScope();
        var directions = tensor(normals.SelectMany(normal => normal).ToArray(), [normals.Length, data.FeatureCount]);
        var (scores, labels, weights) = (normals.Select(_ => new List<double>()).ToArray(), new List<float>(), new List<double>());
        foreach (var block in data.Blocks(BlockRows))
        {
            using var inner = NewDisposeScope();
            run.CheckCancelled();
            var products = directions.mm(block.Features.cpu().to(ScalarType.Float64).t()).data<double>().ToArray();
            for (var i = 0; i < scores.Length; i++)
                scores[i].AddRange(products.AsSpan(i * (int)block.Rows, (int)block.Rows));
            labels.AddRange(TensorMemory.ToFloats(block.Labels));
            weights.AddRange(block.Weights is null ? Enumerable.Repeat(data.MeanWeight, (int)block.Rows) : TensorMemory.ToFloats(block.Weights).Select(weight => weight * data.MeanWeight));
        }

        return ([.. scores.Select(column => column.ToArray())], [.. labels], [.. weights]);
    }
}

/// <summary>Means of two classes, and how much rows vary about them.</summary>
/// <param name="Centroids">The means.</param>
/// <param name="LogPrior">The logarithm of how many times more rows are true than false.</param>
/// <param name="MeanVariance">Mean over the features of the variance within the classes; 1 where nothing varies.</param>
internal sealed record ClassMoments(CentroidBoundary Centroids, double LogPrior, double MeanVariance)
{
    /// <summary>Puts the figures together.</summary>
    /// <param name="middle">(i + j)/2.</param>
    /// <param name="difference">j − i.</param>
    /// <param name="trueShare">Share of the rows that are true.</param>
    /// <param name="meanVariance">Mean variance within the classes.</param>
    public static ClassMoments Of(Tensor middle, Tensor difference, double trueShare, double meanVariance)
    {
        var (m, d) = (middle.data<double>().ToArray(), difference.data<double>().ToArray());
        return new(
            new([.. m.Zip(d, (at, by) => at - (by / 2))], [.. m.Zip(d, (at, by) => at + (by / 2))]), Math.Log(trueShare / (1 - trueShare)), meanVariance > 0 ? meanVariance : 1);
    }

    /// <summary>Reads the rows once.</summary>
    /// <returns>The figures and S, the pooled covariance within the classes, Float64 [D, D].</returns>
    public static (ClassMoments Classes, Tensor Covariance) OfSums(TrainingSet data, TaskHead head, TrainingRun run)
    {
        using var scope = NewDisposeScope();
        using var sums = new LeastSquaresSums(data.FeatureCount, 1);
        foreach (var block in data.Blocks(4096))
        {
            using var inner = NewDisposeScope();
            run.CheckCancelled();
            sums.Add(block.Features.cpu(), ReadoutTargets.Of(head, block.Labels.cpu()), block.Weights?.cpu().to(ScalarType.Float64));
        }

        // With labels of ±1 the share of true rows is (1 + ȳ)/2, and moments are 2·n_i·n_j/n times the difference of the means.
        using var centered = sums.Center();
        var share = (1 + centered.LabelMeans.ToDouble()) / 2;
        var between = 2 * share * (1 - share) * centered.Weight;
        var difference = centered.Moments.flatten().Times(1 / between);
        var scatter = centered.Gram.clone();
        scatter.AddScaled(difference.outer(difference), -share * (1 - share) * centered.Weight);
        var middle = centered.FeatureMeans.clone();
        middle.AddScaled(difference, 0.5 - share);
        var covariance = scatter.Times(1 / centered.Weight);
        return (Of(middle, difference, share, covariance.diagonal().mean().ToDouble()), covariance.DetachFromDisposeScope());
    }
}

/// <summary>All rows about (i + j)/2, in double precision.</summary>
/// <param name="Features">Float64 [N, D].</param>
/// <param name="Signs">1 for true, −1 for false, Float64 [N].</param>
/// <param name="Shares">Weights that add up to 1, Float64 [N].</param>
/// <param name="Middle">(i + j)/2 [D].</param>
/// <param name="Difference">j − i [D].</param>
/// <param name="TrueShare">Share of the rows that are true.</param>
internal sealed record TiltRows(Tensor Features, Tensor Signs, Tensor Shares, Tensor Middle, Tensor Difference, double TrueShare) : IDisposable
{
    public static TiltRows Read(TrainingSet data)
    {
        using var scope = NewDisposeScope();
        using var all = data.All();
        var signs = all.Labels.cpu().to(ScalarType.Float64).Times(2).Plus(-1);
        var weights = all.Weights?.cpu().to(ScalarType.Float64) ?? ones(all.Rows, ScalarType.Float64);
        var shares = weights.div(weights.sum());
        var x = all.Features.cpu().to(ScalarType.Float64);
        var trueShares = shares.mul(signs.IsAbove(0).to(ScalarType.Float64));
        var share = trueShares.sum().ToDouble();
        var (trueMean, falseMean) = (x.t().mv(trueShares).Times(1 / share), x.t().mv(shares.sub(trueShares)).Times(1 / (1 - share)));
        var middle = trueMean.Plus(falseMean).Times(0.5);
        return new(Out(x.sub(middle)), Out(signs), Out(shares), Out(middle), Out(trueMean.sub(falseMean)), share);

        static Tensor Out(Tensor values) => values.DetachFromDisposeScope();
    }

    public ClassMoments Moments()
    {
        using var scope = NewDisposeScope();

        // About the middle each mean has the square ‖j − i‖²/4.
        var squares = Features.mul(Features).sum(1L).dot(Shares).ToDouble() - (Difference.dot(Difference).ToDouble() / 4);
        return ClassMoments.Of(Middle, Difference, TrueShare, squares / Features.shape[1]);
    }

    public void Dispose()
    {
        foreach (var tensor in new[] { Features, Signs, Shares, Middle, Difference })
            tensor.Dispose();
    }
}

/// <summary>Finds the normal for one regularisation.</summary>
internal abstract class TiltSolver : IDisposable
{
    public abstract (double[] Weights, double? Bias) Solve(double penalty);

    public abstract void Dispose();
}

/// <summary>
/// w = V·(Vᵀ(j − i)/(e + λ)) + r/λ with S = V·diag(e)·Vᵀ and r the part of j − i along which no row varies: Fisher's discriminant for λ → 0, the nearest centroid for λ → ∞.
/// </summary>
internal sealed class RidgeTilt : TiltSolver
{
    private readonly Tensor _vectors;
    private readonly double[] _values;
    private readonly double[] _projections;
    private readonly double[] _rest;

    private RidgeTilt(Tensor values, Tensor vectors, CentroidBoundary centroids)
    {
        _vectors = vectors.DetachFromDisposeScope();
        _values = [.. values.data<double>().ToArray().Select(value => Math.Max(0, value))];
        var difference = tensor([.. centroids.Difference]);
        var projections = vectors.t().mv(difference);
        _projections = projections.data<double>().ToArray();

        // Where the vectors are a basis of the whole space what is left is a rounding error, which must not be divided by λ.
        _rest = vectors.shape[1] < vectors.shape[0] ? difference.sub(vectors.mv(projections)).data<double>().ToArray() : new double[vectors.shape[0]];
    }

    /// <summary>By the eigenvectors of S: D³ operations.</summary>
    public static RidgeTilt OfCovariance(Tensor covariance, CentroidBoundary centroids)
    {
        using var scope = NewDisposeScope();
        var (values, vectors) = linalg.eigh(covariance);
        return new(values, vectors, centroids);
    }

    /// <summary>By the singular vectors of the rows about the means of their classes: N·D·min(N, D) operations, and S is never there.</summary>
    public static RidgeTilt OfRows(TiltRows rows, CentroidBoundary centroids)
    {
        using var scope = NewDisposeScope();
        var within = rows.Features.sub(rows.Signs.Times(0.5).outer(rows.Difference)).mul_(rows.Shares.sqrt().unsqueeze(1));
        var (_, singular, transposed) = linalg.svd(within, fullMatrices: false);
        return new(singular.mul(singular), transposed.t(), centroids);
    }

    public override (double[] Weights, double? Bias) Solve(double penalty)
    {
        using var scope = NewDisposeScope();
        double[] shrunk = [.. _projections.Zip(_values, (projection, value) => projection / (value + penalty))];
        var weights = _vectors.mv(tensor(shrunk)).data<double>().ToArray();
        for (var i = 0; i < weights.Length; i++)
            weights[i] += _rest[i] / penalty;
        return (weights, null);
    }

    public override void Dispose() => _vectors.Dispose();
}

/// <summary>The least mean log(1 + exp(−y(w·x + b))) + λ/2·‖w‖², from the solution before.</summary>
internal sealed class LogisticTilt(TiltRows rows, CentroidBoundary centroids, TrainingRun run) : TiltSolver
{
    // The loss bends by λ at least along w, so that w is no further from the solution than ‖gradient‖/λ.
    private const double WantedError = 1e-5;
    private const double AcceptedError = 1e-3;

    private readonly double[] _parameters = new double[centroids.Middle.Count + 1];

    public override (double[] Weights, double? Bias) Solve(double penalty)
    {
        var width = _parameters.Length - 1;
        var result = LbfgsMinimizer.Minimize(
            _parameters,
            gradient =>
            {
                run.CheckCancelled();
                using var scope = NewDisposeScope();
                var w = tensor(_parameters.AsSpan(0, width).ToArray());
                var margins = rows.Features.mv(w).Plus(_parameters[width]).mul(rows.Signs);
                var pull = margins.neg().sigmoid().mul(rows.Signs).mul(rows.Shares);
                rows.Features.t().mv(pull).neg().data<double>().CopyTo(gradient);
                gradient[width] = -pull.sum().ToDouble();
                var squares = 0.0;
                for (var i = 0; i < width; i++)
                {
                    gradient[i] += penalty * _parameters[i];
                    squares += _parameters[i] * _parameters[i];
                }

                return nn.functional.softplus(margins.neg()).dot(rows.Shares).ToDouble() + (penalty * squares / 2);
            },
            new() { MaxIterations = 5000, MaxEvaluations = 15_000, GradientTolerance = 0, RelativeTolerance = 0 },
            progress => Error(progress.GradientNorm) > WantedError);
        if (Error(result.GradientNorm) is var error && !(error <= AcceptedError))
        {
            run.Log(FormattableString.Invariant(
                $"Warning: with the penalty {penalty:G4} the logistic regression is not solved after {result.Iterations} steps ({result.Reason}): its normal may be off by {error:G2} of its length."));
        }

        double[] weights = _parameters[..width];
        return (weights, _parameters[width] - TensorPrimitives.Dot<double>(weights, [.. centroids.Middle]));

        double Error(double gradientNorm) => gradientNorm == 0 ? 0 : gradientNorm / (penalty * TensorPrimitives.Norm<double>(_parameters.AsSpan(0, width)));
    }

    public override void Dispose() => rows.Dispose();
}
