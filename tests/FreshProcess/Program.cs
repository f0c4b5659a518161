using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.FreshProcess;

/// <summary>A process that no test has touched. It names no type of this library, so that whatever it loads, ML.NET has found.</summary>
internal static class Program
{
    private static int Main(string[] arguments)
    {
        switch (arguments)
        {
            case ["score", var model, var data]:
                Score(model, data, "Score");
                return 0;
            case ["score", var model, var data, var column]:
                Score(model, data, column);
                return 0;
            case ["lost", var model, var data, var folder]:
                Environment.CurrentDirectory = folder;
                Directory.Delete(folder);
                try
                {
                    Score(model, data, "Score");
                }
                catch (Exception e)
                {
                    Console.WriteLine($"{e.GetBaseException().GetType().Name} {e.GetBaseException().Message.Split('\n')[0]}");
                }

                return 0;
            case ["fill", var model, var target]:
                FullDisk.Save(model, target);
                return 0;
            default:
                Console.Error.WriteLine("score <model> <data> [<column>] | lost <model> <data> <folder> | fill <model> <target>");
                return 1;
        }
    }

    private static void Score(string modelPath, string dataPath, string column)
    {
        var ml = new MLContext();
        var model = ml.Model.Load(modelPath, out var schema);
        Console.WriteLine("input " + string.Join(' ', schema.Select(input => input.Name)));
        var scored = model.Transform(ml.Data.LoadFromBinary(dataPath));
        var scores = scored.Schema[column].Type is VectorDataViewType
            ? scored.GetColumn<VBuffer<float>>(column).SelectMany(row => row.DenseValues())
            : scored.GetColumn<float>(column);
        Console.WriteLine("scores " + string.Join(' ', scores.Select(Hex)));
    }

    private static string Hex(float value) => BitConverter.SingleToUInt32Bits(value).ToString("x8", CultureInfo.InvariantCulture);
}

/// <summary>Saves a model again and again, while files may not grow beyond a limit, as on a disk that is full.</summary>
internal static partial class FullDisk
{
    private const int FileSize = 1;
    private const int FileTooLarge = 25;
    private const nint Ignore = 1;
    private const int Limits = 40;

    public static void Save(string modelPath, string target)
    {
        var ml = new MLContext();
        var model = ml.Model.Load(modelPath, out var schema);
        var save = Type.GetType("Microsoft.ML.ModelFile, MlNetMlp.Extensions", throwOnError: true)!
            .GetMethod("Save")!.CreateDelegate<Action<MLContext, ITransformer, DataViewSchema, string>>();
        save(ml, model, schema, target);
        var length = (ulong)new FileInfo(target).Length;

        // Writing then fails with an error, as on a full disk, and does not end the process.
        _ = signal(FileTooLarge, Ignore);
        for (ulong i = 0; i < Limits; i++)
        {
            // The last limits cut only the directory of the zip, which is written at the very end.
            var limit = i < Limits / 2 ? length * i / (Limits / 2) : length - (Limits - i);
            File.WriteAllText(target, "old");
            string outcome;
            Limit(limit);
            try
            {
                save(ml, model, schema, target);
                outcome = "saved";
            }
            catch (Exception e)
            {
                outcome = e.GetType().Name + " " + e.Message.ReplaceLineEndings(" ");
            }

            Limit(ulong.MaxValue);
            var isOld = new FileInfo(target).Length == 3 && File.ReadAllText(target) == "old";
            Console.WriteLine($"{(isOld ? "old" : "changed")} {Directory.GetFileSystemEntries(Path.GetDirectoryName(target)!).Length} {outcome}");
        }
    }

    private static void Limit(ulong bytes)
    {
        if (getrlimit(FileSize, out var limit) != 0)
            throw new InvalidOperationException("The limit cannot be read.");
        limit.Current = Math.Min(bytes, limit.Most);
        if (setrlimit(FileSize, in limit) != 0)
            throw new InvalidOperationException("The limit cannot be set.");
    }

    [LibraryImport("libc")]
    private static partial int getrlimit(int resource, out ResourceLimit limit);

    [LibraryImport("libc")]
    private static partial int setrlimit(int resource, in ResourceLimit limit);

    [LibraryImport("libc")]
    private static partial nint signal(int number, nint handler);

    private struct ResourceLimit
    {
        public ulong Current;
        public ulong Most;
    }
}
