using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Networks;

/// <summary>A convolution of images, like torch's <c>Conv2d</c> but without a touch of the global random numbers. Unless told otherwise by 3 x 3 kernels at every other place.</summary>
public sealed class ImageConvolution : Module<Tensor, Tensor>
{
    private readonly long[] _stride;
    private readonly long[] _padding;
    private readonly Parameter weight;
    private readonly Parameter bias;

    /// <summary>Creates a layer whose weights are not yet set.</summary>
    /// <param name="inputs">Channels that come in.</param>
    /// <param name="outputs">Channels that go out.</param>
    /// <param name="device">Where the weights are.</param>
    /// <param name="kernel">Height and width of a kernel.</param>
    /// <param name="stride">How far apart the places are.</param>
    /// <param name="padding">Rows and columns of zeros around the image.</param>
    /// <param name="isAlongRows">Whether kernels are of one row, and each row of an image becomes a row of its own, as sequences are.</param>
    public ImageConvolution(int inputs, int outputs, Device device, int kernel = 3, int stride = 2, int padding = 1, bool isAlongRows = false)
        : base(nameof(ImageConvolution))
    {
        (_stride, _padding) = ([isAlongRows ? 1 : stride, stride], [isAlongRows ? 0 : padding, padding]);
        weight = new Parameter(empty(outputs, inputs, isAlongRows ? 1 : kernel, kernel, device: device));
        bias = new Parameter(empty(outputs, device: device));
        RegisterComponents();
    }

    /// <summary>Draws weight and bias from U(−1/√n, 1/√n) for n values under a kernel, which is torch's own default.</summary>
    /// <param name="random">The stream of random numbers.</param>
    public void Initialize(Generator random)
    {
        using var noGradient = no_grad();
        var bound = 1 / Math.Sqrt(weight.shape[1] * weight.shape[2] * weight.shape[3]);
        weight.uniform_(-bound, bound, random);
        bias.uniform_(-bound, bound, random);
    }

    /// <summary>Applies the layer.</summary>
    /// <param name="input">Images [rows, inputs, height, width].</param>
    /// <returns>Images [rows, outputs, ⌊(height + 2·padding − kernel)/stride⌋ + 1, the same of the width].</returns>
    public override Tensor forward(Tensor input) => functional.conv2d(input, weight, bias, strides: _stride, padding: _padding);
}
