using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.ScalableKernels;

/// <summary>The network of a <see cref="ScalableKernelDefinition"/>.</summary>
internal sealed class ScalableKernelStack : Network
{
    private readonly ScalableKernelDefinition _definition;
    private readonly Tensor? mean;
    private readonly Tensor? scale;
    private readonly ModuleList<ScalableKernelLayer> layers = [];
    private readonly Parameter? bias;

    public ScalableKernelStack(ScalableKernelDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        if (definition.StandardizeInputs)
            (mean, scale) = (zeros(definition.Inputs, device: device), ones(definition.Inputs, device: device));
        for (var l = 0; l < definition.Depth; l++)
        {
            int? outputs = l < definition.Depth - 1 ? definition.Width : definition.HasReadout ? definition.Outputs : null;
            layers.Add(new(definition, definition.LayerInputs(l), outputs, device));
        }

        bias = definition.HasReadout ? new Parameter(zeros(definition.Outputs, device: device)) : null;
        RegisterComponents();
    }

    public IReadOnlyList<ScalableKernelLayer> Layers => [.. layers];

    /// <summary>b [O].</summary>
    public Parameter? Bias => bias;

    public override void Initialize(Generator random)
    {
        foreach (var layer in layers)
            layer.Initialize(random);
        bias?.zero_();
    }

    public override Tensor forward(Tensor x)
    {
        var features = Features(x);
        return bias is null ? features : nn.functional.linear(features, layers[^1].Weight!, bias);  // Ω_L·Φ_L + b: [rows, O]
    }

    /// <summary>Φ_L of the last layer [rows, m].</summary>
    public Tensor Features(Tensor x) => Features(x, 0, _definition.FeatureCount);

    /// <summary>Some of the features of the last layer [rows, count].</summary>
    public Tensor Features(Tensor x, int first, int count)
    {
        if (mean is not null && scale is not null)
            x = x.sub(mean).mul(scale);
        for (var l = 0; ; l++)
        {
            if (l == layers.Count - 1)
                return layers[l].Phi(x, first, count);
            var features = layers[l].Phi(x);                                                        // Φ_l(x): [rows, m]

            // NOTE[DIFF]: between layers the paper has nothing. Products of features are far from 0 and hardly differ, so that the next kernel would
            // see nearly the same direction in all rows.
            x = nn.functional.layer_norm(nn.functional.linear(features, layers[l].Weight!), [_definition.Width], null, null, ScalableKernelDefinition.Epsilon)
                .Times(1 / Math.Sqrt(_definition.Width));
        }
    }

    /// <summary>Fixes how inputs are standardised: z-scores divided by √D, so that rows are of a length near 1.</summary>
    public void SetScaling((float[] Mean, float[] Factor) standardization)
    {
        if (mean is null || scale is null)
            return;
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        mean.copy_(tensor(standardization.Mean));
        scale.copy_(tensor(standardization.Factor));
    }

    /// <summary>Bundles a dense layer behind this network with its last matrix: V·(Ω·Φ + b) + c is (V·Ω)·Φ + (V·b + c).</summary>
    /// <param name="v">V [K, O].</param>
    /// <param name="c">c [K].</param>
    /// <returns>The network of K outputs; the caller owns it.</returns>
    public ScalableKernelStack Merge(Tensor v, Tensor c)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var merged = new ScalableKernelStack(_definition with { Outputs = (int)v.shape[0] }, CPU);
        merged.to(v.dtype);
        var tensors = merged.state_dict();
        foreach (var (name, values) in state_dict())
        {
            if (tensors[name].shape.SequenceEqual(values.shape))
                tensors[name].copy_(values);
        }

        merged.layers[^1].Weight!.copy_(v.mm(layers[^1].Weight!));
        merged.bias!.copy_(v.mv(bias!).Plus(c));
        foreach (var values in merged.parameters().Concat(merged.buffers()))
            values.DetachFromDisposeScope();
        return merged;
    }

    /// <summary>Sets Ω_L and b.</summary>
    public void SetReadout(LinearReadout readout)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        layers[^1].Weight!.copy_(readout.Coefficients.t());
        bias!.copy_(readout.Intercept);
    }
}

/// <summary>The features of a stack as a fixed map. The stack stays its owner's.</summary>
internal sealed class ScalableKernelMap(ScalableKernelStack network) : FeatureMap
{
    public override int Inputs => network.Definition.Inputs;

    public override int Features => ((ScalableKernelDefinition)network.Definition).FeatureCount;

    public override Tensor Map(Tensor x) => Map(x, 0, Features);

    public override Tensor Map(Tensor x, int first, int count)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        return network.Features(x, first, count).contiguous().MoveToOuterDisposeScope();
    }
}
