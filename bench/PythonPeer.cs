using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace MlNetMlp.Bench;

/// <summary>Runs a program in Python, PYTHON or python3, on two threads or as many as are said.</summary>
internal static class PythonPeer
{
    private const int Threads = 2;

    public static string Interpreter => Environment.GetEnvironmentVariable("PYTHON") ?? "python3";

    /// <summary>Whether there are all the modules that a peer imports; if not, a line says which it was.</summary>
    public static bool Has(string peer, params string[] modules)
    {
        try
        {
            if (Start(["-c", $"import {string.Join(", ", modules)}"], Threads, isQuiet: true).Code == 0)
                return true;
        }
        catch (Win32Exception)
        {
            // There is no such interpreter, and so none of its modules.
        }

        Console.WriteLine($"{peer} is left out: {Interpreter} cannot import {string.Join(", ", modules)}; set PYTHON to one that can.");
        return false;
    }

    /// <summary>The numbers that a program in the folder <c>peers</c> writes before any other word; none where it fails.</summary>
    public static double[] RunFile(string file, params string[] arguments) => Numbers(Threads, [Path.Combine(AppContext.BaseDirectory, "peers", file), .. arguments]);

    /// <summary>The numbers that the program writes before any other word; none where it fails.</summary>
    public static double[] Run(string program, params string[] arguments) => Run(Threads, program, arguments);

    /// <summary>The same on as many threads as are said.</summary>
    public static double[] Run(int threads, string program, params string[] arguments) => Numbers(threads, ["-c", program, .. arguments]);

    private static double[] Numbers(int threads, string[] arguments)
    {
        var (code, text) = Start(arguments, threads, isQuiet: false);
        var words = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return code == 0
            ? [.. words.TakeWhile(word => double.TryParse(word, CultureInfo.InvariantCulture, out _)).Select(word => double.Parse(word, CultureInfo.InvariantCulture))]
            : [];
    }

    private static (int Code, string Text) Start(string[] arguments, int threads, bool isQuiet)
    {
        var start = new ProcessStartInfo(Interpreter, arguments) { RedirectStandardOutput = true, RedirectStandardError = isQuiet };
        start.Environment.Remove("OPENBLAS_CORETYPE");
        start.Environment.Remove("OPENBLAS_L2_SIZE");
        start.Environment["OPENBLAS_NUM_THREADS"] = start.Environment["OMP_NUM_THREADS"] = threads.ToString(CultureInfo.InvariantCulture);
        using var python = Process.Start(start)!;
        var errors = isQuiet ? python.StandardError.ReadToEndAsync() : null;
        var text = python.StandardOutput.ReadToEnd();
        errors?.Wait();
        python.WaitForExit();
        return (python.ExitCode, text);
    }
}
