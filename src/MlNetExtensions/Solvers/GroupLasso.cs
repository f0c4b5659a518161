using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Solvers;

/// <summary>
/// Least squares with a penalty that makes coefficients exactly zero: ½‖Y − XW‖² + λ·Σⱼ‖Wⱼ‖ over the rows Wⱼ of W, which is the lasso for one
/// output and the group lasso over the outputs for several. Solved from the sums XᵀX, XᵀY and ‖Y‖² alone, by <see cref="Fista"/> until the
/// duality gap is closed.
/// </summary>
public static class GroupLasso
{
    /// <summary>Solves the problem.</summary>
    /// <param name="gram">G = XᵀX, Float64 [features, features]. A ridge penalty α is one more α on its diagonal.</param>
    /// <param name="moments">B = XᵀY, Float64 [features, outputs].</param>
    /// <param name="squares">‖Y‖², the sum of all squared labels, at least 0.</param>
    /// <param name="penalty">λ, at least 0.</param>
    /// <param name="initial">W to start from, or null for 0.</param>
    /// <param name="settings">Limits; the tolerance of the gap is relative to ½‖Y‖². Null for the defaults.</param>
    /// <param name="cancellation">Looked at before every step.</param>
    /// <returns>W, Float64 [features, outputs], and how the minimisation ended, with its gap relative to ½‖Y‖². The caller owns W.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> asked for it.</exception>
    public static (Tensor Coefficients, FistaResult Result) Solve(
        Tensor gram, Tensor moments, double squares, double penalty, Tensor? initial = null, FistaSettings? settings = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(gram);
        ArgumentNullException.ThrowIfNull(moments);
        ArgumentOutOfRangeException.ThrowIfNegative(penalty);
        var w = initial?.clone() ?? zeros_like(moments);
        var unit = squares > 0 ? squares / 2 : 1;
        var result = Fista.Minimize(
            w, y => gram.mm(y).sub_(moments), (z, step) => Shrink(z, step * penalty), settings, y => Gap(gram, moments, squares, penalty, y) / unit,
            cancellation: cancellation);
        return (w, result);
    }

    /// <summary>The least λ for which all coefficients are zero: the greatest length of a row of XᵀY.</summary>
    /// <param name="moments">B = XᵀY [features, outputs].</param>
    /// <returns>λ.</returns>
    public static double LeastEmptyPenalty(Tensor moments)
    {
        ArgumentNullException.ThrowIfNull(moments);
        using var scope = NewDisposeScope();
        return RowNorms(moments).max().ToDouble();
    }

    /// <summary>The proximal operator of t·Σⱼ‖Wⱼ‖: shortens each row by t, to 0 at least; for one column soft thresholding.</summary>
    /// <param name="rows">W [rows, columns], changed in place.</param>
    /// <param name="t">By how much, at least 0.</param>
    public static void Shrink(Tensor rows, double t)
    {
        ArgumentNullException.ThrowIfNull(rows);
        if (t == 0)
            return;
        using var scope = NewDisposeScope();
        var norms = RowNorms(rows);
        var left = nn.functional.relu(norms.Plus(-t));

        // A row of length 0 has 0 left, and 0 / (0 + t) is 0 as well.
        rows.mul_(left.div(left.Plus(t)));
    }

    /// <summary>
    /// Objective minus dual objective at W. With R = Y − XW and s the factor that brings sXᵀR into the dual ball and nearest to Y, the dual
    /// objective is ½‖Y‖² − ½‖Y − sR‖²; all of it follows from the sums.
    /// </summary>
    internal static double Gap(Tensor gram, Tensor moments, double squares, double penalty, Tensor w)
    {
        using var scope = NewDisposeScope();
        var gw = gram.mm(w);
        var slopes = moments.sub(gw);                                              // XᵀR
        var fitted = Fista.InnerProduct(moments, w);                               // ⟨Y, XW⟩
        var residual = Math.Max(0, squares - (2 * fitted) + Fista.InnerProduct(gw, w));
        var withLabels = squares - fitted;                                         // ⟨Y, R⟩
        var length = RowNorms(slopes).max().ToDouble();
        var bound = length > 0 ? penalty / length : double.PositiveInfinity;
        var s = residual > 0 ? Math.Clamp(withLabels / residual, -bound, bound) : 0;
        var primal = (residual / 2) + (penalty * RowNorms(w).sum().ToDouble());
        return Math.Max(0, primal - (s * withLabels) + (s * s * residual / 2));
    }

    private static Tensor RowNorms(Tensor rows) => rows.shape[1] == 1 ? rows.abs() : rows.Norms([1], keepDimensions: true);
}
