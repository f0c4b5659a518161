using static TorchSharp.torch;

namespace MlNetMlp.Runtime;

/// <summary>Random matrices whose rows are directions to project on.</summary>
public static class RandomMatrix
{
    /// <summary>
    /// Rows each of which is distributed as normal numbers are, but that are orthogonal to each other within blocks of as many rows as there are
    /// columns, so that they cover the directions more evenly (Yu and others, "Orthogonal Random Features", NIPS 2016).
    /// </summary>
    /// <param name="rows">Number of rows, at least 1.</param>
    /// <param name="columns">Number of columns, at least 1.</param>
    /// <param name="random">Where numbers are drawn from, on the CPU.</param>
    /// <returns>Float32 [rows, columns] on the CPU; the caller owns it.</returns>
    public static Tensor OrthogonalGaussian(int rows, int columns, Generator random)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var blocks = (rows + columns - 1) / columns;
        var (q, r) = linalg.qr(empty(blocks, columns, columns, ScalarType.Float64).normal_(0, 1, random));

        // Which of q and −q comes out is LAPACK's choice, not chance; with the signs of r's diagonal all rotations are equally likely.
        var rotations = q.mul(r.diagonal(0, -2, -1).sgn().unsqueeze(-2)).transpose(-2, -1);

        // Lengths of normal rows, which those of a rotation have lost.
        var lengths = empty(blocks, columns, columns, ScalarType.Float64).normal_(0, 1, random).Norms([2], keepDimensions: true);
        return rotations.mul(lengths).reshape((long)blocks * columns, columns).narrow(0, 0, rows).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }
}
