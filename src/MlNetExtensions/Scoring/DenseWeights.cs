namespace MlNetMlp.Scoring;

/// <summary>
/// The weights of a dense layer as <see cref="PanelKernel{L,V,TFinish}"/> reads them: outputs padded with zeros to whole cache lines, in
/// panels of up to 64 outputs, each [inputs][outputs of the panel].
/// </summary>
internal sealed class PanelWeights
{
    public const int PanelWidth = 64;

    private readonly Func<ReadOnlyMemory<float>>? _later;
    private readonly int _outputs;
    private readonly int _length;
    private AlignedFloats? _panels;

    /// <param name="weights">W, [outputs, inputs].</param>
    /// <param name="bias">b, [outputs].</param>
    /// <param name="inputs">Inputs.</param>
    /// <param name="outputs">Outputs.</param>
    /// <param name="later">Gives W instead, to be laid out when the first row comes; else null.</param>
    public PanelWeights(ReadOnlySpan<float> weights, ReadOnlySpan<float> bias, int inputs, int outputs, Func<ReadOnlyMemory<float>>? later)
    {
        (Inputs, _outputs, _later) = (inputs, outputs, later);
        PaddedOutputs = AlignedFloats.Pad(outputs);
        Bias = new AlignedFloats(PaddedOutputs);
        bias.CopyTo(Bias.Span);
        _length = checked(inputs * PaddedOutputs);
        if (later is null)
            _panels = LayOut(weights);
    }

    public int Inputs { get; }

    public int PaddedOutputs { get; }

    public AlignedFloats Bias { get; }

    public AlignedFloats Panels => Volatile.Read(ref _panels) ?? LayOutNow();

    // Of threads that come at once each lays out the same, and all go on with one of them.
    private AlignedFloats LayOutNow()
    {
        ReadOnlyMemory<float> weights = _later!();
        if (weights.Length != (long)_outputs * Inputs)
            throw new InvalidOperationException($"The weights made for a dense layer hold {weights.Length} values, expected {(long)_outputs * Inputs}: {_outputs} outputs x {Inputs} inputs.");
        AlignedFloats own = LayOut(weights.Span);
        return Interlocked.CompareExchange(ref _panels, own, null) ?? own;
    }

    private AlignedFloats LayOut(ReadOnlySpan<float> weights)
    {
        var panels = new AlignedFloats(_length);
        for (int output = 0; output < _outputs; output++)
        {
            int first = output / PanelWidth * PanelWidth;
            int width = Math.Min(PanelWidth, PaddedOutputs - first);
            Span<float> column = panels.Span[((first * Inputs) + (output - first))..];
            ReadOnlySpan<float> row = weights.Slice(output * Inputs, Inputs);
            for (int k = 0; k < Inputs; k++)
                column[k * width] = row[k];
        }

        return panels;
    }
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
