using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Solvers;

/// <summary><see cref="NearestRows"/> and <see cref="KMeans"/>.</summary>
public sealed class KMeansTests
{
    [Theory]
    [InlineData(RowSimilarity.InnerProduct)]
    [InlineData(RowSimilarity.Euclidean)]
    public void Rows_found_part_by_part_are_those_found_at_once(RowSimilarity similarity)
    {
        // So many rows of a table that not all vectors are compared with them at once.
        const int rows = 20_000, vectors = 500;
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        var (a, c) = (randn([1, vectors, 4], ScalarType.Float64, generator: random), randn([1, rows, 4], ScalarType.Float64, generator: random));
        var found = NearestRows.Find(a, c, 2, similarity);
        var alike = similarity == RowSimilarity.InnerProduct ? a.matmul(c.div(c.Norms([2], true)).transpose(1, 2)) : cdist(a, c).neg();
        Assert.True(alike.topk(2, 2).indexes.Equals(found));
        Assert.True(alike.argmax(2, keepdim: true).Equals(NearestRows.Find(a, c, 1, similarity)));
    }

    [Theory]
    [InlineData(0, 1e-6)]
    [InlineData(100, 0.05)]
    public void Finds_the_centres_of_well_separated_clusters(int batchRows, double tolerance)
    {
        const int clusters = 12, perCluster = 80;
        using var scope = NewDisposeScope();
        using var random = new Generator(2);
        var centres = randn(clusters, 5, ScalarType.Float64, generator: random).Times(20).Plus(1000);
        var rows = centres.repeat_interleave(perCluster, 0).Plus(randn(clusters * perCluster, 5, ScalarType.Float64, generator: random));
        var result = KMeans.Fit(rows, clusters, new() { BatchRows = batchRows }, random);
        var ids = KMeans.Assign(rows, result.Centroids).view(clusters, perCluster);
        Assert.True(ids.Equals(ids.narrow(1, 0, 1).expand(-1, perCluster)));
        Assert.Equal(clusters, ids.select(1, 0).data<long>().ToArray().Distinct().Count());
        var means = rows.view(clusters, perCluster, 5).mean([1]);
        var found = result.Centroids.index_select(0, ids.select(1, 0));
        Assert.True(found.sub(means).abs().max().item<double>() < tolerance);
        Assert.Equal(rows.sub(found.repeat_interleave(perCluster, 0)).pow(2).sum([1]).mean().item<double>(), result.MeanSquaredDistance, 1e-6);
    }

    [Fact]
    public void More_clusters_than_rows_leave_no_error()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        var rows = randn(5, 3, generator: random);
        var result = KMeans.Fit(rows, 8, null, random);
        Assert.Equal([8, 3], result.Centroids.shape);
        Assert.True(result.Centroids.isfinite().all().item<bool>());
        Assert.Equal(0, result.MeanSquaredDistance, 1e-6);
    }

    [Fact]
    public void Leaves_no_tensor_behind_but_the_centroids()
    {
        using var random = new Generator(4);
        using var rows = randn(200, 3, generator: random);
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        KMeans.Fit(rows, 6, new() { BatchRows = 50, MaxIterations = 3 }, random).Centroids.Dispose();
        KMeans.Fit(rows, 6, null, random).Centroids.Dispose();
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }
}
