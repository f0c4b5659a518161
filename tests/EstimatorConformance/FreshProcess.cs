using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.ML;

namespace MlNetMlp.Conformance;

/// <summary>Scores models in a process that no trainer has touched; all models of a run share it.</summary>
internal static class FreshProcess
{
    private static readonly ConcurrentDictionary<string, Process> Running = new();

    /// <summary>Scores rows with a model file.</summary>
    /// <param name="trial">The trial whose test project has all assemblies beside it that a user of the model would have.</param>
    /// <param name="model">The file.</param>
    /// <param name="data">The rows.</param>
    /// <returns>What <see cref="Program.Scores"/> gives there, or the error.</returns>
    public static string Score(Trial trial, byte[] model, IDataView data)
    {
        var folder = Directory.CreateTempSubdirectory("conformance").FullName;
        try
        {
            var (modelPath, dataPath) = (Path.Combine(folder, "model.zip"), Path.Combine(folder, "rows.idv"));
            File.WriteAllBytes(modelPath, model);
            using (var stream = File.Create(dataPath))
                trial.Ml.Data.SaveAsBinary(data, stream);
            var process = Running.GetOrAdd(DependenciesOf(trial.Subject), Start);
            lock (process)
            {
                process.StandardInput.WriteLine($"{modelPath}\t{dataPath}");
                process.StandardInput.Flush();
                return process.StandardOutput.ReadLine() ?? "error: the process ended";
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // The assemblies that a test project runs on are written down beside it; a profile lives in that project.
    private static string DependenciesOf(Subject subject)
    {
        var tests = subject.Profile.GetType().Assembly;
        var assembly = tests == typeof(FreshProcess).Assembly ? subject.Assembly : tests;
        return Path.Combine(AppContext.BaseDirectory, assembly.GetName().Name!);
    }

    private static Process Start(string dependencies)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        string[] arguments =
        [
            "exec", "--depsfile", dependencies + ".deps.json", "--runtimeconfig", dependencies + ".runtimeconfig.json",
            Path.Combine(AppContext.BaseDirectory, typeof(FreshProcess).Assembly.GetName().Name + ".dll"), "serve",
        ];
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }
}
