using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>
/// One layer of units without a readout, y = φ(W·x + b): features for other trainers, whether drawn at random or taken from a
/// <see cref="HiddenLayerDefinition"/>.
/// </summary>
/// <remarks>
/// Tensors: <c>hidden.weight</c> W [outputs, inputs], <c>hidden.bias</c> b [outputs], and with <see cref="StandardizeInputs"/> <c>mean</c> and
/// <c>scale</c> [inputs], which make (x − mean)·scale of x.
/// </remarks>
public sealed record FeatureLayerDefinition : NetworkDefinition
{
    /// <summary>φ, the function of the units.</summary>
    public required Activation Activation { get; init; }

    /// <summary>Whether the network standardises its inputs.</summary>
    public required bool StandardizeInputs { get; init; }

    /// <inheritdoc/>
    public override long WeightCount => ((Inputs + 1L) * Outputs) + (StandardizeInputs ? 2L * Inputs : 0);

    /// <inheritdoc/>
    public override Network Build(Device device) => new FeatureLayerNetwork(this, device);

    /// <inheritdoc/>
    public override DenseProgram? BuildDense(WeightReader weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        var builder = new DenseProgramBuilder(Inputs);
        var (weight, bias) = (weights.Take("hidden.weight", Outputs, Inputs), weights.Take("hidden.bias", Outputs));
        var x = StandardizeInputs ? builder.Affine(builder.Input, weights.Take("mean", Inputs).Span, weights.Take("scale", Inputs).Span) : builder.Input;
        weights.Finish();
        return builder.Build(builder.Dense(x, weight, bias.Span, Outputs, Activation));
    }
}

/// <summary>The network of a <see cref="FeatureLayerDefinition"/>.</summary>
internal sealed class FeatureLayerNetwork : Network
{
    private readonly Activation _activation;
    private readonly Layer hidden;
    private readonly Tensor? mean;
    private readonly Tensor? scale;

    public FeatureLayerNetwork(FeatureLayerDefinition definition, Device device)
        : base(definition)
    {
        _activation = definition.Activation;
        hidden = new(definition, device);
        if (definition.StandardizeInputs)
            (mean, scale) = (zeros(definition.Inputs, device: device), ones(definition.Inputs, device: device));
        RegisterComponents();
    }

    public override void Initialize(Generator random)
    {
        var bound = 1 / Math.Sqrt(Definition.Inputs);
        hidden.weight.uniform_(-bound, bound, random);
        hidden.bias.uniform_(-bound, bound, random);
    }

    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        if (mean is not null && scale is not null)
            x = x.sub(mean).mul(scale);
        return HiddenLayerNetwork.Apply(_activation, nn.functional.linear(x, hidden.weight, hidden.bias)).MoveToOuterDisposeScope();
    }

    private sealed class Layer : nn.Module
    {
        public readonly Parameter weight;
        public readonly Parameter bias;

        public Layer(FeatureLayerDefinition definition, Device device)
            : base(nameof(Layer))
        {
            weight = new Parameter(empty(definition.Outputs, definition.Inputs, device: device));
            bias = new Parameter(empty(definition.Outputs, device: device));
            RegisterComponents();
        }
    }
}
