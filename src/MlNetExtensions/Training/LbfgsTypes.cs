using System.ComponentModel.DataAnnotations;

namespace MlNetMlp.Training;

/// <summary>What <see cref="LbfgsMinimizer"/> does and when it stops. The defaults are those of Nocedal and Wright.</summary>
public sealed record LbfgsSettings
{
    /// <summary>m, how many past steps the curvature is estimated from, in [1, 1000]; memory is (2m + 4) vectors.</summary>
    [Range(1, 1000)]
    public int History { get; init; } = 10;

    /// <summary>Accepted steps at most, at least 0.</summary>
    [Range(0, int.MaxValue)]
    public int MaxIterations { get; init; } = 1000;

    /// <summary>Evaluations of the function at most, at least 1.</summary>
    [Range(1, int.MaxValue)]
    public int MaxEvaluations { get; init; } = 2500;

    /// <summary>Stop where ‖g‖₂ is at most this; at least 0.</summary>
    [Range(0.0, double.MaxValue)]
    public double GradientTolerance { get; init; } = 1e-5;

    /// <summary>Stop after a step with (f − f') / max(|f|, |f'|, 1) at most this; in [0, 1), 0 for never.</summary>
    [Range(0.0, 1.0)]
    public double RelativeTolerance { get; init; } = 1e-9;

    /// <summary>
    /// Relative rounding error of the function's values, in (0, 0.1); null (the default) for that of the vector's type. Give 1e-7 for a
    /// function on doubles that is computed in Single precision.
    /// </summary>
    [Range(0.0, 0.1, MinimumIsExclusive = true)]
    public double? Precision { get; init; }

    /// <summary>c₁ of the sufficient decrease f(x + αd) ≤ f(x) + c₁α·gᵀd, in (0, ½).</summary>
    [Range(0.0, 0.5, MinimumIsExclusive = true, MaximumIsExclusive = true)]
    public double SufficientDecrease { get; init; } = 1e-4;

    /// <summary>c₂ of the curvature condition |g(x + αd)ᵀd| ≤ c₂|gᵀd|, in (c₁, 1).</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true, MaximumIsExclusive = true)]
    public double Curvature { get; init; } = 0.9;

    /// <summary>Evaluations of one line search at most, at least 2.</summary>
    [Range(2, int.MaxValue)]
    public int MaxLineSearchEvaluations { get; init; } = 30;
}

/// <summary>Why a minimisation ended.</summary>
public enum LbfgsStop
{
    /// <summary>The gradient's norm is within the tolerance: a stationary point.</summary>
    GradientTolerance,

    /// <summary>The last step lowered the function by no more than the relative tolerance.</summary>
    RelativeTolerance,

    /// <summary>The allowed number of steps was made.</summary>
    MaxIterations,

    /// <summary>The allowed number of evaluations was made.</summary>
    MaxEvaluations,

    /// <summary>
    /// No acceptable step was found, not even along the negative gradient: rounding hides any further decrease, or the gradient is
    /// not that of the function.
    /// </summary>
    LineSearchFailed,

    /// <summary>The callback asked to stop.</summary>
    Stopped,

    /// <summary>The function or its gradient is not finite at the starting point.</summary>
    NotFiniteAtStart,
}

/// <summary>An accepted step of a minimisation.</summary>
/// <param name="Iteration">Accepted steps so far, from 1.</param>
/// <param name="Evaluations">Evaluations so far.</param>
/// <param name="Value">The function after the step.</param>
/// <param name="GradientNorm">‖g‖₂ after the step.</param>
/// <param name="StepSize">α, the step's length in multiples of the search direction.</param>
public readonly record struct LbfgsProgress(int Iteration, int Evaluations, double Value, double GradientNorm, double StepSize);

/// <summary>The end of a minimisation.</summary>
/// <param name="Value">The function at the returned point.</param>
/// <param name="GradientNorm">‖g‖₂ there.</param>
/// <param name="Iterations">Accepted steps.</param>
/// <param name="Evaluations">Evaluations of the function.</param>
/// <param name="Reason">Why it ended.</param>
public sealed record LbfgsResult(double Value, double GradientNorm, int Iterations, int Evaluations, LbfgsStop Reason)
{
    /// <summary>Whether a tolerance was met, rather than a limit or a failure.</summary>
    public bool Converged => Reason is LbfgsStop.GradientTolerance or LbfgsStop.RelativeTolerance;
}
