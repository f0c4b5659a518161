using System.ComponentModel.DataAnnotations;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Explain;

/// <summary>Shapes of an <see cref="AdversariallyRobustNetwork"/>'s network, which are its file format.</summary>
public sealed record RobustNetworkDefinition : NetworkDefinition, IValidatableObject
{
    /// <summary>Units of a hidden layer.</summary>
    [Range(1, 1 << 16)]
    public required int HiddenUnits { get; init; }

    /// <summary>Number of hidden layers, behind the convolutions where there are any.</summary>
    [Range(0, 64)]
    public required int HiddenLayers { get; init; }

    /// <summary>The size of images, which convolutions look at; null for none.</summary>
    public required ImageShape? Image { get; init; }

    /// <summary>Whether the network standardises its inputs.</summary>
    public required bool StandardizeInputs { get; init; }

    /// <inheritdoc/>
    public override long WeightCount
    {
        get
        {
            var (count, width) = (StandardizeInputs ? 2L * Inputs : 0, (long)Inputs);
            if (Image is not null)
            {
                var channels = (long)Image.Channels;
                foreach (var next in RobustNetwork.Channels)
                {
                    count += ((9 * channels) + 1) * next;
                    channels = next;
                }

                width = RobustNetwork.ConvolvedSize(Image);
            }

            foreach (var size in Sizes)
            {
                count += (width + 1) * size;
                width = size;
            }

            return count;
        }
    }

    /// <summary>Outputs of the layers.</summary>
    internal IEnumerable<int> Sizes => Enumerable.Repeat(HiddenUnits, HiddenLayers).Append(Outputs);

    /// <inheritdoc/>
    public override Network Build(Device device) => new RobustNetwork(this, device);

    /// <inheritdoc/>
    public override DenseProgram? BuildDense(WeightReader weights)
    {
        if (Image is not null)
            return null;
        var builder = new DenseProgramBuilder(Inputs);
        var x = builder.Input;
        if (StandardizeInputs)
            x = builder.Affine(x, weights.Take("mean", Inputs).Span, weights.Take("scale", Inputs).Span);
        for (var l = 0; l <= HiddenLayers; l++)
        {
            var size = l < HiddenLayers ? HiddenUnits : Outputs;
            x = builder.Dense(
                x, weights.Take($"layers.{l}.weight", size, x.Width), weights.Take($"layers.{l}.bias", size).Span, size,
                l < HiddenLayers ? Activation.Relu : Activation.Identity);
        }

        weights.Finish();
        return builder.Build(x);
    }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Image is not null && Image.Size != Inputs)
            yield return new ValidationResult($"'Image' must be of {Inputs} values, one for each input, but {Image} has {Image.Size}");
    }
}

/// <summary>The network of an <see cref="AdversariallyRobustNetwork"/>: layers of ReLU units, for images behind three convolutions of 3 x 3 that take every other place.</summary>
internal sealed class RobustNetwork : Network
{
    /// <summary>Channels of the convolutions.</summary>
    public static readonly int[] Channels = [16, 32, 32];

    private readonly RobustNetworkDefinition _definition;
    private readonly Tensor? mean;
    private readonly Tensor? scale;
    private readonly ModuleList<ImageConvolution> convolutions = [];
    private readonly ModuleList<Dense> layers = [];

    public RobustNetwork(RobustNetworkDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        if (definition.StandardizeInputs)
            (mean, scale) = (zeros(definition.Inputs, device: device), ones(definition.Inputs, device: device));
        long width = definition.Inputs;
        if (definition.Image is { } image)
        {
            var channels = image.Channels;
            foreach (var next in Channels)
            {
                convolutions.Add(new(channels, next, device));
                channels = next;
            }

            width = ConvolvedSize(image);
        }

        foreach (var size in definition.Sizes)
        {
            layers.Add(new((int)width, size, device));
            width = size;
        }

        RegisterComponents();
    }

    /// <summary>Number of values behind the convolutions.</summary>
    public static long ConvolvedSize(ImageShape image)
    {
        long height = image.Height, width = image.Width;
        foreach (var _ in Channels)
            (height, width) = ((height + 1) / 2, (width + 1) / 2);
        return height * width * Channels[^1];
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        if (_definition.Image is not { } image)
            return Rest(layers[0].call(Standardize(x)));
        x = image.ToImages(Standardize(x));
        foreach (var convolution in convolutions)
            x = convolution.call(x).relu();
        return Rest(layers[0].call(x.flatten(1)));
    }

    /// <inheritdoc/>
    public override Tensor AffinePart(Tensor x) => _definition.Image is null ? layers[0].call(Standardize(x)) : x;

    /// <inheritdoc/>
    public override Tensor FromAffinePart(Tensor begun) => _definition.Image is null ? Rest(begun) : call(begun);

    private Tensor Standardize(Tensor x) => mean is null || scale is null ? x : x.sub(mean).mul(scale);

    private Tensor Rest(Tensor z)
    {
        foreach (var layer in layers.Skip(1))
            z = layer.call(z.relu());
        return z;
    }

    /// <inheritdoc/>
    public override void Initialize(Generator random)
    {
        foreach (var convolution in convolutions)
            convolution.Initialize(random);
        foreach (var layer in layers)
            layer.Initialize(random);
    }

    /// <summary>Fixes how inputs are standardised.</summary>
    public void Standardize(FeatureStatistics statistics)
    {
        if (mean is null || scale is null)
            return;
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        mean.copy_(tensor(statistics.Mean.ToArray()));
        scale.copy_(tensor(statistics.Scale()).reciprocal());
    }
}
