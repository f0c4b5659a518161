using System.Globalization;
using Microsoft.ML;
using MlNetMlp.Training;
using TorchSharp;

namespace MlNetMlp.Conformance.Checks;

/// <summary>How training behaves in a program: stopped, watched, counted, abroad and without a GPU.</summary>
internal static class RunChecks
{
    private const int NoSuchGpu = 99;

    [Check(34, "Training stops when its token or its context is cancelled, and the same options then train elsewhere")]
    public static void CancellationStops(Trial trial)
    {
        using var source = new CancellationTokenSource();
        var hasToken = OptionValues.Has(trial.Subject.OptionsType, "CancellationToken");
        if (hasToken)
        {
            var watched = new Watcher(progress => source.CancelAfterFirst(progress));
            Stops(() => trial.Fit(("CancellationToken", source.Token), ("Progress", watched)), "the token in the options");
            Assert.True(watched.Reports.Count(report => report.Step > 0) <= 1, "training went on and reported after its token was cancelled");
            using var reading = new CancellationTokenSource();
            Stops(() => trial.Fit(trial.View(During(trial.Rows, reading.Cancel)), ("CancellationToken", reading.Token)), "the token, while data are read");
        }

        var options = trial.Options();
        var stopped = new Trial(trial.Subject);
        Stops(() => trial.Subject.Create(stopped.Ml, options).Fit(stopped.View(During(trial.Rows, stopped.Ml.CancelExecution))), "the context");
        trial.Score(trial.Subject.Create(trial.Ml, options).Fit(trial.Data)).ShouldBe(trial.Score(trial.Model), "after training was cancelled in another context");
    }

    [Check(35, "Speaks through MLContext.Log under its own name, reports progress, and writes nothing to the console")]
    public static void OnlyTheLogIsWritten(Trial trial)
    {
        var messages = new List<string>();
        trial.Ml.Log += (_, log) => messages.Add(log.Message);
        var watcher = new Watcher(_ => { });
        var reports = OptionValues.Has(trial.Subject.OptionsType, "Progress");
        var console = Captured(() => trial.Score(trial.Fit(reports ? [("Progress", watcher)] : [])));
        Assert.True(console.Length == 0, $"written to the console: {console}");
        Assert.True(messages.Any(message => message.Contains(trial.Subject.Name, StringComparison.OrdinalIgnoreCase)), $"no message in the log names {trial.Subject.Name}");
        if (!reports)
            return;
        var epochs = watcher.Reports.Select(report => report.Epoch).ToArray();
        Assert.True(epochs.Length > 0 && epochs[^1] > 0, "no progress is reported");
        Assert.True(epochs.SequenceEqual(epochs.Order()), $"progress goes back: {string.Join(' ', epochs)}");
        Assert.True(watcher.Reports.All(report => report.Epoch <= report.Epochs), "progress goes beyond its end");
    }

    [Check(36, "No tensor is left after fitting, scoring and disposing")]
    public static void NothingIsLeft(Trial trial)
    {
        Use(trial);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = torch.Tensor.TotalCount;
        Use(trial);
        Assert.True(torch.Tensor.TotalCount <= before, $"{torch.Tensor.TotalCount - before} tensors are alive that were not before");

        static void Use(Trial trial)
        {
            var model = trial.Fit();
            var scored = trial.Score(model);
            _ = Engine.Scores(trial, model, trial.OtherRows.Take(3));
            (model as IDisposable)?.Dispose();

            // A model without anything to release may go on; one that has says so.
            var error = Trial.Catch(() => trial.Score(model).ShouldBe(scored, "after Dispose"));
            Assert.True(error is null or ObjectDisposedException, $"after Dispose: {error}");
        }
    }

    [Check(37, "The same numbers, files and messages under German and Turkish settings")]
    public static void CulturesAgree(Trial trial)
    {
        var (expected, message) = (trial.Score(trial.Model), Complaint(trial));
        var before = CultureInfo.CurrentCulture;
        try
        {
            foreach (var name in new[] { "de-DE", "tr-TR" })
            {
                CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo(name);
                trial.Score(Trial.Load(trial.Save(trial.Fit()))).ShouldBe(expected, $"a model trained, saved and loaded under {name}");
                Assert.Equal(message, Complaint(trial));
            }
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }

        static string Complaint(Trial trial) =>
            Trial.Catch(() => trial.Fit(trial.View(trial.Rows.Select(row => row.With(r => r.Features[1] = r.Id == 7 ? float.NegativeInfinity : 1.5f)))))?.Message ?? "";
    }

    [Check(38, "Without the GPU that is asked for: trains and says so where that is allowed, else refuses", When = nameof(Subject.UsesDevice))]
    public static void MissingGpuIsSaid(Trial trial)
    {
        var messages = new List<string>();
        trial.Ml.Log += (_, log) => messages.Add(log.Message);
        (trial.Ml.GpuDeviceId, trial.Ml.FallbackToCpu) = (NoSuchGpu, true);
        trial.Score(trial.Fit()).ShouldBe(trial.Score(trial.Model), "on the CPU in place of a GPU");
        Assert.True(messages.Any(message => message.Contains($"GPU {NoSuchGpu}", StringComparison.Ordinal)), "the log does not say that there is no such GPU");
        trial.Ml.FallbackToCpu = false;
        Trial.Refused(() => trial.Fit(), "a GPU that is not there", $"GPU {NoSuchGpu}", "FallbackToCpu");
    }

    private static void Stops(Action fit, string what)
    {
        var error = Trial.Catch(fit);
        Assert.True(error is OperationCanceledException, $"{what} was cancelled, and Fit ended {(error is null ? "as if nothing were" : $"with {error.GetType().Name}: {error.Message}")}");
    }

    private static IEnumerable<SampleRow> During(IReadOnlyList<SampleRow> rows, Action action)
    {
        for (var i = 0; i < rows.Count; i++)
        {
            if (i == rows.Count / 2)
                action();
            yield return rows[i];
        }
    }

    private static void CancelAfterFirst(this CancellationTokenSource source, TrainingProgress progress)
    {
        if (progress.Step > 0)
            source.Cancel();
    }

    private static string Captured(Action action)
    {
        var (output, error) = (Console.Out, Console.Error);
        using var text = new StringWriter();
        try
        {
            Console.SetOut(text);
            Console.SetError(text);
            action();
        }
        finally
        {
            Console.SetOut(output);
            Console.SetError(error);
        }

        return text.ToString();
    }

    private sealed class Watcher(Action<TrainingProgress> heard) : IProgress<TrainingProgress>
    {
        public List<TrainingProgress> Reports { get; } = [];

        public void Report(TrainingProgress value)
        {
            Reports.Add(value);
            heard(value);
        }
    }
}
