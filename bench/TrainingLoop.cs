using Microsoft.ML;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>A fit with the shared loop against a loop written by hand in TorchSharp: same network, same batches' sizes, same optimiser.</summary>
internal static class TrainingLoop
{
    private const int Count = 20_000;
    private const int Batch = 128;
    private const int Epochs = 5;

    public static void Run()
    {
        var ml = new MLContext(1);
        var rows = Generated.Rows(Count);
        var view = ml.Data.LoadFromEnumerable(rows);
        var trainer = ml.Regression.Trainers.ScaledMlp(Generated.Small with { Epochs = Epochs, BatchSize = Batch, ValidationFraction = 0 });
        var x = tensor(rows.SelectMany(row => row.Features).ToArray(), Count, Generated.Width);
        var y = tensor(rows.Select(row => row.Label).ToArray(), Count, 1);

        var threads = get_num_threads();
        var seconds = Clock.Medians(7, () => trainer.Fit(view), () => ByHand(x, y, threads), () => ByHand(x, y, 1));
        set_num_threads(threads);

        Console.WriteLine($"loop: {Epochs} epochs of {Count} rows, batch {Batch}, 28-64-64-1, AdamW: fit {seconds[0] * 1e3:F0} ms (reading, model and all), "
            + $"by hand {seconds[1] * 1e3:F0} ms with {threads} threads, {seconds[2] * 1e3:F0} ms with one, ratio to the faster {seconds[0] / Math.Min(seconds[1], seconds[2]):F2}");
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
