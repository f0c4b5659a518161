using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using MlNetMlp.Persistence;

namespace MlNetMlp.Fuzz;

/// <summary>
/// Loads damaged model files: <c>dotnet run -c Release --project tests/Fuzz -- [cases] [first seed] [folder of findings]</c>. Each has to load or to be
/// refused by a <see cref="ModelFormatException"/>, within two seconds and 512 MiB; the exit code is the number of those that do neither, at most 100.
/// <c>-- kills 200</c> ends as many processes while they save, <c>-- swaps 1000</c> replaces a file as many times while eight threads score by it, <c>-- resumes 20</c> ends as many trainings again
/// and again until they are done. <c>-- afl</c> is the target of AFL++ (see afl.sh). <c>-- bomb</c> and <c>-- memory</c> measure what loading takes.
/// </summary>
internal static class Program
{
    private const int MostMilliseconds = 2000;
    private const long MostBytes = 512L << 20;

    private static int Main(string[] arguments)
    {
        switch (arguments)
        {
            case ["kills", var times]:
                return Faults.Kill(int.Parse(times, CultureInfo.InvariantCulture));
            case ["swaps", var times]:
                return Faults.Swap(int.Parse(times, CultureInfo.InvariantCulture));
            case ["save", var first, var second, var target]:
                Faults.SaveForEver(first, second, target);
                return 0;
            case ["resumes", var times]:
                return Resumes.Run(int.Parse(times, CultureInfo.InvariantCulture));
            case ["train", var kind, var checkpoint, var target]:
                Resumes.Train(int.Parse(kind, CultureInfo.InvariantCulture), checkpoint, target);
                return 0;
            case ["seeds", var folder, .. var entry]:
                Coverage.WriteSeeds(folder, entry is [var wanted] ? wanted : null);
                return 0;
            case ["afl"]:
                Coverage.Run();
                return 0;
            case ["afl", var sound, var entry]:
                Coverage.Run(sound, entry);
                return 0;
            case ["bomb"]:
                Measures.Bomb();
                return 0;
            case ["memory", .. var width]:
                Measures.Memory(width is [var given] ? int.Parse(given, CultureInfo.InvariantCulture) : 4096);
                return 0;
            case ["load", var way, var path]:
                Measures.Load(way, path);
                return 0;
        }

        return Damage(arguments);
    }

    private static int Damage(string[] arguments)
    {
        var cases = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : 20_000;
        var first = arguments.Length > 1 ? int.Parse(arguments[1], CultureInfo.InvariantCulture) : 0;
        var findings = arguments.Length > 2 ? arguments[2] : null;
        var seeds = ModelSeeds.Make();
        foreach (var (name, file) in seeds)
        {
            if (Run(file) is { Outcome: not "loaded" } wrong)
                throw new InvalidOperationException($"The sound model {name} does not load: {wrong.Outcome} {wrong.Error}");
        }

        var counts = new SortedDictionary<string, int>();
        var (worstMilliseconds, worstBytes, wrongCases) = (0L, 0L, 0);
        var clock = Stopwatch.StartNew();
        for (var i = first; i < first + cases; i++)
        {
            var (name, file) = seeds[i % seeds.Count];
            var (damaged, what) = ModelMutation.Apply(file, seeds[(i + (i / seeds.Count)) % seeds.Count].File, i);
            var result = Run(damaged);
            worstMilliseconds = Math.Max(worstMilliseconds, result.Milliseconds);
            worstBytes = Math.Max(worstBytes, result.Bytes);
            var key = $"{what}: {result.Outcome}";
            counts[key] = counts.GetValueOrDefault(key) + 1;
            if (result.Outcome is "loaded" or "refused" && result.Milliseconds <= MostMilliseconds && result.Bytes <= MostBytes)
                continue;
            wrongCases++;
            Console.WriteLine($"case {i} ({name}, {what}): {result.Outcome} after {result.Milliseconds} ms and {result.Bytes >> 20} MiB. {result.Error}");
            if (findings is not null)
                File.WriteAllBytes(Path.Combine(findings, $"{i}.zip"), damaged);
        }

        foreach (var (key, count) in counts)
            Console.WriteLine($"{count,8} {key}");
        Console.WriteLine($"{cases} cases in {clock.Elapsed.TotalSeconds:0} s; at most {worstMilliseconds} ms and {worstBytes >> 20} MiB for one; {wrongCases} that should not be.");
        return Math.Min(wrongCases, 100);
    }

    // What arrays are asked for and never written to takes no memory.
    private static long PeakResident()
    {
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }

    private sealed record Result(string Outcome, long Milliseconds, long Bytes, string? Error);

    private static Result Run(byte[] file)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, file);
            Result? result = null;
            var clock = Stopwatch.StartNew();
            var thread = new Thread(() => result = Load(path, clock)) { IsBackground = true };
            thread.Start();
            return thread.Join(MostMilliseconds * 2) ? result! : new Result("endless", clock.ElapsedMilliseconds, 0, null);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static Result Load(string path, Stopwatch clock)
    {
        var before = PeakResident();
        string outcome;
        string? error = null;
        try
        {
            ModelFile.Load(new MLContext(1), path, new() { Seconds = 1 }, ModelFile.KnownAssemblies, out _);
            outcome = "loaded";
        }
        catch (ModelFormatException)
        {
            outcome = "refused";
        }
        catch (Exception e)
        {
            (outcome, error) = (e.GetType().Name, e.ToString());
        }

        return new(outcome, clock.ElapsedMilliseconds, PeakResident() - before, error);
    }
}
