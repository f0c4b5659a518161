namespace MlNetMlp.Data;

/// <summary>Reads blocks of rows one ahead, on a thread of its own, while the one before is worked on.</summary>
internal static class ReadAhead
{
    /// <summary>The same blocks, the next of which is read while the caller works.</summary>
    /// <param name="blocks">The blocks.</param>
    /// <returns>The blocks; the caller disposes each.</returns>
    public static IEnumerable<RowBlock> Of(IEnumerable<RowBlock> blocks)
    {
        using var source = blocks.GetEnumerator();
        Task<RowBlock?> next = Task.Run(Read);
        try
        {
            while (next.GetAwaiter().GetResult() is { } block)
            {
                next = Task.Run(Read);
                yield return block;
            }
        }
        finally
        {
            // Whoever stops early leaves a block that nobody takes; what went wrong in reading it concerns nobody either.
            next.ContinueWith(read => read.IsCompletedSuccessfully ? read.Result : null, TaskScheduler.Default).GetAwaiter().GetResult()?.Dispose();
        }

        RowBlock? Read() => source.MoveNext() ? source.Current : null;
    }
}
