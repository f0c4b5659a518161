using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Networks;

/// <summary>A dense layer, y = x·Wᵀ + b, like torch's <c>Linear</c> but without a touch of the global random numbers.</summary>
public sealed class Dense : Module<Tensor, Tensor>
{
    private readonly Parameter weight;
    private readonly Parameter bias;

    /// <summary>Creates a layer whose weights are not yet set.</summary>
    /// <param name="inputs">Values in a row that comes in.</param>
    /// <param name="outputs">Values in a row that goes out.</param>
    /// <param name="device">Where the weights are.</param>
    public Dense(int inputs, int outputs, Device device)
        : base(nameof(Dense))
    {
        weight = new Parameter(empty(outputs, inputs, device: device));
        bias = new Parameter(empty(outputs, device: device));
        RegisterComponents();
    }

    /// <summary>W [outputs, inputs].</summary>
    public Parameter Weight => weight;

    /// <summary>b [outputs].</summary>
    public Parameter Bias => bias;

    /// <summary>Draws weight and bias from U(−1/√inputs, 1/√inputs), which is torch's own default.</summary>
    /// <param name="random">The stream of random numbers.</param>
    public void Initialize(Generator random)
    {
        using var noGradient = no_grad();
        var bound = 1 / Math.Sqrt(weight.shape[1]);
        weight.uniform_(-bound, bound, random);
        bias.uniform_(-bound, bound, random);
    }

    /// <summary>Draws the weight from N(0, 2/(inputs + outputs)) and sets the bias to zero (Glorot and Bengio, 2010).</summary>
    /// <param name="random">The stream of random numbers.</param>
    public void InitializeXavier(Generator random)
    {
        using var noGradient = no_grad();
        weight.normal_(0, Math.Sqrt(2.0 / (weight.shape[0] + weight.shape[1])), random);
        bias.zero_();
    }

    /// <summary>Applies the layer.</summary>
    /// <param name="input">x [rows, inputs].</param>
    /// <returns>y [rows, outputs].</returns>
    public override Tensor forward(Tensor input) => functional.linear(input, weight, bias);
}
