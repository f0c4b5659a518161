using System.Runtime.CompilerServices;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Training;

// Small networks and data with numbers from a generator of their own, so that tests never touch torch's global one.
internal static class Networks
{
    [ModuleInitializer]
    internal static void Load() => LibTorch.Load();

    public static Tensor Normal(ulong seed, ScalarType type, params long[] shape)
    {
        using var generator = new Generator(seed);
        return torch.empty(shape, type).normal_(0, 1, generator);
    }

    public static nn.Module<Tensor, Tensor> Perceptron(ulong seed, ScalarType type = ScalarType.Float32)
    {
        var network = nn.Sequential(
            ("first", nn.Linear(5, 7)), ("tanh", nn.Tanh()), ("norm", nn.LayerNorm(7)), ("second", nn.Linear(7, 3)));
        network.to(type);
        using var noGradient = torch.no_grad();
        foreach (var parameter in network.parameters())
        {
            using var numbers = Normal(seed++, type, parameter.shape);
            parameter.copy_(numbers);
        }
        return network;
    }

    // A mean squared error and its gradient, added into the parameters' gradients.
    public static double Backward(nn.Module<Tensor, Tensor> network, Tensor x, Tensor y)
    {
        using var scope = torch.NewDisposeScope();
        var loss = nn.functional.mse_loss(network.forward(x), y);
        loss.backward();
        return loss.ToDouble();
    }

    public static float[] Numbers(Tensor tensor) => [.. tensor.detach().contiguous().cpu().data<float>()];

    public static double MaxDifference(Tensor a, Tensor b)
    {
        using var scope = torch.NewDisposeScope();
        return (a.detach() - b.detach()).abs().max().ToDouble();
    }
}
