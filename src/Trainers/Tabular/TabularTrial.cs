using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tabular;

/// <summary>One way to train all members, and what it has brought so far.</summary>
/// <param name="definition">The network.</param>
/// <param name="frequencyScale">Standard deviation of the frequencies at the start.</param>
/// <param name="dropout">Share of the units that are left out at first.</param>
internal sealed class TabularTrial(TabularNetworkDefinition definition, double frequencyScale, double dropout) : IDisposable
{
    public double FrequencyScale => frequencyScale;

    public double Dropout => dropout;

    /// <summary>Members with the weights that are kept.</summary>
    public TabularMembers Members { get; } = new(definition, definition.Members, CPU);

    /// <summary>The best epoch, from 1; 0 where none was judged.</summary>
    public int Epoch { get; private set; }

    /// <summary>What the best epoch was chosen by.</summary>
    public double Criterion { get; private set; } = double.PositiveInfinity;

    /// <summary>Outputs of the best epoch for the rows held out [rows, outputs]; null where none was judged.</summary>
    public Tensor? Outputs { get; private set; }

    public void Keep(int epoch, double criterion, Tensor outputs)
    {
        Outputs?.Dispose();
        (Epoch, Criterion, Outputs) = (epoch, criterion, outputs.DetachFromDisposeScope());
    }

    public void Dispose()
    {
        Outputs?.Dispose();
        Members.Dispose();
    }
}
