using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Microsoft.ML;

namespace MlNetMlp.Conformance;

/// <summary>What came of loading a model file and scoring rows with it.</summary>
/// <param name="Scores">The scores as <see cref="Program.Scores"/> gives them; null where there are none.</param>
/// <param name="Error">Name of the innermost exception's type, or what else happened; null where rows were scored.</param>
/// <param name="Message">Message of the exception that a user looks at: the first that is not about reflection.</param>
/// <param name="AllocatedBytes">Memory that was asked for in all.</param>
internal sealed record Answer(string? Scores, string? Error, string Message, long AllocatedBytes)
{
    /// <summary>Whether the file was refused; errors of the code itself, rather than of the file, mean that nothing was checked.</summary>
    public bool IsRefusal => Error is not (null or FreshProcess.Died or nameof(NullReferenceException) or nameof(IndexOutOfRangeException)
        or nameof(OutOfMemoryException) or nameof(OverflowException) or nameof(ArithmeticException) or nameof(InvalidCastException));
}

/// <summary>
/// Scores rows with model files in a process that no trainer has touched, and that may die of a damaged file or run in circles. All models of
/// a run share it.
/// </summary>
internal sealed class FreshProcess : IDisposable
{
    /// <summary>The error of a process that ended, or was ended because it took too long.</summary>
    public const string Died = "the process crashed or had to be stopped";

    private const int FirstSeconds = 60;

    private static readonly Dictionary<string, Process> Running = [];

    private readonly string _folder = Directory.CreateTempSubdirectory("conformance").FullName;
    private readonly string _dependencies;

    /// <summary>Writes the rows to score.</summary>
    /// <param name="trial">The trial whose test project has all assemblies beside it that a user of the model would have.</param>
    public FreshProcess(Trial trial)
        : this(AssemblyOf(trial), trial.Ml, trial.OtherData)
    {
    }

    /// <summary>Writes the rows to score.</summary>
    /// <param name="tests">A test project's assembly, which has all those beside it that a user of the model would have: they are written down there.</param>
    /// <param name="ml">The context of the rows.</param>
    /// <param name="rows">The rows.</param>
    public FreshProcess(Assembly tests, MLContext ml, IDataView rows)
    {
        _dependencies = Path.Combine(AppContext.BaseDirectory, tests.GetName().Name!);
        using var stream = File.Create(DataPath);
        ml.Data.SaveAsBinary(rows, stream);
    }

    private string DataPath => Path.Combine(_folder, "rows.idv");

    /// <summary>Scores the trial's other rows with a model file.</summary>
    /// <param name="model">The file.</param>
    /// <param name="seconds">Time after which the process is stopped; longer for its first model, as all code is compiled then.</param>
    /// <returns>What came of it.</returns>
    public Answer Score(byte[] model, int seconds = FirstSeconds)
    {
        var path = Path.Combine(_folder, "model.zip");
        File.WriteAllBytes(path, model);
        lock (Running)
        {
            if (!Running.TryGetValue(_dependencies, out var process) || process.HasExited)
                (Running[_dependencies], seconds) = (process = Start(_dependencies), FirstSeconds);
            process.StandardInput.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{path}\t{DataPath}\t{seconds}"));
            process.StandardInput.Flush();
            while (process.StandardOutput.ReadLine() is { } line)
            {
                // Native code may write to the same stream.
                if (line.StartsWith('{'))
                    return JsonSerializer.Deserialize<Answer>(line)!;
            }

            process.WaitForExit();
            var exit = process.ExitCode;
            process.Dispose();
            Running.Remove(_dependencies);
            return new(null, Died, string.Create(CultureInfo.InvariantCulture, $"exit code {exit}, of at most {seconds} s"), 0);
        }
    }

    /// <summary>Deletes the files; the process goes on for others.</summary>
    public void Dispose() => Directory.Delete(_folder, recursive: true);

    // A profile lives in a test project.
    private static Assembly AssemblyOf(Trial trial) =>
        trial.Subject.Profile.GetType().Assembly is var tests && tests == typeof(FreshProcess).Assembly ? trial.Subject.Assembly : tests;

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
            typeof(FreshProcess).Assembly.Location, "serve",
        ];
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }
}
