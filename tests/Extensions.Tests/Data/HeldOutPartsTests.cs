using MlNetMlp.Data;

namespace MlNetMlp.Tests.Data;

public class HeldOutPartsTests
{
    [Theory]
    [InlineData(100, 0.1, 10)]
    [InlineData(103, 0.25, 4)]
    [InlineData(7, 0.5, 2)]
    public void Parts_share_no_row_as_long_as_there_are_rows(int rows, double fraction, int parts)
    {
        var chosen = HeldOutParts.Choose(new int[rows], fraction, parts, 1);
        Assert.All(chosen, part => Assert.InRange(part.Length, Math.Floor(fraction * rows), Math.Ceiling(fraction * rows)));
        var all = chosen.SelectMany(part => part).ToArray();
        Assert.Equal(all.Length, all.Distinct().Count());
        Assert.All(all, row => Assert.InRange(row, 0, rows - 1));
    }

    [Fact]
    public void Every_class_gives_its_share()
    {
        int[] classes = [.. Enumerable.Range(0, 1000).Select(row => row % 10 == 0 ? 2 : row % 3 == 0 ? 1 : 0)];
        foreach (var part in HeldOutParts.Choose(classes, 0.2, 5, 3))
        {
            for (var kind = 0; kind < 3; kind++)
                Assert.InRange(part.Count(row => classes[row] == kind), Math.Floor(0.2 * classes.Count(c => c == kind)), Math.Ceiling(0.2 * classes.Count(c => c == kind)));
        }
    }

    [Fact]
    public void The_seed_decides_and_never_all_rows_are_held_out()
    {
        var one = HeldOutParts.Choose(new int[50], 0.3, 3, 1);
        Assert.Equal(one, HeldOutParts.Choose(new int[50], 0.3, 3, 1));
        Assert.NotEqual(one, HeldOutParts.Choose(new int[50], 0.3, 3, 2));
        foreach (var rows in (int[])[1, 2, 3])
            Assert.All(HeldOutParts.Choose(new int[rows], 0.99, 5, 1), part => Assert.True(part.Length < rows));
        Assert.All(HeldOutParts.Choose(new int[9], 0.1, 4, 1), Assert.Empty);
    }

    [Theory]
    [InlineData(49, 49)]
    [InlineData(103, 8)]
    [InlineData(5, 8)]
    public void Folds_hold_each_row_once_and_each_part_of_the_ranks_alike(int rows, int folds)
    {
        int[] ranks = [.. Enumerable.Range(0, rows).Select(row => row * 7 % rows)];
        var dealt = HeldOutParts.Deal(ranks, folds, 1);
        Assert.Equal(Enumerable.Range(0, rows).Select(row => (long)row), dealt.SelectMany(part => part).Order());
        Assert.All(dealt, part => Assert.InRange(part.Length, rows / folds, (rows + folds - 1) / folds));
        foreach (var part in dealt)
        {
            // One of each block of as many rows as there are folds.
            var blocks = part.Select(row => ranks[row] / folds).Order().ToArray();
            Assert.Equal(blocks.Distinct(), blocks);
        }

        Assert.Equal(dealt, HeldOutParts.Deal(ranks, folds, 1));
    }
}
