using MlNetMlp.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Methods;

/// <summary>
/// A trained network as a function of features that can be differentiated: features as they are in the data go in, the standardisation is a part of it, the raw
/// outputs of the task come out, and no row depends on another. What explanations and attacks of models are written against.
/// </summary>
public sealed class DifferentiableModel : IDisposable
{
    private readonly Network _network;

    /// <summary>Builds the network on the CPU, in evaluation mode; its weights need no gradient.</summary>
    /// <param name="trained">The trained network.</param>
    public DifferentiableModel(TrainedNetwork trained)
    {
        ArgumentNullException.ThrowIfNull(trained);
        Trained = trained;
        _network = trained.CreateNetwork();
        foreach (var parameter in _network.parameters())
            parameter.requires_grad_(false);
    }

    /// <summary>The trained network: definition, weights and task.</summary>
    public TrainedNetwork Trained { get; }

    /// <summary>Raw outputs: standardised numbers for regression, the logit for binary, one logit for each class for multiclass classification.</summary>
    /// <param name="features">Single [rows, features]; gradients go back to it where it requires them.</param>
    /// <returns>Single [rows, outputs].</returns>
    public Tensor Forward(Tensor features)
    {
        ArgumentNullException.ThrowIfNull(features);
        return _network.call(features);
    }

    /// <summary>The gradient of a value of each row with respect to its features, and the value.</summary>
    /// <param name="features">Single [rows, features].</param>
    /// <param name="value">Makes one value for each row [rows] of the raw outputs [rows, outputs]. It must not mix rows.</param>
    /// <returns>Values [rows] and gradients [rows, features], neither of which requires a gradient.</returns>
    public (Tensor Values, Tensor Gradients) Gradient(Tensor features, Func<Tensor, Tensor> value)
    {
        ArgumentNullException.ThrowIfNull(features);
        ArgumentNullException.ThrowIfNull(value);
        return Slopes(features, x => value(_network.call(x)));
    }

    /// <summary>The affine beginning of the network: see <see cref="Network.AffinePart"/>.</summary>
    /// <param name="features">Single [rows, features].</param>
    /// <returns>Values [rows, ·].</returns>
    public Tensor AffinePart(Tensor features)
    {
        ArgumentNullException.ThrowIfNull(features);
        return _network.AffinePart(features);
    }

    /// <summary>The gradient of a value of each row with respect to what <see cref="AffinePart"/> gave for it.</summary>
    /// <param name="begun">Values [rows, ·].</param>
    /// <param name="value">Makes one value for each row [rows] of the raw outputs [rows, outputs]. It must not mix rows.</param>
    /// <returns>Gradients [rows, ·].</returns>
    public Tensor ContinuedGradient(Tensor begun, Func<Tensor, Tensor> value)
    {
        ArgumentNullException.ThrowIfNull(begun);
        ArgumentNullException.ThrowIfNull(value);
        var (values, gradients) = Slopes(begun, z => value(_network.FromAffinePart(z)));
        values.Dispose();
        return gradients;
    }

    /// <summary>What gradients with respect to <see cref="AffinePart"/> are with respect to the features.</summary>
    /// <param name="slopes">Gradients [rows, ·].</param>
    /// <returns>Gradients [rows, features].</returns>
    public Tensor PullBack(Tensor slopes)
    {
        ArgumentNullException.ThrowIfNull(slopes);

        // An affine map has the same slopes everywhere.
        using var anywhere = zeros(slopes.shape[0], Trained.Inputs);
        var (values, gradients) = Slopes(anywhere, x => _network.AffinePart(x).mul(slopes));
        values.Dispose();
        return gradients;
    }

    private static (Tensor Values, Tensor Gradients) Slopes(Tensor at, Func<Tensor, Tensor> compute)
    {
        using var scope = NewDisposeScope();
        var x = at.detach().requires_grad_();
        using var withGradient = enable_grad();
        var values = compute(x);
        using var total = values.sum();

        // A network that puts out a constant has no graph.
        var gradient = total.requires_grad ? autograd.grad([total], [x])[0] : zeros_like(at);
        return (values.detach().MoveToOuterDisposeScope(), gradient.detach().MoveToOuterDisposeScope());
    }

    /// <summary>Releases the network.</summary>
    public void Dispose() => _network.Dispose();
}
