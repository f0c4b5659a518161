using System.Diagnostics;
using System.Runtime.InteropServices;

namespace MlNetMlp.Runtime;

/// <summary>Where to look for native files. Given explicitly, so that tests need neither the environment nor a second process.</summary>
/// <param name="Override">The value of <c>LIBTORCH</c>; null or blank if it is not set.</param>
/// <param name="Folders">The other folders, in the order in which they are searched.</param>
/// <param name="CacheFolders">Where a patched bridge may be kept, in order of preference.</param>
/// <param name="Loaded">The folder of a libtorch that is in the process already.</param>
internal sealed record LibTorchSearch(
    string? Override, IReadOnlyList<string> Folders, IReadOnlyList<string> CacheFolders, string? Loaded = null)
{
    public static string RuntimeIdentifier { get; } =
        (OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux")
        + "-" + RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();

    /// <summary>Where this process looks.</summary>
    /// <param name="application">The folder of the application; null for that of this process.</param>
    public static LibTorchSearch OfThisProcess(string? application = null)
    {
        application ??= AppContext.BaseDirectory;
        var host = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "";
        string[] folders =
        [
            Path.Combine(application, "runtimes", RuntimeIdentifier, "native"),
            application,
            .. host.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries),
        ];

        return new(
            Environment.GetEnvironmentVariable("LIBTORCH"),
            [.. folders.Select(Tidy).Distinct(StringComparer.Ordinal)],
            DefaultCacheFolders(
                Environment.GetEnvironmentVariable("XDG_CACHE_HOME"),
                Environment.GetFolderPath(Environment.SpecialFolder.UserProfile),
                Path.GetTempPath(),
                Environment.UserName),
            FolderOfLoadedLibTorch());
    }

    // A home may be missing or read-only (services, containers), so the temporary folder is the last resort.
    public static IReadOnlyList<string> DefaultCacheFolders(string? xdgCacheHome, string home, string temporary, string user)
    {
        var folders = new List<string>();
        if (Path.IsPathFullyQualified(xdgCacheHome ?? ""))
            folders.Add(Path.Combine(xdgCacheHome!, "mlnetmlp"));
        else if (Path.IsPathFullyQualified(home))
            folders.Add(Path.Combine(home, ".cache", "mlnetmlp"));

        folders.Add(Path.Combine(temporary, "mlnetmlp-" + user));
        return folders;
    }

    public static string Tidy(string folder) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));

    private static string? FolderOfLoadedLibTorch()
    {
        using var process = Process.GetCurrentProcess();
        foreach (ProcessModule module in process.Modules)
        {
            using (module)
            {
                if (string.Equals(Path.GetFileName(module.FileName), NativeNames.Cpu, StringComparison.OrdinalIgnoreCase))
                    return Path.GetDirectoryName(module.FileName);
            }
        }

        return null;
    }
}
