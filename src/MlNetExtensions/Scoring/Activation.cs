namespace MlNetMlp.Scoring;

/// <summary>A function that a step of a <see cref="DenseProgram"/> applies to each value. All of them let NaN through.</summary>
public enum Activation
{
    /// <summary>x.</summary>
    Identity,

    /// <summary>max(x, 0).</summary>
    Relu,

    /// <summary>x * (1 + erf(x / sqrt(2))) / 2, the exact form: absolute error below 3e-7 for |x| up to 10.</summary>
    Gelu,

    /// <summary>x / (1 + exp(-x)).</summary>
    Silu,

    /// <summary>The hyperbolic tangent.</summary>
    Tanh,

    /// <summary>1 / (1 + exp(-x)).</summary>
    Sigmoid,

    /// <summary>x / sqrt(1 + (x / 3)^2): near x around zero, bounded by -3 and 3.</summary>
    SmoothClip,

    /// <summary>exp(-x^2 / 2): 1 at zero, fading on both sides.</summary>
    Gaussian,

    /// <summary>The sine of x in radians: absolute error below 2e-7 for |x| up to 1,000,000, and a value between -1 and 1 beyond.</summary>
    Sine,

    /// <summary>The cosine of x in radians, as precise as <see cref="Sine"/>.</summary>
    Cosine,

    /// <summary>1 where x is above 0, else 0.</summary>
    Step,

    /// <summary>log(1 + exp(x)).</summary>
    Softplus,
}
