using System.Globalization;
using Microsoft.ML;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>A fit with the shared loop against loops written by hand in TorchSharp and in PyTorch: same network, same batches' sizes, same optimiser.</summary>
internal static class TrainingLoop
{
    private const int Count = 20_000;
    private const int Batch = 128;
    private const int Epochs = 5;

    private const int Times = 7;

    private const string Driver = """
        import sys, time
        import torch
        rows, width, batch, epochs, times, threads = (int(a) for a in sys.argv[1:7])
        torch.set_num_threads(threads)
        x, y = torch.rand(rows, width), torch.rand(rows, 1)
        seconds = []
        for _ in range(times):
            start = time.perf_counter()
            net = torch.nn.Sequential(torch.nn.Linear(width, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
            adam = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0)
            for _ in range(epochs):
                order = torch.randperm(rows)
                for i in range(0, rows, batch):
                    index = order[i:i + batch]
                    adam.zero_grad()
                    torch.nn.functional.mse_loss(net(x[index]), y[index]).backward()
                    adam.step()
            seconds.append(time.perf_counter() - start)
        print(sorted(seconds)[times // 2])
        """;

    public static void Run(ILookup<string, string> options)
    {
        var ml = new MLContext(1);
        var rows = Generated.Rows(Count);
        var view = ml.Data.LoadFromEnumerable(rows);
        var trainer = ml.Regression.Trainers.ScaledMlp(Generated.Small with { Epochs = Epochs, BatchSize = Batch, ValidationFraction = 0 });
        var x = tensor(rows.SelectMany(row => row.Features).ToArray(), Count, Generated.Width);
        var y = tensor(rows.Select(row => row.Label).ToArray(), Count, 1);

        var threads = get_num_threads();
        var seconds = Clock.Medians(Times, () => trainer.Fit(view), () => ByHand(x, y, threads), () => ByHand(x, y, 1));
        set_num_threads(threads);

        var report = Report.Of(options, "training", "The training loop");
        report.Say($"{Epochs} epochs of {Count:N0} rows in batches of {Batch}, a network of {Generated.Width}-64-64-1 by AdamW; medians of {Times} fits, those of .NET in turns. The fit of the trainer reads the rows, "
            + "standardises, and makes the model; the loops by hand have their tensors already.");
        string[][] table =
        [
            Line("`ScaledMlp`, the whole fit", seconds[0]), Line($"TorchSharp by hand, {threads} threads", seconds[1]), Line("TorchSharp by hand, one thread", seconds[2]),
            .. (PythonPeer.Has("PyTorch", "torch") ? new[] { threads, 1 }.Distinct() : []).Select(count => (Count: count, Seconds: PythonPeer.Run(Driver, [.. new[] { Count, Generated.Width, Batch, Epochs, Times, count }.Select(number => number.ToString(CultureInfo.InvariantCulture))])))
                .Where(peer => peer.Seconds.Length > 0).Select(peer => Line($"PyTorch by hand, {(peer.Count == 1 ? "one thread" : $"{peer.Count} threads")}", peer.Seconds[0])),
        ];
        report.Add("Fits", ["loop", "ms", "rows/s", "time of `ScaledMlp` to its"], table);
        report.Save();

        string[] Line(string name, double time) => [name, $"{time * 1e3:F0}", $"{Epochs * Count / time:N0}", $"{seconds[0] / time:F2}"];
    }

    private static void ByHand(Tensor x, Tensor y, int threads)
    {
        set_num_threads(threads);
        using var network = nn.Sequential(
            nn.Linear(Generated.Width, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1));
        using var optimizer = optim.AdamW(network.parameters(), lr: 1e-3, weight_decay: 0);
        for (var epoch = 0; epoch < Epochs; epoch++)
        {
            using var order = randperm(Count);
            for (var start = 0; start < Count; start += Batch)
            {
                using var scope = NewDisposeScope();
                var index = order.narrow(0, start, Math.Min(Batch, Count - start));
                optimizer.zero_grad();
                var loss = nn.functional.mse_loss(network.call(x.index_select(0, index)), y.index_select(0, index));
                loss.backward();
                optimizer.step();
            }
        }
    }
}
