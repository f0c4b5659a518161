using MlNetMlp.Runtime;
using TorchSharp;

namespace MlNetMlp.Tests.Runtime;

public class ComputeDeviceTests
{
    private static readonly LibTorchInfo CpuOnly = new("/x", "2.10.0", false, false);
    private static readonly LibTorchInfo Cuda = new("/x", "2.10.0", true, false);

    [Fact]
    public void TheDefaultIsTheCpu()
    {
        Assert.Equal(DeviceType.CPU, ComputeDevice.Choose(null, false, out var description).type);
        Assert.Equal("CPU", description);
    }

    [Fact]
    public void AGpuThatIsNotThereFallsBackOrIsRefused()
    {
        const int NotThere = 999;

        Assert.Equal(DeviceType.CPU, ComputeDevice.Choose(NotThere, true, out var description).type);
        Assert.StartsWith("CPU instead of a GPU: GPU 999 was asked for", description, StringComparison.Ordinal);
        var error = Assert.Throws<InvalidOperationException>(() => ComputeDevice.Choose(NotThere, false, out _));
        Assert.Contains("FallbackToCpu", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AGpuThatIsThereIsTaken()
    {
        if (!LibTorch.Load().HasCuda || !torch.cuda.is_available())
            return;

        var device = ComputeDevice.Choose(0, false, out var description);
        using var onDevice = torch.ones(8, device: device);

        Assert.Equal(DeviceType.CUDA, onDevice.device_type);
        Assert.Equal("GPU 0 (CUDA)", description);
    }

    [Fact]
    public void TheDecisionSaysWhatIsThereAndWhatHelps()
    {
        Assert.Equal(1, ComputeDevice.Decide(1, false, Cuda, 2, out var description));
        Assert.Equal("GPU 1 (CUDA)", description);

        Refused("TorchBackend=cuda", CpuOnly, 0);
        Refused("nvidia-smi", Cuda, 0);
        Refused("1 CUDA device,", Cuda, 1);
        Refused("GpuDeviceId to 1 or less", Cuda, 2);
        Assert.Throws<ArgumentOutOfRangeException>(() => ComputeDevice.Decide(-1, true, Cuda, 2, out _));
    }

    private static void Refused(string saying, LibTorchInfo info, int devices)
    {
        var error = Assert.Throws<InvalidOperationException>(() => ComputeDevice.Decide(2, false, info, devices, out _));
        Assert.Contains(saying, error.Message, StringComparison.Ordinal);
        Assert.Contains("GPU 2", error.Message, StringComparison.Ordinal);
        Assert.Null(ComputeDevice.Decide(2, true, info, devices, out _));
    }
}
