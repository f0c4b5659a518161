using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>Random initial weights that networks of tokens share.</summary>
public static class InitialWeights
{
    // Normal numbers beyond two deviations are left out, and what is left deviates by this.
    private const double Cut = 2;
    private const double CutDeviation = 0.87962566103423978;

    /// <summary>
    /// Fills the weights of a dense layer with normal numbers without tails, whose deviation is 1/√(3·n) for n inputs: 0.02 at 800 of them, which networks of tokens begin from at that
    /// width. Narrower ones that begin from it take many epochs until anything passes through them.
    /// </summary>
    /// <param name="weight">The weights [outputs, n].</param>
    /// <param name="random">Where numbers are drawn from.</param>
    public static void Dense(Tensor weight, Generator random)
    {
        ArgumentNullException.ThrowIfNull(weight);
        TruncatedNormal(weight, random, 1 / Math.Sqrt(3 * weight.shape[1]));
    }

    /// <summary>Fills a tensor with normal numbers of mean 0 without the tails beyond some two deviations.</summary>
    /// <param name="tensor">The tensor, Single or Double on the CPU.</param>
    /// <param name="random">Where numbers are drawn from.</param>
    /// <param name="deviation">Standard deviation of what is drawn.</param>
    public static void TruncatedNormal(Tensor tensor, Generator random, double deviation)
    {
        // torch's own trunc_normal_ fills with one constant (TorchSharp 0.107). The quantile function of evenly spread numbers: Φ(±2) = (1 ± erf(√2)) / 2.
        const double edge = 0.95449973610364158;
        using var noGradient = no_grad();
        using var uniform = empty(tensor.shape, ScalarType.Float64).uniform_(-edge, edge, random);
        using var quantile = uniform.erfinv();
        using var normal = quantile.Times(Math.Sqrt(2) * deviation / CutDeviation);
        using var cut = normal.CutTo(-Cut * deviation / CutDeviation, Cut * deviation / CutDeviation);
        tensor.copy_(cut);
    }
}
