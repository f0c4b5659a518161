using static TorchSharp.torch;

namespace MlNetMlp.Runtime;

/// <summary>Limits the threads that libtorch uses for calls from the current thread, until it is disposed on the same thread.</summary>
/// <remarks>Where ML.NET already runs several cursors at once, more threads inside each of them only get in each other's way.</remarks>
internal readonly ref struct TorchThreads
{
    private readonly int _before;

    private TorchThreads(int before) => _before = before;

    public static TorchThreads Limit(int threads)
    {
        var before = get_num_threads();
        if (before != threads)
            set_num_threads(threads);
        return new(before);
    }

    public void Dispose()
    {
        if (get_num_threads() != _before)
            set_num_threads(_before);
    }
}
