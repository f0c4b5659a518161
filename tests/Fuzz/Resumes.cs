using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Training;

namespace MlNetMlp.Fuzz;

/// <summary>Trainings in processes that are ended at random moments, and that others go on with from the checkpoint.</summary>
internal static class Resumes
{
    private sealed class Row
    {
        [VectorType(6)]
        public float[] Features { get; set; } = [];

        public bool Label { get; set; }

        public string Kind { get; set; } = "";
    }

    /// <summary>Ends fits until they are done: the model has to be that of a fit that was left alone, to the bit, and the checkpoint gone.</summary>
    /// <param name="times">How many fits.</param>
    /// <returns>How many gave another model.</returns>
    public static int Run(int times)
    {
        const int Kinds = 3;
        var folder = Directory.CreateTempSubdirectory("resumes").FullName;
        string expected = Path.Combine(folder, "expected.zip"), checkpoint = Path.Combine(folder, "fit.checkpoint"), found = Path.Combine(folder, "found.zip");
        var (random, wrong, ended, resumed) = (new Random(1), 0, 0, 0);
        var models = new byte[]?[Kinds][];
        var durations = new TimeSpan[Kinds];
        for (var i = 0; i < times; i++)
        {
            var kind = i % Kinds;
            if (models[kind] is null)
            {
                var clock = Stopwatch.StartNew();
                Train(kind, Path.Combine(folder, "undisturbed.checkpoint"), expected, tells: false);
                durations[kind] = clock.Elapsed;
                models[kind] = Entries(expected);
            }

            File.Delete(found);
            while (!File.Exists(found))
            {
                resumed += File.Exists(checkpoint) ? 1 : 0;
                var start = Itself.With("train", kind.ToString(CultureInfo.InvariantCulture), checkpoint, found);
                start.RedirectStandardOutput = true;
                using var child = Process.Start(start)!;
                child.StandardOutput.ReadLine();
                if (child.WaitForExit(random.NextDouble() * durations[kind]))
                    continue;
                child.Kill();
                child.WaitForExit();
                ended++;
            }

            var isSame = Entries(found).Zip(models[kind]!).All(pair => pair.First.AsSpan().SequenceEqual(pair.Second)) && !File.Exists(checkpoint);
            wrong += isSame ? 0 : 1;
            if (!isSame)
                Console.WriteLine($"fit {i}: another model than that of a fit that was left alone, or a checkpoint that is still there.");
            foreach (var part in Directory.GetFiles(folder, ".*.tmp"))
                File.Delete(part);
        }

        Console.WriteLine($"{times} fits, of which {ended} processes were ended and {resumed} went on from a checkpoint: {wrong} models that are others than without.");
        Directory.Delete(folder, recursive: true);
        return Math.Min(wrong, 100);
    }

    /// <summary>Trains a model and writes it.</summary>
    /// <param name="kind">Which of several trainers.</param>
    /// <param name="checkpoint">Where checkpoints go.</param>
    /// <param name="target">Where the model goes.</param>
    /// <param name="tells">Whether a line on the console says when training has begun.</param>
    public static void Train(int kind, string checkpoint, string target, bool tells = true)
    {
        var ml = new MLContext(1);
        var random = new Random(1);
        var data = ml.Data.LoadFromEnumerable(Enumerable.Range(0, 600).Select(i =>
        {
            var features = Enumerable.Range(0, 6).Select(_ => (float)random.NextDouble()).ToArray();
            return new Row { Features = features, Label = features[0] + features[1] > 1, Kind = "abcdefgh"[i % 8].ToString() };
        }).ToArray());
        var heard = tells ? new Ready() : null;
        IEstimator<ITransformer> pipeline = kind switch
        {
            0 => ml.BinaryClassification.Trainers.ScaledMlp(new()
            {
                Epochs = 60, Patience = 0, Width = 32, Blocks = 2, MixupAlpha = 0.2, GradientNoise = new() { Eta = 0.01 }, Seed = 1, CheckpointFile = checkpoint, CheckpointSeconds = 0, Progress = heard,
            }),
            1 => ml.Transforms.Conversion.MapValueToKey("Key", "Kind").Append(ml.BinaryClassification.Trainers.DualMlp(new()
            {
                CategoricalColumns = ["Key"], Epochs = 60, Patience = 0, Mlp1Dropout = 0.2, BatchSize = 64, Seed = 1, CheckpointFile = checkpoint, CheckpointSeconds = 0, Progress = heard,
            })),
            _ => ml.BinaryClassification.Trainers.CodebookNetwork(new()
            {
                Epochs = 60, Patience = 0, HiddenUnits = 32, NumCodes = 64, ReplaceDeadAfterSteps = 13, BatchSize = 64, Seed = 1, CheckpointFile = checkpoint, CheckpointSeconds = 0, Progress = heard,
            }),
        };
        ModelFile.Save(ml, pipeline.Fit(data), data.Schema, target);
    }

    private static byte[][] Entries(string model)
    {
        using var zip = ZipFile.OpenRead(model);
        return [.. zip.Entries.OrderBy(entry => entry.FullName, StringComparer.Ordinal).Select(entry =>
        {
            using var stream = entry.Open();
            using var content = new MemoryStream();
            stream.CopyTo(content);
            return content.ToArray();
        })];
    }

    private sealed class Ready : IProgress<TrainingProgress>
    {
        private bool _isTold;

        public void Report(TrainingProgress value)
        {
            if (!_isTold && value.Step > 0)
                Console.WriteLine("trains");
            _isTold |= value.Step > 0;
        }
    }
}
