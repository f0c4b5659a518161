using System.ComponentModel.DataAnnotations;

namespace MlNetMlp.Training;

/// <summary>How the noise on the gradient changes over the steps.</summary>
public enum GradientNoiseSchedule
{
    /// <summary>The variance falls with the step: σ_t² = η/(1+t)^γ.</summary>
    Annealed,

    /// <summary>The same standard deviation at every step.</summary>
    Constant,
}

/// <summary>
/// Gaussian noise added to every coordinate of every gradient, which lets very deep or badly initialised networks train
/// (Neelakantan et al., "Adding Gradient Noise Improves Learning for Very Deep Networks", 2015).
/// </summary>
/// <remarks>
/// Step t (from 0) adds σ_t·ε with ε ~ N(0, I), after clipping and before the optimiser, which adds weight decay without noise. The
/// variance, not the deviation, decays as (1+t)^−γ. With Adam use an η of at most 0.01: noise far above the gradient's own scale only
/// inflates the second moment. <see cref="GradientNoiseSource"/> applies it.
/// </remarks>
public sealed record GradientNoise
{
    /// <summary>η, the variance at the first step, at least 0, 0 for no annealed noise; 0.3 by default. The paper tries 0.01, 0.3 and 1.</summary>
    [Range(0.0, double.MaxValue)]
    public double Eta { get; init; } = 0.3;

    /// <summary>γ, how fast the variance falls, in [0, 2]; 0.55 by default, as in the paper.</summary>
    [Range(0.0, 2.0)]
    public double Gamma { get; init; } = 0.55;

    /// <summary>Whether the noise falls over the steps or stays; <see cref="GradientNoiseSchedule.Annealed"/> by default.</summary>
    [EnumDataType(typeof(GradientNoiseSchedule))]
    public GradientNoiseSchedule Schedule { get; init; } = GradientNoiseSchedule.Annealed;

    /// <summary>The standard deviation of constant noise, at least 0; 0.001 by default. Not used by annealed noise.</summary>
    [Range(0.0, double.MaxValue)]
    public double StandardDeviation { get; init; } = 1e-3;

    /// <summary>The seed of the noise's own generator, at least 0; null (the default): it follows from the trainer's seed.</summary>
    [Range(0, long.MaxValue)]
    public long? Seed { get; init; }

    /// <summary>σ_t: the standard deviation of the noise at step <paramref name="t"/>.</summary>
    /// <param name="t">The optimiser step of the whole training, counted from 0.</param>
    public double StandardDeviationAt(long t)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(t);
        return Schedule == GradientNoiseSchedule.Constant ? StandardDeviation : Math.Sqrt(Eta / Math.Pow(1.0 + t, Gamma));
    }
}
