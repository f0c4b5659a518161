using System.Diagnostics;

namespace MlNetMlp.Doctor;

/// <summary>An application of .NET as it was built: a .dll with the list of its dependencies and its settings beside it.</summary>
/// <param name="Path">The .dll.</param>
internal sealed record Application(string Path)
{
    /// <summary>The command that the process on the application's dependencies is given.</summary>
    public const string ReportCommand = "report";

    private string Dependencies => System.IO.Path.ChangeExtension(Path, ".deps.json");

    private string Settings => System.IO.Path.ChangeExtension(Path, ".runtimeconfig.json");

    private bool IsWhole => File.Exists(Path) && File.Exists(Dependencies) && File.Exists(Settings);

    /// <summary>The application at a place: a .dll, an output folder, or a folder with output below <c>bin</c>, of which the newest counts.</summary>
    public static Application? Find(string place)
    {
        if (File.Exists(place))
            return new Application(System.IO.Path.GetFullPath(place)) is { IsWhole: true } given ? given : null;

        var bin = System.IO.Path.Combine(place, "bin");
        return In(place, SearchOption.TopDirectoryOnly) ?? (Directory.Exists(bin) ? In(bin, SearchOption.AllDirectories) : null);
    }

    /// <summary>Reports from a process that runs on the application's dependencies.</summary>
    /// <returns>Its exit code.</returns>
    public int Report()
    {
        var host = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? (Environment.ProcessPath is { } path && System.IO.Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet");
        var start = new ProcessStartInfo(
            host,
            ["exec", "--depsfile", Dependencies, "--runtimeconfig", Settings, typeof(Application).Assembly.Location, ReportCommand, System.IO.Path.GetDirectoryName(Path)!]);
        using var process = Process.Start(start)!;
        process.WaitForExit();
        return process.ExitCode;
    }

    private static Application? In(string folder, SearchOption depth) => Directory.GetFiles(folder, "*.runtimeconfig.json", depth)
        .Select(file => new Application(System.IO.Path.GetFullPath(file[..^".runtimeconfig.json".Length] + ".dll")))
        .Where(application => application.IsWhole)
        .MaxBy(application => File.GetLastWriteTimeUtc(application.Path));
}
