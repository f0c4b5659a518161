using System.Runtime.ExceptionServices;

namespace MlNetMlp.Runtime;

/// <summary>
/// Loads libtorch and TorchSharp's native bridge. Everything of this library that computes calls <see cref="Load"/> before its first use of
/// <c>TorchSharp.torch</c>; code that uses TorchSharp beside it should do the same, since TorchSharp's own search writes to the console
/// when it fails, does not know <c>LIBTORCH</c>, and cannot cope with a <c>libstdc++</c> older than GCC 13's.
/// </summary>
public static class LibTorch
{
    private static readonly Lock Gate = new();
    private static LibTorchInfo? _info;
    private static ExceptionDispatchInfo? _failure;

    /// <summary>Loads libtorch, once for the process. Later calls return the same result, or throw the same exception.</summary>
    /// <returns>What was loaded, and from where.</returns>
    /// <exception cref="LibTorchException">No libtorch was found, or it does not load here; the message says what was tried.</exception>
    /// <remarks>
    /// libtorch is taken from the folder in the environment variable <c>LIBTORCH</c> (or its <c>lib</c>); if that is not set, from
    /// <c>runtimes/&lt;rid&gt;/native</c> beside the application, the application's folder, and the folders that the .NET host searches,
    /// in this order. A <c>LIBTORCH</c> that holds no libtorch is an error.
    /// </remarks>
    public static LibTorchInfo Load()
    {
        if (Volatile.Read(ref _info) is { } loaded)
            return loaded;

        lock (Gate)
        {
            _failure?.Throw();
            if (_info is not null)
                return _info;

            try
            {
                var info = new LibTorchLoader(LibTorchSearch.OfThisProcess()).Load();
                Volatile.Write(ref _info, info);
                return info;
            }
            catch (LibTorchException failure)
            {
                _failure = ExceptionDispatchInfo.Capture(failure);
                throw;
            }
        }
    }
}
