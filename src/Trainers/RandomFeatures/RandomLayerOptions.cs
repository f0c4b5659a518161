using MlNetMlp.Scoring;

namespace MlNetMlp.RandomFeatures;

/// <summary>The function φ of random hidden units.</summary>
public enum RandomActivation
{
    /// <summary>The hyperbolic tangent.</summary>
    Tanh,

    /// <summary>1 / (1 + exp(−z)).</summary>
    Logistic,

    /// <summary>exp(−z²/2).</summary>
    Gaussian,

    /// <summary>max(z, 0); the scale of the weights does not matter.</summary>
    Relu,

    /// <summary>sin(z): random Fourier features, with b over a period.</summary>
    Sine,

    /// <summary>cos(z): random Fourier features, with b over a period.</summary>
    Cosine,

    /// <summary>1 above 0 and 0 below; the scale of the weights does not matter.</summary>
    Step,

    /// <summary>log(1 + exp(z)).</summary>
    Softplus,
}

/// <summary>The law that the weights a of random hidden units are drawn from; λ is their scale.</summary>
public enum RandomWeightDistribution
{
    /// <summary>Each weight from [−λ, λ].</summary>
    Uniform,

    /// <summary>Each weight normal with mean 0 and deviation λ.</summary>
    Gaussian,

    /// <summary>Directions all alike, of length λ.</summary>
    Sphere,

    /// <summary>
    /// Kinks between rows: a = λ·(x − x′)/‖x − x′‖² for two random rows, and b = a·p for a random p between them. λ is ln 3 unless given: tanh
    /// is then at most ½ apart from 0 at both. Good where there are many features.
    /// </summary>
    DataPairs,
}

/// <summary>What the laws of a random layer depend on.</summary>
internal interface IRandomLayerOptions
{
    RandomActivation Activation { get; }

    RandomWeightDistribution WeightDistribution { get; }

    double? WeightScale { get; }

    double? BiasScale { get; }

    bool StandardizeInputs { get; }
}

internal static class RandomActivationExtensions
{
    public static Activation ToActivation(this RandomActivation activation) => activation switch
    {
        RandomActivation.Tanh => Activation.Tanh,
        RandomActivation.Logistic => Activation.Sigmoid,
        RandomActivation.Gaussian => Activation.Gaussian,
        RandomActivation.Relu => Activation.Relu,
        RandomActivation.Sine => Activation.Sine,
        RandomActivation.Cosine => Activation.Cosine,
        RandomActivation.Step => Activation.Step,
        _ => Activation.Softplus,
    };
}
