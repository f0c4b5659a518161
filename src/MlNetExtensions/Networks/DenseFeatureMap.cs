using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Solvers;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>The map φ(A·((x − mean)·scale) + a) of a frozen layer of units. It owns its tensors: dispose it when it is done with.</summary>
public sealed class DenseFeatureMap : FeatureMap, IDisposable
{
    private readonly Tensor _weight;
    private readonly Tensor _bias;
    private readonly Tensor? _mean;
    private readonly Tensor? _scale;

    /// <summary>Creates a map.</summary>
    /// <param name="weight">A, Float32 [units, inputs]; copied.</param>
    /// <param name="bias">a, Float32 [units]; copied.</param>
    /// <param name="activation">φ.</param>
    /// <param name="standardization">Means and factors of the inputs [inputs]; null for inputs as they are.</param>
    /// <param name="device">Where rows are mapped; null for the CPU.</param>
    public DenseFeatureMap(Tensor weight, Tensor bias, Activation activation, (float[] Mean, float[] Factor)? standardization = null, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(bias);
        var target = device ?? CPU;
        Activation = activation;
        _weight = weight.to(target, copy: true).DetachFromDisposeScope();
        _bias = bias.to(target, copy: true).DetachFromDisposeScope();
        if (standardization is { } inputs)
            (_mean, _scale) = (OnDevice(inputs.Mean, target), OnDevice(inputs.Factor, target));
    }

    /// <inheritdoc/>
    public override int Inputs => (int)_weight.shape[1];

    /// <inheritdoc/>
    public override int Features => (int)_weight.shape[0];

    /// <summary>φ.</summary>
    public Activation Activation { get; }

    /// <inheritdoc/>
    public override Tensor Map(Tensor x) => Map(x, 0, Features);

    /// <inheritdoc/>
    public override Tensor Map(Tensor x, int first, int count)
    {
        ArgumentNullException.ThrowIfNull(x);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        if (_mean is not null && _scale is not null)
            x = x.sub(_mean).mul_(_scale);
        var z = nn.functional.linear(x, _weight.narrow(0, first, count), _bias.narrow(0, first, count));
        return HiddenLayerNetwork.Apply(Activation, z).MoveToOuterDisposeScope();
    }

    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        _weight.Dispose();
        _bias.Dispose();
        _mean?.Dispose();
        _scale?.Dispose();
    }

    private static Tensor OnDevice(float[] values, Device device)
    {
        using var scope = NewDisposeScope();
        return tensor(values).to(device).DetachFromDisposeScope();
    }
}
