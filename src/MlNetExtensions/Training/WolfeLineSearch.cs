namespace MlNetMlp.Training;

// A point on the line x + αd: φ(α) = f(x + αd) and φ'(α) = g(x + αd)ᵀd.
internal readonly record struct LinePoint(double Step, double Value, double Slope)
{
    public bool IsFinite => double.IsFinite(Value) && double.IsFinite(Slope);
}

/// <summary>
/// A step that satisfies the strong Wolfe conditions: Nocedal and Wright, "Numerical Optimization", 2nd edition, algorithms 3.5
/// (bracketing) and 3.6 (zoom), with cubic interpolation (equation 3.59).
/// </summary>
/// <remarks>
/// A point that is not finite counts as far too high, so the search shrinks away from it. Where values differ by no more than their
/// rounding, the sufficient decrease is judged by the slopes, φ'(α) ≤ (2c₁ − 1)φ'(0), which says the same of a parabola and is not
/// drowned by rounding (Hager and Zhang, "A New Conjugate Gradient Method with Guaranteed Descent and an Efficient Line Search", 2005,
/// equation 4.1).
/// </remarks>
internal sealed class WolfeLineSearch(Func<double, LinePoint> evaluate, LbfgsSettings settings, double rounding)
{
    private const double Stretch = 10;
    private LinePoint _origin;
    private double _noise;
    private int _left;

    // The accepted point, which is always the last one evaluated; null where the budget or the precision ran out.
    public LinePoint? Search(LinePoint origin, double step, int budget)
    {
        _origin = origin;
        _noise = rounding * Math.Abs(origin.Value);
        _left = Math.Min(budget, settings.MaxLineSearchEvaluations);
        var previous = origin;
        while (_left > 0)
        {
            var current = Evaluate(step);
            if (IsTooHigh(current, previous))
                return Zoom(previous, current);
            if (IsFlatEnough(current))
                return current;
            if (current.Slope >= 0)
                return Zoom(current, previous);

            // Still falling steeply: go further, between a tenth of the last stride and ten times the way so far.
            var nearest = step + 0.1 * (step - previous.Step);
            var predicted = CubicMinimizer(previous, current);
            step = double.IsNaN(predicted) || predicted <= step ? 2 * step : Math.Clamp(predicted, nearest, Stretch * step);
            previous = current;
        }
        return null;
    }

    // The minimiser of the cubic through two points with their slopes; NaN where there is none.
    internal static double CubicMinimizer(LinePoint a, LinePoint b)
    {
        var d1 = a.Slope + b.Slope - 3 * (a.Value - b.Value) / (a.Step - b.Step);
        var d2 = Math.Sign(b.Step - a.Step) * Math.Sqrt(d1 * d1 - a.Slope * b.Slope);
        return b.Step - (b.Step - a.Step) * (b.Slope + d2 - d1) / (b.Slope - a.Slope + 2 * d2);
    }

    // low is the best point so far that decreases enough; an acceptable point lies between it and high.
    private LinePoint? Zoom(LinePoint low, LinePoint high)
    {
        var widthBefore = double.PositiveInfinity;
        while (_left > 0)
        {
            var width = high.Step - low.Step;
            var step = Inside(low, high, Math.Abs(width) > 0.66 * widthBefore);
            if (step == low.Step || step == high.Step)
                return null;
            widthBefore = Math.Abs(width);

            var current = Evaluate(step);
            if (IsTooHigh(current, low))
            {
                high = current;
                continue;
            }
            if (IsFlatEnough(current))
                return current;
            if (current.Slope * width >= 0)
                high = low;
            low = current;
        }
        return null;
    }

    private static double Inside(LinePoint low, LinePoint high, bool bisect)
    {
        var width = high.Step - low.Step;
        if (!high.IsFinite)
            return low.Step + 0.2 * width;
        var fraction = bisect ? 0.5 : (CubicMinimizer(low, high) - low.Step) / width;
        return low.Step + (double.IsNaN(fraction) ? 0.5 : Math.Clamp(fraction, 0.05, 0.95)) * width;
    }

    private LinePoint Evaluate(double step)
    {
        _left--;
        return evaluate(step);
    }

    private bool IsFlatEnough(LinePoint point) => Math.Abs(point.Slope) <= -settings.Curvature * _origin.Slope;

    private bool IsTooHigh(LinePoint point, LinePoint low)
    {
        if (!point.IsFinite)
            return true;
        if (Math.Abs(point.Value - _origin.Value) <= _noise)
            return point.Slope > (2 * settings.SufficientDecrease - 1) * _origin.Slope;
        return point.Value > _origin.Value + settings.SufficientDecrease * point.Step * _origin.Slope
            || (low.Step > 0 && point.Value >= low.Value);
    }
}
