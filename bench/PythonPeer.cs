using System.Diagnostics;
using System.Globalization;

namespace MlNetMlp.Bench;

/// <summary>Runs a program in Python, PYTHON or python3, on two threads.</summary>
internal static class PythonPeer
{
    private static string Interpreter => Environment.GetEnvironmentVariable("PYTHON") ?? "python3";

    /// <summary>Whether there are all the modules that a peer imports; if not, a line says which it was.</summary>
    public static bool Has(string peer, params string[] modules)
    {
        if (Start(["-c", $"import {string.Join(", ", modules)}"], isQuiet: true).Code == 0)
            return true;
        Console.WriteLine($"{peer} is left out: {Interpreter} cannot import {string.Join(", ", modules)}; set PYTHON to one that can.");
        return false;
    }

    /// <summary>The numbers that a program in the folder <c>peers</c> writes before any other word; none where it fails.</summary>
    public static double[] RunFile(string file, params string[] arguments) => Numbers([Path.Combine(AppContext.BaseDirectory, "peers", file), .. arguments]);

    /// <summary>The numbers that the program writes before any other word; none where it fails.</summary>
    public static double[] Run(string program, params string[] arguments) => Numbers(["-c", program, .. arguments]);

    private static double[] Numbers(string[] arguments)
    {
        var (code, text) = Start(arguments, isQuiet: false);
        var words = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return code == 0
            ? [.. words.TakeWhile(word => double.TryParse(word, CultureInfo.InvariantCulture, out _)).Select(word => double.Parse(word, CultureInfo.InvariantCulture))]
            : [];
    }

    private static (int Code, string Text) Start(string[] arguments, bool isQuiet)
    {
        var start = new ProcessStartInfo(Interpreter, arguments) { RedirectStandardOutput = true, RedirectStandardError = isQuiet };
        start.Environment.Remove("OPENBLAS_CORETYPE");
        start.Environment.Remove("OPENBLAS_L2_SIZE");
        (start.Environment["OPENBLAS_NUM_THREADS"], start.Environment["OMP_NUM_THREADS"]) = ("2", "2");
        using var python = Process.Start(start)!;
        var errors = isQuiet ? python.StandardError.ReadToEndAsync() : null;
        var text = python.StandardOutput.ReadToEnd();
        errors?.Wait();
        python.WaitForExit();
        return (python.ExitCode, text);
    }
}
