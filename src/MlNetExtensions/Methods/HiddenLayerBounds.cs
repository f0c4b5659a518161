using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using static TorchSharp.torch;

namespace MlNetMlp.Methods;

/// <summary>
/// Lower bounds of outputs of one hidden layer of ReLU units in boxes. A unit that keeps its sign in the box is linear; one that does not is bounded by a line, from below or above as its
/// output weight asks for (Zhang and others, "Efficient Neural Network Robustness Certification with General Activation Functions", 2018). Where all units keep their
/// signs the bound is the exact worst case.
/// </summary>
internal sealed class HiddenLayerBounds : IDisposable
{
    private readonly Tensor _hidden;
    private readonly Tensor _hiddenBias;
    private readonly Tensor _output;
    private readonly Tensor _outputBias;

    private HiddenLayerBounds(HiddenLayerDefinition definition, HiddenLayerWeights weights)
    {
        using var scope = NewDisposeScope();
        var (m, d, k) = (definition.ActiveUnits, definition.Inputs, definition.Outputs);

        // With features as they are: W·((x − mean)·scale) + b.
        var hidden = tensor(weights.Hidden[..(m * d)].ToArray(), [m, d]).to(ScalarType.Float64);
        var bias = tensor(weights.HiddenBias[..m].ToArray()).to(ScalarType.Float64);
        if (definition.StandardizeInputs)
        {
            hidden = hidden.mul(tensor(weights.Scale.ToArray()).to(ScalarType.Float64));
            bias = bias.sub(hidden.mv(tensor(weights.Mean.ToArray()).to(ScalarType.Float64)));
        }

        (_hidden, _hiddenBias) = (hidden.DetachFromDisposeScope(), bias.DetachFromDisposeScope());
        _output = tensor(definition.ActiveColumns(weights.Output.Span), [k, m]).to(ScalarType.Float64).DetachFromDisposeScope();
        _outputBias = tensor(weights.Biases.Slice(definition.ActiveSteps * k, k).ToArray()).to(ScalarType.Float64).DetachFromDisposeScope();
    }

    /// <summary>The bounds of a network, or null where it is none of one hidden layer of ReLU units.</summary>
    public static HiddenLayerBounds? Of(TrainedNetwork network) =>
        network.Definition is HiddenLayerDefinition { Activation: Activation.Relu, Knots: 0, ActiveUnits: > 0 } definition
            ? new(definition, new(definition, network.Weights.Read()))
            : null;

    /// <summary>The least that c·f can be in a box around each row, c [rows, outputs] a combination of the outputs; and where the bounding line is least.</summary>
    /// <param name="features">Single [rows, features].</param>
    /// <param name="combination">c, Float64 [rows, outputs].</param>
    /// <param name="radius">How far each feature may move, Float64 [features].</param>
    /// <returns>Bounds, Float64 [rows], and moves, Single [rows, features].</returns>
    public (Tensor Bounds, Tensor Moves) Least(Tensor features, Tensor combination, Tensor radius)
    {
        using var scope = NewDisposeScope();
        var z = features.to(ScalarType.Float64).mm(_hidden.t()).Plus(_hiddenBias);                    // [rows, M]
        var reach = _hidden.abs().mv(radius);
        var (low, high) = (z.sub(reach), z.Plus(reach));
        var weight = combination.mm(_output);
        var (isOn, isOff) = (low.ge(zeros_like(low)), high.le(zeros_like(high)));

        // The line s·z + t of each unit: below ReLU for positive weights, above it for negative ones.
        var below = z.IsAbove(0).to(ScalarType.Float64);
        var above = high.div(high.sub(low)).nan_to_num(0, 0, 0);
        var isPositive = weight.ge(zeros_like(weight));
        var slope = where(isOn, ones_like(z), where(isOff, zeros_like(z), where(isPositive, below, above)));
        var shift = where(isOn.logical_or(isOff).logical_or(isPositive), zeros_like(z), above.mul(low).neg());
        var lines = weight.mul(slope);
        var centre = weight.mul(slope.mul(z).Plus(shift)).sum([1L]).Plus(combination.mv(_outputBias));
        var gradient = lines.mm(_hidden);
        var bounds = centre.sub(gradient.abs().mv(radius));
        return (bounds.MoveToOuterDisposeScope(), gradient.sign().neg().mul(radius).to(ScalarType.Float32).MoveToOuterDisposeScope());
    }

    public void Dispose()
    {
        _hidden.Dispose();
        _hiddenBias.Dispose();
        _output.Dispose();
        _outputBias.Dispose();
    }
}
