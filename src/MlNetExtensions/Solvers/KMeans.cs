using System.ComponentModel.DataAnnotations;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Solvers;

/// <summary>How <see cref="KMeans"/> goes.</summary>
public sealed record KMeansSettings
{
    /// <summary>Passes over the rows at most, at least 1; 100 by default.</summary>
    [Range(1, int.MaxValue)]
    public int MaxIterations { get; init; } = 100;

    /// <summary>Stop where a pass lowers the error by less than this share of it, at least 0; 1e-4 by default.</summary>
    [Range(0, 1)]
    public double Tolerance { get; init; } = 1e-4;

    /// <summary>Rows after which the centroids move, at least 1; 0 (the default): all of them.</summary>
    [Range(0, int.MaxValue)]
    public int BatchRows { get; init; }
}

/// <summary>The end of a clustering.</summary>
/// <param name="Centroids">The centroids [clusters, d]; the caller disposes them.</param>
/// <param name="MeanSquaredDistance">The mean over rows of the squared distance to the nearest centroid.</param>
/// <param name="Iterations">Passes over the rows.</param>
public sealed record KMeansResult(Tensor Centroids, double MeanSquaredDistance, int Iterations);

/// <summary>
/// Centroids such that rows are near one of them: Lloyd's algorithm (Lloyd, "Least squares quantization in PCM", 1982), or by mini-batches (Sculley, "Web-scale k-means clustering", 2010),
/// from a start by greedy k-means++ (Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", 2007).
/// </summary>
public static class KMeans
{
    // Rows per cluster that the start looks at; more make it slow and hardly better.
    private const int SeedRowsPerCluster = 32;

    /// <summary>Finds centroids.</summary>
    /// <param name="rows">Rows [n, d], Single or Double; finite.</param>
    /// <param name="clusters">Number of centroids, at least 1. Where there are fewer rows that differ, some centroids are the same.</param>
    /// <param name="settings">The settings; null for the defaults.</param>
    /// <param name="random">What is drawn from, on the device of the rows.</param>
    /// <param name="checkCancelled">Throws when it is to stop; null for never.</param>
    /// <returns>The centroids.</returns>
    public static KMeansResult Fit(Tensor rows, int clusters, KMeansSettings? settings, Generator random, Action? checkCancelled = null)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentOutOfRangeException.ThrowIfLessThan(clusters, 1);
        settings ??= new();
        Options.OptionRanges.Check(settings, nameof(KMeans));
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();

        // Differences keep more digits where rows lie about zero.
        var mean = rows.mean([0], keepdim: true);
        var centred = rows.sub(mean);
        var centroids = Seed(centred, clusters, random, checkCancelled);
        var (squares, iterations) = (centred.mul(centred).sum([1]), 0);                     // ‖a‖² [n]
        var isWhole = settings.BatchRows == 0 || settings.BatchRows >= rows.shape[0];
        var seen = zeros(clusters, dtype: rows.dtype, device: rows.device);
        for (var before = double.PositiveInfinity; ; iterations++)
        {
            checkCancelled?.Invoke();
            using var pass = NewDisposeScope();
            var ids = Assign(centred, centroids);
            var distances = Distances(centred, squares, centroids, ids);
            var error = distances.mean().ToDouble();
            if (iterations == settings.MaxIterations || error == 0 || before - error < settings.Tolerance * error)
                return new(centroids.Plus(mean).MoveToOuterDisposeScope().MoveToOuterDisposeScope(), error, iterations);
            before = error;
            if (isWhole)
                Move(centred, ids, distances, centroids);
            else
                MoveByBatches(centred, centroids, seen, settings.BatchRows, random, checkCancelled);
        }
    }

    /// <summary>The nearest centroid of each row.</summary>
    /// <param name="rows">Rows [n, d].</param>
    /// <param name="centroids">Centroids [clusters, d].</param>
    /// <returns>Indices, Int64 [n].</returns>
    public static Tensor Assign(Tensor rows, Tensor centroids)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(centroids);
        using var scope = NewDisposeScope();
        return NearestRows.Find(rows.unsqueeze(0), centroids.unsqueeze(0), 1, RowSimilarity.Euclidean).flatten().MoveToOuterDisposeScope();
    }

    private static Tensor Distances(Tensor rows, Tensor squares, Tensor centroids, Tensor ids)
    {
        var own = centroids.index_select(0, ids);
        return squares.sub(own.mul(rows).sum([1]).Times(2)).Plus(own.mul(own).sum([1])).AtLeast(0);
    }

    // Each further centroid is the best of some rows, drawn with a chance that grows with the squared distance to the centroids so far.
    private static Tensor Seed(Tensor rows, int clusters, Generator random, Action? checkCancelled)
    {
        using var scope = NewDisposeScope();
        var most = Math.Min(rows.shape[0], (long)clusters * SeedRowsPerCluster);
        var some = most == rows.shape[0] ? rows : rows.index_select(0, randperm(rows.shape[0], device: rows.device, generator: random).narrow(0, 0, most));
        var squares = some.mul(some).sum([1], keepdim: true);                               // [m, 1]
        var chosen = some.narrow(0, (long)(rand(1, generator: random).ToDouble() * most), 1);
        var nearest = SquaredDistances(chosen).flatten();                                   // [m]
        var centroids = empty(clusters, rows.shape[1], dtype: rows.dtype, device: rows.device);
        centroids.narrow(0, 0, 1).copy_(chosen);
        var candidates = 2 + (int)Math.Log(clusters);
        for (var k = 1; k < clusters; k++)
        {
            checkCancelled?.Invoke();
            using var step = NewDisposeScope();
            var reach = nearest.cumsum(0);
            var drawn = rand(candidates, dtype: rows.dtype, device: rows.device, generator: random).mul_(reach[-1]);
            var index = searchsorted(reach, drawn).CutTo(0, most - 1).to(ScalarType.Int64);
            var points = some.index_select(0, index);
            var left = minimum(SquaredDistances(points), nearest.unsqueeze(1));             // [m, candidates]
            var best = left.sum([0]).argmin(0, keepdim: true);
            centroids.narrow(0, k, 1).copy_(points.index_select(0, best));
            nearest.copy_(left.index_select(1, best).flatten());
        }

        return centroids.MoveToOuterDisposeScope();

        Tensor SquaredDistances(Tensor points) =>
            squares.sub(some.matmul(points.t()).Times(2)).Plus(points.mul(points).sum([1])).AtLeast(0);
    }

    private static void Move(Tensor rows, Tensor ids, Tensor distances, Tensor centroids)
    {
        var counts = ids.bincount(null, centroids.shape[0]);
        centroids.copy_(Sums(rows, ids, centroids).div_(counts.AtLeast(1).to(rows.dtype).unsqueeze(1)));
        var unused = counts.IsAbove(0).logical_not().nonzero().flatten();
        if (unused.numel() == 0)
            return;

        // Those without a row begin anew where rows are farthest from theirs.
        var far = distances.topk((int)Math.Min(unused.numel(), rows.shape[0])).indexes;
        centroids.index_copy_(0, unused.narrow(0, 0, far.numel()), rows.index_select(0, far));
    }

    private static void MoveByBatches(Tensor rows, Tensor centroids, Tensor seen, int batchRows, Generator random, Action? checkCancelled)
    {
        var order = randperm(rows.shape[0], device: rows.device, generator: random);
        for (long start = 0; start < rows.shape[0]; start += batchRows)
        {
            checkCancelled?.Invoke();
            using var scope = NewDisposeScope();
            var batch = rows.index_select(0, order.narrow(0, start, Math.Min(batchRows, rows.shape[0] - start)));
            var ids = Assign(batch, centroids);
            var counts = ids.bincount(null, centroids.shape[0]).to(rows.dtype);
            seen.AddScaled(counts);

            // A centroid is the mean of all rows that were ever its own: it moves by their sum less as many times itself, over their number.
            var moves = Sums(batch, ids, centroids).sub(centroids.mul(counts.unsqueeze(1)));
            centroids.AddScaled(moves.div_(seen.AtLeast(1).unsqueeze(1)));
        }
    }

    private static Tensor Sums(Tensor rows, Tensor ids, Tensor centroids)
    {
        using Scalar one = 1;
        return zeros_like(centroids).index_add_(0, ids, rows, one);
    }
}
