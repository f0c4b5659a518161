using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace Quickstart;

/// <summary>Proves that a saved model is whole: another process loads the zip, scores the same rows and must find the same bits.</summary>
internal static class FreshProcess
{
    public const string Command = "score";

    /// <summary>What the other process does: load, score, print each score as the eight hex digits of its bits.</summary>
    public static void PrintScores(string dataSet, string modelFile)
    {
        var ml = new MLContext();
        var rows = DataSet.Named(dataSet).Load(ml).TestSet;
        var model = ml.Model.Load(modelFile, out _);
        foreach (var score in Scores(model.Transform(rows))) Console.WriteLine(Bits(score));
    }

    /// <summary>Compares <paramref name="scored"/> with what a fresh process makes of the saved model.</summary>
    /// <returns>The number of scores.</returns>
    /// <exception cref="InvalidOperationException">The process failed or a score differs.</exception>
    public static int Verify(string dataSet, string modelFile, IDataView scored)
    {
        string[] here = [.. Scores(scored).Select(Bits)];
        var there = Run(Command, dataSet, modelFile);
        if (here.Length != there.Length)
            throw new InvalidOperationException($"{dataSet}: {here.Length} scores here, {there.Length} in a fresh process.");

        for (var i = 0; i < here.Length; i++)
        {
            if (here[i] != there[i])
                throw new InvalidOperationException($"{dataSet}: score {i} is {here[i]} here, {there[i]} in a fresh process.");
        }

        return here.Length;
    }

    private static IEnumerable<float> Scores(IDataView scored) => scored.Schema["Score"].Type is VectorDataViewType
        ? scored.GetColumn<float[]>("Score").SelectMany(row => row)
        : scored.GetColumn<float>("Score");

    private static string Bits(float score) => $"{BitConverter.SingleToUInt32Bits(score):x8}";

    /// <summary>Runs this program again; its errors go to our own error stream.</summary>
    /// <returns>The lines that it prints.</returns>
    private static string[] Run(params string[] arguments)
    {
        var host = Environment.ProcessPath ?? throw new InvalidOperationException("The path of this process is not known.");
        var isDotnet = Path.GetFileNameWithoutExtension(host).Equals("dotnet", StringComparison.OrdinalIgnoreCase);
        string[] program = isDotnet ? [Environment.GetCommandLineArgs()[0]] : [];
        var start = new ProcessStartInfo(host, [.. program, .. arguments]) { RedirectStandardOutput = true };

        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries)
            : throw new InvalidOperationException($"The fresh process ended with exit code {process.ExitCode}.");
    }
}
