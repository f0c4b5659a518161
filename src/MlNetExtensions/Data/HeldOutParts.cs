using MlNetMlp.Runtime;

namespace MlNetMlp.Data;

/// <summary>
/// Rows to hold out where several networks are trained at once, other ones for each: all rows teach some of the networks, and more rows judge
/// them than any one of them goes without.
/// </summary>
public static class HeldOutParts
{
    /// <summary>Chooses the rows, the same share of each class.</summary>
    /// <param name="classes">The class of each row, at least 0; the same for all where there are no classes.</param>
    /// <param name="fraction">Share of the rows of a part, in [0, 1).</param>
    /// <param name="parts">Number of parts; up to ⌊1/<paramref name="fraction"/>⌋ of them share no row.</param>
    /// <param name="seed">The seed.</param>
    /// <returns>For each part the indices of its rows, ascending, never all rows; none where the fraction is less than a row.</returns>
    public static long[][] Choose(ReadOnlySpan<int> classes, double fraction, int parts, int seed)
    {
        var rows = classes.Length;
        if (fraction * rows < 1)
            return [.. Enumerable.Repeat(Array.Empty<long>(), parts)];
        var random = new DeterministicRandom(RandomStreams.Hash((ulong)seed, (ulong)rows));
        var order = new int[rows];
        for (var row = 0; row < rows; row++)
        {
            var other = random.Next(row + 1);
            (order[row], order[other]) = (order[other], row);
        }

        // Rows of a class stand side by side in a line, of which a part takes each 1/fraction-th, beginning one place after the part before.
        var line = ByClass(order, classes);
        var chosen = new long[parts][];
        for (var part = 0; part < parts; part++)
        {
            var taken = new List<long>((int)(fraction * rows) + 1);
            for (var i = 0; i < rows && taken.Count < rows - 1; i++)
            {
                if (Math.Floor((i - part + 1) * fraction) > Math.Floor((i - part) * fraction))
                    taken.Add(line[i]);
            }

            taken.Sort();
            chosen[part] = [.. taken];
        }

        return chosen;
    }

    /// <summary>
    /// Deals all rows to folds: of as many rows as there are folds, one behind the other in the order of the classes, each fold gets one. So a fold has its share of every class, and of
    /// every part of the range of ranked numbers.
    /// </summary>
    /// <param name="classes">The class or rank of each row, at least 0 and below the number of rows.</param>
    /// <param name="folds">Number of folds, at least 1.</param>
    /// <param name="seed">The seed.</param>
    /// <returns>For each fold the indices of its rows, ascending; their numbers differ by one at most.</returns>
    public static long[][] Deal(ReadOnlySpan<int> classes, int folds, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(folds, 1);
        var rows = classes.Length;
        var random = new DeterministicRandom(RandomStreams.Hash((ulong)seed, (ulong)rows));
        var order = new int[rows];
        for (var row = 0; row < rows; row++)
        {
            var other = random.Next(row + 1);
            (order[row], order[other]) = (order[other], row);
        }

        var line = ByClass(order, classes);
        int[] hands = [.. Enumerable.Range(0, folds)];
        List<long>[] dealt = [.. hands.Select(_ => new List<long>((rows / folds) + 1))];
        for (var i = 0; i < rows; i++)
        {
            var first = i % folds;
            var chosen = first + random.Next(folds - first);
            (hands[first], hands[chosen]) = (hands[chosen], hands[first]);
            dealt[hands[first]].Add(line[i]);
        }

        foreach (var rowsOfFold in dealt)
            rowsOfFold.Sort();
        return [.. dealt.Select(rowsOfFold => rowsOfFold.ToArray())];
    }

    private static int[] ByClass(int[] order, ReadOnlySpan<int> classes)
    {
        var next = new int[1];
        foreach (var kind in classes)
        {
            if (kind + 1 >= next.Length)
                Array.Resize(ref next, Math.Max(kind + 2, 2 * next.Length));
            next[kind + 1]++;
        }

        for (var kind = 1; kind < next.Length; kind++)
            next[kind] += next[kind - 1];
        var line = new int[order.Length];
        foreach (var row in order)
            line[next[classes[row]]++] = row;
        return line;
    }
}
