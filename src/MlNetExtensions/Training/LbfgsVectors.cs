using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace MlNetMlp.Training;

/// <summary>The vectors of an L-BFGS minimisation, wherever they are: the point x, its origin on a line, the direction and gradients.</summary>
internal abstract class LbfgsVectors : IDisposable
{
    // The distance from 1 to the next number.
    public abstract double Epsilon { get; }

    // ‖g‖₂ where the last step ended.
    public abstract double GradientNorm { get; }

    public abstract bool IsEmpty { get; }

    // g(x)ᵀd at the point evaluated last.
    public abstract double TrialSlope { get; }

    // f at x, with the gradient there as the trial gradient.
    public abstract double Evaluate();

    // Takes the trial gradient for that of the starting point.
    public abstract void KeepGradient();

    // Keeps the step from the origin to x, and the trial gradient for that of x.
    public abstract void KeepStep();

    // Sets d = −Hg and the origin to x; returns gᵀd.
    public abstract double Direct();

    // x = origin + αd.
    public abstract void Move(double step);

    // x = origin.
    public abstract void Return();

    public abstract void Forget();

    public abstract void Dispose();
}

/// <summary>Vectors that are tensors of any device.</summary>
internal sealed class LbfgsTensors : LbfgsVectors
{
    private readonly Tensor _x;
    private readonly Func<Tensor, double> _evaluate;
    private readonly LbfgsHistory _history;
    private readonly Tensor _origin;
    private readonly Tensor _direction;
    private readonly Tensor _trialGradient;

    public LbfgsTensors(Tensor x, Func<Tensor, double> evaluate, LbfgsSettings settings)
    {
        _x = x;
        _evaluate = evaluate;
        _history = new(settings.History, x);
        _origin = torch.empty_like(x).DetachFromDisposeScope();
        _direction = torch.zeros_like(x).DetachFromDisposeScope();
        _trialGradient = torch.zeros_like(x).DetachFromDisposeScope();
    }

    public override double Epsilon => LbfgsHistory.Epsilon(_x.dtype);

    public override double GradientNorm => _history.GradientNorm;

    public override bool IsEmpty => _history.IsEmpty;

    public override double TrialSlope => _trialGradient.Dot(_direction);

    public override double Evaluate()
    {
        using var scope = torch.NewDisposeScope();
        return _evaluate(_trialGradient);
    }

    public override void KeepGradient() => _history.SetGradient(_trialGradient);

    public override void KeepStep() => _history.Push(_origin, _x, _trialGradient);

    public override double Direct()
    {
        _history.Direction(_direction);
        _origin.copy_(_x);
        return _history.Gradient.Dot(_direction);
    }

    public override void Move(double step)
    {
        _x.copy_(_origin);
        _x.AddScaled(_direction, step);
    }

    public override void Return() => _x.copy_(_origin);

    public override void Forget() => _history.Clear();

    public override void Dispose()
    {
        _history.Dispose();
        _origin.Dispose();
        _direction.Dispose();
        _trialGradient.Dispose();
    }
}

/// <summary>Vectors that are arrays, with the two-loop recursion as it stands in the book (Nocedal and Wright, algorithm 7.4).</summary>
internal sealed class LbfgsArrays(double[] x, Func<double[], double> evaluate, LbfgsSettings settings) : LbfgsVectors
{
    private readonly double[] _origin = new double[x.Length];
    private readonly double[] _direction = new double[x.Length];
    private readonly double[] _gradient = new double[x.Length];
    private readonly double[] _trialGradient = new double[x.Length];
    private readonly double[][] _steps = Rows(settings.History, x.Length);
    private readonly double[][] _changes = Rows(settings.History, x.Length);
    private readonly double[] _curvatures = new double[settings.History];
    private readonly double[] _alphas = new double[settings.History];
    private int _count;
    private int _next;

    public override double Epsilon => Math.BitIncrement(1.0) - 1;

    public override double GradientNorm => Math.Sqrt(Dot(_gradient, _gradient));

    public override bool IsEmpty => _count == 0;

    public override double TrialSlope => Dot(_trialGradient, _direction);

    public override double Evaluate() => evaluate(_trialGradient);

    public override void KeepGradient() => _trialGradient.CopyTo(_gradient, 0);

    public override void KeepStep()
    {
        var (step, change) = (_steps[_next], _changes[_next]);
        TensorPrimitives.Subtract(x, _origin, step);
        TensorPrimitives.Subtract(_trialGradient, _gradient, change);
        KeepGradient();

        // The Wolfe conditions promise sᵀy > 0; a pair of which rounding left nothing would make H indefinite.
        var (ss, sy, yy) = (Dot(step, step), Dot(step, change), Dot(change, change));
        if (!(sy > Epsilon * Math.Sqrt(ss * yy)) || !double.IsFinite(yy))
        {
            // It was written over the oldest pair of a full history.
            _count = Math.Min(_count, _steps.Length - 1);
            return;
        }

        _curvatures[_next] = sy;
        _next = (_next + 1) % _steps.Length;
        _count = Math.Min(_count + 1, _steps.Length);
    }

    public override double Direct()
    {
        x.CopyTo(_origin, 0);
        TensorPrimitives.Negate(_gradient, _direction);
        for (var i = 1; i <= _count; i++)
        {
            var slot = Slot(i);
            _alphas[slot] = Dot(_steps[slot], _direction) / _curvatures[slot];
            AddScaled(_direction, _changes[slot], -_alphas[slot]);
        }

        if (_count > 0)
        {
            // γ = sᵀy / yᵀy, the size of the initial H.
            var newest = Slot(1);
            TensorPrimitives.Multiply(_direction, _curvatures[newest] / Dot(_changes[newest], _changes[newest]), _direction);
        }

        for (var i = _count; i >= 1; i--)
        {
            var slot = Slot(i);
            AddScaled(_direction, _steps[slot], _alphas[slot] - (Dot(_changes[slot], _direction) / _curvatures[slot]));
        }

        return Dot(_gradient, _direction);
    }

    public override void Move(double step) => TensorPrimitives.MultiplyAdd(_direction, step, _origin, x);

    public override void Return() => _origin.CopyTo(x, 0);

    public override void Forget() => _count = 0;

    public override void Dispose()
    {
    }

    // The slot of the i-th newest step.
    private int Slot(int i) => (_next - i + _steps.Length) % _steps.Length;

    private static double[][] Rows(int count, int length) => [.. Enumerable.Range(0, count).Select(_ => new double[length])];

    private static double Dot(double[] a, double[] b) => TensorPrimitives.Dot<double>(a, b);

    private static void AddScaled(double[] target, double[] other, double factor) => TensorPrimitives.MultiplyAdd(other, factor, target, target);
}
