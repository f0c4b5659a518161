using Microsoft.ML;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>A model file that is replaced under load: every prediction is that of one whole model, and none is of an older one than asked for.</summary>
public sealed class WatchedModelTests : IDisposable
{
    private static readonly WatchedModelOptions Seldom = new() { Seconds = 3600, OutputColumns = ["Score"] };

    private readonly string _folder = Directory.CreateTempSubdirectory("watched").FullName;

    private string Target => Path.Combine(_folder, "model.zip");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    // Two models whose predictions differ, and what they are for one row.
    private static readonly (ITransformer Model, float Score)[] Models = [.. new[] { TaskKind.Regression, TaskKind.Binary }.Select(task => (Fitted.Model(task), Fitted.Scores(Fitted.Model(task))[0]))];

    private static readonly Dictionary<string, object?> Row = Rows.Make(Fitted.FewRows)[0] is var row
        ? new() { ["Features"] = row.Features, ["Number"] = row.Number, ["Weight"] = row.Weight } : [];

    private void Save(int which) => ModelFile.Save(Fitted.Ml, Models[which].Model, Fitted.Data.Schema, Target);

    [Fact]
    public async Task A_file_replaced_under_load_is_whole_and_never_old()
    {
        Save(0);
        using var watched = new WatchedModel(new MLContext(1), Target, Seldom);
        using var stop = new CancellationTokenSource();
        long counted = 0;

        // What a thread sees never goes back: the version before a prediction is that of it or older.
        var scoring = Enumerable.Range(0, 3).Select(_ => Task.Factory.StartNew(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                var before = watched.Version;
                var score = (float)watched.Scorer.Score(Row)["Score"]!;
                var after = watched.Version;
                Assert.Contains(score, Models.Select(model => model.Score));
                if (before == after)
                    Assert.Equal(Models[(before - 1) % 2].Score, score);
                Interlocked.Increment(ref counted);
            }
        }, TaskCreationOptions.LongRunning)).ToArray();

        const int Swaps = 10;
        for (var i = 1; i <= Swaps; i++)
        {
            Save(i % 2);
            watched.Reload();
            Assert.Equal(Models[i % 2].Score, (float)watched.Scorer.Score(Row)["Score"]!);
        }

        await stop.CancelAsync();
        await Task.WhenAll(scoring);
        Assert.Equal(Swaps + 1, watched.Version);
        Assert.True(counted > 0);
    }

    [Fact]
    public void A_change_is_seen_and_a_bad_file_is_told_of_and_changes_nothing()
    {
        Save(0);
        using var watched = new WatchedModel(new MLContext(1), Target, Seldom with { Seconds = 0.01 });
        using ManualResetEventSlim reloaded = new(), failed = new();
        Exception? error = null;
        watched.Reloaded += (_, _) => reloaded.Set();
        watched.Failed += (_, e) =>
        {
            error = e.GetException();
            failed.Set();
        };

        Save(1);
        Assert.True(reloaded.Wait(TimeSpan.FromSeconds(60)));
        Assert.Equal(Models[1].Score, (float)watched.Scorer.Score(Row)["Score"]!);

        AtomicFile.Write(Target, stream => stream.Write("no model"u8));
        Assert.True(failed.Wait(TimeSpan.FromSeconds(60)));
        Assert.IsType<ModelFormatException>(error);
        Assert.ThrowsAny<FormatException>(watched.Reload);
        Assert.Equal((2, Models[1].Score), (watched.Version, (float)watched.Scorer.Score(Row)["Score"]!));
    }

    [Fact]
    public void Files_that_are_not_trusted_are_looked_through()
    {
        Save(0);
        var e = Assert.Throws<ModelFormatException>(() => new WatchedModel(new MLContext(1), Target, Seldom with { AllowedAssemblies = ModelFile.KnownAssemblies }));
        Assert.Contains("is not among the allowed ones", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new WatchedModel(new MLContext(1), Target, Seldom with { Seconds = 0 }));
        Assert.Throws<FileNotFoundException>(() => new WatchedModel(new MLContext(1), Target + "x", Seldom));
    }
}
