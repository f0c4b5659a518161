using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;

namespace MlNetMlp.Training;

/// <summary>
/// How the learning rate changes over a training: a multiplier in [0, 1] of the base rate for each optimiser step, after an optional
/// linear warm-up.
/// </summary>
/// <remarks>
/// With w warm-up steps, step t (from 0) of T has the multiplier (t+1)/w while t &lt; w, and then the shape's own, counted from the end
/// of the warm-up. A schedule holds no state, so one can serve many trainings and a resumed one.
/// </remarks>
[JsonDerivedType(typeof(ConstantSchedule), "constant")]
[JsonDerivedType(typeof(CosineSchedule), "cosine")]
[JsonDerivedType(typeof(StepSchedule), "step")]
[JsonDerivedType(typeof(BumpSchedule), "bumps")]
public abstract record LearningRateSchedule
{
    /// <summary>
    /// Warm-up as a fraction of all steps, in [0, 1]; 0 (the default) for none. Not used where <see cref="WarmUpSteps"/> is set.
    /// </summary>
    [Range(0.0, 1.0)]
    public double WarmUpFraction { get; init; }

    /// <summary>
    /// Warm-up as a number of steps, at least 0; <see langword="null"/> (the default) to use <see cref="WarmUpFraction"/>.
    /// </summary>
    [Range(0, long.MaxValue)]
    public long? WarmUpSteps { get; init; }

    /// <summary>The base rate throughout (after warm-up).</summary>
    public static ConstantSchedule Constant() => new();

    /// <summary>Half a cosine from 1 down to <paramref name="finalFraction"/>: see <see cref="CosineSchedule"/>.</summary>
    /// <param name="finalFraction">The multiplier at the end, in [0, 1].</param>
    public static CosineSchedule Cosine(double finalFraction = 0) => new() { FinalFraction = finalFraction };

    /// <summary>A drop by a factor after every given fraction of the training: see <see cref="StepSchedule"/>.</summary>
    /// <param name="everyFraction">The time between drops as a fraction of all steps, in (0, 1]: epochs between drops / all epochs.</param>
    /// <param name="factor">What each drop multiplies by, in [0, 1].</param>
    public static StepSchedule Step(double everyFraction, double factor) => new() { EveryFraction = everyFraction, Factor = factor };

    /// <summary>A drop by a factor after every given number of epochs: see <see cref="StepSchedule"/>.</summary>
    /// <param name="everyEpochs">Epochs between drops, at least 1.</param>
    /// <param name="epochs">Epochs of the whole training, at least 1.</param>
    /// <param name="factor">What each drop multiplies by, in [0, 1].</param>
    public static StepSchedule StepEpochs(int everyEpochs, int epochs, double factor)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(everyEpochs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(epochs, 1);
        return new() { EveryFraction = Math.Min(1, (double)everyEpochs / epochs), Factor = everyEpochs < epochs ? factor : 1 };
    }

    /// <summary>Bumps of growing length, each of which rises from 0 and comes back to it: see <see cref="BumpSchedule"/>.</summary>
    /// <param name="count">Number of bumps, in [1, 16].</param>
    public static BumpSchedule Bumps(int count = 4) => new() { Count = count };

    /// <summary>The multiplier of the base learning rate for one optimiser step.</summary>
    /// <param name="step">The step, counted from 0; from <paramref name="totalSteps"/> on it is the schedule's end.</param>
    /// <param name="totalSteps">The steps of the whole training, at least 1.</param>
    /// <returns>A number in [0, 1].</returns>
    public double At(long step, long totalSteps)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        ArgumentOutOfRangeException.ThrowIfLessThan(totalSteps, 1);
        var warmUp = WarmUpSteps ?? (long)Math.Round(WarmUpFraction * totalSteps);
        if (step < warmUp)
            return (step + 1.0) / warmUp;
        var remaining = Math.Max(1, totalSteps - warmUp);
        return Math.Clamp(Shape(Math.Min(step - warmUp, remaining), remaining), 0, 1);
    }

    /// <summary>The multiplier after warm-up.</summary>
    /// <param name="t">The step counted from the end of the warm-up, in [0, <paramref name="totalSteps"/>].</param>
    /// <param name="totalSteps">The steps that follow the warm-up, at least 1.</param>
    protected abstract double Shape(long t, long totalSteps);
}

/// <summary>The multiplier 1 at every step after warm-up.</summary>
public sealed record ConstantSchedule : LearningRateSchedule
{
    /// <inheritdoc/>
    protected override double Shape(long t, long totalSteps) => 1;
}

/// <summary>
/// Half a cosine: f + (1 − f)·(1 + cos(π·t/T))/2 for step t of T after warm-up, with f the final fraction
/// (Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, one period).
/// </summary>
public sealed record CosineSchedule : LearningRateSchedule
{
    /// <summary>f, the multiplier that the curve ends at, in [0, 1]; 0 by default.</summary>
    [Range(0.0, 1.0)]
    public double FinalFraction { get; init; }

    /// <inheritdoc/>
    protected override double Shape(long t, long totalSteps) =>
        FinalFraction + (1 - FinalFraction) * (1 + Math.Cos(Math.PI * t / totalSteps)) / 2;
}

/// <summary>A staircase: factor^⌊t/k⌋ for step t after warm-up, with k the steps between drops.</summary>
public sealed record StepSchedule : LearningRateSchedule
{
    /// <summary>
    /// k as a fraction of the steps after warm-up, in (0, 1]; a third by default. Not used where <see cref="EverySteps"/> is set.
    /// </summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double EveryFraction { get; init; } = 1.0 / 3;

    /// <summary>k as a number of steps, at least 1; <see langword="null"/> (the default) to use <see cref="EveryFraction"/>.</summary>
    [Range(1, long.MaxValue)]
    public long? EverySteps { get; init; }

    /// <summary>What each drop multiplies by, in [0, 1]; 0.1 by default.</summary>
    [Range(0.0, 1.0)]
    public double Factor { get; init; } = 0.1;

    /// <inheritdoc/>
    protected override double Shape(long t, long totalSteps)
    {
        // Whole steps, so that rounding in the fraction cannot move a drop.
        var every = Math.Max(1, EverySteps ?? (long)Math.Round(EveryFraction * totalSteps));
        return Math.Pow(Factor, Math.Min(t, totalSteps - 1) / every);
    }
}

/// <summary>
/// Bumps of which each is about twice as long as the one before: (1 − cos(2π·log₂(1 + (2ⁿ − 1)·t/T)))/2 for step t of T after warm-up. The rate is 0 at the end of each of the n bumps, so that
/// a choice among the epochs is one among n trainings that came to rest (Holzmüller and others, "Better by Default", 2024).
/// </summary>
public sealed record BumpSchedule : LearningRateSchedule
{
    /// <summary>n, number of bumps, in [1, 16]; 4 by default.</summary>
    [Range(1, 16)]
    public int Count { get; init; } = 4;

    /// <inheritdoc/>
    protected override double Shape(long t, long totalSteps) =>
        (1 - Math.Cos(2 * Math.PI * Math.Log2(1 + (((1L << Count) - 1) * (double)t / totalSteps)))) / 2;
}
