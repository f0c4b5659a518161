using MlNetMlp.Data;
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
        using var classes = ClassMoments.Read(data, head, run);
        var unit = classes.MeanVariance;
        var solver = options.Estimator == TiltEstimator.Logistic ? (TiltSolver)new LogisticTilt(data, classes, run) : new RidgeTilt(classes);
        using var owned = solver;
        double[] grid = [.. Enumerable.Range(0, options.PathPoints).Select(i => Math.Pow(10, LowestDecade + ((HighestDecade - LowestDecade) * i / Math.Max(1, options.PathPoints - 1))))];
        var path = new List<(double Regularization, double[] Weights, double Bias)>();

        // From the strongest on, so that each solution starts near the next.
        foreach (var regularization in grid.Reverse())
            path.Insert(0, Solve(regularization));
        var errors = Errors(path, data.Blocks(BlockRows), classes.Count);
        var chosen = Choose(path, Solve, regularization => solver.Solve(regularization * unit).Weights, classes);
        var (scale, loss) = Calibrate(chosen.Weights, chosen.Bias);
        var report = new TiltReport(
            classes.Angle(chosen.Weights), classes.Strength(chosen.Weights), chosen.Regularization, [.. chosen.Weights.Select(w => (float)w)], (float)chosen.Bias,
            [.. path.Select((point, i) => new TiltPoint(point.Regularization, classes.Angle(point.Weights), errors[i]))]);
        run.KeepDiagnostics(report);
        run.Log(FormattableString.Invariant(
            $"Regularisation {chosen.Regularization:G4} of the mean variance: the normal deviates by {report.DeviationAngleDegrees:F1}° from that of the nearest centroid, which makes adversarial examples {report.AdversarialStrength:G4} times as near."));
        return (chosen.Weights, chosen.Bias, scale, loss);

        (double Regularization, double[] Weights, double Bias) Solve(double regularization)
        {
            run.CheckCancelled();
            var (weights, bias) = solver.Solve(regularization * unit);
            if (options.Bias == TiltBias.MinError)
                return (regularization, weights, LeastErrorBias(weights));
            var offset = options.Estimator == TiltEstimator.Logistic && options.Bias == TiltBias.LogPrior ? bias!.Value
                : -TensorPrimitives.Dot<double>(weights, classes.Middle) + (options.Bias == TiltBias.LogPrior ? classes.LogPrior : 0);
            return (regularization, weights, offset);
        }
    }

    private (double Regularization, double[] Weights, double Bias) Choose(
        List<(double Regularization, double[] Weights, double Bias)> path, Func<double, (double Regularization, double[] Weights, double Bias)> solve, Func<double, double[]> normal,
        ClassMoments classes)
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

        if (classes.Angle(path[0].Weights) <= options.MaxDeviationAngle)
            return path[0];
        var (low, high) = (Math.Log(path[0].Regularization), Math.Log(1e6));
        while (high - low > Precision)
        {
            var middle = (low + high) / 2;
            if (classes.Angle(normal(Math.Exp(middle))) <= options.MaxDeviationAngle)
                high = middle;
            else
                low = middle;
        }

        var chosen = solve(Math.Exp(high));
        if (classes.Angle(chosen.Weights) > options.MaxDeviationAngle)
            run.Log(FormattableString.Invariant($"Warning: no regularisation brings the angle down to {options.MaxDeviationAngle}°; it is {classes.Angle(chosen.Weights):G4}°."));
        return chosen;
    }

    private double[] Errors(List<(double Regularization, double[] Weights, double Bias)> path, IEnumerable<RowBlock> blocks, double count)
    {
        using var scope = NewDisposeScope();
        var weights = tensor(path.SelectMany(point => point.Weights).ToArray(), [path.Count, data.FeatureCount]).t();
        var biases = tensor(path.Select(point => point.Bias).ToArray());
        var wrong = zeros(path.Count, ScalarType.Float64);
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
        var (scores, labels, weights) = Scores(normal, bias);
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

    private double LeastErrorBias(double[] normal)
    {
        var (scores, labels, weights) = Scores(normal, 0);
        double[] signed = [.. labels.Zip(weights, (label, weight) => label > 0 ? weight : -weight)];
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

    private (double[] Scores, float[] Labels, double[] Weights) Scores(double[] normal, double bias)
    {
        using var scope = NewDisposeScope();
        var (scores, labels, weights, direction) = (new List<double>(), new List<float>(), new List<double>(), tensor(normal));
        foreach (var block in data.Blocks(BlockRows))
        {
            using var inner = NewDisposeScope();
            run.CheckCancelled();
            scores.AddRange(block.Features.cpu().to(ScalarType.Float64).mv(direction).data<double>().ToArray().Select(score => score + bias));
            labels.AddRange(TensorMemory.ToFloats(block.Labels));
            weights.AddRange(block.Weights is null ? Enumerable.Repeat(data.MeanWeight, (int)block.Rows) : TensorMemory.ToFloats(block.Weights).Select(weight => weight * data.MeanWeight));
        }

        return ([.. scores], [.. labels], [.. weights]);
    }
}

/// <summary>Means and scatter of two classes, in one pass over the rows.</summary>
internal sealed class ClassMoments : IDisposable
{
    private ClassMoments(Tensor scatter, double[] difference, double[] middle, double trueWeight, double falseWeight, double count)
    {
        Scatter = scatter;
        (Difference, Middle, Count) = (difference, middle, count);
        LogPrior = Math.Log(trueWeight / falseWeight);
        MeanVariance = scatter.diagonal().mean().ToDouble() is > 0 and var variance ? variance : 1;
    }

    /// <summary>S, pooled within-class covariance, Float64 [D, D].</summary>
    public Tensor Scatter { get; }

    /// <summary>j − i, the mean of the true rows minus that of the false ones.</summary>
    public double[] Difference { get; }

    /// <summary>(i + j)/2.</summary>
    public double[] Middle { get; }

    public double Count { get; }

    public double LogPrior { get; }

    /// <summary>Mean of the diagonal of S.</summary>
    public double MeanVariance { get; }

    public static ClassMoments Read(TrainingSet data, TaskHead head, TrainingRun run)
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
        return new(
            scatter.Times(1 / centered.Weight).DetachFromDisposeScope(), difference.data<double>().ToArray(), middle.data<double>().ToArray(), share, 1 - share, data.RowCount);
    }

    /// <summary>The angle between a normal and that of the nearest centroid, in degrees.</summary>
    public double Angle(double[] weights) => Math.Acos(Math.Clamp(Cosine(weights), -1, 1)) * 180 / Math.PI;

    /// <summary>1/cos of the angle: how much nearer adversarial examples are than with the boundary of the nearest centroid; null where the normal points another way.</summary>
    public double? Strength(double[] weights) => Cosine(weights) is > 0 and var cosine ? 1 / cosine : null;

    public void Dispose() => Scatter.Dispose();

    private double Cosine(double[] weights)
    {
        var lengths = TensorPrimitives.Norm<double>(weights) * TensorPrimitives.Norm<double>(Difference);
        return lengths > 0 ? TensorPrimitives.Dot<double>(weights, Difference) / lengths : 0;
    }
}

/// <summary>Finds the normal for one regularisation.</summary>
internal abstract class TiltSolver : IDisposable
{
    public abstract (double[] Weights, double? Bias) Solve(double penalty);

    public abstract void Dispose();
}

/// <summary>w = U·(Uᵀ(j − i)/(e + λ)) with S = U·diag(e)·Uᵀ: Fisher's discriminant for λ → 0, the nearest centroid for λ → ∞.</summary>
internal sealed class RidgeTilt : TiltSolver
{
    private readonly Tensor _vectors;
    private readonly double[] _values;
    private readonly double[] _projections;

    public RidgeTilt(ClassMoments classes)
    {
        using var scope = NewDisposeScope();
        var (values, vectors) = linalg.eigh(classes.Scatter);
        _vectors = vectors.DetachFromDisposeScope();
        _values = [.. values.data<double>().ToArray().Select(value => Math.Max(0, value))];
        _projections = vectors.t().mv(tensor(classes.Difference)).data<double>().ToArray();
    }

    public override (double[] Weights, double? Bias) Solve(double penalty)
    {
        using var scope = NewDisposeScope();
        double[] shrunk = [.. _projections.Zip(_values, (projection, value) => projection / (value + penalty))];
        return (_vectors.mv(tensor(shrunk)).data<double>().ToArray(), null);
    }

    public override void Dispose() => _vectors.Dispose();
}

/// <summary>The least mean log(1 + exp(−y(w·x + b))) + λ/2·‖w‖², from the solution before.</summary>
internal sealed class LogisticTilt : TiltSolver
{
    private readonly TrainingRun _run;
    private readonly Tensor _x;
    private readonly Tensor _signs;
    private readonly Tensor _weights;
    private readonly double[] _parameters;

    public LogisticTilt(TrainingSet data, ClassMoments classes, TrainingRun run)
    {
        using var scope = NewDisposeScope();
        using var all = data.All();
        _run = run;
        _x = all.Features.cpu().to(ScalarType.Float64).sub(tensor(classes.Middle)).DetachFromDisposeScope();
        _signs = all.Labels.cpu().to(ScalarType.Float64).Times(2).Plus(-1).DetachFromDisposeScope();
        var weights = all.Weights?.cpu().to(ScalarType.Float64) ?? ones(all.Rows, ScalarType.Float64);
        _weights = weights.div(weights.sum()).DetachFromDisposeScope();
        _parameters = new double[data.FeatureCount + 1];
        Middle = classes.Middle;
    }

    private double[] Middle { get; }

    public override (double[] Weights, double? Bias) Solve(double penalty)
    {
        var width = _parameters.Length - 1;
        LbfgsMinimizer.Minimize(
            _parameters,
            gradient =>
            {
                _run.CheckCancelled();
                using var scope = NewDisposeScope();
                var w = tensor(_parameters.AsSpan(0, width).ToArray());
                var margins = _x.mv(w).Plus(_parameters[width]).mul(_signs);
                var pull = margins.neg().sigmoid().mul(_signs).mul(_weights);
                _x.t().mv(pull).neg().data<double>().CopyTo(gradient);
                gradient[width] = -pull.sum().ToDouble();
                var squares = 0.0;
                for (var i = 0; i < width; i++)
                {
                    gradient[i] += penalty * _parameters[i];
                    squares += _parameters[i] * _parameters[i];
                }

                return nn.functional.softplus(margins.neg()).dot(_weights).ToDouble() + (penalty * squares / 2);
            },
            new() { MaxIterations = 1000, GradientTolerance = 1e-10, RelativeTolerance = 1e-14 });
        double[] weights = _parameters[..width];
        return (weights, _parameters[width] - TensorPrimitives.Dot<double>(weights, Middle));
    }

    public override void Dispose()
    {
        _x.Dispose();
        _signs.Dispose();
        _weights.Dispose();
    }
}
