using System.Diagnostics.CodeAnalysis;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// L-BFGS with a strong Wolfe line search, on one flat vector of any device (Liu and Nocedal, "On the Limited Memory BFGS Method for
/// Large Scale Optimization", 1989; Nocedal and Wright, "Numerical Optimization", algorithms 7.5, 3.5 and 3.6). For smooth functions
/// whose value and gradient are exact: full batches, not samples of them.
/// </summary>
public static class LbfgsMinimizer
{
    /// <summary>Minimises a function, starting from and ending in <paramref name="x"/>.</summary>
    /// <param name="x">
    /// The starting point, shape [n], Float32 or Float64, contiguous, not requiring a gradient (<see cref="FlatParameters.Values"/>
    /// will do). It is moved in place and holds the last accepted point at the end, also when an exception ends the minimisation.
    /// </param>
    /// <param name="evaluate">
    /// Returns f at <paramref name="x"/> as it then is, and fills the tensor that it is given, shape [n], with the gradient there.
    /// Tensors that it makes are disposed after it. A value or gradient that is not finite makes the step shrink.
    /// </param>
    /// <param name="settings">The history's length, tolerances and limits; <see langword="null"/> for the defaults.</param>
    /// <param name="report">Called after every accepted step; returns <see langword="false"/> to stop there.</param>
    /// <param name="cancellation">Looked at before every evaluation.</param>
    /// <returns>The value reached, and why the minimisation ended.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> asked for it.</exception>
    public static LbfgsResult Minimize(Tensor x, Func<Tensor, double> evaluate, LbfgsSettings? settings = null,
        Func<LbfgsProgress, bool>? report = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(evaluate);
        if (x.dim() != 1 || x.numel() == 0 || !x.is_contiguous() || x.requires_grad
            || x.dtype is not (ScalarType.Float32 or ScalarType.Float64))
        {
            throw new ArgumentException(
                "The point must be a contiguous, non-empty vector of Float32 or Float64 that requires no gradient.", nameof(x));
        }
        using LbfgsTensors vectors = new(x, evaluate, Checked(ref settings));
        return new Run(vectors, settings, cancellation).Minimize(report);
    }

    /// <summary>
    /// Minimises a function on an array of the host, for small problems whose cost would otherwise be that of calling tensor operations.
    /// Nothing is allocated for an evaluation.
    /// </summary>
    /// <param name="x">The starting point, at least one value. It is moved in place and holds the last accepted point at the end.</param>
    /// <param name="evaluate">Returns f at <paramref name="x"/> as it then is, and fills the array that it is given with the gradient there.</param>
    /// <param name="settings">The history's length, tolerances and limits; <see langword="null"/> for the defaults.</param>
    /// <param name="report">Called after every accepted step; returns <see langword="false"/> to stop there.</param>
    /// <param name="cancellation">Looked at before every evaluation.</param>
    /// <returns>The value reached, and why the minimisation ended.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> asked for it.</exception>
    public static LbfgsResult Minimize(double[] x, Func<double[], double> evaluate, LbfgsSettings? settings = null,
        Func<LbfgsProgress, bool>? report = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(evaluate);
        if (x.Length == 0)
            throw new ArgumentException("The point must have at least one value.", nameof(x));
        using LbfgsArrays vectors = new(x, evaluate, Checked(ref settings));
        return new Run(vectors, settings, cancellation).Minimize(report);
    }

    private static LbfgsSettings Checked([NotNull] ref LbfgsSettings? settings)
    {
        settings ??= new();
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.History, 1);
        return settings.SufficientDecrease > 0 && settings.SufficientDecrease < settings.Curvature && settings.Curvature < 1
            ? settings
            : throw new ArgumentException("The Wolfe constants must satisfy 0 < SufficientDecrease < Curvature < 1, and are "
                + $"{settings.SufficientDecrease} and {settings.Curvature}.", nameof(settings));
    }

    private sealed class Run
    {
        private readonly LbfgsVectors _vectors;
        private readonly LbfgsSettings _settings;
        private readonly CancellationToken _cancellation;
        private readonly WolfeLineSearch _search;
        private int _evaluations;
        private int _iterations;
        private double _value;

        public Run(LbfgsVectors vectors, LbfgsSettings settings, CancellationToken cancellation)
        {
            _vectors = vectors;
            _settings = settings;
            _cancellation = cancellation;
            // Sums over many rows and ill-conditioned sums lose several digits: values that agree in two thirds of the digits are
            // told apart by their slopes only (4e-11 of the value in Float64, 2e-5 in Float32).
            _search = new(At, settings, Math.Pow(settings.Precision ?? vectors.Epsilon, 2.0 / 3));
        }

        public LbfgsResult Minimize(Func<LbfgsProgress, bool>? report)
        {
            _value = Evaluate();
            _vectors.KeepGradient();
            if (!double.IsFinite(_value) || !double.IsFinite(_vectors.GradientNorm))
                return Stop(LbfgsStop.NotFiniteAtStart);

            while (true)
            {
                if (_vectors.GradientNorm <= _settings.GradientTolerance)
                    return Stop(LbfgsStop.GradientTolerance);
                if (_iterations >= _settings.MaxIterations)
                    return Stop(LbfgsStop.MaxIterations);
                if (_evaluations >= _settings.MaxEvaluations)
                    return Stop(LbfgsStop.MaxEvaluations);

                if (Advance() is not { } accepted)
                {
                    if (_evaluations >= _settings.MaxEvaluations)
                        return Stop(LbfgsStop.MaxEvaluations);
                    if (_vectors.IsEmpty)
                        return Stop(LbfgsStop.LineSearchFailed);
                    // What was learnt of the curvature misleads here: start again along the negative gradient.
                    _vectors.Forget();
                    continue;
                }

                _vectors.KeepStep();
                _iterations++;
                var decrease = (_value - accepted.Value) / Math.Max(Math.Max(Math.Abs(_value), Math.Abs(accepted.Value)), 1);
                _value = accepted.Value;
                if (report?.Invoke(new(_iterations, _evaluations, _value, _vectors.GradientNorm, accepted.Step)) == false)
                    return Stop(LbfgsStop.Stopped);
                if (_settings.RelativeTolerance > 0 && decrease <= _settings.RelativeTolerance
                    && _vectors.GradientNorm > _settings.GradientTolerance)
                {
                    return Stop(LbfgsStop.RelativeTolerance);
                }
            }
        }

        // Moves x along the quasi-Newton direction; leaves it where it was, and gives null, where no acceptable step was found.
        private LinePoint? Advance()
        {
            var slope = _vectors.Direct();
            if (!(slope < 0) || !double.IsFinite(slope))
                return null;

            // Without curvature the gradient's length says nothing of the step's: move by at most one unit.
            var first = _vectors.IsEmpty ? Math.Min(1, 1 / _vectors.GradientNorm) : 1;
            LinePoint? accepted = null;
            try
            {
                accepted = _search.Search(new(0, _value, slope), first, _settings.MaxEvaluations - _evaluations);
            }
            finally
            {
                if (accepted is null)
                    _vectors.Return();
            }
            return accepted;
        }

        private LinePoint At(double step)
        {
            _vectors.Move(step);
            var value = Evaluate();
            return new(step, value, _vectors.TrialSlope);
        }

        private double Evaluate()
        {
            _cancellation.ThrowIfCancellationRequested();
            _evaluations++;
            return _vectors.Evaluate();
        }

        private LbfgsResult Stop(LbfgsStop reason) => new(_value, _vectors.GradientNorm, _iterations, _evaluations, reason);
    }
}
