using Microsoft.ML;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>A scored data view read to its end against the bare forward passes on a tensor that is ready, with one thread each.</summary>
internal static class BatchScoring
{
    private const int Count = 1_000_000;
    private const int Block = 1024;

    public static void Run()
    {
        var ml = new MLContext(1);
        var rows = Generated.Rows(Count);
        var model = Generated.Fit(ml, rows[..10_000]);
        var scored = model.Transform(ml.Data.LoadFromEnumerable(rows));
        var score = scored.Schema["Score"];
        using var network = model.Model.Network.CreateNetwork();
        var flat = rows.SelectMany(row => row.Features).ToArray();
        var x = tensor(flat, Count, Generated.Width);
        var scores = new float[Count];
        var threads = get_num_threads();
        set_num_threads(1);

        var seconds = Clock.Medians(
            5,
            () => Read(scored, score),
            () => Forward(network, x, Block),
            () => Forward(network, x, 8 * Block),
            () => model.Model.Network.Score(flat, scores));

        set_num_threads(threads);
        Console.WriteLine($"scoring: {Count} x 28, 28-64-64-1, one thread: data view {seconds[0] * 1e3:F0} ms ({Count / seconds[0] / 1e6:F2} M rows/s), "
            + $"bare libtorch in blocks of {Block} {seconds[1] * 1e3:F0} ms, of {8 * Block} {seconds[2] * 1e3:F0} ms, managed kernel alone {seconds[3] * 1e3:F0} ms, "
            + $"ratio to the faster libtorch {seconds[0] / Math.Min(seconds[1], seconds[2]):F2}");
    }

    private static void Read(IDataView scored, DataViewSchema.Column column)
    {
        using var cursor = scored.GetRowCursor([column]);
        var getter = cursor.GetGetter<float>(column);
        float value = 0;
        while (cursor.MoveNext())
            getter(ref value);
    }

    private static void Forward(nn.Module<Tensor, Tensor> network, Tensor x, int block)
    {
        using var inference = inference_mode();
        for (long start = 0; start < Count; start += block)
        {
            using var scope = NewDisposeScope();
            _ = TensorMemory.Floats(network.call(x.narrow(0, start, Math.Min(block, Count - start))))[0];
        }
    }
}
