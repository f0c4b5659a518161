using System.Runtime.ExceptionServices;
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

    /// <summary>
    /// Lets parts of some work go side by side, each on one thread of libtorch, so that no sum depends on how many threads there are. Where a part fails, that failure is thrown.
    /// </summary>
    /// <param name="parts">Number of parts.</param>
    /// <param name="threads">How many parts go at once at most, at least 1; also the number of libtorch's threads after.</param>
    /// <param name="work">Does a part.</param>
    public static void ForEach(int parts, int threads, Action<int> work)
    {
        try
        {
            Parallel.For(0, parts, new ParallelOptions { MaxDegreeOfParallelism = threads }, part =>
            {
                using var one = Limit(1, threads);
                work(part);
            });
        }
        catch (AggregateException failures)
        {
            ExceptionDispatchInfo.Throw(failures.InnerExceptions[0]);
        }
    }

    /// <summary>Restores the number of threads before.</summary>
    public void Dispose()
    {
        if (get_num_threads() != _before)
            set_num_threads(_before);
    }
}
