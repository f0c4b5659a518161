using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Microsoft.ML;

namespace MlNetMlp.Conformance;

/// <summary>
/// A process that no trainer has touched: scores models as a program would that has never heard of their assemblies. It lives as long as its
/// input, so that all models of a run share it.
/// </summary>
internal static class Program
{
    private static int Main(string[] arguments)
    {
        if (arguments is not ["serve"])
        {
            Console.Error.WriteLine("This is a library of checks; as a program it only serves its own checks of saved models.");
            return 1;
        }

        // Whatever else may be written goes elsewhere.
        var answers = Console.Out;
        Console.SetOut(Console.Error);
        while (Console.ReadLine() is { } request && request.Split('\t') is [var model, var data, var seconds])
        {
            // What a damaged file sends round in circles, no thread of the same process can end. An answer at the last moment must not be followed by the end.
            var isDecided = 0;
            using var watchdog = new Timer(_ => End(), null, TimeSpan.FromSeconds(int.Parse(seconds, CultureInfo.InvariantCulture)), Timeout.InfiniteTimeSpan);
            var reply = JsonSerializer.Serialize(Reply(model, data));
            if (Interlocked.Exchange(ref isDecided, 1) == 0)
                answers.WriteLine(reply);
            else
                Thread.Sleep(Timeout.Infinite);

            void End()
            {
                if (Interlocked.Exchange(ref isDecided, 1) == 0)
                    Process.GetCurrentProcess().Kill();
            }
        }

        return 0;
    }

    private static Answer Reply(string modelPath, string dataPath)
    {
        var before = GC.GetTotalAllocatedBytes(precise: true);
        try
        {
            var ml = new MLContext();
            var model = ml.Model.Load(modelPath, out _);
            return new(Scores(model.Transform(ml.Data.LoadFromBinary(dataPath))), null, "", Allocated());
        }
#pragma warning disable CA1031 // Whatever happens is the answer.
        catch (Exception e)
#pragma warning restore CA1031
        {
            // ML.NET calls loaders by reflection, one inside the other.
            var told = e;
            while (told is TargetInvocationException { InnerException: { } inner })
                told = inner;
            return new(null, told.GetBaseException().GetType().Name, told.Message, Allocated());
        }

        long Allocated() => GC.GetTotalAllocatedBytes(precise: true) - before;
    }

    /// <summary>The scores of rows as hexadecimal digits, equal where every bit is, and the predicted labels.</summary>
    public static string Scores(IDataView scored)
    {
        var rows = ScoredRows.Read(scored);
        var scores = rows.Scores.SelectMany(row => row).Select(score => BitConverter.SingleToUInt32Bits(score).ToString("x8", CultureInfo.InvariantCulture));
        return string.Join(' ', scores.Concat(rows.Predicted ?? []));
    }
}
