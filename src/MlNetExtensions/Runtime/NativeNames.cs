using System.Runtime.InteropServices;

namespace MlNetMlp.Runtime;

/// <summary>What libtorch's files are called on this system.</summary>
internal static class NativeNames
{
    private static readonly (string Prefix, string Suffix) Style =
        OperatingSystem.IsWindows() ? ("", ".dll") : OperatingSystem.IsMacOS() ? ("lib", ".dylib") : ("lib", ".so");

    public static string Cpu { get; } = File("torch_cpu");

    public static string Cuda { get; } = File("torch_cuda");

    public static string CudaCore { get; } = File("c10_cuda");

    public static string Torch { get; } = File("torch");

    public static string Bridge { get; } = File("LibTorchSharp");

    /// <summary>What <see cref="Cpu"/> needs and may lie beside it. Windows looks in the folder of the program, not there.</summary>
    public static string[] BeforeCpu { get; } =
        OperatingSystem.IsWindows() ? [File("libiomp5md"), File("uv"), File("asmjit"), File("fbgemm"), File("c10")] : [File("c10")];

    /// <summary>libtorch says its version since 2.10, by a function of its stable C interface.</summary>
    public static unsafe string VersionOf(nint cpu)
    {
        if (!NativeLibrary.TryGetExport(cpu, "aoti_torch_abi_version", out var function))
            return "unknown";

        var version = ((delegate* unmanaged[Cdecl]<ulong>)function)();
        return $"{version >> 56}.{version >> 48 & 0xff}.{version >> 40 & 0xff}";
    }

    private static string File(string name) => Style.Prefix + name + Style.Suffix;
}
