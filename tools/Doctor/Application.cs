using System.Diagnostics;
using System.Runtime.InteropServices;

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
    /// <returns>0 where libtorch can be used, else 1.</returns>
    public int Report()
    {
        var start = new ProcessStartInfo(
            Host(), ["exec", "--depsfile", Dependencies, "--runtimeconfig", Settings, typeof(Application).Assembly.Location, ReportCommand, System.IO.Path.GetDirectoryName(Path)!]);
        using var process = Process.Start(start)!;
        process.WaitForExit();
        if (process.ExitCode is not (0 or 1))
            Console.WriteLine($"The process that looked ended with exit code {process.ExitCode}: either .NET does not start with the application's settings, or a native library brought it down.");
        return process.ExitCode == 0 ? 0 : 1;
    }

    // The dotnet that runs this program: it need not be in the path.
    private static string Host()
    {
        var root = System.IO.Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..");
        var host = System.IO.Path.GetFullPath(System.IO.Path.Combine(root, OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet"));
        return File.Exists(host) ? host : "dotnet";
    }

    private static Application? In(string folder, SearchOption depth) => Directory.GetFiles(folder, "*.runtimeconfig.json", depth)
        .Select(file => new Application(System.IO.Path.GetFullPath(file[..^".runtimeconfig.json".Length] + ".dll")))
        .Where(application => application.IsWhole)
        .MaxBy(application => File.GetLastWriteTimeUtc(application.Path));
}
