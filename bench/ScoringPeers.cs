using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using MlNetMlp.Boosting;
using MlNetMlp.Interop;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Tabular;
using TorchSharp;

namespace MlNetMlp.Bench;

/// <summary>
/// Saved models that are loaded again, rows a second in data views and the time of single rows, beside LightGBM's and FastTree's; and one network in ONNX Runtime and PyTorch.
/// </summary>
internal static class ScoringPeers
{
    private const int TrainRows = 10_000;
    private const int BatchRows = 200_000;
    private const int Block = 1024;
    private const int WarmUp = 20_000;
    private const int Calls = 50_000;

    private static readonly int[] Threads = [1, 2];

    public static void Run(ILookup<string, string> options)
    {
        var ml = new MLContext(1);
        var (train, rows) = (ml.Data.LoadFromEnumerable(Generated.Rows(TrainRows)), Generated.Rows(BatchRows, seed: 2));
        (string Name, IEstimator<ITransformer> Trainer)[] trainers =
        [
            ("ScaledMlp, 28-64-64-1", ml.Regression.Trainers.ScaledMlp(Generated.Small)),
            ("TabularNetwork, Fast", ml.Regression.Trainers.TabularNetwork(TabularNetwork.Options.Fast with { Seed = 1, Epochs = 4 })),
            ("TabularNetwork", ml.Regression.Trainers.TabularNetwork(new TabularNetwork.Options { Seed = 1, Epochs = 2 })),
            ("GradientBoostedNetwork", ml.Regression.Trainers.GradientBoostedNetwork(new GradientBoostedNetwork.Options { Seed = 1 })),
            ("RandomFeatureNetwork", ml.Regression.Trainers.RandomFeatureNetwork(new RandomFeatureNetwork.Options { Seed = 1 })),
            ("LightGBM", ml.Regression.Trainers.LightGbm()),
            ("FastTree", ml.Regression.Trainers.FastTree()),
        ];
        var lines = new List<string[]>();
        foreach (var (name, trainer) in trainers)
        {
            var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
            ml.Model.Save(trainer.Fit(train), train.Schema, path);
            var model = ml.Model.Load(path, out var schema);
            var megabytes = new FileInfo(path).Length / 1e6;
            File.Delete(path);
            var scorer = model.CreateRowScorer(schema, ["Score"]);
            lines.Add(Line(name, megabytes, part => Read(model.Transform(ml.Data.LoadFromEnumerable(part))), () =>
            {
                var score = new float[1];
                return row => scorer.Score(row.Features, score);
            }));
        }

        var first = Generated.Fit(ml, Generated.Rows(TrainRows));
        lines.InsertRange(1, Others(first, rows));

        var report = Report.Of(options, "scoring", "Scoring");
        report.Say(
            $"{Generated.Width} features. Ours, LightGBM's and FastTree's are ML.NET models that were saved and loaded: batches are data views of {BatchRows:N0} rows of a class, read to their end, two threads read a half each; single "
            + $"rows go through a row scorer. ONNX Runtime and PyTorch have the network of the first line, in batches of {Block} rows that lie ready as numbers, with as many threads of their own. Trainers are stopped early where that does not change the size of their model.");
        report.Add(
            "Rows a second and microseconds a row", ["model", "MB", "million rows/s, 1 thread", "2 threads", "single row, median µs, 1 thread", "p99", "2 threads at once, median µs", "p99"], lines);
        Throughput(report, first, rows);
        report.Save();

        string[] Line(string name, double megabytes, Action<Generated.Row[]> batch, Func<Action<Generated.Row>> single)
        {
            var cells = new List<string> { name, $"{megabytes:F2}" };
            foreach (var count in Threads)
            {
                Generated.Row[][] parts = [.. rows.Chunk(BatchRows / count)];
                var seconds = Clock.Medians(3, () => Parallel.ForEach(parts, new ParallelOptions { MaxDegreeOfParallelism = count }, batch));
                cells.Add($"{BatchRows / seconds[0] / 1e6:F2}");
            }

            foreach (var count in Threads)
            {
                var ticks = new long[count][];
                var threads = Enumerable.Range(0, count).Select(i => new Thread(() => ticks[i] = Latencies(single(), rows))).ToArray();
                Array.ForEach(threads, thread => thread.Start());
                Array.ForEach(threads, thread => thread.Join());
                long[] all = [.. ticks.SelectMany(part => part).Order()];
                cells.AddRange([$"{Micros(all[all.Length / 2]):F2}", $"{Micros(all[all.Length * 99L / 100]):F2}"]);
            }

            return [.. cells];
        }
    }

    // Numbers that lie ready, by the managed kernels and by libtorch, in blocks of each size.
    private static void Throughput(Report report, NetworkPredictionTransformer<RegressionNetworkModel> model, Generated.Row[] rows)
    {
        int[] sizes = [1, 4, 16, 64, 256, 1024, 4096];
        var flat = rows[..sizes[^1]].SelectMany(row => row.Features).ToArray();
        using var network = model.Model.Network.CreateNetwork();
        using var all = torch.tensor(flat, sizes[^1], Generated.Width);
        var threads = torch.get_num_threads();
        torch.set_num_threads(1);
        var points = sizes.Select(size =>
        {
            var (scores, count) = (new float[size], (1 << 16) / size);
            using var block = all.narrow(0, 0, size);
            var seconds = Clock.Medians(
                3,
                () =>
                {
                    for (var i = 0; i < count; i++)
                        model.Model.Network.Score(flat.AsSpan(0, size * Generated.Width), scores);
                },
                () =>
                {
                    using var inference = torch.inference_mode();
                    for (var i = 0; i < count; i++)
                        network.call(block).Dispose();
                });
            return (Size: size, Ours: count * size / seconds[0], Torch: count * size / seconds[1]);
        }).ToArray();
        torch.set_num_threads(threads);
        report.Add("Rows a second against the size of a batch, one thread, numbers that lie ready", ["rows of a batch", "managed kernels, million rows/s", "libtorch, million rows/s"],
            [.. points.Select(point => (string[])[$"{point.Size}", $"{point.Ours / 1e6:F2}", $"{point.Torch / 1e6:F2}"])]);
        report.LogChart("batches", "Rows a second against the size of a batch", "rows of a batch", "rows a second",
            [("managed kernels", [.. points.Select(point => ((double)point.Size, point.Ours))]), ("libtorch", [.. points.Select(point => ((double)point.Size, point.Torch))])]);
    }

    // The same network where others score it: PyTorch exports it as well.
    private static IEnumerable<string[]> Others(NetworkPredictionTransformer<RegressionNetworkModel> model, Generated.Row[] rows)
    {
        if (!PythonPeer.Has("PyTorch and ONNX Runtime", "numpy", "torch"))
            yield break;
        var (weights, file) = (Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()), Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()));
        try
        {
            using (var writer = new BinaryWriter(File.Create(weights)))
            using (var network = model.Model.Network.CreateNetwork())
            {
                foreach (var (_, values) in network.named_parameters())
                {
                    foreach (var value in values.detach().cpu().contiguous().data<float>())
                        writer.Write(value);
                }
            }

            var torch = PythonPeer.RunFile("scoring.py", weights, file, $"{Generated.Width}", "64", "64", $"{Block}", $"{BatchRows}", $"{Calls}");
            if (torch.Length == 6)
                yield return ["the same in PyTorch", $"{new FileInfo(weights).Length / 1e6:F2}", .. torch.Take(2).Select(x => $"{x / 1e6:F2}"), .. torch.Skip(2).Select(x => $"{x * 1e6:F2}")];
            if (!File.Exists(file))
                yield break;
            var cells = new List<string> { "the same in ONNX Runtime", $"{new FileInfo(file).Length / 1e6:F2}" };
            var times = new List<string>();
            foreach (var count in Threads)
            {
                using var settings = new SessionOptions { IntraOpNumThreads = count };
                using var session = new InferenceSession(file, settings);
                var batch = rows[..Block].SelectMany(row => row.Features).ToArray();
                var expected = Raw(model, batch);
                if (Score(session, batch).Zip(expected).Max(pair => Math.Abs(pair.First - pair.Second)) > 1e-4)
                    throw new InvalidOperationException("ONNX Runtime's scores are others.");
                var seconds = Clock.Medians(3, () =>
                {
                    for (var i = 0; i < BatchRows / Block; i++)
                        Score(session, batch);
                });
                cells.Add($"{BatchRows / Block * Block / seconds[0] / 1e6:F2}");
                var ticks = Latencies(row => Score(session, row.Features), rows).Order().ToArray();
                times.AddRange([$"{Micros(ticks[Calls / 2]):F2}", $"{Micros(ticks[Calls * 99 / 100]):F2}"]);
            }

            yield return [.. cells, .. times];
        }
        finally
        {
            File.Delete(weights);
            File.Delete(file);
        }
    }

    // What the network puts out, before it comes to the label's unit.
    private static float[] Raw(NetworkPredictionTransformer<RegressionNetworkModel> model, float[] batch)
    {
        using var scope = torch.NewDisposeScope();
        using var network = model.Model.Network.CreateNetwork();
        return [.. network.call(torch.tensor(batch, Block, Generated.Width)).data<float>()];
    }

    private static float[] Score(InferenceSession session, float[] features)
    {
        using var results = session.Run([NamedOnnxValue.CreateFromTensor("features", new DenseTensor<float>(features, [features.Length / Generated.Width, Generated.Width]))]);
        return [.. results[0].AsEnumerable<float>()];
    }

    private static long[] Latencies(Action<Generated.Row> call, Generated.Row[] rows)
    {
        for (var i = 0; i < WarmUp; i++)
            call(rows[i]);
        var ticks = new long[Calls];
        for (var i = 0; i < Calls; i++)
        {
            var start = Stopwatch.GetTimestamp();
            call(rows[i]);
            ticks[i] = Stopwatch.GetTimestamp() - start;
        }

        return ticks;
    }

    private static double Micros(long ticks) => ticks * 1e6 / Stopwatch.Frequency;

    private static void Read(IDataView scored)
    {
        var column = scored.Schema["Score"];
        using var cursor = scored.GetRowCursor([column]);
        var getter = cursor.GetGetter<float>(column);
        float value = 0;
        while (cursor.MoveNext())
            getter(ref value);
    }
}
