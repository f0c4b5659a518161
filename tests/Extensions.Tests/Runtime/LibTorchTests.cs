using MlNetMlp.Runtime;
using TorchSharp;

namespace MlNetMlp.Tests.Runtime;

public class LibTorchTests
{
    [Fact]
    public void LoadsAndMultiplies()
    {
        var info = LibTorch.Load();
        using var a = torch.ones(2, 3);
        using var b = torch.ones(3, 2);
        using var c = a.matmul(b);

        Assert.Equal(12f, c.sum().item<float>());
        Assert.Equal("2.10.0", info.Version);
        Assert.StartsWith("libtorch 2.10.0 (", info.ToString(), StringComparison.Ordinal);
        Assert.Same(info, LibTorch.Load());
    }
}
