using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>Some rows as a linear readout sees them. Dispose it when its rows are done with.</summary>
/// <param name="Features">H, Float32 [rows, M].</param>
/// <param name="Targets">Y, Float32 [rows, K], as <see cref="ReadoutTargets"/> makes them.</param>
/// <param name="Labels">Labels as <see cref="RowBlock.Labels"/> holds them.</param>
/// <param name="Weights">w, Float64 [rows] as the example weights say, not scaled to a mean; null where all are 1.</param>
public sealed record FeatureBlock(Tensor Features, Tensor Targets, Tensor Labels, Tensor? Weights) : IDisposable
{
    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        Features.Dispose();
        Targets.Dispose();
        Labels.Dispose();
        Weights?.Dispose();
    }
}

/// <summary>The training rows behind a fixed feature map, block by block: what every method that trains only a linear readout goes through.</summary>
/// <param name="data">The rows.</param>
/// <param name="head">The task.</param>
/// <param name="run">The device, and ways to be stopped.</param>
/// <param name="map">The map, on the run's device.</param>
public sealed class FeatureRows(TrainingSet data, TaskHead head, TrainingRun run, FeatureMap map)
{
    // Features of a block: few enough to stay in the caches' reach, enough to keep products fast.
    private const int BlockElements = 1 << 21;

    /// <summary>N, number of rows.</summary>
    public long Count => data.RowCount;

    /// <summary>M, number of features.</summary>
    public int Features => map.Features;

    /// <summary>K, number of outputs.</summary>
    public int Outputs => head.Outputs;

    /// <summary>The map.</summary>
    public FeatureMap Map => map;

    internal TrainingSet Data => data;

    internal TaskHead Head => head;

    internal TrainingRun Run => run;

    /// <summary>Bytes that the features of all rows take.</summary>
    public long Bytes => checked(Count * Features * sizeof(float));

    private int BlockRows => Math.Clamp(BlockElements / Features, 64, 8192);

    /// <summary>Visits all rows once.</summary>
    /// <returns>The blocks; the caller disposes each before it asks for the next.</returns>
    public IEnumerable<FeatureBlock> Blocks()
    {
        foreach (var block in data.Blocks(BlockRows))
        {
            using var rows = block;
            run.CheckCancelled();
            yield return MapBlock(block);
        }
    }

    /// <summary>Visits the rows held out once; there may be none.</summary>
    /// <returns>The blocks; the caller disposes each before it asks for the next.</returns>
    public IEnumerable<FeatureBlock> HeldBlocks()
    {
        if (data.Validation is not { } held)
            yield break;
        for (long start = 0; start < held.Rows; start += BlockRows)
        {
            run.CheckCancelled();
            var count = Math.Min(BlockRows, held.Rows - start);
            using var rows = new RowBlock(
                held.Features.narrow(0, start, count), held.Labels.narrow(0, start, count), held.Weights?.narrow(0, start, count));
            yield return MapBlock(rows);
        }
    }

    /// <summary>Sums the products of all rows in one pass.</summary>
    /// <param name="report">Called with the number of rows after each block; null for nobody.</param>
    /// <returns>The sums; the caller owns them.</returns>
    public LeastSquaresSums Sum(Action<long>? report = null)
    {
        var sums = new LeastSquaresSums(Features, Outputs, run.Device);
        foreach (var block in Blocks())
        {
            using var rows = block;
            sums.Add(block.Features, block.Targets, block.Weights);
            report?.Invoke(block.Features.shape[0]);
        }

        return sums;
    }

    /// <summary>Maps some of the rows.</summary>
    /// <param name="block">The rows, which stay as they are.</param>
    /// <returns>The rows behind the map; the caller owns them.</returns>
    public FeatureBlock MapBlock(RowBlock block)
    {
        ArgumentNullException.ThrowIfNull(block);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var labels = block.Labels.to(run.Device, copy: true);
        return new(
            map.Map(block.Features.to(run.Device)).MoveToOuterDisposeScope(),
            ReadoutTargets.Of(head, labels).MoveToOuterDisposeScope(),
            labels.MoveToOuterDisposeScope(),
            block.Weights?.to(run.Device).to(ScalarType.Float64).Times(data.MeanWeight).MoveToOuterDisposeScope());
    }
}
