using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>x/√(1 + (x/3)²), which bends standardised inputs to stay within ±3, so that one wild value does not drown its row.</summary>
public static class SmoothClip
{
    // Beyond these the square overflows, and the result is 3 to the last digit anyway.
    private static readonly Scalar Ninth = 1.0 / 9, One = 1.0, Far = 1e9, MinusFar = -1e9;

    /// <summary>Bends values.</summary>
    /// <param name="x">Values of any shape, finite.</param>
    /// <returns>Values within ±3, a new tensor.</returns>
    public static Tensor Apply(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        x = x.clamp(MinusFar, Far);
        return x.mul(x.mul(x).mul_(Ninth).add_(One, One).rsqrt_());
    }
}
