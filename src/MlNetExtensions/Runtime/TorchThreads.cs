using static TorchSharp.torch;

namespace MlNetMlp.Runtime;

/// <summary>Limits the threads that libtorch uses for calls from the current thread, until it is disposed on the same thread.</summary>
/// <remarks>Where ML.NET already runs several cursors at once, more threads inside each of them only get in each other's way.</remarks>
public readonly ref struct TorchThreads
{
    private readonly int _before;

    private TorchThreads(int before) => _before = before;

    /// <summary>Sets the number of threads.</summary>
    /// <param name="threads">The number, at least 1.</param>
    /// <returns>What restores the number before.</returns>
    public static TorchThreads Limit(int threads)
    {
        var before = get_num_threads();
        if (before != threads)
            set_num_threads(threads);
        return new(before);
    }

    /// <summary>Sets the number of threads on a thread that is borrowed from a pool.</summary>
    /// <param name="threads">The number, at least 1.</param>
    /// <param name="after">The number to set after, at least 1: what a new thread starts with is what some thread has set last.</param>
    /// <returns>What sets the number after.</returns>
    public static TorchThreads Limit(int threads, int after)
    {
        set_num_threads(threads);
        return new(after);
    }

    /// <summary>Restores the number of threads before.</summary>
    public void Dispose()
    {
        if (get_num_threads() != _before)
            set_num_threads(_before);
    }
}
