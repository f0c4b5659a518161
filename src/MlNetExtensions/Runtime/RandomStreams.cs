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
    private Generator? _rows;

    /// <summary>The seed of the fit.</summary>
    public int Seed => seed;

    /// <summary>Initial weights. It is on the CPU, so that a fit on a GPU starts from the same weights.</summary>
    public Generator Weights => _weights ??= Create(1, CPU);

    /// <summary>What is drawn in each step, such as dropout masks and mixtures of rows; on the device of the training.</summary>
    public Generator Training => _training ??= Create(2, device);

    /// <summary>Which rows are drawn, by methods that do not train on all of them at a time. It is on the CPU.</summary>
    public Generator Rows => _rows ??= Create(3, CPU);

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
        _rows?.Dispose();
    }

    private Generator Create(ulong purpose, Device where) => new(Hash((ulong)seed, purpose) >> 1, where);
}
