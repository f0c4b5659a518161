using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Networks;

/// <summary>A convolution of images by 3 x 3 kernels that takes every other place, like torch's <c>Conv2d</c> but without a touch of the global random numbers.</summary>
public sealed class ImageConvolution : Module<Tensor, Tensor>
{
    private const int Kernel = 3;

    private readonly Parameter weight;
    private readonly Parameter bias;

    /// <summary>Creates a layer whose weights are not yet set.</summary>
    /// <param name="inputs">Channels that come in.</param>
    /// <param name="outputs">Channels that go out.</param>
    /// <param name="device">Where the weights are.</param>
    public ImageConvolution(int inputs, int outputs, Device device)
        : base(nameof(ImageConvolution))
    {
        weight = new Parameter(empty(outputs, inputs, Kernel, Kernel, device: device));
        bias = new Parameter(empty(outputs, device: device));
        RegisterComponents();
    }

    /// <summary>Draws weight and bias from U(−1/√n, 1/√n) for n values under a kernel, which is torch's own default.</summary>
    /// <param name="random">The stream of random numbers.</param>
    public void Initialize(Generator random)
    {
        using var noGradient = no_grad();
        var bound = 1 / Math.Sqrt(weight.shape[1] * Kernel * Kernel);
        weight.uniform_(-bound, bound, random);
        bias.uniform_(-bound, bound, random);
    }

    /// <summary>Applies the layer.</summary>
    /// <param name="input">Images [rows, inputs, height, width].</param>
    /// <returns>Images [rows, outputs, ⌈height/2⌉, ⌈width/2⌉].</returns>
    public override Tensor forward(Tensor input) => functional.conv2d(input, weight, bias, strides: [2, 2], padding: [1, 1]);
}
