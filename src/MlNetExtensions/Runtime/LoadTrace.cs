using System.Text;
using System.Text.RegularExpressions;

namespace MlNetMlp.Runtime;

/// <summary>Remembers what was tried, and makes of it the one message that a user sees.</summary>
internal sealed partial class LoadTrace(LibTorchSearch search)
{
    /// <summary>The reason of a file that does not exist.</summary>
    public const string NotThere = "not there";

    private readonly List<(string Path, string Reason)> _tried = [];
    private readonly List<string> _loaded = [];

    public string LastReason => _tried.Count == 0 ? "" : _tried[^1].Reason;

    /// <summary>What was looked for or did not load, in this order.</summary>
    public IReadOnlyList<(string Path, string Reason)> Tried => _tried;

    /// <summary>What is loaded.</summary>
    public IReadOnlyList<string> Loaded => _loaded;

    /// <summary>The folder that libtorch is taken from, once it is known.</summary>
    public string? LibTorchFolder { get; set; }

    public void Add(string path, string reason) => _tried.Add((path, reason));

    public void AddLoaded(string path) => _loaded.Add(path);

    /// <summary>How things stand: see <see cref="NativeReport"/>.</summary>
    public string Report(LibTorchInfo? info) => new NativeReport(search, this).Write(info);

    /// <summary>A failure whose message says all that helps.</summary>
    public LibTorchException Refusal(string what) => new(string.Join(Environment.NewLine, what, "", Report(null)));

    public LibTorchException Failure(string what, Exception? inner = null)
    {
        var message = new StringBuilder(what).AppendLine().AppendLine().AppendLine(Report(null)).AppendLine().AppendLine("Tried, in this order:");
        foreach (var (path, reason) in _tried)
            message.Append("  ").Append(path).Append(": ").AppendLine(reason);

        message.AppendLine().AppendLine("What helps:");
        foreach (var missing in _tried.Select(tried => MissingLibrary(tried.Reason)).OfType<string>().Distinct())
            message.Append("  Install ").Append(missing).Append(PackageOf(missing)).AppendLine(".");
        message
            .AppendLine("  Reference one of the NuGet packages libtorch-cpu-linux-x64, libtorch-cpu-win-x64 or libtorch-cpu-osx-arm64 (version 2.10.0),")
            .AppendLine("  or TorchSharp-cuda-linux or TorchSharp-cuda-windows (version 0.107.0) for a GPU, in the application's project;")
            .AppendLine("  or set the environment variable LIBTORCH to a folder that holds libtorch 2.10, as site-packages/torch of PyTorch does.")
            .Append("  Microsoft.ML.TorchSharp (TorchSharp 0.102, libtorch 2.2) cannot be used in the same process.");
        return new(message.ToString(), inner);
    }

    /// <summary>The library that the linker says it cannot find, if that is what <paramref name="reason"/> says.</summary>
    public static string? MissingLibrary(string reason) =>
        CannotOpen().Match(reason) is { Success: true } match ? match.Groups[1].Value : null;

    /// <summary>The part of a .NET loading error that the system's linker said; the rest is advice on tracing.</summary>
    public static string Shorten(string reason)
    {
        var lines = reason.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return lines.Length < 2 ? reason : string.Join("; ", lines.Skip(1).Distinct(StringComparer.Ordinal));
    }

    public static string PackageOf(string library) => library switch
    {
        _ when library.StartsWith("libgomp.", StringComparison.Ordinal) => " (libgomp1 on Debian and Ubuntu, libgomp on Fedora and RHEL)",
        _ when library.StartsWith("libstdc++.", StringComparison.Ordinal) => " (libstdc++6 on Debian and Ubuntu, libstdc++ on Fedora and RHEL)",
        _ when library.StartsWith("libgcc_s.", StringComparison.Ordinal) => " (libgcc-s1 on Debian and Ubuntu, libgcc on Fedora and RHEL)",
        _ => "",
    };

    [GeneratedRegex(@"([^\s/:]+\.so[.\d]*): cannot open shared object file")]
    private static partial Regex CannotOpen();
}
