using MlNetMlp.Scoring;

namespace MlNetMlp.Tests.Scoring;

/// <summary>The activations in doubles, from their definitions.</summary>
internal static class ActivationReference
{
    public static double Of(Activation activation, double x) => activation switch
    {
        Activation.Identity => x,
        Activation.Relu => Math.Max(x, 0),
        Activation.Gelu => x * (1 + Erf(x / Math.Sqrt(2))) / 2,
        Activation.Silu => x / (1 + Math.Exp(-x)),
        Activation.Tanh => Math.Tanh(x),
        Activation.Sigmoid => 1 / (1 + Math.Exp(-x)),
        Activation.SmoothClip => x / Math.Sqrt(1 + (x / 3 * (x / 3))),
        Activation.Gaussian => Math.Exp(-x * x / 2),
        Activation.Sine => Math.Sin(x),
        Activation.Cosine => Math.Cos(x),
        Activation.Step => x > 0 ? 1 : 0,
        Activation.Softplus => Math.Max(x, 0) + Math.Log(1 + Math.Exp(-Math.Abs(x))),
        _ => throw new ArgumentOutOfRangeException(nameof(activation)),
    };

    // 2 / sqrt(pi) exp(-x^2) sum of x (2 x^2)^n / (1 3 5 ... (2n + 1)): all terms positive, so nothing cancels.
    private static double Erf(double x)
    {
        double square = x * x;
        if (square > 50)
            return Math.Sign(x);
        double term = x, sum = x;
        for (int n = 1; Math.Abs(term) > 1e-18 * Math.Abs(sum); n++)
        {
            term *= 2 * square / ((2 * n) + 1);
            sum += term;
        }

        return 2 / Math.Sqrt(Math.PI) * Math.Exp(-square) * sum;
    }
}
