namespace MlNetMlp.Scoring;

/// <summary>
/// The weights of a dense layer as <see cref="PanelKernel{L,V,TFinish}"/> reads them: outputs padded with zeros to whole cache lines, in
/// panels of up to 64 outputs, each [inputs][outputs of the panel].
/// </summary>
internal sealed class PanelWeights
{
    public const int PanelWidth = 64;

    public PanelWeights(ReadOnlySpan<float> weights, ReadOnlySpan<float> bias, int inputs, int outputs)
    {
        Inputs = inputs;
        PaddedOutputs = AlignedFloats.Pad(outputs);
        Bias = new AlignedFloats(PaddedOutputs);
        bias.CopyTo(Bias.Span);
        Panels = new AlignedFloats(checked(inputs * PaddedOutputs));
        for (int output = 0; output < outputs; output++)
        {
            int first = output / PanelWidth * PanelWidth;
            int width = Math.Min(PanelWidth, PaddedOutputs - first);
            Span<float> column = Panels.Span[((first * inputs) + (output - first))..];
            ReadOnlySpan<float> row = weights.Slice(output * inputs, inputs);
            for (int k = 0; k < inputs; k++)
                column[k * width] = row[k];
        }
    }

    public int Inputs { get; }

    public int PaddedOutputs { get; }

    public AlignedFloats Bias { get; }

    public AlignedFloats Panels { get; }
}

/// <summary>The weights of a dense layer as <see cref="DotKernel{L,V}"/> reads them: [outputs][inputs padded with zeros].</summary>
internal sealed class DotWeights
{
    public DotWeights(ReadOnlySpan<float> weights, ReadOnlySpan<float> bias, int inputs, int outputs)
    {
        Inputs = inputs;
        Outputs = outputs;
        Bias = new AlignedFloats(outputs);
        bias.CopyTo(Bias.Span);
        int padded = AlignedFloats.Pad(inputs);
        Rows = new AlignedFloats(checked(padded * outputs));
        for (int output = 0; output < outputs; output++)
            weights.Slice(output * inputs, inputs).CopyTo(Rows.Span[(output * padded)..]);
    }

    public int Inputs { get; }

    public int Outputs { get; }

    public AlignedFloats Bias { get; }

    public AlignedFloats Rows { get; }

    /// <summary>
    /// Whether the layer is narrow enough that a lane per input, at the price of a sum over lanes per output, beats a lane per output.
    /// </summary>
    public static bool Suit(int inputs, int outputs) =>
        outputs <= AlignedFloats.LineFloats && outputs * ((AlignedFloats.Pad(inputs) / AlignedFloats.LineFloats) + 6) <= 2 * inputs;
}
