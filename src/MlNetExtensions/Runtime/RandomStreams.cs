using static TorchSharp.torch;

namespace MlNetMlp.Runtime;

/// <summary>
/// The random numbers of one fit: independent streams that all follow from one seed, so that a change in how many numbers one purpose
/// draws leaves the others as they were. torch's global generator is never used.
/// </summary>
/// <param name="seed">The seed of the fit.</param>
/// <param name="device">Where the network is trained.</param>
public sealed class RandomStreams(int seed, Device device) : IDisposable
{
    private Generator? _weights;
    private Generator? _training;
    private readonly DeterministicRandom _rows = new(Hash((ulong)seed, 3));

    /// <summary>The seed of the fit.</summary>
    public int Seed => seed;

    /// <summary>Initial weights. It is on the CPU, so that a fit on a GPU starts from the same weights.</summary>
    public Generator Weights => _weights ??= Create(1, CPU);

    /// <summary>What is drawn in each step, such as dropout masks and mixtures of rows; on the device of the training.</summary>
    public Generator Training => _training ??= Create(2, device);

    /// <summary>
    /// Draws some of the rows, each as likely as every other and none twice, for methods that do not train on all of them at a time. It takes one pass and no memory
    /// (Knuth, "The Art of Computer Programming" 2, 3.4.2, algorithm S).
    /// </summary>
    /// <param name="rows">Number of rows.</param>
    /// <param name="without">Indices of rows that are not drawn, ascending.</param>
    /// <param name="chosen">Gets the indices of rows, ascending; at most as many as there are rows to draw from.</param>
    /// <exception cref="ArgumentOutOfRangeException">More rows are wanted than there are.</exception>
    public void ChooseRows(long rows, ReadOnlySpan<long> without, Span<long> chosen)
    {
        var left = rows - without.Length;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(chosen.Length, left, nameof(chosen));
        var (taken, passed) = (0, 0);
        for (long row = 0; taken < chosen.Length; row++)
        {
            if (passed < without.Length && without[passed] == row)
                passed++;
            else if (_rows.NextDouble() * left-- < chosen.Length - taken)
                chosen[taken++] = row;
        }
    }

    /// <summary>Mixes two numbers into one that looks random and depends on every bit of both.</summary>
    /// <param name="first">A number.</param>
    /// <param name="second">Another number.</param>
    /// <returns>The same for the same numbers, on every platform.</returns>
    public static ulong Hash(ulong first, ulong second) =>
        DeterministicRandom.Mix(DeterministicRandom.Mix(first + 0x9E3779B97F4A7C15) ^ (second + 0xD1B54A32D192ED03));

    /// <summary>Releases the streams.</summary>
    public void Dispose()
    {
        _weights?.Dispose();
        _training?.Dispose();
    }

    private Generator Create(ulong purpose, Device where) => new(Hash((ulong)seed, purpose) >> 1, where);
}
