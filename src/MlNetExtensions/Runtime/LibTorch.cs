using System.Runtime.ExceptionServices;

namespace MlNetMlp.Runtime;

/// <summary>
/// Loads libtorch and TorchSharp's native bridge. Everything in this library that computes calls <see cref="Load"/> before its first use
/// of <c>TorchSharp.torch</c>. An application that uses TorchSharp itself should do so too: TorchSharp's own search writes to the console
/// when it fails, does not know <c>LIBTORCH</c>, and cannot cope with a <c>libstdc++</c> older than GCC 13's.
/// </summary>
public static class LibTorch
{
    private static readonly Lock Gate = new();
    private static LibTorchInfo? _info;
    private static ExceptionDispatchInfo? _failure;

    // The greatest block whose size glibc goes by.
    private const long LargestKeptBytes = (1 << 25) - (1 << 16);

    /// <summary>Loads libtorch, once for the process. Later calls return the same result, or throw the same exception.</summary>
    /// <returns>What was loaded, and from where.</returns>
    /// <exception cref="LibTorchException">No libtorch was found, or it does not load here; the message says what was tried.</exception>
    /// <remarks>
    /// libtorch is taken from the folder in the environment variable <c>LIBTORCH</c> (or its <c>lib</c>); if that is not set, from
    /// <c>runtimes/&lt;rid&gt;/native</c> beside the application, the application's folder, and the folders that the .NET host searches,
    /// in this order. A <c>LIBTORCH</c> that holds no libtorch is an error. A libtorch that the process has loaded already is used as it
    /// is. Two cannot share a process, and TorchSharp always loads one that the application brings: so an application that is to run with
    /// <c>LIBTORCH</c> must not bring another, which is an error too. Safe to call from any thread.
    /// </remarks>
    public static LibTorchInfo Load()
    {
        if (Volatile.Read(ref _info) is { } loaded)
            return loaded;

        lock (Gate)
        {
            // A second attempt would meet libraries that the first one left half loaded, so its outcome would say nothing.
            _failure?.Throw();
            if (_info is not null)
                return _info;

            try
            {
                var info = new LibTorchLoader(LibTorchSearch.OfThisProcess()).Load();
                KeepFreedMemory();
                Volatile.Write(ref _info, info);
                return info;
            }
            catch (Exception failure)
            {
                _failure = ExceptionDispatchInfo.Capture(failure);
                throw;
            }
        }
    }

    /// <summary>
    /// Tells how this process stands with libtorch: which native libraries there are and where, which are missing and why, versions and devices. It loads libtorch where that works, and
    /// never throws because it does not. <c>mlnetmlp doctor</c> prints it.
    /// </summary>
    /// <param name="applicationFolder">The folder of the application that is looked into; null for that of this process.</param>
    /// <returns>The report.</returns>
    public static LibTorchReport Diagnose(string? applicationFolder = null)
    {
        lock (Gate)
        {
            if (_failure?.SourceException is LibTorchException earlier)
                return new(false, earlier.Message);

            // What is loaded already loads again at once, and is told of.
            var loader = new LibTorchLoader(LibTorchSearch.OfThisProcess(applicationFolder));
            try
            {
                return new(true, loader.Report(loader.Load()));
            }
            catch (LibTorchException failure)
            {
                _failure = ExceptionDispatchInfo.Capture(failure);
                return new(false, failure.Message);
            }
        }
    }

    /// <summary>
    /// Has glibc keep the memory of tensors that are freed. Until a block as large has been freed it gives each of more than 128 kB back to the system, and the fresh pages of the
    /// next cost several times as much as what small networks compute in them. The block is never written to, so it takes no memory.
    /// </summary>
    private static void KeepFreedMemory() => TorchSharp.torch.empty(LargestKeptBytes, TorchSharp.torch.ScalarType.Byte).Dispose();
}
