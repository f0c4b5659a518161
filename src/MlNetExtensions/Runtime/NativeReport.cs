using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using TorchSharp;

namespace MlNetMlp.Runtime;

/// <summary>
/// Which native libraries there are, where they are and why others cannot be used: one text, for whoever asks and for the error that ends a failed start.
/// </summary>
internal sealed class NativeReport(LibTorchSearch search, LoadTrace trace)
{
    // What every Linux has that .NET runs on.
    private static readonly string[] SystemParts = ["libc.so", "libm.so", "libdl.so", "librt.so", "libpthread.so", "ld-linux"];

    /// <summary>Writes the report.</summary>
    /// <param name="info">What was loaded; null where libtorch cannot be used.</param>
    /// <returns>Lines, without one at the end.</returns>
    public string Write(LibTorchInfo? info)
    {
        var lines = new List<(string What, string State)>
        {
            ("system", $"{RuntimeInformation.OSDescription}, {LibTorchSearch.RuntimeIdentifier}, .NET {Environment.Version}"),
            ("packages", $"MlNetMlp.Extensions {VersionOf(typeof(NativeReport).Assembly)}, TorchSharp {VersionOf(typeof(torch).Assembly)}"),
            ("LIBTORCH", string.IsNullOrWhiteSpace(search.Override) ? "not set" : search.Override),
            ("libtorch", info?.ToString() ?? "not usable"),
        };
        string[] own = [NativeNames.Core, NativeNames.Cpu, NativeNames.Torch, NativeNames.Bridge];
        lines.AddRange(own.Select(name => (name, StateOf(name))));
        if (OperatingSystem.IsLinux())
            lines.AddRange(SystemLibraries(own));
        lines.Add(("CUDA", CudaState(info)));
        lines.Add(("devices", Devices(info)));

        var width = lines.Max(line => line.What.Length);
        return string.Join(Environment.NewLine, lines.Select(line => $"{line.What.PadRight(width)}  {line.State}"));
    }

    private string StateOf(string name)
    {
        if (trace.Loaded.FirstOrDefault(path => IsNamed(path, name)) is { } loaded)
            return $"loaded from {loaded}";
        if (trace.Tried.LastOrDefault(tried => IsNamed(tried.Path, name) && tried.Reason != LoadTrace.NotThere) is { Path: not null } failed)
            return $"does not load from {failed.Path}: {failed.Reason}";
        return Find(name) is { } path ? $"found at {path}, not tried" : "not found";
    }

    private IEnumerable<(string What, string State)> SystemLibraries(string[] own)
    {
        string[] all = [.. own, NativeNames.CudaCore, NativeNames.Cuda];
        var needed = all.Select(Find).OfType<string>().SelectMany(ElfNeeded.Of).Distinct(StringComparer.Ordinal)
            .Where(name => !all.Contains(name) && !SystemParts.Any(part => name.StartsWith(part, StringComparison.Ordinal)));
        foreach (var name in needed.Append("libstdc++.so.6").Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            if (Find(name) is { } beside)
                yield return (name, $"found at {beside}");
            else if (NativeLibrary.TryLoad(name, out _))
                yield return (name, OfSystem(name));
            else
                yield return (name, $"missing{LoadTrace.PackageOf(name)}");
        }
    }

    private static string OfSystem(string name)
    {
        var path = PathOfLoaded(name);
        if (path is null || !name.StartsWith("libstdc++.", StringComparison.Ordinal))
            return path is null ? "found" : $"found at {path}";
        var isNew = File.ReadAllBytes(path).AsSpan().IndexOf(Encoding.ASCII.GetBytes(LibTorchLoader.TooNewVersion + '\0')) >= 0;
        return $"found at {path}, " + (isNew
            ? $"with {LibTorchLoader.TooNewVersion}, which TorchSharp's bridge asks for"
            : $"without {LibTorchLoader.TooNewVersion}, which TorchSharp's bridge asks for: it is loaded from a copy that does not");
    }

    private string CudaState(LibTorchInfo? info) => (info, Find(NativeNames.Cuda)) switch
    {
        ({ HasCuda: true }, _) => "its part of libtorch is loaded",
        (null, null) when Find(NativeNames.Cpu) is null => "a part of libtorch, which was not found",
        (_, null) => "this libtorch is built without it, as libtorch-cpu-* and TorchSharp-cpu are",
        (null, { } path) => $"its part of libtorch is at {path}",
        _ => StateOf(NativeNames.Cuda),
    };

    private static string Devices(LibTorchInfo? info)
    {
        var cpu = $"CPU ({Environment.ProcessorCount} processors)";
        if (info is null)
            return $"{cpu}; GPUs are found by libtorch only";
        var count = info.HasCuda && torch.cuda.is_available() ? torch.cuda.device_count() : 0;
        return count == 0 ? $"{cpu}, no GPU" : cpu + string.Concat(Enumerable.Range(0, count).Select(i => string.Create(CultureInfo.InvariantCulture, $", GPU {i}")));
    }

    private string? Find(string name)
    {
        IEnumerable<string> chosen = trace.LibTorchFolder is { } folder ? [folder, .. search.Folders] : search.Folders;
        return chosen.Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
    }

    // The adapted copy of the bridge has a longer name.
    private static bool IsNamed(string path, string name) =>
        Path.GetFileName(path) is var file && (file == name || (name == NativeNames.Bridge && file.StartsWith(Path.GetFileNameWithoutExtension(name) + "-", StringComparison.Ordinal)));

    private static string? PathOfLoaded(string name)
    {
        using var process = Process.GetCurrentProcess();
        foreach (ProcessModule module in process.Modules)
        {
            using (module)
            {
                // The file behind a soname has a longer number: libstdc++.so.6.0.30.
                if (Path.GetFileName(module.FileName).StartsWith(name, StringComparison.Ordinal))
                    return module.FileName;
            }
        }

        return null;
    }

    private static string VersionOf(Assembly assembly) =>
        (assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? assembly.GetName().Version!.ToString()).Split('+')[0];
}
