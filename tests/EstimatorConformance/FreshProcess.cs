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

    private const int LastLines = 8;

    private static readonly Dictionary<string, Server> Running = [];

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
            if (Running.TryGetValue(_dependencies, out var old) && !old.Process.HasExited && Ask(old, path, seconds) is { } answer)
                return answer;

            // One that has died may have died of the files of others, so that only a new one says something of this file.
            if (old is not null)
            {
                Console.Error.WriteLine("The process that the checks of model files share has ended; " + old.End());
                old.Process.Dispose();
            }

            var server = Running[_dependencies] = new(Start(_dependencies));
            if (Ask(server, path, FirstSeconds) is { } first)
                return first;

            Running.Remove(_dependencies);
            using var dead = server.Process;
            return new(null, Died, string.Create(CultureInfo.InvariantCulture, $"{server.End()} of at most {FirstSeconds} s"), 0);
        }
    }

    /// <summary>Deletes the files; the process goes on for others.</summary>
    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private Answer? Ask(Server server, string model, int seconds)
    {
        try
        {
            server.Process.StandardInput.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{model}\t{DataPath}\t{seconds}"));
            server.Process.StandardInput.Flush();
        }
        catch (IOException)
        {
            return null;
        }

        while (server.Process.StandardOutput.ReadLine() is { } line)
        {
            // Native code may write to the same stream.
            if (line.StartsWith('{'))
                return JsonSerializer.Deserialize<Answer>(line)!;
        }

        return null;
    }

    // A profile lives in a test project.
    private static Assembly AssemblyOf(Trial trial) =>
        trial.Subject.Profile.GetType().Assembly is var tests && tests == typeof(FreshProcess).Assembly ? trial.Subject.Assembly : tests;

    private static Process Start(string dependencies)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,

            // Tests that run beside this one change the current folder and delete it.
            WorkingDirectory = AppContext.BaseDirectory,
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

    /// <summary>A process that answers, and the last of what it has written besides.</summary>
    private sealed class Server
    {
        private readonly Queue<string> _last = [];

        public Server(Process process)
        {
            Process = process;
            process.ErrorDataReceived += (_, line) => Keep(line.Data);
            process.BeginErrorReadLine();
        }

        public Process Process { get; }

        /// <summary>How the process has ended, once its answers have.</summary>
        public string End()
        {
            Process.WaitForExit();
            lock (_last)
                return string.Create(CultureInfo.InvariantCulture, $"exit code {Process.ExitCode}, its last words: \"{string.Join(" / ", _last)}\",");
        }

        private void Keep(string? line)
        {
            lock (_last)
            {
                if (line is not null)
                    _last.Enqueue(line);
                if (_last.Count > LastLines)
                    _last.Dequeue();
            }
        }
    }
}
