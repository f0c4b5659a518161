using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Layers;

/// <summary>u ⊙ softmax(W·u + b) over the last axis: what is heard of each value, where all weights together are 1.</summary>
public sealed class SoftmaxGate : Module<Tensor, Tensor>
{
    private readonly Dense weigh;

    /// <summary>Creates a gate whose weights are not yet set.</summary>
    /// <param name="width">k, size of the axis.</param>
    /// <param name="device">Where the weights are.</param>
    public SoftmaxGate(int width, Device device)
        : base(nameof(SoftmaxGate))
    {
        weigh = new Dense(width, width, device);
        RegisterComponents();
    }

    /// <summary>W and b.</summary>
    public Dense Weigh => weigh;

    /// <summary>Number of values that a gate adds to a network's state.</summary>
    /// <param name="width">k.</param>
    /// <returns>The number.</returns>
    public static long WeightCountOf(int width) => (width + 1L) * width;

    /// <summary>Applies the gate.</summary>
    /// <param name="input">u [..., k].</param>
    /// <returns>Values [..., k].</returns>
    public override Tensor forward(Tensor input) => input.mul(weigh.call(input).softmax(-1));
}

/// <summary>Where the gate of an <see cref="AxisMixer"/> stands.</summary>
public enum GatePlace
{
    /// <summary>There is none.</summary>
    None,

    /// <summary>Before the MLP.</summary>
    BeforeMlp,

    /// <summary>After the MLP.</summary>
    AfterMlp,
}

/// <summary>The shape of an <see cref="AxisMixer"/>.</summary>
/// <param name="Axis">The axis of [rows, ..., features] that is mixed, from 1 on; the last one mixes features.</param>
/// <param name="Size">k, its size.</param>
/// <param name="Features">d, size of the last axis.</param>
/// <param name="Expansion">E, how many times k the MLP is wide inside.</param>
/// <param name="Gate">Where the gate stands.</param>
/// <param name="Norm">What is normalised.</param>
/// <param name="Dropout">Share of values left out in training, after both layers of the MLP.</param>
public sealed record AxisMixerShape(int Axis, int Size, int Features, int Expansion, GatePlace Gate, TokenNorm Norm, double Dropout)
{
    /// <summary>Number of values that a mixer adds to a network's state.</summary>
    public long WeightCount =>
        TokenNormalization.WeightCount(Norm, Features)
        + ((Size + 1L) * Expansion * Size) + (((long)Expansion * Size) + 1) * Size
        + (Gate == GatePlace.None ? 0 : SoftmaxGate.WeightCountOf(Size));

    /// <summary>Multiplications for a vector along the axis.</summary>
    public double Multiplications => ((2.0 * Expansion) + (Gate == GatePlace.None ? 0 : 1)) * Size * Size;
}

/// <summary>
/// Mixes tokens along one axis, the same for all others: H + MLP(N(H)) with that axis moved last, and an optional gate before or after the MLP, which is
/// Linear(k → E·k), GELU, Linear(E·k → k) (Tolstikhin et al., "MLP-Mixer", 2021).
/// </summary>
public sealed class AxisMixer : Module<Tensor, Tensor>
{
    private readonly AxisMixerShape _shape;
    private readonly TokenNormalization norm;
    private readonly Dense expand;
    private readonly Dense contract;
    private readonly SoftmaxGate? gate;

    /// <summary>Creates a mixer whose weights are not yet set.</summary>
    /// <param name="shape">Its shape.</param>
    /// <param name="device">Where the weights are.</param>
    public AxisMixer(AxisMixerShape shape, Device device)
        : base(nameof(AxisMixer))
    {
        _shape = shape;
        norm = new TokenNormalization(shape.Norm, shape.Features, device);
        expand = new Dense(shape.Size, shape.Expansion * shape.Size, device);
        contract = new Dense(shape.Expansion * shape.Size, shape.Size, device);
        gate = shape.Gate == GatePlace.None ? null : new SoftmaxGate(shape.Size, device);
        RegisterComponents();
    }

    /// <summary>The last layer of the MLP: with zeros there, the mixer changes nothing.</summary>
    public Dense Contract => contract;

    /// <summary>The gate, or null.</summary>
    public SoftmaxGate? Gate => gate;

    /// <summary>Where dropout draws from in training; null for none.</summary>
    public Generator? Noise { get; set; }

    /// <summary>Draws the weights as torch does by default.</summary>
    /// <param name="random">The stream of random numbers.</param>
    public void Initialize(Generator random)
    {
        norm.Initialize();
        expand.Initialize(random);
        contract.Initialize(random);
        gate?.Weigh.Initialize(random);
    }

    /// <summary>Mixes.</summary>
    /// <param name="input">H [rows, ..., features].</param>
    /// <returns>Values of the same shape.</returns>
    public override Tensor forward(Tensor input)
    {
        // The axis is moved, not reshaped: one product over a contiguous axis serves all tokens.
        var noise = training ? Noise : null;
        var isLast = _shape.Axis == input.dim() - 1;
        var u = norm.call(input);
        u = isLast ? u : u.transpose(_shape.Axis, -1).contiguous();
        if (_shape.Gate == GatePlace.BeforeMlp)
            u = gate!.call(u);
        u = functional.gelu(expand.call(u)).LeaveOut(_shape.Dropout, noise);
        u = contract.call(u).LeaveOut(_shape.Dropout, noise);
        if (_shape.Gate == GatePlace.AfterMlp)
            u = gate!.call(u);
        return input.Plus(isLast ? u : u.transpose(_shape.Axis, -1));
    }
}
