using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>How a branch of a block is added to what goes past it: scaled by channel (layer scale), and left out at random in training (stochastic depth).</summary>
public static class ResidualBranch
{
    private static readonly TorchSharp.Scalar One = 1.0;

    /// <summary>Draws in which rows branches are left out (Huang and others, "Deep Networks with Stochastic Depth", 2016); what stays is scaled so that the mean stays.</summary>
    /// <param name="rates">The probability with which each branch is left out, in [0, 1).</param>
    /// <param name="rows">Rows of the batch.</param>
    /// <param name="random">Where numbers are drawn from, on the CPU.</param>
    /// <returns>Factors [branches, rows, 1, 1, 1] on the CPU: 0, or 1/(1 − rate).</returns>
    public static Tensor DropFactors(IReadOnlyList<double> rates, long rows, Generator random)
    {
        ArgumentNullException.ThrowIfNull(rates);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var rate = tensor(rates.Select(r => (float)r).ToArray()).view(-1, 1, 1, 1, 1);
        var kept = empty([rates.Count, rows, 1, 1, 1]).uniform_(0, 1, random).ge(rate).to(ScalarType.Float32);
        return kept.div(rate.neg().Plus(1)).MoveToOuterDisposeScope();
    }

    /// <summary>past + factors ⊙ scale ⊙ branch.</summary>
    /// <param name="past">What goes past the branch, [rows, height, width, channels]; null where nothing does.</param>
    /// <param name="branch">What the branch made of it, of the same shape.</param>
    /// <param name="scale">A factor for each channel, or null.</param>
    /// <param name="factors">A factor for each row [rows, 1, 1, 1], or null.</param>
    /// <returns>A new tensor.</returns>
    public static Tensor Add(Tensor? past, Tensor branch, Tensor? scale = null, Tensor? factors = null)
    {
        ArgumentNullException.ThrowIfNull(branch);
        using var scope = NewDisposeScope();
        var factor = scale is not null && factors is not null ? scale.mul(factors) : scale ?? factors;
        var sum = (past, factor) switch
        {
            (null, null) => branch.alias(),
            (null, _) => branch.mul(factor),
            (_, null) => past.Plus(branch),
            _ => past.addcmul(branch, factor, One),
        };
        return sum.MoveToOuterDisposeScope();
    }
}
