using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Training;

/// <summary>
/// A readout for classification by logistic loss or cross-entropy: minimises Σ w·loss + (α/2)·‖C‖² by <see cref="LbfgsMinimizer"/>, on features
/// that are kept in memory as far as a budget allows and are made again otherwise.
/// </summary>
/// <remarks>
/// It goes along coordinates in which the Hessian of all rows at probability ½, H̃ᵀH̃/4 + α, is the identity, so that few steps are needed.
/// </remarks>
internal sealed class CrossEntropyReadout : IDisposable
{
    private readonly FeatureRows _rows;
    private readonly RidgeReadout _ridge;
    private readonly List<FeatureBlock>? _kept;

    /// <summary>Prepares the minimisation.</summary>
    /// <param name="rows">The rows, of a binary or multiclass task.</param>
    /// <param name="ridge">Ridge regression on the same rows by <see cref="RidgeReadout.Primal"/>, which is where the minimisation starts.</param>
    /// <param name="memoryBudget">Bytes that features may take to be kept.</param>
    public CrossEntropyReadout(FeatureRows rows, RidgeReadout ridge, long memoryBudget)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(ridge);
        if (ridge.Path.IsDual)
            throw new ArgumentException("The ridge regression must be that of sums of features.", nameof(ridge));
        (_rows, _ridge) = (rows, ridge);
        if (rows.Bytes > memoryBudget)
            return;
        _kept = [];
        var doubles = 2 * rows.Bytes <= memoryBudget;
        foreach (var block in rows.Blocks())
        {
            // Where there is room they are kept as what products need.
            var kept = doubles ? block with { Features = block.Features.to(ScalarType.Float64) } : block;
            if (doubles)
                block.Features.Dispose();
            kept.Features.DetachFromDisposeScope();
            kept.Targets.DetachFromDisposeScope();
            kept.Labels.DetachFromDisposeScope();
            kept.Weights?.DetachFromDisposeScope();
            _kept.Add(kept);
        }
    }

    /// <summary>Minimises for one penalty.</summary>
    /// <param name="penalty">α, above 0.</param>
    /// <param name="start">Where to start; null for the ridge regression of the same penalty times 4.</param>
    /// <param name="settings">Tolerances and limits; null for 100 steps, a relative decrease of 1e-7 and gradients of 1e-6.</param>
    /// <param name="report">Called after every step with its number and the mean loss with the penalty; null for nobody.</param>
    /// <returns>The readout, which the caller owns, and how the minimisation ended, with the mean loss with the penalty as its value.</returns>
    public (LinearReadout Readout, LbfgsResult Result) Solve(
        double penalty, LinearReadout? start = null, LbfgsSettings? settings = null, Action<int, double>? report = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(penalty, 0);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var (total, root) = (_ridge.TotalWeight, Math.Sqrt(_ridge.TotalWeight));   // W
        var first = start ?? _ridge.Solve(4 * penalty);
        if (start is null && _rows.Head is MulticlassHead)
        {
            // Least squares puts out probabilities; logits near them are about K times as far apart.
            first.Coefficients.Scale(_rows.Outputs);
            first.Intercept.Scale(_rows.Outputs);
        }

        var (m, k) = (_rows.Features, _rows.Outputs);
        var whitening = _ridge.Path.Whitening(penalty);                          // P, C = √W·P·z
        var z = empty((m + 1) * k, ScalarType.Float64, _rows.Run.Device);
        var (inner, intercept) = (z.narrow(0, 0, m * k).view(m, k), z.narrow(0, m * k, k));
        inner.copy_(whitening.Invert(first.Coefficients).Times(1 / root));
        intercept.copy_(first.Intercept.Times(0.5));
        settings ??= new LbfgsSettings { MaxIterations = 100, RelativeTolerance = 1e-7, GradientTolerance = 1e-6 };
        var result = LbfgsMinimizer.Minimize(z, Evaluate, settings, progress =>
        {
            report?.Invoke(progress.Iteration, progress.Value);
            return true;
        });
        return (new(Coefficients().MoveToOuterDisposeScope(), intercept.Times(2).MoveToOuterDisposeScope()), result);

        Tensor Coefficients() => whitening.Apply(inner).Times(root);

        double Evaluate(Tensor gradient)
        {
            var (c, shift) = (Coefficients(), intercept.Times(2));
            var slopes = c.Times(penalty);
            var sum = zeros(k, ScalarType.Float64, z.device);
            var loss = penalty / 2 * Fista.InnerProduct(c, c);
            foreach (var block in _kept ?? _rows.Blocks())
            {
                using var pass = NewDisposeScope();
                _rows.Run.CheckCancelled();
                var h = block.Features.to(ScalarType.Float64);
                var (losses, errors) = Losses(addmm(shift, h, c, 1, 1), block);
                loss += losses;
                slopes.addmm_(h.t(), errors, 1, 1);
                sum.AddScaled(errors.sum(0L));
                if (_kept is null)
                    block.Dispose();
            }

            gradient.narrow(0, 0, m * k).view(m, k).copy_(whitening.Apply(slopes).Times(1 / root));
            gradient.narrow(0, m * k, k).copy_(sum.Times(2 / total));
            return loss / total;
        }
    }

    /// <summary>Mean loss of rows under a readout.</summary>
    /// <param name="readout">The readout.</param>
    /// <param name="blocks">The rows, at least one; disposed after.</param>
    /// <returns>Logistic loss or cross-entropy.</returns>
    public double Loss(LinearReadout readout, IEnumerable<FeatureBlock> blocks)
    {
        ArgumentNullException.ThrowIfNull(readout);
        ArgumentNullException.ThrowIfNull(blocks);
        var (sum, weight) = (0.0, 0.0);
        foreach (var block in blocks)
        {
            using var rows = block;
            using var scope = NewDisposeScope();
            sum += Losses(readout.Predict(block.Features), block).Sum;
            weight += block.Weights?.sum().cpu().item<double>() ?? block.Features.shape[0];
        }

        return sum / weight;
    }

    /// <summary>Releases the features that are kept.</summary>
    public void Dispose() => _kept?.ForEach(block => block.Dispose());

    // Σ w·loss, and w·(p − t) [rows, K].
    private (double Sum, Tensor Errors) Losses(Tensor outputs, FeatureBlock block)
    {
        var targets = block.Targets.to(ScalarType.Float64);
        Tensor losses, errors;
        if (_rows.Head is BinaryHead)
        {
            // Targets are ±1 here: log(1 + exp(−yF)).
            losses = functional.softplus(outputs.mul(targets).neg()).squeeze(1);
            errors = outputs.mul(targets).neg_().sigmoid_().mul_(targets).neg_();
        }
        else
        {
            var logs = outputs.log_softmax(1);
            losses = logs.mul(targets).sum(1L).neg();
            errors = logs.exp().sub(targets);
        }

        if (block.Weights is not { } weights)
            return (losses.sum().cpu().item<double>(), errors);
        return (losses.dot(weights).cpu().item<double>(), errors.mul_(weights.unsqueeze(1)));
    }
}
