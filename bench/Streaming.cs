using System.Diagnostics;
using Microsoft.ML;

namespace MlNetMlp.Bench;

/// <summary>A fit on generated rows that are five times larger than the byte budget: the peak of resident memory.</summary>
internal static class Streaming
{
    private const long Budget = 50_000_000;

    public static void Run()
    {
        var ml = new MLContext(1);
        const int count = (int)(5 * Budget / ((Generated.Width + 2) * sizeof(float)));
        var warm = ml.Regression.Trainers.ScaledMlp(Generated.Small).Fit(ml.Data.LoadFromEnumerable(Generated.Rows(1000)));
        GC.Collect();
        var before = Resident();
        var peak = before;
        using var stop = new CancellationTokenSource();
        var watch = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                peak = Math.Max(peak, Resident());
                await Task.Delay(10);
            }
        });

        var clock = Stopwatch.StartNew();
        var trainer = ml.Regression.Trainers.ScaledMlp(Generated.Small with { MemoryBudget = Budget, Epochs = 2, BatchSize = 1024 });
        var model = trainer.Fit(ml.Data.LoadFromEnumerable(Generated.Lazy(count)));
        var seconds = clock.Elapsed.TotalSeconds;
        stop.Cancel();
        watch.Wait();

        Console.WriteLine($"streaming: {count} rows = {5 * Budget / 1_000_000} MB with a budget of {Budget / 1_000_000} MB, 2 epochs in {seconds:F1} s: "
            + $"resident {before} MB before, {peak} MB at most, {peak - before} MB more; validation loss {model.Model.Network.LearningCurve.Points[^1].ValidationLoss:G3}");
        GC.KeepAlive(warm);
    }

    private static long Resident()
    {
        using var process = Process.GetCurrentProcess();
        return process.WorkingSet64 / 1_000_000;
    }
}
