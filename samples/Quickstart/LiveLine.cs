using System.Diagnostics;

namespace Quickstart;

/// <summary>Says what is going on: on a terminal one line that updates itself, else plain lines, at most one per second and task.</summary>
internal sealed class LiveLine
{
    private readonly Lock _gate = new();
    private readonly TimeSpan _pause = Console.IsOutputRedirected ? TimeSpan.FromSeconds(1) : TimeSpan.FromMilliseconds(50);
    private readonly Stopwatch _sinceWritten = new();
    private string _task = "";
    private int _written;

    public void Begin(string task)
    {
        lock (_gate)
        {
            _task = task;
            Write(task);
        }
    }

    /// <summary>Wipes the line from a terminal.</summary>
    public void End()
    {
        lock (_gate)
        {
            if (!Console.IsOutputRedirected) Console.Write('\r' + new string(' ', _written) + '\r');
            _written = 0;
        }
    }

    /// <summary>For the options of a trainer: shows each report behind the name of the current task.</summary>
    public IProgress<T> Progress<T>(Func<T, string> describe) => new Reporter<T>(this, describe);

    private void Report(string detail)
    {
        lock (_gate)
        {
            if (_sinceWritten.Elapsed >= _pause) Write($"{_task}: {detail}");
        }
    }

    private void Write(string text)
    {
        _sinceWritten.Restart();
        if (Console.IsOutputRedirected)
        {
            Console.WriteLine(text);
            return;
        }

        var room = Math.Max(Console.WindowWidth - 1, 40);
        var shown = text.Length > room ? text[..room] : text;
        Console.Write('\r' + shown.PadRight(_written));
        _written = shown.Length;
    }

    private sealed class Reporter<T>(LiveLine line, Func<T, string> describe) : IProgress<T>
    {
        public void Report(T value) => line.Report(describe(value));
    }
}
