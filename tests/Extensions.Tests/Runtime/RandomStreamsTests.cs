using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Runtime;

public class RandomStreamsTests
{
    [Fact]
    public void Rows_are_chosen_ascending_without_those_left_out()
    {
        using var random = new RandomStreams(1, CPU);
        long[] without = [0, 3, 4, 9];
        for (var wanted = 0; wanted <= 6; wanted++)
        {
            var chosen = new long[wanted];
            random.ChooseRows(10, without, chosen);
            Assert.Equal(chosen.Distinct().Order(), chosen);
            Assert.All(chosen, row => Assert.InRange(row, 0, 9));
            Assert.Empty(chosen.Intersect(without));
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => random.ChooseRows(10, without, new long[7]));
    }

    [Fact]
    public void Each_set_of_rows_is_as_likely_as_every_other()
    {
        using var random = new RandomStreams(2, CPU);
        var counts = new Dictionary<(long, long), int>();
        var chosen = new long[2];
        for (var i = 0; i < 10_000; i++)
        {
            random.ChooseRows(6, [2], chosen);
            counts[(chosen[0], chosen[1])] = counts.GetValueOrDefault((chosen[0], chosen[1])) + 1;
        }

        // Of 10 pairs each comes 1,000 times with a standard deviation of 30.
        Assert.Equal(10, counts.Count);
        Assert.All(counts.Values, count => Assert.InRange(count, 850, 1150));
    }

    [Fact]
    public void The_seed_decides()
    {
        Assert.Equal(Choose(1), Choose(1));
        Assert.NotEqual(Choose(1), Choose(2));

        static long[] Choose(int seed)
        {
            using var random = new RandomStreams(seed, CPU);
            var chosen = new long[50];
            random.ChooseRows(1000, [], chosen);
            return chosen;
        }
    }
}
