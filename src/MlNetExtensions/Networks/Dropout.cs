using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>Leaves out activations in training (Srivastava et al., 2014), by random numbers of a stream and without a touch of the global ones.</summary>
public static class Dropout
{
    /// <summary>Leaves out a share of the activations, and scales up the others by as much.</summary>
    /// <param name="activations">Activations.</param>
    /// <param name="share">The share, in [0, 1).</param>
    /// <param name="noise">The stream of random numbers; null for no dropout.</param>
    /// <returns>The activations that are left.</returns>
    public static Tensor Drop(this Tensor activations, double share, Generator? noise) => share > 0 && noise is not null
        ? activations.mul(empty_like(activations).bernoulli_(1 - share, noise).Times(1 / (1 - share)))
        : activations;
}
