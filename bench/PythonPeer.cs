using System.Diagnostics;
using System.Globalization;

namespace MlNetMlp.Bench;

/// <summary>Runs a program in Python, PYTHON or python3, on two threads.</summary>
internal static class PythonPeer
{
    /// <summary>The numbers that the program writes before any other word; none where it fails.</summary>
    public static double[] Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("PYTHON") ?? "python3", ["-c", program, .. arguments]) { RedirectStandardOutput = true };
        start.Environment.Remove("OPENBLAS_CORETYPE");
        start.Environment.Remove("OPENBLAS_L2_SIZE");
        (start.Environment["OPENBLAS_NUM_THREADS"], start.Environment["OMP_NUM_THREADS"]) = ("2", "2");
        using var python = Process.Start(start)!;
        var words = python.StandardOutput.ReadToEnd().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        python.WaitForExit();
        return python.ExitCode == 0
            ? [.. words.TakeWhile(word => double.TryParse(word, CultureInfo.InvariantCulture, out _)).Select(word => double.Parse(word, CultureInfo.InvariantCulture))]
            : [];
    }
}
