using TorchSharp;

namespace MlNetMlp.Runtime;

/// <summary>Chooses the device that a model is trained or scored on, as ML.NET's <c>GpuDeviceId</c> and <c>FallbackToCpu</c> say.</summary>
internal static class ComputeDevice
{
    /// <summary>Chooses the CPU, or a GPU where one is asked for. Loads libtorch.</summary>
    /// <param name="gpuDeviceId">The number of the CUDA device, from 0; null for the CPU.</param>
    /// <param name="fallbackToCpu">Whether the CPU will do where that GPU is not to be had.</param>
    /// <param name="description">What was chosen, for a log; after a fallback also why.</param>
    /// <returns>The device.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="gpuDeviceId"/> is negative.</exception>
    /// <exception cref="InvalidOperationException">The GPU is not to be had, and <paramref name="fallbackToCpu"/> is false.</exception>
    /// <exception cref="LibTorchException">libtorch does not load.</exception>
    public static torch.Device Choose(int? gpuDeviceId, bool fallbackToCpu, out string description)
    {
        var info = LibTorch.Load();
        if (gpuDeviceId is null)
        {
            description = "CPU";
            return torch.CPU;
        }

        var count = info.HasCuda && torch.cuda.is_available() ? torch.cuda.device_count() : 0;
        var gpu = Decide(gpuDeviceId.Value, fallbackToCpu, info, count, out description);
        return gpu is null ? torch.CPU : new torch.Device(DeviceType.CUDA, gpu.Value);
    }

    /// <summary>The decision without the hardware: the GPU to use, or null for the CPU.</summary>
    internal static int? Decide(int gpuDeviceId, bool fallbackToCpu, LibTorchInfo info, int deviceCount, out string description)
    {
        if (gpuDeviceId < 0)
            throw new ArgumentOutOfRangeException(nameof(gpuDeviceId), gpuDeviceId, "GpuDeviceId must be 0 or more, or null for the CPU.");

        if (gpuDeviceId < deviceCount)
        {
            description = $"GPU {gpuDeviceId} (CUDA)";
            return gpuDeviceId;
        }

        var (there, help) = info.HasCuda
            ? deviceCount == 0
                ? ("it finds no usable CUDA device", "Check the driver and that the process may see the device (nvidia-smi, CUDA_VISIBLE_DEVICES)")
                : ($"it finds {deviceCount} CUDA device{(deviceCount == 1 ? "" : "s")}, numbered from 0", $"Set GpuDeviceId to {deviceCount - 1} or less")
            : ("it is built without CUDA or its CUDA part does not load", "Reference TorchSharp-cuda-linux or TorchSharp-cuda-windows"
                + " (in this repository: TorchBackend=cuda), or set LIBTORCH to a libtorch that has CUDA");
        var reason = $"GPU {gpuDeviceId} was asked for; {info}; {there}";
        if (!fallbackToCpu)
            throw new InvalidOperationException($"{reason}. {help}, or set FallbackToCpu to true to use the CPU.");

        description = $"CPU instead of a GPU: {reason}";
        return null;
    }
}
