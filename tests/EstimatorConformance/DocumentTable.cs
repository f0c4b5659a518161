namespace MlNetMlp.Conformance;

/// <summary>Tables in pages that come from the code: between a line <c>&lt;!-- table: [name] --&gt;</c> and a line <c>&lt;!-- end of table --&gt;</c>.</summary>
public static class DocumentTable
{
    /// <summary>Name of the environment variable with which, set to 1, tables are written into the pages rather than compared.</summary>
    public const string WriteVariable = "MLNETMLP_WRITE_DOCS";

    private const string End = "<!-- end of table -->\n";

    /// <summary>Fails unless a page holds a table as the code has it; with <see cref="WriteVariable"/> set, writes it.</summary>
    /// <param name="path">The page.</param>
    /// <param name="name">Name of the table.</param>
    /// <param name="table">The table as it should be, in Markdown.</param>
    public static void Check(string path, string name, string table)
    {
        var start = $"<!-- table: {name} -->\n";
        var text = File.ReadAllText(path).ReplaceLineEndings("\n");
        var from = text.IndexOf(start, StringComparison.Ordinal);
        Assert.True(from >= 0, $"{path} has no line {start}");
        from += start.Length;
        var to = text.IndexOf(End, from, StringComparison.Ordinal);
        Assert.True(to >= 0, $"{path} has no line {End} after the table '{name}'");
        if (Environment.GetEnvironmentVariable(WriteVariable) == "1")
            File.WriteAllText(path, text[..from] + table + text[to..]);
        else
            Assert.True(text[from..to] == table, $"{path}: the table '{name}' is not what the code says. Run the tests with {WriteVariable}=1 to write it:\n{table}");
    }
}
