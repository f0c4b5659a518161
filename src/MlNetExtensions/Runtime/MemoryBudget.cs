using System.Globalization;

namespace MlNetMlp.Runtime;

/// <summary>How much memory data may take before it is streamed instead of held, and how amounts of memory are written.</summary>
public static class MemoryBudget
{
    private static readonly string[] Units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

    /// <summary>
    /// A quarter of the memory that this process may use, in bytes: of the machine's, or of what a container or the GC's hard limit
    /// leaves to it.
    /// </summary>
    public static long Default => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4;

    /// <summary>Writes an amount for a person, such as <c>1.5 GB</c>: in powers of 1,000, in the same way in every culture.</summary>
    /// <param name="bytes">The amount in bytes; it may be negative.</param>
    /// <returns>The text, with one decimal at most, and none from 100 on.</returns>
    public static string Format(long bytes)
    {
        var amount = (double)bytes;
        var unit = 0;
        while (Math.Round(Math.Abs(amount)) >= 1000 && unit < Units.Length - 1)
        {
            amount /= 1000;
            unit++;
        }

        return amount.ToString(Math.Abs(amount) < 99.95 ? "0.#" : "0", CultureInfo.InvariantCulture) + " " + Units[unit];
    }
}
