using MlNetMlp.Persistence;

namespace MlNetMlp.Networks;

/// <summary>The tensors of a <see cref="HiddenLayerDefinition"/>'s network, by what they are.</summary>
internal readonly ref struct HiddenLayerWeights
{
    private readonly int _knots;

    public HiddenLayerWeights(HiddenLayerDefinition definition, WeightReader reader)
    {
        Hidden = reader.Take("hidden.weight", definition.Units, definition.HiddenInputs);
        HiddenBias = reader.Take("hidden.bias", definition.Units).Span;
        Output = reader.Take("output.weight", definition.Outputs, definition.Units);
        Biases = reader.Take("output.biases", definition.Steps + 1, definition.Outputs).Span;
        StepSizes = reader.Take("step_sizes", definition.Steps).Span;
        if (definition.StandardizeInputs)
        {
            Mean = reader.Take("mean", definition.Inputs).Span;
            Scale = reader.Take("scale", definition.Inputs).Span;
        }

        if (definition.Knots > 0)
        {
            KnotPositions = reader.Take("knots.positions", definition.Inputs, definition.Knots).Span;
            KnotValues = reader.Take("knots.values", definition.Inputs, definition.Knots).Span;
            _knots = definition.Knots;
        }

        reader.Finish();
    }

    public ReadOnlyMemory<float> Hidden { get; }

    public ReadOnlySpan<float> HiddenBias { get; }

    public ReadOnlyMemory<float> Output { get; }

    public ReadOnlySpan<float> Biases { get; }

    public ReadOnlySpan<float> StepSizes { get; }

    public ReadOnlySpan<float> Mean { get; }

    public ReadOnlySpan<float> Scale { get; }

    public ReadOnlySpan<float> KnotPositions { get; }

    public ReadOnlySpan<float> KnotValues { get; }

    public InputKnots? Knots => _knots == 0 ? null : new(_knots, KnotPositions.ToArray(), KnotValues.ToArray());

    public static WeightSet Of(
        HiddenLayerDefinition definition, float[] hidden, float[] hiddenBias, float[] output, float[] biases, float[] stepSizes,
        (float[] Mean, float[] Scale)? standardization, InputKnots? knots)
    {
        WeightSet weights =
        [
            NamedTensor.Of("hidden.weight", hidden, definition.Units, definition.HiddenInputs),
            NamedTensor.Of("hidden.bias", hiddenBias, definition.Units),
            NamedTensor.Of("output.weight", output, definition.Outputs, definition.Units),
            NamedTensor.Of("output.biases", biases, definition.Steps + 1, definition.Outputs),
            NamedTensor.Of("step_sizes", stepSizes, definition.Steps),
        ];
        if (standardization is { } inputs)
        {
            weights.Add(NamedTensor.Of("mean", inputs.Mean, definition.Inputs));
            weights.Add(NamedTensor.Of("scale", inputs.Scale, definition.Inputs));
        }

        if (knots is not null)
        {
            weights.Add(NamedTensor.Of("knots.positions", knots.Positions.ToArray(), definition.Inputs, definition.Knots));
            weights.Add(NamedTensor.Of("knots.values", knots.Values.ToArray(), definition.Inputs, definition.Knots));
        }

        return weights;
    }
}
