using System.Diagnostics;
using Microsoft.ML;
using MlNetMlp.Boosting;
using MlNetMlp.Interop;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Tabular;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>
/// Fits on the first CUDA device against the CPU, a bare matrix product, and PyTorch on the same card; and whether what they give is right. Where something is wrong, or there is no such device, the exit
/// code is not 0.
/// </summary>
internal static class Gpu
{
    private const int NoDevice = 3;
    private const int Wrong = 4;
    private const int ProductSize = 8192;
    private const int TestRows = 5000;
    private const int Layers = 4;

    /// <summary>A plain network of some width, with as many rows in a step as keep the card busy.</summary>
    private sealed record Size(int Width, int Rows, int Batch, int Epochs);

    public static void Run(ILookup<string, string> options)
    {
        if (!cuda.is_available())
        {
            Console.Error.WriteLine("gpu: libtorch finds no CUDA device. In this repository -p:TorchBackend=cuda brings a libtorch that has CUDA; bench/gpu.sh uses that of a PyTorch.");
            Environment.ExitCode = NoDevice;
            return;
        }

        var isQuick = options["quick"].Any();
        var report = Report.Of(options, "gpu", "Fits on a GPU");
        var faults = new List<string>();
        var peak = Product();
        report.Say($"A bare product of two matrices of {ProductSize} x {ProductSize}: {peak / 1e12:F1} TFLOP/s in single precision. A share is what a fit needs, six operations for each multiplication of a row, of that.");
        Steps(report, peak, faults, [.. new Size[] { new(256, 400_000, 4096, 4), new(1024, 400_000, 8192, 4), new(4096, 200_000, 8192, 2) }.Take(isQuick ? 1 : 3)]);
        Fits(report, faults, isQuick);
        report.Say(faults.Count == 0 ? "All results are right." : $"**Wrong**: {string.Join("; ", faults)}.");
        report.Save();
        if (faults.Count > 0)
            Environment.ExitCode = Wrong;
    }

    private static double Product()
    {
        using var scope = NewDisposeScope();
        var (a, b) = (randn(ProductSize, ProductSize, device: CUDA), randn(ProductSize, ProductSize, device: CUDA));
        var seconds = Clock.Medians(5, () =>
        {
            using var product = a.mm(b);
            cuda.synchronize();
        });
        return 2.0 * ProductSize * ProductSize * ProductSize / seconds[0];
    }

    private static void Steps(Report report, double peak, List<string> faults, Size[] sizes)
    {
        var hasPeer = PythonPeer.Has("PyTorch", "torch");
        var rows = new List<string[]>();
        foreach (var size in sizes)
        {
            var (train, test) = (Generated.Rows(size.Rows), Generated.Rows(TestRows, seed: 2));
            var options = Generated.Small with { Width = size.Width, Blocks = Layers, BatchSize = size.Batch, ValidationFraction = 0, LearningRate = 1e-3 };
            var (seconds, error, multiplications) = Fit(train, test, ml => ml.Regression.Trainers.ScaledMlp(options with { Epochs = size.Epochs }));
            var (fewer, _, _) = Fit(train, test, ml => ml.Regression.Trainers.ScaledMlp(options with { Epochs = 1 }));

            // What an epoch takes, without reading and without building the model.
            var epoch = (seconds - fewer) / (size.Epochs - 1);
            double[] theirs = hasPeer ? PythonPeer.RunFile("gpu.py", $"{Generated.Width}", $"{size.Width}", $"{Layers}", $"{size.Rows}", $"{size.Batch}", $"{size.Epochs}") : [];
            if (!(error < 0.3))
                faults.Add($"the network of width {size.Width} has an RMSE of {error:F3} on other rows, not below 0.3");
            rows.Add([$"{size.Width}", $"{size.Batch}", $"{epoch:F3}", $"{6.0 * multiplications * size.Rows / epoch / peak:P0}", theirs is [var their, ..] ? $"{their:F3}" : "-", theirs is [var there, ..] ? $"{epoch / there:F2}" : "-", $"{seconds:F2}", $"{error:F3}"]);
        }

        report.Add(
            $"ScaledMlp of {Layers} hidden layers, {Generated.Width} features", ["width", "batch", "seconds an epoch", "share of a matrix product", "PyTorch, seconds an epoch", "ratio", "seconds of the fit", "RMSE on other rows"], rows);
    }

    private static void Fits(Report report, List<string> faults, bool isQuick)
    {
        var (train, test) = (Generated.Rows(isQuick ? 5000 : 50_000), Generated.Rows(TestRows, seed: 2));
        var rows = new List<string[]>();
        foreach (var (name, allowed, trainer) in new (string, double, Func<MLContext, IEstimator<ITransformer>>)[]
        {
            ("TabularNetwork", 0.1, ml => ml.Regression.Trainers.TabularNetwork(TabularNetwork.Options.Fast with { Seed = 1 })),
            ("RandomFeatureNetwork", 1e-3, ml => ml.Regression.Trainers.RandomFeatureNetwork(new RandomFeatureNetwork.Options { Seed = 1, HiddenUnits = 1000 })),
            ("GradientBoostedNetwork", 0.1, ml => ml.Regression.Trainers.GradientBoostedNetwork(new GradientBoostedNetwork.Options { Seed = 1 })),
        })
        {
            var (onGpu, error, _) = Fit(train, test, trainer);
            var (onCpu, expected, _) = Fit(train, test, trainer, device: null);
            if (!(Math.Abs(error - expected) <= allowed * expected))
                faults.Add($"{name} has an RMSE of {error:G4} where it was trained on the GPU, {expected:G4} on the CPU");
            rows.Add([name, $"{train.Length:N0}", $"{onGpu:F2}", $"{onCpu:F2}", $"{onCpu / onGpu:F1}", $"{error:G4}", $"{expected:G4}"]);
        }

        report.Add("The same fits on GPU and CPU", ["trainer", "rows", "seconds, GPU", "seconds, CPU", "times as fast", "RMSE, GPU", "RMSE, CPU"], rows);
    }

    // The first fit of a process pays for starting CUDA, so each is done twice.
    private static (double Seconds, double Error, long Multiplications) Fit(Generated.Row[] train, Generated.Row[] test, Func<MLContext, IEstimator<ITransformer>> trainer, int? device = 0)
    {
        var ml = new MLContext(1) { GpuDeviceId = device, FallbackToCpu = false };
        var (view, estimator) = (ml.Data.LoadFromEnumerable(train), trainer(ml));
        if (device is not null)
            estimator.Fit(ml.Data.LoadFromEnumerable(train[..1000]));
        var clock = Stopwatch.StartNew();
        var model = estimator.Fit(view);
        var seconds = clock.Elapsed.TotalSeconds;
        return (seconds, ml.Regression.Evaluate(model.Transform(ml.Data.LoadFromEnumerable(test))).RootMeanSquaredError, NetworkModel.Find(model)!.Definition.MultiplicationsPerRow);
    }
}
