using MlNetMlp.Scoring;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>One step of a <see cref="HiddenLayerDefinition"/>'s network: h(x) = C·φ(A·x + a) + c.</summary>
/// <param name="HiddenWeight">A [units, inputs], row after row.</param>
/// <param name="HiddenBias">a [units].</param>
/// <param name="OutputWeight">C [outputs, units], row after row.</param>
/// <param name="OutputBias">c [outputs].</param>
public sealed record HiddenLayerStep(float[] HiddenWeight, float[] HiddenBias, float[] OutputWeight, float[] OutputBias);

/// <summary>
/// Fuses steps into one network of one hidden layer: F(x) = s·(F₀ + Σ_t ρ_t·h_t(x)), with the output biases of every prefix of steps.
/// </summary>
public sealed class HiddenLayerBuilder
{
    private readonly int _outputs;
    private readonly double _outputScale;
    private readonly List<HiddenLayerStep> _steps = [];
    private readonly List<float> _stepSizes = [];
    private readonly List<double[]> _biases = [];

    /// <summary>Starts with the constant.</summary>
    /// <param name="inputs">D, number of features.</param>
    /// <param name="unitsPerStep">J, units of each step.</param>
    /// <param name="activation">φ.</param>
    /// <param name="constant">F₀ [outputs].</param>
    /// <param name="outputScale">s, what all outputs are multiplied by, such as 2 where F is half a logit.</param>
    /// <param name="standardization">Means and factors of the inputs, (x − mean)·factor; null for inputs as they are.</param>
    /// <param name="knots">A map q of the inputs that the hidden layer sees beside them, as [x, q(x)]; null for none.</param>
    public HiddenLayerBuilder(
        int inputs, int unitsPerStep, Activation activation, IReadOnlyList<double> constant, double outputScale = 1,
        (float[] Mean, float[] Factor)? standardization = null, InputKnots? knots = null)
    {
        ArgumentNullException.ThrowIfNull(constant);
        (Inputs, UnitsPerStep, Activation, Standardization, Knots) = (inputs, unitsPerStep, activation, standardization, knots);
        (_outputs, _outputScale) = (constant.Count, outputScale);
        _biases.Add([.. constant.Select(value => value * outputScale)]);
    }

    /// <summary>D, number of features.</summary>
    public int Inputs { get; }

    /// <summary>J, units of each step.</summary>
    public int UnitsPerStep { get; }

    /// <summary>φ.</summary>
    public Activation Activation { get; }

    /// <summary>Means and factors of the inputs, or null.</summary>
    public (float[] Mean, float[] Factor)? Standardization { get; }

    /// <summary>The map of the inputs that the hidden layer sees beside them, or null.</summary>
    public InputKnots? Knots { get; }

    /// <summary>Number of steps so far.</summary>
    public int Steps => _steps.Count;

    /// <summary>Starts with the active steps of an earlier network.</summary>
    /// <param name="network">The network.</param>
    /// <param name="outputScale">s of the earlier network and of the steps to come.</param>
    /// <returns>The builder, or null where the network is none of one hidden layer.</returns>
    public static HiddenLayerBuilder? From(Network network, double outputScale = 1)
    {
        ArgumentNullException.ThrowIfNull(network);
        if (network.Definition is not HiddenLayerDefinition definition)
            return null;
        var (j, k) = (definition.UnitsPerStep, definition.Outputs);
        var weights = new HiddenLayerWeights(definition, network.ReadWeights().Read());
        var builder = new HiddenLayerBuilder(
            definition.Inputs, j, definition.Activation, [.. weights.Biases[..k].ToArray().Select(b => b / outputScale)], outputScale,
            definition.StandardizeInputs ? (weights.Mean.ToArray(), weights.Scale.ToArray()) : null, weights.Knots);
        for (var t = 0; t < definition.ActiveSteps; t++)
        {
            var output = new float[k * j];
            for (var row = 0; row < k; row++)
                weights.Output.Span.Slice((row * definition.Units) + (t * j), j).CopyTo(output.AsSpan(row * j));
            builder._steps.Add(new(
                weights.Hidden.Slice(t * j * definition.HiddenInputs, j * definition.HiddenInputs).ToArray(), weights.HiddenBias.Slice(t * j, j).ToArray(), output, []));
            builder._stepSizes.Add(weights.StepSizes[t]);
            builder._biases.Add([.. weights.Biases.Slice((t + 1) * k, k).ToArray().Select(b => (double)b)]);
        }

        return builder;
    }

    /// <summary>Adds ρ·h.</summary>
    /// <param name="step">h.</param>
    /// <param name="stepSize">ρ.</param>
    public void Add(HiddenLayerStep step, double stepSize) => AddMean([step], [stepSize]);

    /// <summary>Adds the mean of ρ_r·h_r, as one step that has the units of all of them, and the mean of ρ_r as its size.</summary>
    /// <param name="parts">h_r, at least one; together they have the units of a step.</param>
    /// <param name="stepSizes">ρ_r.</param>
    public void AddMean(IReadOnlyList<HiddenLayerStep> parts, IReadOnlyList<double> stepSizes)
    {
        ArgumentNullException.ThrowIfNull(parts);
        ArgumentNullException.ThrowIfNull(stepSizes);
        var (output, bias) = (new float[_outputs * UnitsPerStep], (double[])_biases[^1].Clone());
        var first = 0;
        foreach (var (part, stepSize) in parts.Zip(stepSizes))
        {
            var factor = _outputScale * stepSize / parts.Count;
            var units = part.HiddenBias.Length;
            for (var row = 0; row < _outputs; row++)
            {
                bias[row] += part.OutputBias[row] * factor;
                for (var j = 0; j < units; j++)
                    output[(row * UnitsPerStep) + first + j] = (float)(part.OutputWeight[(row * units) + j] * factor);
            }

            first += units;
        }

        _biases.Add(bias);
        _stepSizes.Add((float)stepSizes.Average());
        _steps.Add(new([.. parts.SelectMany(part => part.HiddenWeight)], [.. parts.SelectMany(part => part.HiddenBias)], output, []));
    }

    /// <summary>Builds one of the networks whose mean <see cref="AddMean"/> makes: it has a share of the units of each step.</summary>
    /// <param name="part">Which, from 0.</param>
    /// <param name="parts">How many there are, of the same number of units.</param>
    /// <param name="bias">Its output biases [outputs].</param>
    /// <returns>The network on the CPU, of one step; the caller owns it.</returns>
    public Network BuildPart(int part, int parts, IReadOnlyList<float> bias)
    {
        var (units, inputs) = (UnitsPerStep / parts, Knots is null ? Inputs : 2 * Inputs);
        var own = new HiddenLayerBuilder(Inputs, units * Steps, Activation, _biases[0], 1, Standardization, Knots);
        own._steps.Add(new(
            [.. _steps.SelectMany(step => step.HiddenWeight[(part * units * inputs)..((part + 1) * units * inputs)])],
            [.. _steps.SelectMany(step => step.HiddenBias[(part * units)..((part + 1) * units)])],
            [
                .. Enumerable.Range(0, _outputs).SelectMany(
                    row => _steps.SelectMany(step => step.OutputWeight.Skip((row * UnitsPerStep) + (part * units)).Take(units))).Select(weight => weight * parts),
            ],
            []));
        own._stepSizes.Add(1);
        own._biases.Add([.. bias.Select(value => (double)value)]);
        return own.Build(1);
    }

    /// <summary>Builds the network.</summary>
    /// <param name="activeSteps">Number of steps that take part in scores: the first so many.</param>
    /// <returns>The network on the CPU; the caller owns it.</returns>
    public Network Build(int activeSteps)
    {
        var definition = new HiddenLayerDefinition
        {
            Inputs = Inputs,
            Outputs = _outputs,
            Units = Steps * UnitsPerStep,
            UnitsPerStep = UnitsPerStep,
            ActiveUnits = activeSteps * UnitsPerStep,
            Activation = Activation,
            StandardizeInputs = Standardization is not null,
            Knots = Knots?.Count ?? 0,
        };
        var output = new float[_outputs * definition.Units];
        for (var t = 0; t < Steps; t++)
        {
            for (var row = 0; row < _outputs; row++)
            {
                _steps[t].OutputWeight.AsSpan(row * UnitsPerStep, UnitsPerStep)
                    .CopyTo(output.AsSpan((row * definition.Units) + (t * UnitsPerStep)));
            }
        }

        var network = definition.Build(CPU);
        network.WriteWeights(HiddenLayerWeights.Of(
            definition,
            [.. _steps.SelectMany(step => step.HiddenWeight)],
            [.. _steps.SelectMany(step => step.HiddenBias)],
            output,
            [.. _biases.SelectMany(row => row.Select(b => (float)b))],
            [.. _stepSizes],
            Standardization,
            Knots));
        network.eval();
        return network;
    }
}
