namespace MlNetMlp.Tests.Support;

/// <summary>Counts what a piece of work allocates.</summary>
internal static class Allocations
{
    private const int Tries = 5;

    /// <summary>The fewest bytes that the work allocated on this thread in some tries: a collection that others bring about counts what was left of the thread's room as allocated, but what the work itself allocates is there each time.</summary>
    /// <param name="work">The work.</param>
    /// <returns>The number of bytes.</returns>
    public static long Of(Action work) => Enumerable.Range(0, Tries).Min(_ =>
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        work();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    });
}
