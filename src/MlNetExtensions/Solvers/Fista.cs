using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Solvers;

/// <summary>
/// Minimises f(x) + g(x), f convex with a gradient that is Lipschitz continuous and g convex with a proximal operator: proximal gradient steps
/// with momentum (Beck and Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems", 2009), which is
/// forgotten where it points uphill (O'Donoghue and Candès, "Adaptive Restart for Accelerated Gradient Schemes", 2015, the gradient scheme).
/// </summary>
/// <remarks>
/// g may be a penalty (lasso, group lasso, nuclear norm) or the indicator of a convex set, whose proximal operator is the projection onto
/// it. No value of f or g is asked for.
/// </remarks>
/// <example>
/// <code>
/// using var x = torch.zeros(p, ScalarType.Float64);                                     // ½‖Ax − b‖² with x ≥ 0
/// Fista.Minimize(x, y => a.t().mv(a.mv(y).sub(b)), (z, step) => z.copy_(torch.nn.functional.relu(z)));
/// </code>
/// </example>
public static class Fista
{
    private const int MostPowerIterations = 200;

    /// <summary>Minimises, starting from and ending in <paramref name="x"/>.</summary>
    /// <param name="x">The starting point, Float32 or Float64 of any shape, on any device, not requiring a gradient. It is moved in place.</param>
    /// <param name="gradient">
    /// ∇f at the point that it is given, as a new tensor of the same shape. Tensors that it makes are disposed after it.
    /// </param>
    /// <param name="proximal">
    /// Changes the point z that it is given, in place, to the minimiser of ½‖u − z‖² + t·g(u), where t is its second argument; for the
    /// indicator of a set to the nearest point of the set.
    /// </param>
    /// <param name="settings">Tolerance and limits; null for the defaults.</param>
    /// <param name="gap">
    /// How far the objective at a point may be above its minimum, such as a duality gap, in the unit of <see cref="FistaSettings.GapTolerance"/>;
    /// null to stop by the length of steps.
    /// </param>
    /// <param name="report">Called after every step; returns false to stop there. Null for nobody.</param>
    /// <param name="cancellation">Looked at before every step.</param>
    /// <returns>Why and after how many steps the minimisation ended.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> asked for it.</exception>
    public static FistaResult Minimize(
        Tensor x, Func<Tensor, Tensor> gradient, Action<Tensor, double> proximal, FistaSettings? settings = null, Func<Tensor, double>? gap = null,
        Func<FistaProgress, bool>? report = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(gradient);
        ArgumentNullException.ThrowIfNull(proximal);
        if (x.numel() == 0 || x.requires_grad || x.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException("The point must be a non-empty tensor of Float32 or Float64 that requires no gradient.", nameof(x));

        settings ??= new();
        using var noGradient = no_grad();
        using var run = new FistaRun(x, gradient, proximal, settings.Lipschitz ?? EstimateLipschitz(x, gradient, cancellation));
        return run.Minimize(settings, gap, report, cancellation);
    }

    /// <summary>
    /// The Lipschitz constant of a gradient, which for a quadratic function is its Hessian's largest eigenvalue: power iteration on
    /// v ↦ ∇f(x + v) − ∇f(x), stopped when it gains less than 0.1 %, and 1 % added for what it may still lack.
    /// </summary>
    /// <param name="x">The point.</param>
    /// <param name="gradient">∇f at the point that it is given, as a new tensor of the same shape.</param>
    /// <param name="cancellation">Looked at before every evaluation.</param>
    /// <returns>The estimate, 0 for a gradient that is the same everywhere.</returns>
    public static double EstimateLipschitz(Tensor x, Func<Tensor, Tensor> gradient, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(gradient);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var random = new Generator(1, CPU);
        var origin = gradient(x);
        var direction = empty(x.shape, x.dtype).normal_(0, 1, random).to(x.device);
        var length = Math.Max(1, Norm(x));
        var estimate = 0.0;
        for (var i = 0; i < MostPowerIterations; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            direction.Scale(length / Norm(direction));
            var change = gradient(x.Plus(direction)).sub(origin);
            var size = Norm(change) / length;
            if (!(size > 0) || !double.IsFinite(size))
                return double.IsFinite(size) ? estimate : throw new ArgumentException("The gradient is not finite near the starting point.", nameof(gradient));
            direction.copy_(change);
            if (size <= estimate * 1.001 && i > 2)
                return Math.Max(size, estimate) * 1.01;
            estimate = Math.Max(size, estimate);
        }

        return estimate * 1.01;
    }

    internal static double Norm(Tensor tensor) => Math.Sqrt(InnerProduct(tensor, tensor));

    internal static double InnerProduct(Tensor left, Tensor right)
    {
        using var a = left.flatten();
        using var b = right.flatten();
        return a.Dot(b);
    }
}

/// <summary>The state of one minimisation.</summary>
internal sealed class FistaRun : IDisposable
{
    private readonly Tensor _x;
    private readonly Func<Tensor, Tensor> _gradient;
    private readonly Action<Tensor, double> _proximal;
    private readonly Tensor _ahead;
    private readonly Tensor _aheadBefore;
    private readonly Tensor _slope;
    private readonly double _epsilon;
    private double _lipschitz;
    private double _momentum = 1;

    public FistaRun(Tensor x, Func<Tensor, Tensor> gradient, Action<Tensor, double> proximal, double lipschitz)
    {
        (_x, _gradient, _proximal) = (x, gradient, proximal);

        // A linear f asks for no particular step.
        _lipschitz = lipschitz > 0 ? lipschitz : 1;
        _epsilon = x.dtype == ScalarType.Float64 ? double.BitIncrement(1) - 1 : float.BitIncrement(1) - 1;
        (_ahead, _aheadBefore, _slope) = (x.clone(), empty_like(x), empty_like(x));
    }

    public FistaResult Minimize(FistaSettings settings, Func<Tensor, double>? gap, Func<FistaProgress, bool>? report, CancellationToken cancellation)
    {
        var left = gap?.Invoke(_x);
        var iteration = 0;
        while (!(left <= settings.GapTolerance))
        {
            if (iteration == settings.MaxIterations)
                return Stop(FistaStop.MaxIterations);
            cancellation.ThrowIfCancellationRequested();
            if (Step(iteration == 0) is not { } change)
                return Stop(FistaStop.NotFinite);
            iteration++;
            if (gap is not null && iteration % settings.GapInterval == 0)
                left = gap(_x);
            if (report?.Invoke(new(iteration, change, left, 1 / _lipschitz)) == false)
                return Stop(FistaStop.Stopped);
            if (change <= (gap is null ? settings.StepTolerance : 4 * _epsilon))
                return Stop(FistaStop.StepTolerance);
        }

        return Stop(FistaStop.GapTolerance);

        FistaResult Stop(FistaStop reason) => new(iteration, reason, reason == FistaStop.StepTolerance ? gap?.Invoke(_x) : left);
    }

    public void Dispose()
    {
        _ahead.Dispose();
        _aheadBefore.Dispose();
        _slope.Dispose();
    }

    // One step from y, the point ahead of x: its length relative to that of x, or null where the gradient is not finite.
    private double? Step(bool isFirst)
    {
        using var scope = NewDisposeScope();
        var slope = _gradient(_ahead);
        if (!isFirst)
            WidenLipschitz(slope);
        _aheadBefore.copy_(_ahead);
        _slope.copy_(slope);

        var next = _ahead.clone();
        next.AddScaled(slope, -1 / _lipschitz);
        _proximal(next, 1 / _lipschitz);
        var back = _ahead.sub(next);
        var change = Fista.Norm(back);
        if (!double.IsFinite(change))
            return null;

        var moved = next.sub(_x);
        var isUphill = Fista.InnerProduct(back, moved) > 0;
        var following = isUphill ? 1 : (1 + Math.Sqrt(1 + (4 * _momentum * _momentum))) / 2;
        _x.copy_(next);
        _ahead.copy_(next);
        if (!isUphill)
            _ahead.AddScaled(moved, (_momentum - 1) / following);
        _momentum = following;
        var size = Fista.Norm(next);
        return size > 0 ? change / size : change > 0 ? double.PositiveInfinity : 0;
    }

    // Where the gradient changed faster than the constant allows, the constant was too small. Changes of the size of rounding errors say nothing.
    private void WidenLipschitz(Tensor slope)
    {
        var distance = Fista.Norm(_ahead.sub(_aheadBefore));
        if (!(distance > Math.Sqrt(_epsilon) * Fista.Norm(_ahead)))
            return;
        var found = Fista.Norm(slope.sub(_slope)) / distance;
        if (found > _lipschitz && double.IsFinite(found))
            _lipschitz = 1.01 * found;
    }
}
