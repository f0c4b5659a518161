using System.Runtime.InteropServices;
using System.Text;

namespace MlNetMlp.Conformance;

/// <summary>Catches what code writes to the console: by <see cref="Console"/> whatever the code at hand writes, by native code whatever the process does.</summary>
internal static partial class ConsoleCapture
{
    private const int Output = 1;
    private const int Error = 2;

    /// <summary>Runs an action.</summary>
    /// <param name="action">The action.</param>
    /// <returns>What was written.</returns>
    public static string Of(Action action)
    {
        var (output, error) = (Console.Out, Console.Error);
        using var text = new Tap();
        try
        {
            Console.SetOut(text.Before(output));
            Console.SetError(text.Before(error));
            return OperatingSystem.IsWindows() ? Run() : Native(Run);
        }
        finally
        {
            Console.SetOut(output);
            Console.SetError(error);
        }

        string Run()
        {
            action();
            return text.ToString();
        }
    }

    // Native code knows nothing of Console, but writes to the process's two streams.
    private static string Native(Func<string> action)
    {
        var path = Path.GetTempFileName();
        try
        {
            string written;
            using (var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            {
                _ = fflush(0);
                var (output, error) = (dup(Output), dup(Error));
                try
                {
                    _ = dup2((int)file.DangerousGetHandle(), Output);
                    _ = dup2((int)file.DangerousGetHandle(), Error);
                    written = action();
                }
                finally
                {
                    _ = fflush(0);
                    _ = (dup2(output, Output), dup2(error, Error), close(output), close(error));
                }
            }

            return written + File.ReadAllText(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [LibraryImport("libc")]
    private static partial int fflush(nint stream);

    [LibraryImport("libc")]
    private static partial int dup(int stream);

    [LibraryImport("libc")]
    private static partial int dup2(int from, int to);

    [LibraryImport("libc")]
    private static partial int close(int stream);

    /// <summary>Keeps what the code at hand writes, and whatever threads it starts; lets all else through.</summary>
    private sealed class Tap : IDisposable
    {
        private readonly AsyncLocal<bool> _isHere = new() { Value = true };
        private readonly StringBuilder _text = new();

        public TextWriter Before(TextWriter behind) => new Writer(this, behind);

        public void Dispose() => _isHere.Value = false;

        public override string ToString()
        {
            lock (_text)
                return _text.ToString();
        }

        private sealed class Writer(Tap tap, TextWriter behind) : TextWriter
        {
            public override Encoding Encoding => behind.Encoding;

            public override void Write(char value)
            {
                if (!tap._isHere.Value)
                {
                    behind.Write(value);
                    return;
                }

                lock (tap._text)
                    tap._text.Append(value);
            }
        }
    }
}
