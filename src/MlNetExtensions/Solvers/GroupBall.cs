using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Solvers;

/// <summary>
/// Ridge regression whose coefficients are bounded in groups: ½‖Y − XW‖² + (α/2)·‖W‖² over all W with Σ_g‖W_g‖ ≤ r, a group being so many rows of
/// W one after the other. Solved from the sums XᵀX and XᵀY alone, by <see cref="Fista"/> with projections until the duality gap is closed.
/// </summary>
public static class GroupBall
{
    /// <summary>Solves the problem.</summary>
    /// <param name="gram">XᵀX + α, Float64 [features, features].</param>
    /// <param name="moments">XᵀY, Float64 [features, outputs].</param>
    /// <param name="squares">‖Y‖², the unit of the tolerance, at least 0.</param>
    /// <param name="groupRows">Rows of a group, of which the number of features is a multiple.</param>
    /// <param name="radius">r, above 0.</param>
    /// <param name="initial">W to start from [features, outputs]; it is projected first.</param>
    /// <param name="settings">Limits; the tolerance of the gap is relative to ½‖Y‖². Null for the defaults.</param>
    /// <param name="cancellation">Looked at before every step.</param>
    /// <returns>W, Float64 [features, outputs], and how the minimisation ended, with its gap relative to ½‖Y‖². The caller owns W.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> asked for it.</exception>
    public static (Tensor Coefficients, FistaResult Result) Solve(
        Tensor gram, Tensor moments, double squares, int groupRows, double radius, Tensor initial, FistaSettings? settings = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(gram);
        ArgumentNullException.ThrowIfNull(moments);
        ArgumentNullException.ThrowIfNull(initial);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(radius, 0);
        var unit = squares > 0 ? squares / 2 : 1;
        using var start = initial.contiguous();
        var w = start.clone();
        Project(w, groupRows, radius);
        var result = Fista.Minimize(
            w, y => gram.mm(y).sub_(moments), (z, _) => Project(z, groupRows, radius), settings, y => Gap(gram.mm(y).sub_(moments), y, groupRows, radius) / unit,
            cancellation: cancellation);
        Project(w, groupRows, radius);
        return (w, result);
    }

    /// <summary>Σ_g‖W_g‖.</summary>
    /// <param name="rows">W [features, outputs].</param>
    /// <param name="groupRows">Rows of a group.</param>
    /// <returns>The sum.</returns>
    public static double Norm(Tensor rows, int groupRows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        using var scope = NewDisposeScope();
        return Norms(rows, groupRows).sum().ToDouble();
    }

    /// <summary>
    /// Moves W to the nearest point with Σ_g‖W_g‖ ≤ r: each group is shortened by the same length, to 0 at least (Duchi, Shalev-Shwartz, Singer and
    /// Chandra, "Efficient Projections onto the l1-Ball for Learning in High Dimensions", 2008).
    /// </summary>
    /// <param name="rows">W [features, outputs], contiguous, changed in place.</param>
    /// <param name="groupRows">Rows of a group.</param>
    /// <param name="radius">r, above 0.</param>
    public static void Project(Tensor rows, int groupRows, double radius)
    {
        ArgumentNullException.ThrowIfNull(rows);
        using var scope = NewDisposeScope();
        var norms = Norms(rows, groupRows).to(ScalarType.Float64).cpu().data<double>().ToArray();
        if (norms.Sum() <= radius)
            return;
        Array.Sort(norms, (x, y) => y.CompareTo(x));
        var (sum, shift) = (0.0, 0.0);
        for (var count = 1; count <= norms.Length; count++)
        {
            sum += norms[count - 1];
            if (norms[count - 1] <= (sum - radius) / count)
                break;
            shift = (sum - radius) / count;
        }

        GroupLasso.Shrink(rows.view(rows.shape[0] / groupRows, -1), shift);
    }

    // Over the ball a linear function ⟨g, U⟩ is least at −r·max‖g_g‖ (Jaggi, "Revisiting Frank-Wolfe", 2013).
    private static double Gap(Tensor gradient, Tensor w, int groupRows, double radius)
    {
        using var scope = NewDisposeScope();
        return Math.Max(0, Fista.InnerProduct(gradient, w) + (radius * Norms(gradient, groupRows).max().ToDouble()));
    }

    private static Tensor Norms(Tensor rows, int groupRows) => rows.reshape(rows.shape[0] / groupRows, -1).Norms([1]);
}
