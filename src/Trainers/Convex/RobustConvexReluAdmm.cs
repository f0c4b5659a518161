using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Convex;

/// <summary>
/// ADMM on the program of adversarial training, with a copy of u for each part of it: v for the penalty, (q, r) = (cGu, u) in the robust cone, and (p, m) = (Fu, Mu) for the loss. In sum and difference
/// coordinates the linear system is one of size d and one of size dP, both factored once for each ρ.
/// </summary>
internal sealed class RobustConvexReluAdmm : IDisposable
{
    private const int MostChanges = 20;
    private const double SplitPenalty = 0.1;

    private readonly RobustConvexReluProgram _program;
    private readonly ConvexReluProgram _inner;
    private readonly ConvexReluAdmmSettings _settings;
    private readonly Tensor _box;
    private readonly Tensor _inverse;
    private readonly Tensor _products;
    private readonly Tensor[] _copies;
    private readonly Tensor[] _duals;
    private Tensor? _factor;
    private int _changes;

    public RobustConvexReluAdmm(RobustConvexReluProgram program, ConvexReluAdmmSettings settings)
    {
        using var scope = NewDisposeScope();
        (_program, _inner, _settings, Rho) = (program, program.Inner, settings, settings.Rho);
        _box = program.Epsilon.Times(_inner.ConeScale).DetachFromDisposeScope();
        var b = _inner.Gram.to(ScalarType.Float64).Times(_inner.ConeScale * _inner.ConeScale);
        b.diagonal().Shift(2);
        _inverse = linalg.inv(b).to(_inner.X.dtype).DetachFromDisposeScope();

        // FᵀF + MᵀM, which sees rows one by one and features each alone.
        var (d, p) = (_inner.Width, _inner.Patterns);
        _products = ConvexReluPatternFactor.GateProducts(_inner, _inner.Gates).DetachFromDisposeScope();
        _products.view(d, p, d, p).diagonal(0, 0, 2).AddScaled(program.RootGates.t().mm(program.RootGates).unsqueeze(2));
        Tensor[] Parts() =>
        [
            .. new[]
            {
                _inner.Zeros(d, 2, p), _inner.Zeros(d, 2, p), _inner.Zeros(_inner.Rows, 2, p), _inner.Zeros(_inner.Rows, 1), _inner.Zeros(_inner.Rows, d),
            }.Select(tensor => tensor.DetachFromDisposeScope()),
        ];
        (_copies, _duals) = (Parts(), Parts());
    }

    public double Rho { get; private set; }

    /// <summary>v, the solution so far [d, 2, P].</summary>
    public Tensor V => _copies[0];

    public int Iterations { get; private set; }

    private double Kappa => SplitPenalty / Rho;

    /// <summary>One iteration.</summary>
    public ConvexReluIteration Next()
    {
        using var scope = NewDisposeScope();
        if (_factor is null)
            Factor();
        var u = Solve(Transposed([.. _copies.Zip(_duals, (copy, dual) => copy.sub(dual))]));
        Tensor[] images = [u, u, _inner.Signed(u), _inner.Gated(_inner.Difference(u)), _program.RowWeights(u)];
        Tensor[] before = [.. _copies.Select(copy => copy.clone())];
        UpdateCopies([.. images.Zip(_duals, (image, dual) => image.Plus(dual))]);

        var (primal, size) = (0.0, 0.0);
        for (var i = 0; i < images.Length; i++)
        {
            var (weight, gap) = (i >= 3 ? Kappa : 1, images[i].sub(_copies[i]));
            primal += weight * Square(gap);
            size += weight * Math.Max(Square(images[i]), Square(_copies[i]));
            _duals[i].AddScaled(gap, _settings.DualStep);
        }

        var moved = Square(Transposed([.. _copies.Zip(before, (copy, old) => copy.sub(old))]));
        var dualSize = Square(Transposed([_duals[0], _duals[1], _duals[2], _duals[3].Times(0), _duals[4].Times(0)]));
        Iterations++;
        double variables = u.numel();
        var primalTolerance = (Math.Sqrt((2 * variables) + (2 * _inner.TotalWeight * _inner.Patterns)) * _settings.AbsoluteTolerance)
            + (_settings.RelativeTolerance * Math.Sqrt(size));
        var dualTolerance = (Math.Sqrt(variables) * _settings.AbsoluteTolerance) + (_settings.RelativeTolerance * Rho * Math.Sqrt(dualSize));
        var iteration = new ConvexReluIteration(
            Math.Sqrt(primal) / primalTolerance, Rho * Math.Sqrt(moved) / dualTolerance, _inner.LossSum(_inner.Unscaled(images[3])));
        Balance(iteration);
        return iteration;
    }

    /// <summary>A lower bound of the program's minimum, and the residual of the conditions of optimality: see <see cref="ConvexReluAdmm.Judge"/>.</summary>
    public (double Bound, double Stationarity) Judge()
    {
        using var scope = NewDisposeScope();
        var slopes = Transposed([_duals[0].Times(0), _duals[1], _duals[2], _duals[3], _duals[4]]).Times(-Rho);
        var longest = ConvexReluProgram.GroupNorms(slopes).max().ToDouble();
        var factor = _inner.Beta / Math.Max(longest, _inner.Beta);
        var dual = _inner.Loss.DualValues(_inner.Unscaled(_duals[3]).Times(-SplitPenalty * factor), _inner.Targets);
        return (_inner.Weighted(dual).sum(ScalarType.Float64).ToDouble(), _inner.Stationarity(V, slopes));
    }

    public void Dispose()
    {
        foreach (var tensor in _copies.Concat(_duals).Append(_box).Append(_inverse).Append(_products).Append(_factor))
            tensor?.Dispose();
    }

    private static double Square(Tensor tensor)
    {
        using var scope = NewDisposeScope();
        return tensor.mul(tensor).sum().ToDouble();
    }

    // v + r + cGᵀq + κ(Fᵀp + Mᵀm).
    private Tensor Transposed(Tensor[] parts)
    {
        var sum = parts[0].Plus(parts[1]);
        sum.AddScaled(_inner.SignedTransposed(parts[2]));
        sum.AddScaled(ConvexReluProgram.Opposed(_inner.GatedTransposed(parts[3])), Kappa);
        sum.AddScaled(_program.RowWeightsTransposed(parts[4]), Kappa);
        return sum;
    }

    private void UpdateCopies(Tensor[] points)
    {
        _copies[0].copy_(ConvexReluProgram.ShrinkGroups(points[0], _inner.Beta / Rho));
        RobustConvexReluProgram.Project(points[2], points[1], _box, _inner.RootWeights);
        _copies[1].copy_(points[1]);
        _copies[2].copy_(points[2]);
        var (p, m) = RobustConvexReluProgram.Proximal(
            _inner.Unscaled(points[3]), _inner.Unscaled(points[4]), _inner.Targets, _inner.Loss, _program.Epsilon, SplitPenalty);
        _copies[3].copy_(_inner.Scaled(p));
        _copies[4].copy_(_inner.Scaled(m));
    }

    // (2I + c²GᵀG + κFᵀF + κMᵀM)u = b.
    private Tensor Solve(Tensor b)
    {
        var (d, p) = (_inner.Width, _inner.Patterns);
        var (bu, bz) = (b.narrow(1, 0, 1), b.narrow(1, 1, 1));
        var sum = _inverse.mm(bu.Plus(bz).Times(0.5).reshape(d, p)).unsqueeze(1);
        var t = bu.sub(bz).Times(0.5).reshape(d * p, 1).cholesky_solve(_factor!).view(d, 1, p);
        return cat([sum.Plus(t), sum.sub(t)], 1);
    }

    private void Factor()
    {
        _factor?.Dispose();
        var (d, p) = (_inner.Width, _inner.Patterns);
        var matrix = _products.Times(2 * Kappa);
        matrix.view(d, p, d, p).diagonal(0, 1, 3).AddScaled(_inner.Gram.unsqueeze(2), _inner.ConeScale * _inner.ConeScale);
        matrix.diagonal().Shift(2);
        _factor = linalg.cholesky(matrix).DetachFromDisposeScope();
    }

    private void Balance(ConvexReluIteration iteration)
    {
        var factor = _settings.Balance(iteration, Iterations);
        if (factor == 1 || _changes == MostChanges)
            return;
        _changes++;
        Rho *= factor;
        foreach (var dual in _duals[..3])
            dual.Scale(1 / factor);
        Factor();
    }
}
