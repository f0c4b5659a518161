using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;

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
            Console.Error.WriteLine("This is a library of checks; as a program it only serves its own check of saved models.");
            return 1;
        }

        while (Console.ReadLine() is { } request && request.Split('\t') is [var model, var data])
            Console.WriteLine(Answer(model, data));
        return 0;
    }

    private static string Answer(string modelPath, string dataPath)
    {
        try
        {
            var ml = new MLContext();
            var model = ml.Model.Load(modelPath, out _);
            return Scores(model.Transform(ml.Data.LoadFromBinary(dataPath)));
        }
#pragma warning disable CA1031 // Whatever happens is the answer.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return "error " + e.ToString().ReplaceLineEndings(" ");
        }
    }

    /// <summary>The scores of rows as hexadecimal digits: equal where every bit is.</summary>
    public static string Scores(IDataView scored)
    {
        var scores = scored.Schema["Score"].Type is VectorDataViewType
            ? scored.GetColumn<VBuffer<float>>("Score").SelectMany(row => row.DenseValues())
            : scored.GetColumn<float>("Score");
        return "scores " + string.Join(' ', scores.Select(score => BitConverter.SingleToUInt32Bits(score).ToString("x8", CultureInfo.InvariantCulture)));
    }
}
