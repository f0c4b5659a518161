using Microsoft.ML;

namespace MlNetMlp.Data;

/// <summary>Cursors that something is made of, which is to close them.</summary>
internal static class CursorSet
{
    /// <summary>Makes something of each cursor; where that fails for one, all are closed.</summary>
    /// <typeparam name="T">What is made.</typeparam>
    /// <param name="cursors">The cursors.</param>
    /// <param name="make">Makes it.</param>
    /// <returns>One for each cursor.</returns>
    public static T[] Wrap<T>(DataViewRowCursor[] cursors, Func<DataViewRowCursor, T> make)
    {
        try
        {
            return [.. cursors.Select(make)];
        }
        catch
        {
            Array.ForEach(cursors, cursor => cursor.Dispose());
            throw;
        }
    }
}
