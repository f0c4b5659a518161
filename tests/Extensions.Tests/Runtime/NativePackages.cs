using System.Runtime.InteropServices;
using MlNetMlp.Runtime;

namespace MlNetMlp.Tests.Runtime;

/// <summary>The native libraries that the tests run with, as they came from their packages.</summary>
internal static class NativePackages
{
    /// <summary>The folders that hold them, without what the environment says or the process has loaded.</summary>
    public static IReadOnlyList<string> Folders => LibTorchSearch.OfThisProcess().Folders;

    /// <summary>TorchSharp's bridge for Linux; null elsewhere, where there is nothing to patch.</summary>
    public static string? LinuxBridge =>
        OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64 ? Find(NativeNames.Bridge) : null;

    /// <summary>The path of a library in the first folder that has it.</summary>
    public static string Find(string name) => Folders.Select(folder => Path.Combine(folder, name)).First(File.Exists);

    /// <summary>Whether the <c>libstdc++</c> in this process is too old for the bridge as it comes.</summary>
    public static bool IsLibStdCppTooOld()
    {
        var path = File.ReadLines("/proc/self/maps").First(line => line.Contains("/libstdc++.so", StringComparison.Ordinal));
        var library = File.ReadAllBytes(path[path.IndexOf('/', StringComparison.Ordinal)..]);
        return library.AsSpan().IndexOf("GLIBCXX_3.4.32\0"u8) < 0;
    }
}
