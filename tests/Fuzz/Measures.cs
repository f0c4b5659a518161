using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Persistence;

namespace MlNetMlp.Fuzz;

/// <summary>What loading takes: the time in which a bomb is refused, and the memory of a large model. They measure and judge nothing.</summary>
internal static class Measures
{
    private const int BombEntries = 2;
    private const long BombBytes = 1L << 31;
    private const int Warm = 21;

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public float Label { get; set; }
    }

    /// <summary>Refuses a zip of some megabytes that unpacks to gigabytes of zeros, again and again.</summary>
    public static void Bomb()
    {
        var path = Path.GetTempFileName();
        try
        {
            using (var file = File.Create(path))
            {
                using var sound = new ZipArchive(new MemoryStream(ModelSeeds.Make()[0].File));
                using var zip = new ZipArchive(file, ZipArchiveMode.Create);
                foreach (var part in sound.Entries)
                {
                    using var source = part.Open();
                    using var target = zip.CreateEntry(part.FullName).Open();
                    source.CopyTo(target);
                }

                for (var i = 0; i < BombEntries; i++)
                {
                    using var entry = zip.CreateEntry($"TransformerChain/Blob{i}", CompressionLevel.Optimal).Open();
                    var zeros = new byte[1 << 20];
                    for (long written = 0; written < BombBytes; written += zeros.Length)
                        entry.Write(zeros);
                }
            }

            var times = new double[Warm];
            var (before, why) = (PeakBytes(), "");
            for (var i = 0; i < Warm; i++)
            {
                var start = Stopwatch.GetTimestamp();
                try
                {
                    ModelFile.Load(new MLContext(1), path, new(), ModelFile.KnownAssemblies, out _);
                    throw new InvalidOperationException("The bomb was loaded.");
                }
                catch (ModelFormatException e)
                {
                    why = e.Message;
                    times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                }
            }

            var warm = times[1..].Order().ToArray();
            Console.WriteLine(FormattableString.Invariant(
                $"A zip of {new FileInfo(path).Length / 1e6:0.0} MB with {BombEntries} entries of 2 GiB of zeros is refused in {times[0]:0.0} ms the first time, then {warm[warm.Length / 2]:0.00} ms in the median and {warm[^1]:0.00} at most; {(PeakBytes() - before) / 1e6:0.0} MB more. {why}"));
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Measures what loading a model of some hundred megabytes takes in processes of its own, in each of the ways to load.</summary>
    /// <param name="width">Width of its layers.</param>
    public static void Memory(int width)
    {
        var path = Path.Combine(Directory.CreateTempSubdirectory("memory").FullName, "model.zip");
        var ml = new MLContext(1);
        (string, int Features, IEstimator<ITransformer>)[] trainers =
        [
            ("Matrices as they are saved (ScaledMlp)", 16, ml.Regression.Trainers.ScaledMlp(new() { Epochs = 1, Width = width, Blocks = 1, BatchSize = 64, Seed = 1 })),
            ("Members (TabularNetwork)", 16, ml.Regression.Trainers.TabularNetwork(new() { Epochs = 1, HiddenSize = width / 3, BatchSize = 64, Seed = 1 })),
            ("Hidden units and knots (GradientBoostedNetwork)", 1024, ml.Regression.Trainers.GradientBoostedNetwork(new() { TotalUnits = 10_000, UnitsPerStep = 10_000, StepIterations = 2, Restarts = 1, Seed = 1 })),
            ("Rectified kernels (ScalableKernelNetwork)", 16, ml.Regression.Trainers.ScalableKernelNetwork(new() { FeatureCount = width, Width = width, Depth = 2, NormalizeInput = false, Seed = 1 })),
            ("Codes (CodebookNetwork)", 16, ml.Regression.Trainers.CodebookNetwork(new() { Epochs = 1, HiddenUnits = width, BatchSize = 64, Seed = 1 })),
            ("Scored by libtorch (MetaFormer)", 16, ml.Regression.Trainers.MetaFormer(new() { Stages = [new(1, width * 3 / 4)], Stem = new(2, 2, 0), Epochs = 1, BatchSize = 64, Seed = 1 })),
        ];
        foreach (var (what, features, trainer) in trainers)
        {
            var data = Rows(ml, features, 64);
            Console.WriteLine($"{what}:");
            ModelFile.Save(ml, trainer.Fit(data), data.Schema, path);
            foreach (var way in new[] { "Model.Load", "ModelFile.Load" })
            {
                using var child = Process.Start(Itself.With("load", way, path))!;
                child.WaitForExit();
            }
        }

        Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
    }

    /// <summary>Loads a model and tells what that took.</summary>
    /// <param name="way">How it is loaded.</param>
    /// <param name="path">The model.</param>
    public static void Load(string way, string path)
    {
        // What the runtime and ML.NET take by themselves: a small model goes first.
        var small = Path.GetTempFileName();
        File.WriteAllBytes(small, ModelSeeds.Make()[0].File);
        var ml = new MLContext(1);
        ModelFile.Load(ml, small, new(), ModelFile.KnownAssemblies, out _);
        File.Delete(small);
        GC.Collect();
        var (peak, allocated) = (PeakBytes(), GC.GetTotalAllocatedBytes());
        var start = Stopwatch.GetTimestamp();
        DataViewSchema? schema;
        var model = way == "Model.Load" ? ml.Model.Load(path, out schema) : ModelFile.Load(ml, path, new() { Bytes = 1L << 40 }, ModelFile.KnownAssemblies, out schema);
        var (loaded, milliseconds) = (PeakBytes(), Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        double tensors;
        using (var zip = ZipFile.OpenRead(path))
            tensors = zip.Entries.Single(entry => entry.Name == SafeTensors.EntryName).Length;
        Console.WriteLine(FormattableString.Invariant(
            $"{way,-14} of {tensors / 1e6:0} MB of tensors: {milliseconds:0} ms, {(loaded - peak) / tensors:0.00} times the tensors more at the peak of the process, {(GC.GetTotalAllocatedBytes() - allocated) / tensors:0.00} times in managed memory."));
        var rows = Rows(ml, ((VectorDataViewType)schema!["Features"].Type).Size, 1);
        _ = model.Transform(rows).GetColumn<float>("Score").ToArray();
        Console.WriteLine(FormattableString.Invariant($"{"",-14} and a row scored: {(PeakBytes() - peak) / tensors:0.00} times."));
        GC.KeepAlive(model);
    }

    private static IDataView Rows(MLContext ml, int features, int count)
    {
        var random = new Random(1);
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, features);
        var rows = Enumerable.Range(0, count).Select(_ => new Row { Features = [.. Enumerable.Range(0, features).Select(_ => (float)random.NextDouble())], Label = (float)random.NextDouble() });
        return ml.Data.LoadFromEnumerable(rows.ToArray(), schema);
    }

    private static long PeakBytes()
    {
        var line = File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
        return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture);
    }
}
