using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Convex;

/// <summary>How an ADMM runs.</summary>
/// <param name="Rho">ρ to start with.</param>
/// <param name="DualStep">γ/ρ, in (0, (1 + √5)/2).</param>
/// <param name="AbsoluteTolerance">Residuals for each value at which it stops.</param>
/// <param name="RelativeTolerance">Residuals relative to what they are differences of.</param>
/// <param name="Balances">Whether ρ changes with the residuals.</param>
internal sealed record ConvexReluAdmmSettings(
    double Rho, double DualStep = 1, double AbsoluteTolerance = 1e-4, double RelativeTolerance = 1e-3, bool Balances = true)
{
    private const int BalanceInterval = 20;
    private const double Imbalance = 10;

    /// <summary>ρ where none is given.</summary>
    /// <param name="beta">β.</param>
    /// <param name="totalWeight">Σw.</param>
    public static double UsualRho(double beta, double totalWeight) => Math.Max(10 * beta, totalWeight / 30);

    /// <summary>What ρ is multiplied by after an iteration, so that both residuals fall alike; 1 where it stays.</summary>
    /// <param name="iteration">The iteration.</param>
    /// <param name="count">Its number, from 1.</param>
    public double Balance(ConvexReluIteration iteration, int count) =>
        !Balances || count % BalanceInterval != 0 || iteration.IsConverged ? 1
        : iteration.Primal > Imbalance * iteration.Dual ? 2
        : iteration.Dual > Imbalance * iteration.Primal ? 0.5
        : 1;
}

/// <summary>An iteration of an ADMM.</summary>
/// <param name="Primal">‖(u − v, Gu − s)‖, relative to its tolerance.</param>
/// <param name="Dual">The dual residual, relative to its tolerance.</param>
/// <param name="Loss">ℓ(Fu).</param>
internal readonly record struct ConvexReluIteration(double Primal, double Dual, double Loss)
{
    public bool IsConverged => Primal <= 1 && Dual <= 1;
}

/// <summary>
/// The alternating direction method of multipliers on ℓ(Fu) + β‖v‖₂,₁ with u = v, cGu = s ≥ 0; for losses other than the squared one also Fu = p, whose
/// penalty does not change with ρ: values are of the size of labels whatever the number of rows is.
/// The slacks s are never kept, only their duals ν, the largest tensor of all; Gᵀs and Gᵀν are carried on from step to step.
/// </summary>
internal sealed class ConvexReluAdmm : IDisposable
{
    private const int MostChanges = 50;

    // The penalty of Fu = p, for labels of size one.
    private const double SplitPenalty = 0.1;

    private readonly ConvexReluProgram _program;
    private readonly ConvexReluUStep _step;
    private readonly ConvexReluAdmmSettings _settings;
    private readonly bool _isSplit;
    private readonly Tensor _lambda;
    private readonly Tensor _nu;
    private readonly Tensor _constant;
    private readonly Tensor? _p;
    private readonly Tensor? _mu;
    private Tensor _slackSums;
    private Tensor _dualSums;
    private Tensor? _fit;
    private int _changes;

    /// <summary>Starts at zero, or at a point.</summary>
    /// <param name="program">The program.</param>
    /// <param name="step">Solves its linear system. The caller keeps it.</param>
    /// <param name="settings">How to run.</param>
    /// <param name="initial">v to start from [d, G, P]; null for 0.</param>
    public ConvexReluAdmm(ConvexReluProgram program, ConvexReluUStep step, ConvexReluAdmmSettings settings, Tensor? initial = null)
    {
        using var scope = NewDisposeScope();
        (_program, _step, _settings, Rho) = (program, step, settings, settings.Rho);
        _isSplit = !program.Loss.IsSquared;
        long[] shape = [program.Width, program.Groups, program.Patterns];
        V = (initial?.clone() ?? program.Zeros(shape)).DetachFromDisposeScope();
        (_lambda, _dualSums) = (program.Zeros(shape).DetachFromDisposeScope(), program.Zeros(shape).DetachFromDisposeScope());
        _nu = program.Zeros(program.Rows, program.Groups, program.Patterns).DetachFromDisposeScope();
        _slackSums = (initial is null ? program.Zeros(shape) : program.SignedTransposed(program.Signed(initial).relu_())).DetachFromDisposeScope();
        _constant = (_isSplit ? program.Zeros(1) : ConvexReluProgram.Opposed(program.GatedTransposed(program.Scaled(program.Targets)))).DetachFromDisposeScope();
        if (_isSplit)
        {
            _p = (initial is null ? program.Zeros(program.Rows, program.Outputs) : program.Gated(program.Difference(initial))).DetachFromDisposeScope();
            _mu = program.Zeros(program.Rows, program.Outputs).DetachFromDisposeScope();
        }
    }

    public double Rho { get; private set; }

    /// <summary>v, the solution so far [d, G, P].</summary>
    public Tensor V { get; }

    public int Iterations { get; private set; }

    /// <summary>One iteration.</summary>
    public ConvexReluIteration Next()
    {
        using var scope = NewDisposeScope();
        var kappa = (_isSplit ? SplitPenalty : 1) / Rho;
        _step.SetKappa(kappa);
        var b = V.sub(_lambda).sub_(_dualSums);
        b.AddScaled(_slackSums);
        b.AddScaled(_isSplit ? ConvexReluProgram.Opposed(_program.GatedTransposed(_p!.sub(_mu!))) : _constant, kappa);
        var (u, fit) = _step.Solve(b);

        var before = V.clone();
        V.copy_(ConvexReluProgram.ShrinkGroups(u.Plus(_lambda), _program.Beta / Rho));
        var gap = u.sub(V);
        _lambda.AddScaled(gap, _settings.DualStep);
        var (slackSums, slackSquares, slackGap) = UpdateSlacks(u);
        var gu = _program.Gram.mm(u.view(_program.Width, -1)).view(u.shape).Times(_program.ConeScale * _program.ConeScale);
        _dualSums.AddScaled(gu.sub(slackSums), _settings.DualStep);

        var moved = V.sub(before).sub_(_slackSums);
        moved.AddScaled(slackSums);
        var (primal, size) = (Square(gap) + slackGap, Math.Max(Square(u) + Inner(u, gu), Square(V) + slackSquares));
        var dualSize = _lambda.Plus(_dualSums);
        if (_isSplit)
        {
            var p = UpdateSplit(fit);
            primal += Square(fit.sub(_p!)) * kappa;
            size += Square(_p!) * kappa;
            moved.AddScaled(ConvexReluProgram.Opposed(_program.GatedTransposed(_p!.sub(p))), kappa);
        }

        _slackSums.Dispose();
        _slackSums = slackSums.DetachFromDisposeScope();
        _fit?.Dispose();
        _fit = fit.DetachFromDisposeScope();
        Iterations++;
        var iteration = Measure(primal, size, Square(moved), Square(dualSize));
        Balance(iteration);
        return iteration;
    }

    /// <summary>Fu without weights [n, C].</summary>
    public Tensor Fit() => _program.Unscaled(_fit!);

    /// <summary>
    /// The greatest lower bound of the program's minimum that the duals give: r = −∇ℓ and η = −ρν ≥ 0 are shortened, output by output, until
    /// ‖±XᵀD_ir + cXᵀE_iη_i‖ ≤ β for all groups; then Σw·Dual(r) is a bound. And the greatest of ‖βv_i/‖v_i‖ − (±XᵀD_ir + cXᵀE_iη_i)‖ over the groups with
    /// v_i ≠ 0, relative to β: 0 at the optimum.
    /// </summary>
    public (double Bound, double Stationarity) Judge()
    {
        using var scope = NewDisposeScope();
        var r = _isSplit ? _mu!.Times(-SplitPenalty) : _program.Scaled(_program.Targets).sub(_fit!);
        var slopes = ConvexReluProgram.Opposed(_program.GatedTransposed(r));
        slopes.AddScaled(_program.SignedTransposed(_nu.Times(-Rho).relu_()));
        var longest = ConvexReluProgram.GroupNorms(slopes).amax([1]).view(2, _program.Outputs).amax([0]);
        var factor = longest.AtLeast(_program.Beta).reciprocal().Times(_program.Beta);
        var dual = _program.Loss.DualValues(_program.Unscaled(r).mul(factor), _program.Targets);
        return (_program.Weighted(dual).sum(ScalarType.Float64).ToDouble(), _program.Stationarity(V, slopes));
    }

    public void Dispose()
    {
        foreach (var tensor in new[] { V, _lambda, _nu, _constant, _p, _mu, _slackSums, _dualSums, _fit })
            tensor?.Dispose();
    }

    private static double Square(Tensor tensor) => Inner(tensor, tensor);

    private static double Inner(Tensor left, Tensor right) => left.flatten().dot(right.flatten()).ToDouble();

    // s = (Gu + ν)₊ and ν ← ν + (γ/ρ)(Gu − s), block of rows by block of rows: Gᵀs, ‖s‖² and ‖Gu − s‖².
    private (Tensor Sums, double Squares, double Gap) UpdateSlacks(Tensor u)
    {
        var sums = _program.Zeros(u.shape);
        var (flat, flatSums) = (u.Times(_program.ConeScale).view(_program.Width, -1), sums.view(_program.Width, -1));
        var (squares, gap) = (0.0, 0.0);
        _program.ForBlocks((start, rows) =>
        {
            var (x, nu, signs) = (_program.X.narrow(0, start, rows), _nu.narrow(0, start, rows), _program.Signs.narrow(0, start, rows).unsqueeze(1));
            var gu = x.mm(flat).view(rows, _program.Groups, _program.Patterns).mul_(signs);
            var s = gu.Plus(nu).relu_();
            squares += Square(s);
            gu.sub_(s);
            gap += Square(gu);
            nu.AddScaled(gu, _settings.DualStep);
            flatSums.addmm_(x.t(), s.mul_(signs).view(rows, -1), 1, 1);
        });
        sums.Scale(_program.ConeScale);
        return (sums, squares, gap);
    }

    private Tensor UpdateSplit(Tensor fit)
    {
        var before = _p!.clone();
        var q = _program.Unscaled(fit.Plus(_mu!));
        _p.copy_(_program.Scaled(_program.Loss.Proximal(q, _program.Targets, SplitPenalty)));
        _mu!.AddScaled(fit.sub(_p), _settings.DualStep);
        return before;
    }

    private ConvexReluIteration Measure(double primal, double size, double moved, double dualSize)
    {
        double groups = _program.Groups * _program.Patterns;
        var variables = _program.Width * groups;
        var primalTolerance = (Math.Sqrt(variables + (_program.TotalWeight * groups)) * _settings.AbsoluteTolerance)
            + (_settings.RelativeTolerance * Math.Sqrt(size));
        var dualTolerance = (Math.Sqrt(variables) * _settings.AbsoluteTolerance) + (_settings.RelativeTolerance * Rho * Math.Sqrt(dualSize));
        return new(Math.Sqrt(primal) / primalTolerance, Rho * Math.Sqrt(moved) / dualTolerance, _program.LossSum(Fit()));
    }

    private void Balance(ConvexReluIteration iteration)
    {
        var factor = _settings.Balance(iteration, Iterations);
        if (factor == 1 || _changes == MostChanges)
            return;
        _changes++;
        Rho *= factor;
        foreach (var dual in new[] { _lambda, _nu, _dualSums })
            dual.Scale(1 / factor);
    }
}
