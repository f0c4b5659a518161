using System.Diagnostics;

namespace MlNetMlp.Tests.Support;

/// <summary>The command <c>dotnet</c> as somebody with a solution of their own runs it.</summary>
/// <param name="folder">The current folder.</param>
/// <param name="environment">Environment variables beside those of this process; null as a value removes one.</param>
internal sealed class Dotnet(string folder, IReadOnlyDictionary<string, string?> environment)
{
    /// <summary>Runs a command and fails unless it succeeds.</summary>
    /// <returns>What it wrote, errors at the end.</returns>
    public string Run(params string[] arguments)
    {
        var (exitCode, output) = Try(arguments);
        Assert.True(exitCode == 0, $"dotnet {string.Join(' ', arguments)} in {folder} ended with exit code {exitCode}:\n{output}");
        return output;
    }

    /// <summary>Runs a command.</summary>
    /// <returns>Its exit code and what it wrote.</returns>
    public (int ExitCode, string Output) Try(params string[] arguments)
    {
        var host = Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";
        var start = new ProcessStartInfo(host, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };

        // The runner of the tests hands down settings of its own MSBuild, which are not those of the folder.
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("MSBuild", StringComparison.OrdinalIgnoreCase)).ToArray())
            start.Environment.Remove(name);
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        foreach (var (name, value) in environment)
            start.Environment[name] = value;

        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }
}
