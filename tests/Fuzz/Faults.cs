using System.Diagnostics;
using Microsoft.ML;

namespace MlNetMlp.Fuzz;

/// <summary>What happens to files of models from outside: processes that end while they write, and files that change while they are used.</summary>
internal static class Faults
{
    /// <summary>Ends processes at random moments while they save two models by turns to one file, which has to be one of the two whenever it is looked at.</summary>
    /// <param name="times">How many processes.</param>
    /// <returns>How many files were neither.</returns>
    public static int Kill(int times)
    {
        var folder = Directory.CreateTempSubdirectory("kills").FullName;
        string first = Path.Combine(folder, "first.zip"), second = Path.Combine(folder, "second.zip"), target = Path.Combine(folder, "model.zip");
        var seeds = ModelSeeds.Make();
        File.WriteAllBytes(first, seeds[0].File);
        File.WriteAllBytes(second, seeds[2].File);
        var (random, wrong, left) = (new Random(1), 0, 0);
        File.Copy(first, target);
        for (var i = 0; i < times; i++)
        {
            var start = Itself.With("save", first, second, target);
            start.RedirectStandardOutput = true;
            using var child = Process.Start(start)!;
            child.StandardOutput.ReadLine();
            Thread.Sleep(random.Next(100));
            child.Kill();
            child.WaitForExit();
            try
            {
                ModelFile.Load(new MLContext(1), target, new(), ModelFile.KnownAssemblies, out _);
            }
            catch (Exception e)
            {
                wrong++;
                Console.WriteLine($"kill {i}: {e.Message}");
            }

            foreach (var part in Directory.GetFiles(folder, "*.tmp"))
            {
                left++;
                File.Delete(part);
            }
        }

        Console.WriteLine($"{times} processes ended while they saved: {wrong} files that are no model, {left} unfinished files beside them.");
        Directory.Delete(folder, recursive: true);
        return Math.Min(wrong, 100);
    }

    /// <summary>Saves two models by turns until it is ended.</summary>
    /// <param name="first">A model.</param>
    /// <param name="second">Another.</param>
    /// <param name="target">Where to.</param>
    public static void SaveForEver(string first, string second, string target)
    {
        var ml = new MLContext(1);
        ITransformer[] models = [ml.Model.Load(first, out _), ml.Model.Load(second, out _)];
        Console.WriteLine("ready");
        for (var i = 0; ; i++)
            ModelFile.Save(ml, models[i % 2], null, target);
    }

    /// <summary>Replaces the file of a model that eight threads score by: every prediction has to be one of the two models', and the newest one's where none came in between.</summary>
    /// <param name="times">How many times.</param>
    /// <returns>How many predictions were wrong.</returns>
    public static int Swap(int times)
    {
        const int Threads = 8;
        var folder = Directory.CreateTempSubdirectory("swaps").FullName;
        var target = Path.Combine(folder, "model.zip");
        var ml = new MLContext(1);
        var seeds = ModelSeeds.Make();
        ITransformer[] models = [ml.Model.Load(new MemoryStream(seeds[0].File), out var schema), ml.Model.Load(new MemoryStream(seeds[1].File), out _)];
        var row = new Dictionary<string, object?> { ["Features"] = new float[] { 0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f } };
        float[] scores = [.. models.Select(model => (float)model.CreateRowScorer(schema, ["Score"]).Score(row)["Score"]!)];
        ModelFile.Save(ml, models[0], schema, target);
        using var watched = new WatchedModel(ml, target, new() { Seconds = 3600, OutputColumns = ["Score"] });
        using var stop = new CancellationTokenSource();
        long predictions = 0, wrong = 0;
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                var before = watched.Version;
                var score = (float)watched.Scorer.Score(row)["Score"]!;
                if (!scores.Contains(score) || (before == watched.Version && score != scores[(before - 1) % 2]))
                    Interlocked.Increment(ref wrong);
                if (Interlocked.Increment(ref predictions) % 1000 == 0)
                    Thread.Sleep(1);
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        var clock = Stopwatch.StartNew();
        long early = 0;
        for (var i = 1; i <= times; i++)
        {
            ModelFile.Save(ml, models[i % 2], schema, target);
            watched.Reload();
            if (i == Math.Min(times, 100))
                early = Environment.WorkingSet;
        }

        var late = Environment.WorkingSet;
        stop.Cancel();
        Array.ForEach(threads, thread => thread.Join());
        Console.WriteLine($"{times} files in {clock.Elapsed.TotalSeconds:0} s under {Threads} threads: {predictions} predictions, {wrong} wrong or old; {early >> 20} MiB after the first hundred files, {late >> 20} MiB at the end.");
        Directory.Delete(folder, recursive: true);
        return (int)Math.Min(wrong, 100);
    }
}
