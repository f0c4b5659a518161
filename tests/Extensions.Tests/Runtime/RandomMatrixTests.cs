using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Runtime;

public sealed class RandomMatrixTests
{
    private const int Columns = 6;

    [Theory]
    [InlineData(4)]
    [InlineData(6)]
    [InlineData(15)]
    public void Rows_are_orthogonal_within_blocks_and_as_long_as_normal_ones(int rows)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        var g = RandomMatrix.OrthogonalGaussian(rows, Columns, random).to(ScalarType.Float64);
        Assert.Equal([rows, Columns], g.shape);
        var products = g.mm(g.t());
        for (var i = 0; i < rows; i++)
        {
            for (var j = 0; j < i; j++)
                Assert.True(i / Columns != j / Columns || Math.Abs(products[i, j].item<double>()) < 1e-5, $"rows {i} and {j}: {products[i, j].item<double>()}");
        }
    }

    [Fact]
    public void Each_number_is_normal_and_every_row_points_anywhere()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(2);
        var g = RandomMatrix.OrthogonalGaussian(60_000, Columns, random).to(ScalarType.Float64).view(-1, Columns, Columns);

        // By place within a block: mean 0, variance 1 and fourth moment 3 of each, within 5 standard errors of 10,000 blocks.
        Assert.True(g.mean([0L]).abs().max().ToDouble() < 0.05);
        var squares = g.mul(g);
        Assert.True(squares.mean([0L]).Plus(-1).abs().max().ToDouble() < 5 * Math.Sqrt(2) / 100);
        Assert.True(squares.mul(squares).mean([0L]).Plus(-3).abs().max().ToDouble() < 5 * Math.Sqrt(96) / 100);

        // Squared lengths are χ² with as many degrees of freedom as there are columns.
        var lengths = squares.sum(2L);
        Assert.Equal(Columns, lengths.mean().ToDouble(), 0.1);
        Assert.Equal(2 * Columns, lengths.var().ToDouble(), 0.4);
    }
}
