using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// Random numbers of each step of a training, from a stream of its own that follows from the seed and the number of the step alone: what one step draws does not depend on
/// how many numbers the steps before drew, nor on the device.
/// </summary>
/// <param name="seed">The seed of the fit.</param>
public sealed class StepRandom(int seed)
{
    private const ulong Purpose = 4;

    private readonly ulong _stream = RandomStreams.Hash((ulong)seed, Purpose);
    private ulong _step;

    /// <summary>How many generators were given out: part of what a training remembers.</summary>
    public long StepCount
    {
        get => (long)_step;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            _step = (ulong)value;
        }
    }

    /// <summary>The random numbers of the next step.</summary>
    /// <returns>A generator on the CPU; the caller disposes it.</returns>
    public Generator Next() => new(RandomStreams.Hash(_stream, _step++) >> 1, CPU);
}
