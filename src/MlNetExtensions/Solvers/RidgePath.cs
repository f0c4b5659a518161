using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Solvers;

/// <summary>
/// Ridge regression with an intercept for every penalty α at once: one eigendecomposition, after which a solution, its residuals, degrees of
/// freedom and generalised cross-validation cost next to nothing (Golub, Heath and Wahba, "Generalized Cross-Validation as a Method for
/// Choosing a Good Ridge Parameter", 1979).
/// </summary>
/// <remarks>
/// With H̃ and Ỹ the weighted features and labels about their means it minimises ‖Ỹ − H̃C‖² + α‖C‖². <see cref="Primal"/> decomposes H̃ᵀH̃ of
/// sums, for fewer features than rows; <see cref="Dual"/> decomposes H̃H̃ᵀ, for fewer rows than features.
/// </remarks>
public sealed class RidgePath : IDisposable
{
    private const double LowestDecade = -12;
    private const double HighestDecade = 2;
    private const int StepsPerDecade = 4;
    private const double Epsilon = 2.22e-16;
    private const double LeastFreedom = 1e-10;

    private readonly Tensor _vectors;                      // Q
    private readonly Tensor _projections;                  // QᵀB, B = H̃ᵀỸ or Ỹ
    private readonly double[] _values;                     // Λ, without rounding errors about 0
    private readonly double[] _energies;                   // squares of the projections, summed over the outputs
    private readonly double _labelSquares;
    private readonly double _rows;
    private readonly Tensor? _weights;

    private RidgePath(Tensor matrix, Tensor rightSide, double labelSquares, double rows, Tensor? weights, bool isDual)
    {
        using var scope = NewDisposeScope();
        var (values, vectors) = linalg.eigh(matrix);
        _vectors = vectors.DetachFromDisposeScope();
        _projections = vectors.t().mm(rightSide).DetachFromDisposeScope();
        _values = values.cpu().data<double>().ToArray();

        // Eigenvalues within the rounding errors of the largest, some of them below 0, are those of a singular matrix.
        var cutoff = _values[^1] * _values.Length * Epsilon;
        _values = [.. _values.Select(value => value > cutoff ? value : 0)];
        _energies = _projections.mul(_projections).sum(1L).cpu().data<double>().ToArray();
        (_labelSquares, _rows, _weights, IsDual) = (labelSquares, rows, weights?.alias().DetachFromDisposeScope(), isDual);
    }

    /// <summary>Whether the rows and not the features were decomposed.</summary>
    public bool IsDual { get; }

    /// <summary>Number of eigenvalues.</summary>
    public int Size => _values.Length;

    /// <summary>The largest eigenvalue of H̃ᵀH̃, and of H̃H̃ᵀ: what penalties are large or small against.</summary>
    public double LargestEigenvalue => _values[^1];

    /// <summary>Number of eigenvalues above the rounding errors of the largest.</summary>
    public int Rank => _values.Count(value => value > 0);

    /// <summary>Penalties from 10⁻¹² to 10² times the largest eigenvalue, four for each power of ten.</summary>
    public IEnumerable<double> Penalties => Enumerable.Range(0, (int)((HighestDecade - LowestDecade) * StepsPerDecade) + 1)
        .Select(step => LargestEigenvalue * Math.Pow(10, LowestDecade + ((double)step / StepsPerDecade)));

    /// <summary>The path of sums over rows.</summary>
    /// <param name="sums">The sums; they are not kept.</param>
    /// <returns>The path; the caller owns it.</returns>
    public static RidgePath Primal(CenteredSums sums)
    {
        ArgumentNullException.ThrowIfNull(sums);
        return new(sums.Gram, sums.Moments, sums.LabelSquares.Sum(), sums.Rows, null, isDual: false);
    }

    /// <summary>The path of the products of rows with each other.</summary>
    /// <param name="kernel">HHᵀ, Float64 [rows, rows], about no mean.</param>
    /// <param name="labels">Y, Float64 [rows, K].</param>
    /// <param name="weights">w, Float64 [rows], above 0; null for 1.</param>
    /// <returns>The path; the caller owns it.</returns>
    public static RidgePath Dual(Tensor kernel, Tensor labels, Tensor? weights = null)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(labels);
        using var scope = NewDisposeScope();
        var w = weights ?? ones(labels.shape[0], ScalarType.Float64, labels.device);
        var share = w.div(w.sum()).unsqueeze(1);                                      // w/Σw [rows, 1]
        var root = w.sqrt().unsqueeze(1);
        var means = kernel.mm(share);                                                 // products of rows with the mean row
        var centered = kernel.sub(means).sub(means.t());
        centered.AddScaled(share.t().mm(means));
        centered.mul_(root).mul_(root.t());
        var y = labels.sub(share.t().mm(labels)).mul_(root);
        return new RidgePath(centered, y, y.mul(y).sum().cpu().item<double>(), labels.shape[0], w, isDual: true);
    }

    /// <summary>Solves for one penalty.</summary>
    /// <param name="penalty">α, at least 0. At 0 the solution of least norm: what eigenvalues of 0 would multiply is left out.</param>
    /// <returns>
    /// The coefficients C, Float64 [M, K]; for <see cref="Dual"/> the coefficients V of rows [rows, K], of which C = HᵀV. The caller owns them.
    /// </returns>
    public Tensor Solve(double penalty)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(penalty);
        using var scope = NewDisposeScope();
        var factors = tensor([.. _values.Select(value => Inverse(value, penalty))], [_values.Length, 1], device: _vectors.device);
        var solution = _vectors.mm(_projections.mul(factors));
        if (_weights is null)
            return solution.MoveToOuterDisposeScope();

        // C = H̃ᵀA, and H̃ = √w·(H − h̄): the means go over to the coefficients of the rows.
        solution.mul_(_weights.sqrt().unsqueeze(1));
        var share = _weights.div(_weights.sum()).unsqueeze(1);
        return solution.sub(share.mul(solution.sum(0L, keepdim: true))).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Coordinates z of coefficients C = P·z in which the matrix A = H̃ᵀH̃/4 + α is the identity, PᵀAP = 1: what minimisers of losses of bounded
    /// curvature go along. Only for <see cref="Primal"/>.
    /// </summary>
    /// <param name="penalty">α, above 0.</param>
    /// <returns>P, which is symmetric.</returns>
    public Whitening Whitening(double penalty)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(penalty, 0);
        return new(_vectors, [.. _values.Select(value => Math.Sqrt((value / 4) + penalty))]);
    }

    /// <summary>Sum of squared weighted residuals of the rows, over all outputs.</summary>
    /// <param name="penalty">α, at least 0.</param>
    /// <returns>The sum.</returns>
    public double ResidualSquares(double penalty)
    {
        if (IsDual)
            return Sum((value, energy) => energy * Square(1 - (value * Inverse(value, penalty))));

        // ‖Ỹ‖² − Σ e·(2/(λ+α) − λ/(λ+α)²) with e = (QᵀH̃ᵀỸ)². Below the rounding errors of ‖Ỹ‖² nothing is known of it.
        var explained = Sum((value, energy) => Inverse(value, penalty) is var inverse ? energy * inverse * (2 - (value * inverse)) : 0);
        return Math.Max(_labelSquares - explained, 1e-15 * _labelSquares);
    }

    /// <summary>The trace of the matrix that turns labels into predictions: degrees of freedom with the intercept, from 1 on.</summary>
    /// <param name="penalty">α, at least 0.</param>
    /// <returns>The trace.</returns>
    public double DegreesOfFreedom(double penalty) => 1 + Sum((value, _) => value * Inverse(value, penalty));

    /// <summary>‖C‖, over all outputs.</summary>
    /// <param name="penalty">α, at least 0.</param>
    /// <returns>The norm.</returns>
    public double CoefficientNorm(double penalty) =>
        Math.Sqrt(Sum((value, energy) => energy * Square(Inverse(value, penalty)) * (IsDual ? value : 1)));

    /// <summary>Generalised cross-validation: N·‖(I − S)Ỹ‖² / (N − tr S)², an estimate of the mean squared error on new rows.</summary>
    /// <param name="penalty">α, at least 0.</param>
    /// <returns>The estimate, summed over the outputs, for rows of weight 1; infinite where there are as many degrees of freedom as rows.</returns>
    public double CrossValidation(double penalty)
    {
        var free = _rows - DegreesOfFreedom(penalty);
        return free > 1e-9 * _rows ? _rows * ResidualSquares(penalty) / (free * free) : double.PositiveInfinity;
    }

    /// <summary>
    /// Leave-one-out cross-validation of rows that are among those of the regression: the errors r/(1 − h) that each would have if it alone had
    /// not been fitted, h being its leverage. Unlike the mean that <see cref="CrossValidation"/> takes, it sees rows that stand apart.
    /// </summary>
    /// <param name="penalties">α, each above 0.</param>
    /// <param name="features">
    /// H̃, Float64 [rows, M], of some of the rows, each times the root of its weight; null for <see cref="Dual"/>, which has them.
    /// </param>
    /// <param name="first">For <see cref="Dual"/>, which row the first one is.</param>
    /// <param name="labels">Ỹ of the rows, Float64 [rows, K].</param>
    /// <param name="shares">Their weights divided by that of all rows, Float64 [rows].</param>
    /// <returns>For each row and penalty the mean over outputs of the squared error, times the row's weight: [rows, penalties]. The caller owns it.</returns>
    public Tensor LeaveOneOut(IReadOnlyList<double> penalties, Tensor? features, long first, Tensor labels, Tensor shares)
    {
        ArgumentNullException.ThrowIfNull(penalties);
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(shares);
        using var scope = NewDisposeScope();
        var (size, count, outputs) = (_values.Length, penalties.Count, labels.shape[1]);

        // H̃(H̃ᵀH̃ + α)⁻¹H̃ᵀ is QΛ(Λ + α)⁻¹Qᵀ for the rows, and its product with Ỹ the fitted labels.
        var rotated = features?.mm(_vectors) ?? _vectors.narrow(0, first, labels.shape[0]);
        var factors = tensor(
            [.. _values.SelectMany(value => penalties.Select(penalty => Inverse(value, penalty) * (IsDual ? value : 1)))], [size, count], device: _vectors.device);
        var solutions = factors.unsqueeze(2).mul(_projections.unsqueeze(1)).view(size, count * outputs);
        var errors = rotated.mm(solutions).view(-1, count, outputs).sub_(labels.unsqueeze(1));
        var left = rotated.mul(rotated).mm(factors).neg_();
        left.AddScaled(shares.unsqueeze(1), -1);
        left.Shift(1 - LeastFreedom);
        left.relu_();
        left.Shift(LeastFreedom);
        errors.div_(left.unsqueeze(2));
        return errors.mul_(errors).mean([2L]).MoveToOuterDisposeScope();
    }

    /// <summary>Chooses the penalty of <see cref="Penalties"/> with the least <see cref="CrossValidation"/>.</summary>
    /// <param name="featureNoise">
    /// Deviation of the error that each feature of a new row is computed with, relative to Single precision such as 6e-8: coefficients C add
    /// (featureNoise·‖C‖)² to the squared error.
    /// </param>
    /// <param name="greatestNorm">Penalties with a greater ‖C‖ are refused, unless all have.</param>
    /// <returns>α.</returns>
    public double Choose(double featureNoise = 0, double greatestNorm = double.PositiveInfinity)
    {
        if (LargestEigenvalue == 0)
            return 1;
        return Allowed(greatestNorm).MinBy(penalty => CrossValidation(penalty) + Square(featureNoise * CoefficientNorm(penalty)));
    }

    /// <summary>Those of <see cref="Penalties"/> whose coefficients are not too large; the greatest where none is.</summary>
    /// <param name="greatestNorm">The greatest ‖C‖.</param>
    /// <returns>Penalties in rising order.</returns>
    public IEnumerable<double> Allowed(double greatestNorm) =>
        Penalties.Where(penalty => CoefficientNorm(penalty) <= greatestNorm).DefaultIfEmpty(Penalties.Last());

    /// <summary>Releases the decomposition.</summary>
    public void Dispose()
    {
        _vectors.Dispose();
        _projections.Dispose();
        _weights?.Dispose();
    }

    private static double Inverse(double value, double penalty) => value + penalty > 0 ? 1 / (value + penalty) : 0;

    private double Sum(Func<double, double, double> term)
    {
        var sum = 0.0;
        for (var i = 0; i < _values.Length; i++)
            sum += term(_values[i], _energies[i]);
        return sum;
    }

    private static double Square(double x) => x * x;
}

/// <summary>The inverse root P of a symmetric positive definite matrix, as <see cref="RidgePath.Whitening"/> gives it.</summary>
public sealed class Whitening
{
    private readonly Tensor _vectors;
    private readonly double[] _roots;

    internal Whitening(Tensor vectors, double[] roots) => (_vectors, _roots) = (vectors, roots);

    /// <summary>P·z.</summary>
    /// <param name="z">Float64 [M, K].</param>
    /// <returns>A new tensor.</returns>
    public Tensor Apply(Tensor z) => Multiply(z, [.. _roots.Select(root => 1 / root)]);

    /// <summary>P⁻¹·c.</summary>
    /// <param name="c">Float64 [M, K].</param>
    /// <returns>A new tensor.</returns>
    public Tensor Invert(Tensor c) => Multiply(c, _roots);

    private Tensor Multiply(Tensor x, double[] factors)
    {
        using var scope = NewDisposeScope();
        var column = tensor(factors, [factors.Length, 1], device: _vectors.device);
        return _vectors.mm(_vectors.t().mm(x).mul_(column)).MoveToOuterDisposeScope();
    }
}
