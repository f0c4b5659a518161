using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>
/// A network of one hidden layer, y = W₂·φ(W₁·x + b₁) + b₂, that can be cut short: its units come in steps of equal size, and each prefix of
/// steps has output biases of its own. What boosting, random features and convex training of one hidden layer all end in.
/// </summary>
/// <remarks>
/// Tensors: <c>hidden.weight</c> W₁ [units, inputs] and <c>hidden.bias</c> b₁ [units]; <c>output.weight</c> W₂ [outputs, units];
/// <c>output.biases</c> [steps + 1, outputs], of which row t belongs to the first t steps; <c>step_sizes</c> [steps]; with
/// <see cref="StandardizeInputs"/> also <c>mean</c> and <c>scale</c> [inputs], which make (x − mean)·scale of x. With <see cref="Knots"/> Q the
/// hidden layer sees [x, q(x)], W₁ is [units, 2·inputs], and <c>knots.positions</c> and <c>knots.values</c> [inputs, Q] are those of q.
/// </remarks>
public sealed record HiddenLayerDefinition : NetworkDefinition, IValidatableObject
{
    /// <summary>M, units of the hidden layer, at least 0: without units the network is a constant.</summary>
    [Range(0, 1 << 24)]
    public required int Units { get; init; }

    /// <summary>Units of a step, at least 1, of which <see cref="Units"/> is a multiple.</summary>
    [Range(1, 1 << 24)]
    public required int UnitsPerStep { get; init; }

    /// <summary>Units that take part in scores, in whole steps: the first so many. The weights of the others are only kept.</summary>
    [Range(0, 1 << 24)]
    public required int ActiveUnits { get; init; }

    /// <summary>φ, the function of the hidden units.</summary>
    public required Activation Activation { get; init; }

    /// <summary>Whether the network standardises its inputs.</summary>
    public required bool StandardizeInputs { get; init; }

    /// <summary>Q, knots of the piecewise-linear map of each input that the hidden layer sees beside it; 0 for none, else at least 3.</summary>
    [Range(0, 1 << 16)]
    public int Knots { get; init; }

    /// <summary>Number of inputs of the hidden layer.</summary>
    [JsonIgnore]
    public int HiddenInputs => Knots > 0 ? 2 * Inputs : Inputs;

    /// <summary>T, number of steps.</summary>
    [JsonIgnore]
    public int Steps => Units / Math.Max(1, UnitsPerStep);

    /// <summary>Number of steps that take part in scores.</summary>
    [JsonIgnore]
    public int ActiveSteps => ActiveUnits / Math.Max(1, UnitsPerStep);

    /// <inheritdoc/>
    public override long WeightCount =>
        ((HiddenInputs + 1L + Outputs) * Units) + ((Steps + 1L) * Outputs) + Steps + (StandardizeInputs ? 2L * Inputs : 0) + (2L * Knots * Inputs);

    /// <inheritdoc/>
    public override NetworkDefinition? Body => Units == 0 || Knots > 0
        ? null
        : new FeatureLayerDefinition { Inputs = Inputs, Outputs = Units, Activation = Activation, StandardizeInputs = StandardizeInputs };

    /// <inheritdoc/>
    public override Network Build(Device device) => new HiddenLayerNetwork(this, device);

    /// <summary>Whether the steps are whole and the active units are some of the units.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Units % UnitsPerStep != 0)
            yield return new ValidationResult($"'Units' must be a multiple of 'UnitsPerStep', but they are {Units} and {UnitsPerStep}");
        if (Knots is > 0 and < InputKnots.LeastCount)
            yield return new ValidationResult($"'Knots' must be 0 or at least {InputKnots.LeastCount}, but is {Knots}");
        if (ActiveUnits > Units || ActiveUnits % UnitsPerStep != 0)
            yield return new ValidationResult($"'ActiveUnits' must be a multiple of {UnitsPerStep} up to {Units}, but is {ActiveUnits}");
    }

    /// <inheritdoc/>
    public override DenseProgram? BuildDense(WeightReader weights)
    {
        var tensors = new HiddenLayerWeights(this, weights);
        var builder = new DenseProgramBuilder(Inputs);
        var x = StandardizeInputs ? builder.Affine(builder.Input, tensors.Mean, tensors.Scale) : builder.Input;
        var bias = tensors.Biases.Slice(ActiveSteps * Outputs, Outputs);

        // A program has at least one layer, so a constant is one of a unit that is always zero.
        var y = ActiveUnits == 0
            ? builder.Dense(builder.Dense(x, new float[Inputs], [], 1), new float[Outputs], bias, Outputs)
            : OutputsOf(builder, HiddenUnits(builder, x, tensors), tensors.Output, bias);
        return builder.Build(y);
    }

    private DenseRegister OutputsOf(DenseProgramBuilder builder, DenseRegister units, ReadOnlyMemory<float> matrix, ReadOnlySpan<float> bias) =>
        builder.Dense(units, () => ActiveColumns(matrix.Span), bias, Outputs);

    private DenseRegister HiddenUnits(DenseProgramBuilder builder, DenseRegister x, HiddenLayerWeights tensors)
    {
        if (Knots == 0)
            return builder.Dense(x, tensors.Hidden[..(ActiveUnits * Inputs)], tensors.HiddenBias[..ActiveUnits], ActiveUnits, Activation);
        var hidden = tensors.Hidden;
        var knots = builder.PiecewiseLinear(builder.Input, tensors.KnotPositions, tensors.KnotValues);
        var units = builder.Dense(x, () => Half(0), tensors.HiddenBias[..ActiveUnits], ActiveUnits);
        builder.AddDense(units, knots, () => Half(1), []);
        return builder.Elementwise(units, Activation);

        // The weights of the inputs themselves, or of what the knots make of them.
        float[] Half(int which)
        {
            var half = new float[ActiveUnits * Inputs];
            for (var unit = 0; unit < ActiveUnits; unit++)
                hidden.Span.Slice(((2 * unit) + which) * Inputs, Inputs).CopyTo(half.AsSpan(unit * Inputs));
            return half;
        }
    }

    /// <summary>The columns of the active units of W₂ [outputs, units].</summary>
    internal float[] ActiveColumns(ReadOnlySpan<float> matrix)
    {
        var active = new float[Outputs * ActiveUnits];
        for (var k = 0; k < Outputs; k++)
            matrix.Slice(k * Units, ActiveUnits).CopyTo(active.AsSpan(k * ActiveUnits));
        return active;
    }
}
