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
            // Where a mini-batch is all the rows, each ends an epoch, which is reported.
            var watched = new Watcher(progress => source.CancelAfterFirst(progress));
            (string, object?)[] whole = OptionValues.Has(trial.Subject.OptionsType, "BatchSize") ? [("BatchSize", trial.Rows.Count)] : [];
            Stops(() => trial.Fit([("CancellationToken", source.Token), ("Progress", watched), .. whole]), "the token in the options");
            Assert.True(watched.Reports.Count(report => report.Step > 0) <= 1, "training went on and reported after its token was cancelled");
            using var reading = new CancellationTokenSource();
            Stops(() => trial.Fit(trial.View(During(trial.Rows, reading.Cancel)), ("CancellationToken", reading.Token)), "the token, while data are read");
        }

        var options = trial.Options();
        var stopped = new Trial(trial.Subject);
        Stops(() => trial.Subject.Create(stopped.Ml, options).Fit(stopped.View(During(trial.Rows, stopped.Ml.CancelExecution))), "the context");
        trial.Score(trial.Subject.Create(trial.Ml, options).Fit(trial.Data)).ShouldBe(trial.Score(trial.Model), "after training was cancelled in another context");
    }

    [Check(35, "Speaks through MLContext.Log under its own name, reports progress, and writes nothing to the console", IsExclusive = true)]
    public static void OnlyTheLogIsWritten(Trial trial)
    {
        var messages = new List<string>();
        trial.Ml.Log += (_, log) => messages.Add(log.Message);
        var watcher = new Watcher(_ => { });
        var reports = OptionValues.Has(trial.Subject.OptionsType, "Progress");
        var console = ConsoleCapture.Of(() => trial.Score(trial.Fit(reports ? [("Progress", watcher)] : [])));
        Assert.True(console.Length == 0, $"written to the console: {console}");
        Assert.True(messages.Any(message => message.Contains(trial.Subject.Name, StringComparison.OrdinalIgnoreCase)), $"no message in the log names {trial.Subject.Name}");
        if (!reports)
            return;
        var epochs = watcher.Reports.Select(report => report.Epoch).ToArray();
        Assert.True(epochs.Length > 0 && epochs[^1] > 0, "no progress is reported");
        Assert.True(epochs.SequenceEqual(epochs.Order()), $"progress goes back: {string.Join(' ', epochs)}");
        Assert.True(watcher.Reports.All(report => report.Epoch <= report.Epochs), "progress goes beyond its end");
    }

    [Check(36, "No tensor is left after fitting, scoring and disposing; used after Dispose, a model works or says so")]
    public static void NothingIsLeft(Trial trial)
    {
        // What is made once for the process is made the first time. Tensors are counted thread by thread, so that no other test counts.
        Use();
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        Use();
        var left = DisposeScopeManager.Statistics.ThreadTotalLiveCount - before;
        Assert.True(left <= 0, $"{left} tensors are alive that were not before");

        void Use()
        {
            var model = trial.Fit();
            var scored = trial.Score(model);
            if (trial.ScoresSingleRows)
                _ = Engine.Scores(trial, model, trial.OtherRows.Take(3));
            (model as IDisposable)?.Dispose();
            var error = Trial.Catch(() => trial.Score(model).ShouldBe(scored, "after Dispose"));
            Assert.True(error is null or ObjectDisposedException, $"after Dispose: {error}");
            (model as IDisposable)?.Dispose();
        }
    }

    [Check(37, "The same numbers, files and messages under German and Turkish settings")]
    public static void CulturesAgree(Trial trial)
    {
        var (expected, messages) = (trial.Score(trial.Model), Complaints(trial));
        var (before, beforeTexts) = (CultureInfo.CurrentCulture, CultureInfo.CurrentUICulture);
        try
        {
            foreach (var name in new[] { "de-DE", "tr-TR" })
            {
                CultureInfo.CurrentCulture = CultureInfo.CurrentUICulture = CultureInfo.GetCultureInfo(name);
                Assert.True($"{1.5}" == "1,5", "this process knows no cultures (InvariantGlobalization), so nothing can be told");
                trial.Score(Trial.Load(trial.Save(trial.Fit()))).ShouldBe(expected, $"a model trained, saved and loaded under {name}");
                foreach (var (message, here) in messages.Zip(Complaints(trial)))
                    Assert.True(message == here, $"under {name} '{message}' becomes '{here}'");
            }
        }
        finally
        {
            (CultureInfo.CurrentCulture, CultureInfo.CurrentUICulture) = (before, beforeTexts);
        }
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

    [Check(42, "A fit that is stopped goes on from its checkpoint, gives the bits of one that was not, and deletes the file", When = nameof(Subject.KeepsCheckpoints))]
    public static void CheckpointsGoOn(Trial trial)
    {
        var folder = Directory.CreateTempSubdirectory("checkpoint").FullName;
        try
        {
            using var source = new CancellationTokenSource();
            var (file, stopping, going) = (Path.Combine(folder, "of.training"), new Watcher(progress => source.CancelAfterEpoch(progress)), new Watcher(_ => { }));
            (string, object?)[] kept = [("CheckpointFile", file), ("CheckpointSeconds", 0.0)];
            Stops(() => trial.Fit([.. kept, ("CancellationToken", source.Token), ("Progress", stopping)]), "the token, at the end of an epoch");
            Assert.True(File.Exists(file), "a fit that was stopped at the end of an epoch left no checkpoint");
            var model = trial.Fit([.. kept, ("Progress", going)]);
            Assert.True(going.Reports.First(report => report.Step > 0).Epoch > 1, "the fit began anew, and did not go on from its checkpoint");
            trial.Score(model).ShouldBe(trial.Score(trial.Model), "a fit that went on from its checkpoint");
            Assert.True(!File.Exists(file), "the checkpoint is still there after a fit that ended well");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // What is said to a feature and to options that cannot be.
    private static string[] Complaints(Trial trial)
    {
        var rows = trial.Rows.Select(row => row.With(r => r.Features[1] = r.Id == 7 ? float.NegativeInfinity : 1.5f));
        var options = trial.Options();
        var numbers = OptionValues.Members(options.GetType()).Select(member => member.Name).Distinct().Where(name => OptionValues.Get(options, name) is double);
        return
        [
            Trial.Catch(() => trial.Fit(trial.View(rows)))?.Message ?? "",
            .. numbers.Select(name => Trial.Catch(() => trial.Trainer((name, -1234.5)))?.Message ?? ""),
        ];
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

    private static void CancelAfterEpoch(this CancellationTokenSource source, TrainingProgress progress)
    {
        if (progress.IsEndOfEpoch)
            source.Cancel();
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
