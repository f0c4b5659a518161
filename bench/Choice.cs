namespace MlNetMlp.Bench;

/// <summary>What the words behind a benchmark's name choose, and where its data are.</summary>
internal static class Choice
{
    /// <summary>The folder of the public data sets.</summary>
    public static string DataFolder => Environment.GetEnvironmentVariable("MLNETMLP_DATA") ?? Path.Combine("..", "shared", "data");

    /// <summary>Those that an option names, in its order, such as <c>sets=a,b</c>.</summary>
    /// <param name="options">The words.</param>
    /// <param name="option">The option.</param>
    /// <param name="owner">The benchmark, for a message where there is no such one.</param>
    /// <param name="all">All there are.</param>
    /// <param name="name">Their names.</param>
    /// <returns>Those chosen, all where the option is not there; null, after a line, where a name is none.</returns>
    public static T[]? Of<T>(ILookup<string, string> options, string option, string owner, IReadOnlyList<T> all, Func<T, string> name)
    {
        string[] wanted = [.. options[option].SelectMany(list => list.Split(','))];
        var unknown = wanted.Except(all.Select(name)).ToArray();
        if (unknown.Length > 0)
            Console.WriteLine($"{owner}: no {option} named {string.Join(", ", unknown)}; there are {string.Join(", ", all.Select(name))}.");
        return unknown.Length > 0 ? null : wanted.Length == 0 ? [.. all] : [.. wanted.Select(word => all.First(item => name(item) == word))];
    }

    /// <summary>Runs the parts of a benchmark that <c>parts=a,b</c> names, or all.</summary>
    /// <param name="options">The words.</param>
    /// <param name="owner">The benchmark.</param>
    /// <param name="parts">Its parts.</param>
    public static void RunParts(ILookup<string, string> options, string owner, IReadOnlyDictionary<string, Action> parts)
    {
        foreach (var (_, run) in Of(options, "parts", owner, [.. parts], part => part.Key) ?? [])
            run();
    }
}
