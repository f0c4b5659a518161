using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>Dropout (Srivastava et al., 2014) that draws from a stream of its own, and not from torch's global one.</summary>
public static class Dropout
{
    /// <summary>Leaves some values out, and scales the others up so that the mean stays.</summary>
    /// <param name="values">The values.</param>
    /// <param name="share">Share of the values that are left out, in [0, 1).</param>
    /// <param name="noise">Where it draws from; null outside of training, where nothing is left out.</param>
    /// <returns>The values themselves where nothing is left out, else new ones.</returns>
    public static Tensor LeaveOut(this Tensor values, double share, Generator? noise)
    {
        if (share == 0 || noise is null)
            return values;
        using var kept = empty_like(values).bernoulli_(1 - share, noise);
        kept.Scale(1 / (1 - share));
        return values.mul(kept);
    }
}
