namespace MlNetMlp.Runtime;

/// <summary>
/// Random numbers that are the same for the same seed in every version and on every platform, which <see cref="Random"/> does not promise
/// (SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
/// </summary>
/// <param name="seed">The seed.</param>
internal sealed class DeterministicRandom(ulong seed)
{
    private ulong _state = seed;

    /// <summary>64 random bits.</summary>
    /// <returns>The bits.</returns>
    public ulong NextBits()
    {
        _state += 0x9E3779B97F4A7C15;
        return Mix(_state);
    }

    /// <summary>A whole number below a bound, each as likely as every other.</summary>
    /// <param name="bound">The bound, at least 1.</param>
    /// <returns>A number in [0, bound).</returns>
    public int Next(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bound, 1);

        // Lemire, "Fast random integer generation in an interval", 2019: the remainder of the product that would favour small numbers is thrown away.
        var product = (NextBits() >> 32) * (ulong)bound;
        var reject = (uint)(-bound) % (uint)bound;
        while ((uint)product < reject)
            product = (NextBits() >> 32) * (ulong)bound;
        return (int)(product >> 32);
    }

    /// <summary>A number in [0, 1) with 53 random bits.</summary>
    /// <returns>The number.</returns>
    public double NextDouble() => (NextBits() >> 11) * (1.0 / (1UL << 53));

    /// <summary>The finaliser of SplitMix64, which spreads every bit of its argument over the whole result.</summary>
    internal static ulong Mix(ulong bits)
    {
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9;
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB;
        return bits ^ (bits >> 31);
    }
}
