using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>
/// A network that maps rows of features [rows, inputs] to raw outputs [rows, outputs], in the unit of the loss: standardised labels for
/// regression, a logit for binary and logits for multiclass classification. Rows do not depend on each other in evaluation mode.
/// </summary>
public abstract class Network : nn.Module<Tensor, Tensor>
{
    /// <summary>Creates a network.</summary>
    /// <param name="definition">The record that rebuilds it.</param>
    protected Network(NetworkDefinition definition)
        : base(definition.GetType().Name)
    {
        Definition = definition;
    }

    /// <summary>The record that rebuilds this network.</summary>
    public NetworkDefinition Definition { get; }

    /// <summary>Sets all weights to random initial values, drawn from the given stream and from nothing else.</summary>
    /// <param name="random">The stream of random numbers, on the device of the weights.</param>
    public abstract void Initialize(Generator random);

    /// <summary>
    /// An affine map of the features that <see cref="FromAffinePart"/> computes the rest of, such as the first layer before its nonlinearity: on the way from one row to another it
    /// is known from both ends. The default is the features themselves.
    /// </summary>
    /// <param name="x">Features [rows, inputs].</param>
    /// <returns>Values [rows, ·].</returns>
    public virtual Tensor AffinePart(Tensor x) => x;

    /// <summary>What the network puts out where <see cref="AffinePart"/> gave these values.</summary>
    /// <param name="begun">Values [rows, ·].</param>
    /// <returns>Raw outputs [rows, outputs].</returns>
    public virtual Tensor FromAffinePart(Tensor begun) => call(begun);

    /// <summary>What scoring reads: raw outputs, and behind them the values of <see cref="NetworkDefinition.AddedColumns"/>. The default serves networks without such columns.</summary>
    /// <param name="x">Features [rows, inputs].</param>
    /// <returns>Values [rows, outputs + slots of the added columns].</returns>
    public virtual Tensor CallWithAdded(Tensor x) => call(x);

    /// <summary>Copies all parameters and buffers out of the network.</summary>
    /// <returns>The weights, by their names in the state dictionary and in its order.</returns>
    public WeightSet ReadWeights()
    {
        var weights = new WeightSet();
        using var scope = NewDisposeScope();
        foreach (var (name, tensor) in state_dict())
        {
            weights.Add(NamedTensor.Of(name, TensorMemory.ToFloats(tensor), tensor.shape));
        }

        return weights;
    }

    /// <summary>Sets all parameters and buffers of the network to the given values.</summary>
    /// <param name="weights">Weights of a network of the same definition.</param>
    /// <exception cref="ModelFormatException">A tensor is missing, has another shape, or is unknown to the network.</exception>
    public void WriteWeights(WeightSet weights)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var reader = weights.Read();
        foreach (var (name, tensor) in state_dict())
        {
            Set(tensor, reader.Take(name, tensor.shape).Span);
        }

        reader.Finish();
    }

    /// <summary>Sets some of the parameters and buffers of the network to those of another one, which has them by the same names and in the same shapes.</summary>
    /// <param name="weights">The weights of the other network.</param>
    /// <param name="isTaken">Whether a tensor of this network is set, by its name.</param>
    /// <exception cref="ModelFormatException">The other network has no such tensor, or one of another shape.</exception>
    public void CopyWeights(WeightSet weights, Func<string, bool> isTaken)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(isTaken);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var reader = weights.ReadPart();
        foreach (var (name, tensor) in state_dict())
        {
            if (isTaken(name))
                Set(tensor, reader.Take(name, tensor.shape).Span);
        }
    }

    /// <summary>Checks that weights fit a definition without building its network.</summary>
    /// <param name="definition">The definition.</param>
    /// <param name="weights">The weights that a file holds.</param>
    /// <exception cref="ModelFormatException">A tensor is missing, has another shape, or is unknown to the network.</exception>
    internal static void CheckWeights(NetworkDefinition definition, WeightSet weights) => TakeWeights(definition, weights.Read());

    /// <summary>Takes the weights of a network without building it.</summary>
    /// <param name="definition">The definition.</param>
    /// <param name="reader">Takes them.</param>
    /// <exception cref="ModelFormatException">A tensor is missing or has another shape.</exception>
    internal static void TakeWeights(NetworkDefinition definition, WeightReader reader)
    {
        using var scope = NewDisposeScope();
        using var network = definition.Build(META);
        foreach (var (name, tensor) in network.state_dict())
            reader.Take(name, tensor.shape);
        reader.Finish();
    }

    // A network of gigabytes is not to be there three times while its weights are set.
    private static unsafe void Set(Tensor target, ReadOnlySpan<float> values)
    {
        if (values.IsEmpty)
            return;
        if (target.device_type == DeviceType.CPU && target.dtype == ScalarType.Float32 && target.is_contiguous())
        {
            values.CopyTo(new Span<float>(TensorMemory.Address(target), values.Length));
            return;
        }

        using var scope = NewDisposeScope();
        target.copy_(tensor(values.ToArray(), target.shape));
    }
}
