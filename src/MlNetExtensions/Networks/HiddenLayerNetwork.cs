using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>The network of a <see cref="HiddenLayerDefinition"/>.</summary>
internal sealed class HiddenLayerNetwork : Network
{
    private readonly HiddenLayerDefinition _definition;
    private readonly HiddenLayer hidden;
    private readonly OutputLayer output;
    private readonly Tensor step_sizes;
    private readonly Tensor? mean;
    private readonly Tensor? scale;
    private readonly KnotMap? knots;

    public HiddenLayerNetwork(HiddenLayerDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        hidden = new(definition, device);
        output = new(definition, device);
        step_sizes = ones(definition.Steps, device: device);
        if (definition.StandardizeInputs)
            (mean, scale) = (zeros(definition.Inputs, device: device), ones(definition.Inputs, device: device));
        if (definition.Knots > 0)
            knots = new(definition, device);
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        if (_definition.ActiveUnits == 0)
            return output.biases[_definition.ActiveSteps].expand(x.shape[0], _definition.Outputs);
        return Finish(Sums(x));
    }

    /// <inheritdoc/>
    public override Tensor AffinePart(Tensor x) => IsAffineFirst ? Sums(x) : x;

    /// <inheritdoc/>
    public override Tensor FromAffinePart(Tensor begun) => IsAffineFirst ? Finish(begun) : call(begun);

    private bool IsAffineFirst => knots is null && _definition.ActiveUnits > 0;

    private Tensor Sums(Tensor x)
    {
        var units = _definition.ActiveUnits;
        var mapped = knots is null ? null : InputKnots.Map(x, knots.positions, knots.values);
        if (mean is not null && scale is not null)
            x = x.sub(mean).mul(scale);
        if (mapped is not null)
            x = cat([x, mapped], 1);                                                     // [x, q(x)]
        return nn.functional.linear(x, hidden.weight.narrow(0, 0, units), hidden.bias.narrow(0, 0, units));
    }

    private Tensor Finish(Tensor z)
    {
        var bias = output.biases[_definition.ActiveSteps];                       // b₂ of the prefix: [K]
        return nn.functional.linear(Apply(_definition.Activation, z), output.weight.narrow(1, 0, _definition.ActiveUnits), bias);
    }

    /// <inheritdoc/>
    public override void Initialize(Generator random)
    {
        var bound = 1 / Math.Sqrt(_definition.HiddenInputs);
        hidden.weight.uniform_(-bound, bound, random);
        hidden.bias.uniform_(-bound, bound, random);
        output.weight.uniform_(-1 / Math.Sqrt(Math.Max(1, _definition.Units)), 1 / Math.Sqrt(Math.Max(1, _definition.Units)), random);
        output.biases.zero_();
    }

    /// <summary>Applies a function of units to tensors.</summary>
    internal static Tensor Apply(Activation activation, Tensor z) => activation switch
    {
        Activation.Identity => z,
        Activation.Relu => nn.functional.relu(z),
        Activation.Gelu => nn.functional.gelu(z),
        Activation.Silu => nn.functional.silu(z),
        Activation.Tanh => z.tanh(),
        Activation.Sigmoid => z.sigmoid(),
        Activation.Gaussian => z.mul(z).Times(-0.5).exp(),
        Activation.Sine => z.sin(),
        Activation.Cosine => z.cos(),
        Activation.Step => z.IsAbove(0).to(z.dtype),
        Activation.Softplus => nn.functional.softplus(z),
        _ => z.mul(z.mul(z).Times(1.0 / 9).Plus(1).rsqrt()),
    };

    private sealed class HiddenLayer : nn.Module
    {
        public readonly Parameter weight;
        public readonly Parameter bias;

        public HiddenLayer(HiddenLayerDefinition definition, Device device)
            : base(nameof(HiddenLayer))
        {
            weight = new Parameter(empty(definition.Units, definition.HiddenInputs, device: device));
            bias = new Parameter(empty(definition.Units, device: device));
            RegisterComponents();
        }
    }

    private sealed class KnotMap : nn.Module
    {
        public readonly Tensor positions;
        public readonly Tensor values;

        public KnotMap(HiddenLayerDefinition definition, Device device)
            : base(nameof(KnotMap))
        {
            positions = zeros(definition.Inputs, definition.Knots, device: device);
            values = zeros(definition.Inputs, definition.Knots, device: device);
            RegisterComponents();
        }
    }

    private sealed class OutputLayer : nn.Module
    {
        public readonly Parameter weight;
        public readonly Parameter biases;

        public OutputLayer(HiddenLayerDefinition definition, Device device)
            : base(nameof(OutputLayer))
        {
            weight = new Parameter(empty(definition.Outputs, definition.Units, device: device));
            biases = new Parameter(zeros(definition.Steps + 1, definition.Outputs, device: device));
            RegisterComponents();
        }
    }
}
