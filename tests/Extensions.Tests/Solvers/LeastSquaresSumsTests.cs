using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using static MlNetMlp.Tests.Training.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Solvers;

public sealed class LeastSquaresSumsTests
{
    [Theory]
    [InlineData(7, 1, 50)]
    [InlineData(300, 3, 400)]
    public void Centered_sums_are_those_of_centered_rows(int features, int outputs, int rows)
    {
        using var scope = NewDisposeScope();
        var (h, y, w) = Rows(features, outputs, rows);
        using var sums = new LeastSquaresSums(features, outputs);
        sums.Add(h, y, w);
        using var centered = sums.Center();

        var (hd, yd, wd) = (h.to(ScalarType.Float64), y.to(ScalarType.Float64), w.to(ScalarType.Float64));
        var share = wd.div(wd.sum());
        var (means, labels) = (hd.t().mv(share), yd.t().mv(share));
        var (ht, yt) = (hd.sub(means), yd.sub(labels));
        var weighted = ht.mul(wd.unsqueeze(1)).t();
        Assert.True(MaxDifference(centered.Gram, weighted.mm(ht)) < 1e-9);
        Assert.True(MaxDifference(centered.Moments, weighted.mm(yt)) < 1e-9);
        Assert.True(MaxDifference(centered.FeatureMeans, means) < 1e-12);
        Assert.True(MaxDifference(centered.LabelMeans, labels) < 1e-12);
        Assert.True(MaxDifference(tensor(centered.LabelSquares.ToArray()), yt.mul(yt).mul(wd.unsqueeze(1)).sum(0L)) < 1e-9);
        Assert.Equal(wd.sum().ToDouble(), centered.Weight, 1e-9);
        Assert.Equal(rows, centered.Rows);
    }

    [Fact]
    public void Blocks_parts_and_order_of_rows_make_no_difference_but_rounding()
    {
        using var scope = NewDisposeScope();
        var (h, y, w) = Rows(40, 2, 500);
        using var all = new LeastSquaresSums(40, 2);
        all.Add(h, y, w);
        using var parts = new LeastSquaresSums(40, 2);
        using var other = new LeastSquaresSums(40, 2);
        foreach (var (start, target) in new[] { (300, other), (7, parts), (0, other), (100, parts) })
        {
            var count = start switch { 0 => 7, 7 => 93, 100 => 200, _ => 200 };
            target.Add(h.narrow(0, start, count), y.narrow(0, start, count), w.narrow(0, start, count));
        }

        parts.Add(other);

        Assert.Equal(500, parts.Rows);
        Same(all, parts);
    }

    [Fact]
    public void A_weight_of_two_is_a_row_twice()
    {
        using var scope = NewDisposeScope();
        var (h, y, _) = Rows(5, 1, 30);
        using var twice = new LeastSquaresSums(5, 1);
        twice.Add(cat([h, h]), cat([y, y]));
        using var weighted = new LeastSquaresSums(5, 1);
        weighted.Add(h, y, ones(30).Times(2));
        Same(twice, weighted);
    }

    [Fact]
    public void Come_back_from_numbers_and_go_on()
    {
        using var scope = NewDisposeScope();
        var (h, y, w) = Rows(9, 2, 60);
        using var all = new LeastSquaresSums(9, 2);
        all.Add(h, y, w);
        using var first = new LeastSquaresSums(9, 2);
        first.Add(h.narrow(0, 0, 25), y.narrow(0, 0, 25), w.narrow(0, 0, 25));
        var packed = first.ToArray();
        Assert.Equal(LeastSquaresSums.PackedLength(9, 2), packed.Length);
        using var back = LeastSquaresSums.FromArray(9, 2, first.Rows, packed);
        Assert.Equal(packed, back.ToArray());
        back.Add(h.narrow(0, 25, 35), y.narrow(0, 25, 35), w.narrow(0, 25, 35));
        Same(all, back);
        Assert.Throws<ArgumentException>(() => { _ = LeastSquaresSums.FromArray(8, 2, 1, packed); });
    }

    [Fact]
    public void Some_of_the_features_have_the_sums_of_themselves_alone()
    {
        using var scope = NewDisposeScope();
        var (h, y, w) = Rows(12, 2, 60);
        using var all = new LeastSquaresSums(12, 2);
        all.Add(h, y, w);
        int[] kept = [11, 3, 4];
        using var some = all.Select(kept);
        using var alone = new LeastSquaresSums(3, 2);
        alone.Add(h.index_select(1, tensor(kept.Select(i => (long)i).ToArray())), y, w);
        Same(alone, some);
    }

    [Fact]
    public void Refuses_rows_of_another_width_and_sums_over_nothing()
    {
        using var scope = NewDisposeScope();
        using var sums = new LeastSquaresSums(3, 1);
        Assert.Throws<ArgumentException>(() => sums.Add(zeros(2, 4), zeros(2, 1)));
        Assert.Throws<ArgumentException>(() => sums.Add(zeros(2, 3), zeros(2, 2)));
        using var other = new LeastSquaresSums(4, 1);
        Assert.Throws<ArgumentException>(() => sums.Add(other));
        Assert.Throws<InvalidOperationException>(() => { _ = sums.Center(); });
    }

    private static void Same(LeastSquaresSums expected, LeastSquaresSums actual)
    {
        foreach (var (e, a) in expected.ToArray().Zip(actual.ToArray()))
            Assert.Equal(e, a, 1e-10 * Math.Max(1, Math.Abs(e)));
    }

    private static (Tensor H, Tensor Y, Tensor W) Rows(int features, int outputs, int rows) =>
        (Normal(1, ScalarType.Float32, rows, features).Plus(3), Normal(2, ScalarType.Float32, rows, outputs).Plus(-1), Normal(3, ScalarType.Float32, rows).abs());
}
