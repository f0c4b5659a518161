using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// One factor for all logits that makes probabilities of them which are right on rows that the network did not train on (Guo and others, "On Calibration of Modern Neural Networks",
/// 2017). No class becomes more probable than another by it that was not before.
/// </summary>
public static class TemperatureScaling
{
    // Values that are worked on at once.
    private const long MostValues = 1 << 22;

    /// <summary>Finds the factor with the least cross-entropy on a grid of its logarithm, of which 0 is a point.</summary>
    /// <param name="logits">Logits [rows, classes].</param>
    /// <param name="labels">Int64 class indexes [rows].</param>
    /// <param name="weights">Example weights [rows], or null for 1.</param>
    /// <param name="reach">The greatest absolute logarithm.</param>
    /// <param name="steps">Points of the grid on either side of 0.</param>
    /// <returns>The factor, an inverse temperature, and the mean cross-entropy with it.</returns>
    public static (double Factor, double Loss) Fit(Tensor logits, Tensor labels, Tensor? weights, double reach = 1.5, int steps = 30)
    {
        ArgumentNullException.ThrowIfNull(logits);
        ArgumentNullException.ThrowIfNull(labels);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        double[] factors = [.. Enumerable.Range(-steps, (2 * steps) + 1).Select(i => Math.Exp(reach * i / steps))];
        var losses = new double[factors.Length];
        var atOnce = (int)Math.Clamp(MostValues / Math.Max(1, logits.numel()), 1, factors.Length);
        var wanted = labels.unsqueeze(1);
        for (var start = 0; start < factors.Length; start += atOnce)
        {
            using var part = NewDisposeScope();
            var some = tensor(factors[start..Math.Min(factors.Length, start + atOnce)], dtype: logits.dtype, device: logits.device).view(-1, 1, 1);
            var logs = logits.unsqueeze(0).mul(some).log_softmax(2);
            var own = logs.gather(2, wanted.unsqueeze(0).expand(some.shape[0], -1, -1)).squeeze(2).to(ScalarType.Float64);
            var means = weights is null ? own.mean([1L]) : own.matmul(weights.to(ScalarType.Float64)).div_(weights.to(ScalarType.Float64).sum());
            means.neg_().cpu().data<double>().CopyTo(losses, start);
        }

        // Of equal ones that which changes least.
        var best = steps;
        for (var i = 0; i < losses.Length; i++)
        {
            if (losses[i] < losses[best])
                best = i;
        }

        return (factors[best], losses[best]);
    }
}
