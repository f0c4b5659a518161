using System.Reflection;
using System.Runtime.InteropServices;
using TorchSharp;

namespace MlNetMlp.Runtime;

/// <summary>
/// Tells TorchSharp that its native libraries are loaded. Left alone it loads <c>torch_cpu</c> by name at its first use, which would
/// bring a second libtorch into the process if the host knows another one than <c>LIBTORCH</c> names.
/// </summary>
internal static class TorchSharpBackend
{
    public static void Use(nint bridge, bool hasCuda)
    {
        try
        {
            NativeLibrary.SetDllImportResolver(typeof(torch).Assembly, (name, _, _) => name == "LibTorchSharp" ? bridge : 0);
        }
        catch (InvalidOperationException)
        {
            // The application has a resolver of its own; the libraries that are loaded are found by their names then.
        }

        MarkAsLoaded("nativeBackendLoaded");
        MarkAsLoaded("nativeBackendCudaLoaded");
        torch.InitializeDeviceType(DeviceType.CPU);
        _ = torch.get_num_threads();
    }

    private static void MarkAsLoaded(string field) =>
        typeof(torch).GetField(field, BindingFlags.Static | BindingFlags.NonPublic)?.SetValue(null, true);
}
