using MlNetMlp.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Networks;

/// <summary>
/// The same dense layer of several networks at once, y_i = x_i·W_i/√inputs + b_i: one batched product in place of a product for each. The factor 1/√inputs stands in the layer and not
/// in the weights, so that a step of Adam means the same at every width (Jacot and others, "Neural Tangent Kernel", 2018).
/// </summary>
public sealed class BatchedDense : Module<Tensor, Tensor>
{
    // What a unit's values are mixed from, so that its bend lies within the rows.
    private const int MixedRows = 5;

    // Deviation below which a unit is thought to see no difference between rows.
    private const double LeastDeviation = 1e-6;

    private readonly float _factor;
    private readonly Parameter weight;
    private readonly Parameter bias;

    /// <summary>Creates layers whose weights are not yet set.</summary>
    /// <param name="networks">k, number of networks.</param>
    /// <param name="inputs">Values in a row that comes in.</param>
    /// <param name="outputs">Values in a row that goes out.</param>
    /// <param name="device">Where the weights are.</param>
    /// <param name="type">Single, or Double.</param>
    public BatchedDense(int networks, int inputs, int outputs, Device device, ScalarType type = ScalarType.Float32)
        : base(nameof(BatchedDense))
    {
        _factor = (float)(1 / Math.Sqrt(inputs));
        weight = new Parameter(empty(networks, inputs, outputs, type, device));
        bias = new Parameter(empty(networks, 1, outputs, type, device));
        RegisterComponents();
    }

    /// <summary>W [networks, inputs, outputs].</summary>
    public Parameter Weight => weight;

    /// <summary>b [networks, 1, outputs].</summary>
    public Parameter Bias => bias;

    /// <summary>1/√inputs.</summary>
    public float Factor => _factor;

    /// <summary>Number of weights.</summary>
    /// <param name="networks">k.</param>
    /// <param name="inputs">Values in a row that comes in.</param>
    /// <param name="outputs">Values in a row that goes out.</param>
    /// <returns>The number.</returns>
    public static long WeightCountOf(int networks, long inputs, long outputs) => networks * (inputs + 1) * outputs;

    /// <summary>Draws all weights from N(0, 1) and sets the biases to 0.</summary>
    /// <param name="random">The stream of random numbers.</param>
    public void Initialize(Generator random)
    {
        using var noGradient = no_grad();
        weight.normal_(0, 1, random);
        bias.zero_();
    }

    /// <summary>
    /// Scales the weights of each unit so that its values have deviation 1 over rows, and sets its bias so that its value is 0 at a random mixture of five of the rows: what bends there
    /// bends where the rows are (Holzmüller and others, "Better by Default", 2024).
    /// </summary>
    /// <param name="input">x [networks, rows, inputs].</param>
    /// <param name="random">The stream of random numbers, on the CPU.</param>
    /// <returns>y [networks, rows, outputs], with the weights that the layer has then.</returns>
    public Tensor FitTo(Tensor input, Generator random)
    {
        ArgumentNullException.ThrowIfNull(input);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        bias.zero_();
        var values = forward(input);
        var (networks, rows, outputs) = (values.shape[0], values.shape[1], values.shape[2]);

        // A unit that is the same in all rows, as where no feature says anything, stays as it is.
        var deviation = values.std(1L, unbiased: false, keepdim: true);
        deviation = where(deviation.IsAbove(LeastDeviation), deviation, ones_like(deviation));
        weight.div_(deviation);
        values.div_(deviation);
        var shares = empty(networks, MixedRows, outputs, ScalarType.Float64).uniform_(1e-12, 1, random).log_().neg_();     // exponentials
        shares = shares.div_(shares.sum(1L, keepdim: true)).to(values.dtype).to(values.device);
        var chosen = empty(networks, MixedRows, outputs, ScalarType.Float64).uniform_(0, 1, random);
        chosen.Scale(rows);
        var index = chosen.to(ScalarType.Int64).minimum(tensor(rows - 1)).to(values.device);
        bias.copy_(values.gather(1, index).mul_(shares).sum(1L, keepdim: true).neg_());
        values.AddScaled(bias);
        return values.MoveToOuterDisposeScope();
    }

    /// <summary>Applies the layers.</summary>
    /// <param name="input">x [networks, rows, inputs].</param>
    /// <returns>y [networks, rows, outputs].</returns>
    // TorchSharp 0.107 takes what is added last, not first.
    public override Tensor forward(Tensor input) => input.baddbmm(weight, bias, 1, _factor);
}
