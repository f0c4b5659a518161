using System.Text;

namespace MlNetMlp.Tests.PublicApi;

/// <summary>What differs between two texts of code, each change below the line of the type that it is in.</summary>
internal static class LineDifference
{
    public static string Of(string before, string after)
    {
        var (old, now) = (before.Split('\n'), after.Split('\n'));
        var first = 0;
        while (first < Math.Min(old.Length, now.Length) && old[first] == now[first])
            first++;
        var last = 0;
        while (last < Math.Min(old.Length, now.Length) - first && old[^(last + 1)] == now[^(last + 1)])
            last++;
        var (gone, come) = (old[first..^last], now[first..^last]);

        // Lengths of the longest common parts of what is left from each pair of lines on.
        var common = new int[gone.Length + 1, come.Length + 1];
        for (var i = gone.Length - 1; i >= 0; i--)
        {
            for (var j = come.Length - 1; j >= 0; j--)
                common[i, j] = gone[i] == come[j] ? common[i + 1, j + 1] + 1 : Math.Max(common[i + 1, j], common[i, j + 1]);
        }

        var text = new StringBuilder();
        var (told, x, y) = ("", 0, 0);
        while (x < gone.Length || y < come.Length)
        {
            if (x < gone.Length && y < come.Length && gone[x] == come[y])
            {
                (x, y) = (x + 1, y + 1);
                continue;
            }

            var isGone = y == come.Length || (x < gone.Length && common[x + 1, y] >= common[x, y + 1]);
            var line = isGone ? gone[x] : come[y];
            var type = isGone ? TypeAround(old, first + x) : TypeAround(now, first + y);
            if (type != told)
                text.Append("  ").Append(told = type).Append('\n');
            text.Append(isGone ? "- " : "+ ").Append(line).Append('\n');
            (x, y) = isGone ? (x + 1, y) : (x, y + 1);
        }

        return text.ToString();
    }

    // The nearest line above that is less indented and opens a block.
    private static string TypeAround(string[] lines, int at)
    {
        var depth = Indent(lines[at]);
        for (var i = at - 1; i >= 0; i--)
        {
            if (lines[i].Trim() == "{" && Indent(lines[i]) < depth)
                return i > 0 ? lines[i - 1].Trim() : "";
        }

        return "";
    }

    private static int Indent(string line) => line.Length - line.TrimStart().Length;
}
