using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Boosting;

/// <summary>What boosting has to know of a loss L(y, F): the constant to start from, pseudo-residuals r = −∂L/∂F and the length of a step.</summary>
/// <remarks>Members call it side by side, so that scalars are freed in time: one left to the finaliser can go while it is in use.</remarks>
internal abstract class BoostingLoss
{
    private const double LeastCurvature = 1e-12;
    private const double LongestStep = 10;

    /// <summary>s: the network puts out s·F.</summary>
    public virtual double OutputScale => 1;

    /// <summary>The loss of a task.</summary>
    public static BoostingLoss For(TaskHead head) => head switch
    {
        BinaryHead => new LogisticLoss(),
        MulticlassHead => new SoftmaxLoss(),
        _ => new SquaredLoss(),
    };

    /// <summary>F₀ [K].</summary>
    /// <param name="labels">Labels as the seam gives them.</param>
    /// <param name="weights">Example weights [N], or null.</param>
    /// <param name="outputs">K.</param>
    public abstract double[] Constant(Tensor labels, Tensor? weights, int outputs);

    /// <summary>r [N, K].</summary>
    /// <param name="labels">Labels as the seam gives them.</param>
    /// <param name="f">F [N, K].</param>
    public abstract Tensor Residuals(Tensor labels, Tensor f);

    /// <summary>ρ before shrinkage, one number for all outputs; null where the loss has no curvature left along h.</summary>
    /// <param name="residuals">r [N, K].</param>
    /// <param name="h">h [N, K].</param>
    /// <param name="weights">Example weights [N], or null.</param>
    public abstract double? StepSize(Tensor residuals, Tensor h, Tensor? weights);

    /// <summary>One Newton step on ρ ↦ L(F + ρ·h) with the curvature |r|·(m − |r|), summed over all rows and outputs.</summary>
    private protected static double? NewtonStep(Tensor residuals, Tensor h, Tensor? weights, double m)
    {
        using var scope = NewDisposeScope();
        var weighted = weights is null ? h : h.mul(weights.unsqueeze(1));
        var size = residuals.abs();
        var slope = weighted.mul(residuals).sum(ScalarType.Float64).cpu().item<double>();
        var curvature = weighted.mul(h).mul_(size).mul_(size.neg().Plus(m)).sum(ScalarType.Float64).cpu().item<double>();

        // NOTE[DIFF]: the original divides by whatever the curvature is, and blows up once the residuals have vanished.
        return curvature < LeastCurvature ? null : Math.Clamp(slope / curvature, -LongestStep, LongestStep);
    }

    private protected static double[] WeightedMean(Tensor values, Tensor? weights)
    {
        using var scope = NewDisposeScope();
        var doubles = values.to(ScalarType.Float64);
        var mean = weights is null
            ? doubles.mean([0L])
            : doubles.mul(weights.unsqueeze(1)).sum(0L).div(weights.to(ScalarType.Float64).sum());
        return [.. mean.cpu().data<double>()];
    }
}

/// <summary>½·(y − F)², for any number of outputs.</summary>
internal sealed class SquaredLoss : BoostingLoss
{
    public override double[] Constant(Tensor labels, Tensor? weights, int outputs)
    {
        using var columns = labels.view(-1, outputs);
        return WeightedMean(columns, weights);
    }

    public override Tensor Residuals(Tensor labels, Tensor f) => labels.view_as(f).sub(f);

    // h is a least-squares fit already.
    public override double? StepSize(Tensor residuals, Tensor h, Tensor? weights) => 1;
}

/// <summary>log(1 + exp(−2yF)) with y = ±1: F is half the log-odds.</summary>
internal sealed class LogisticLoss : BoostingLoss
{
    private const double LargestMean = 1 - 1e-6;

    public override double OutputScale => 2;

    public override double[] Constant(Tensor labels, Tensor? weights, int outputs)
    {
        using var column = labels.view(-1, 1);
        var mean = Math.Clamp((2 * WeightedMean(column, weights)[0]) - 1, -LargestMean, LargestMean);
        return [Math.Log((1 + mean) / (1 - mean)) / 2];
    }

    public override Tensor Residuals(Tensor labels, Tensor f)
    {
        using var scope = NewDisposeScope();
        var twice = labels.view_as(f).Times(4).Plus(-2);                                     // 2y
        return twice.mul(twice.mul(f).neg_().sigmoid_()).MoveToOuterDisposeScope();          // 2y·σ(−2yF)
    }

    public override double? StepSize(Tensor residuals, Tensor h, Tensor? weights) => NewtonStep(residuals, h, weights, 2);
}

/// <summary>−log softmax(F)_y.</summary>
internal sealed class SoftmaxLoss : BoostingLoss
{
    public override double[] Constant(Tensor labels, Tensor? weights, int outputs) => new double[outputs];

    public override Tensor Residuals(Tensor labels, Tensor f)
    {
        using var scope = NewDisposeScope();
        var residuals = f.softmax(1).neg_();
        var index = labels.unsqueeze(1);
        return residuals.scatter_add_(1, index, ones_like(index, dtype: f.dtype)).MoveToOuterDisposeScope();
    }

    // |r|·(1 − |r|) is P·(1 − P), of the class of the row and of all others: the diagonal of the Hessian.
    public override double? StepSize(Tensor residuals, Tensor h, Tensor? weights) => NewtonStep(residuals, h, weights, 1);
}
