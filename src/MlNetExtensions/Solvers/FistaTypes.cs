using System.ComponentModel.DataAnnotations;

namespace MlNetMlp.Solvers;

/// <summary>When <see cref="Fista"/> stops, and the step that it starts with.</summary>
public sealed record FistaSettings
{
    /// <summary>Steps at most, at least 1; 10,000 by default.</summary>
    [Range(1, int.MaxValue)]
    public int MaxIterations { get; init; } = 10_000;

    /// <summary>
    /// Stop after a step whose length is at most this many times that of the point, at least 0; 1e-10 by default. Not used where a gap is
    /// given: then only steps of the size of rounding errors end the minimisation.
    /// </summary>
    [Range(0, 1)]
    public double StepTolerance { get; init; } = 1e-10;

    /// <summary>Stop where the gap is at most this, at least 0; 1e-9 by default.</summary>
    [Range(0, double.MaxValue)]
    public double GapTolerance { get; init; } = 1e-9;

    /// <summary>Steps between two looks at the gap, at least 1; 10 by default.</summary>
    [Range(1, int.MaxValue)]
    public int GapInterval { get; init; } = 10;

    /// <summary>
    /// L, the Lipschitz constant of ∇f, whose inverse is the step; null (the default): estimated by <see cref="Fista.EstimateLipschitz"/>.
    /// It grows where gradients turn out to change faster.
    /// </summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double? Lipschitz { get; init; }
}

/// <summary>Why a minimisation ended.</summary>
public enum FistaStop
{
    /// <summary>The gap is within the tolerance.</summary>
    GapTolerance,

    /// <summary>Steps are within the tolerance.</summary>
    StepTolerance,

    /// <summary>The allowed number of steps was made.</summary>
    MaxIterations,

    /// <summary>The callback asked to stop.</summary>
    Stopped,

    /// <summary>The gradient is not finite; the point is the last before.</summary>
    NotFinite,
}

/// <summary>A step of a minimisation.</summary>
/// <param name="Iteration">Steps so far, from 1.</param>
/// <param name="Change">Length of the step relative to that of the point.</param>
/// <param name="Gap">The gap when it was looked at last, or null where none is given.</param>
/// <param name="StepSize">1/L.</param>
public readonly record struct FistaProgress(int Iteration, double Change, double? Gap, double StepSize);

/// <summary>The end of a minimisation.</summary>
/// <param name="Iterations">Steps made.</param>
/// <param name="Reason">Why it ended.</param>
/// <param name="Gap">The gap when it was looked at last, or null where none is given.</param>
public sealed record FistaResult(int Iterations, FistaStop Reason, double? Gap)
{
    /// <summary>Whether a tolerance was met, rather than a limit or a failure.</summary>
    public bool Converged => Reason is FistaStop.GapTolerance or FistaStop.StepTolerance;
}
