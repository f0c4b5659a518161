using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace MlNetMlp.Runtime;

/// <summary>What libtorch's files are called on this system, and which version a libtorch is.</summary>
internal static partial class NativeNames
{
    private static readonly (string Prefix, string Suffix) Style =
        OperatingSystem.IsWindows() ? ("", ".dll") : OperatingSystem.IsMacOS() ? ("lib", ".dylib") : ("lib", ".so");

    public static string Core { get; } = Name("c10");

    public static string Cpu { get; } = Name("torch_cpu");

    public static string CudaCore { get; } = Name("c10_cuda");

    public static string Cuda { get; } = Name("torch_cuda");

    public static string Torch { get; } = Name("torch");

    public static string Bridge { get; } = Name("LibTorchSharp");

    /// <summary>
    /// What has to be loaded before <see cref="Cuda"/> on Windows, in the order that TorchSharp found out: these libraries ask for one
    /// another while they run, when the folder that they came from is no longer searched.
    /// </summary>
    public static string[] BeforeCuda { get; } = !OperatingSystem.IsWindows()
        ? []
        :
        [
            "cudnn_adv64_9.dll", "cudnn_cnn64_9.dll", "cudnn_ops64_9.dll", "cudnn_graph64_9.dll", "cudnn_heuristic64_9.dll",
            "cudnn_engines_precompiled64_9.dll", "cudnn_engines_runtime_compiled64_9.dll", "nvrtc-builtins64_128.dll", "caffe2_nvrtc.dll",
            "nvrtc64_120_0.dll", "cublasLt64_12.dll", "cufft64_11.dll", "cusparse64_12.dll", "cusolver64_11.dll",
        ];

    /// <summary>The version of a loaded libtorch: by a function of its C interface since 2.10, before that by a file beside it.</summary>
    public static unsafe string VersionOf(nint cpu, string folder)
    {
        if (NativeLibrary.TryGetExport(cpu, "aoti_torch_abi_version", out var function))
        {
            var version = ((delegate* unmanaged[Cdecl]<ulong>)function)();
            return $"{version >> 56}.{(version >> 48) & 0xff}.{(version >> 40) & 0xff}";
        }

        return VersionBeside(folder) ?? "unknown";
    }

    /// <summary>What PyTorch's <c>version.py</c> or the plain distribution's <c>build-version</c> says, one folder up.</summary>
    public static string? VersionBeside(string folder)
    {
        foreach (var file in (string[])["version.py", "build-version"])
        {
            try
            {
                if (Path.GetDirectoryName(folder) is { } parent
                    && VersionInText().Match(File.ReadAllText(Path.Combine(parent, file))) is { Success: true } match)
                {
                    return match.Value;
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // A version that cannot be read is unknown, which is no reason to fail.
            }
        }

        return null;
    }

    private static string Name(string name) => Style.Prefix + name + Style.Suffix;

    [GeneratedRegex(@"\d+\.\d+\.\d+")]
    private static partial Regex VersionInText();
}
