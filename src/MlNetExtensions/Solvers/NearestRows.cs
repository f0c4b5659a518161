using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Solvers;

/// <summary>How alike a vector and a row of a table are.</summary>
public enum RowSimilarity
{
    /// <summary>a·c / ‖c‖: the inner product with the row's direction.</summary>
    InnerProduct,

    /// <summary>−‖a − c‖₂.</summary>
    Euclidean,
}

/// <summary>
/// The rows of a table that are most like a vector, for several tables at once. There is no gradient through the search. All vectors are compared with all rows by products of matrices,
/// some vectors at a time, so that memory does not grow with their number.
/// </summary>
public static class NearestRows
{
    // Similarities that are held at a time: 16 MiB in Single.
    private const long MostSimilarities = 1 << 22;

    /// <summary>What norms are taken for at least: a row of zeros has no direction.</summary>
    public const double LeastNorm = 1e-12;

    /// <summary>Finds the rows.</summary>
    /// <param name="vectors">a [tables, vectors, d], Single or Double.</param>
    /// <param name="tables">c [tables, rows, d] of the same type.</param>
    /// <param name="count">K, rows to find, in [1, rows].</param>
    /// <param name="similarity">What is greatest.</param>
    /// <param name="excluded">Rows that are not found, Boolean [tables, rows]; null for none. At least K have to be left.</param>
    /// <returns>The indices, Int64 [tables, vectors, K], the most alike first.</returns>
    public static Tensor Find(Tensor vectors, Tensor tables, int count, RowSimilarity similarity, Tensor? excluded = null)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentNullException.ThrowIfNull(tables);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, tables.shape[1]);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var norms = tables.Norms([2], keepDimensions: true);                                // ‖c‖ [tables, rows, 1]

        // ‖a‖² is the same for all rows, so −‖a − c‖² is compared without it: 2a·c − ‖c‖².
        var (directions, offsets) = similarity == RowSimilarity.InnerProduct
            ? (tables.div(norms.AtLeast(LeastNorm)), (Tensor?)null)
            : (tables.Times(2), norms.mul(norms).neg().transpose(1, 2));
        directions = directions.transpose(1, 2);                                            // [tables, d, rows]
        if (excluded is not null)
        {
            using Scalar never = double.NegativeInfinity;
            offsets = (offsets ?? zeros(tables.shape[0], 1, tables.shape[1], dtype: tables.dtype, device: tables.device)).masked_fill(excluded.unsqueeze(1), never);
        }

        var (total, part) = (vectors.shape[1], Math.Max(1, MostSimilarities / (tables.shape[0] * tables.shape[1])));
        if (total <= part)
            return Best(vectors).MoveToOuterDisposeScope();
        var found = empty(tables.shape[0], total, count, dtype: ScalarType.Int64, device: tables.device);
        for (long start = 0; start < total; start += part)
        {
            using var inner = NewDisposeScope();
            var length = Math.Min(part, total - start);
            found.narrow(1, start, length).copy_(Best(vectors.narrow(1, start, length)));
        }

        return found.MoveToOuterDisposeScope();

        Tensor Best(Tensor some)
        {
            var alike = some.matmul(directions);
            if (offsets is not null)
                alike.AddScaled(offsets);
            return count == 1 ? alike.argmax(2, keepdim: true) : alike.topk(count, 2).indexes;
        }
    }
}
