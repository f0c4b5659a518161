using System.Buffers.Binary;
using TorchSharp;

namespace MlNetMlp.Runtime;

/// <summary>
/// States of torch's generators as bytes. Native code ends the process over one that it refuses, and reads beyond its memory for some that it does not refuse, so that those of
/// files have to be looked at before.
/// </summary>
internal static class GeneratorState
{
    private const int Words = 624;

    // Seed (8 bytes), words left (4), whether seeded (4), next word (8), and the words.
    private const int LeftAt = 8;
    private const int SeededAt = 12;
    private const int NextAt = 16;

    // Seed and offset, which is a multiple of four.
    private const int PhiloxLength = 16;
    private const int OffsetAt = 8;

    /// <summary>Whether a generator can have a state.</summary>
    /// <param name="state">The state, as long as those of the generator are.</param>
    /// <param name="device">Where the generator is.</param>
    /// <returns>Whether it can.</returns>
    public static bool IsPossible(ReadOnlySpan<byte> state, DeviceType device)
    {
        if (device != DeviceType.CPU)
            return state.Length == PhiloxLength && BinaryPrimitives.ReadUInt64LittleEndian(state[OffsetAt..]) % 4 == 0;
        if (state.Length < NextAt + sizeof(long) + (Words * sizeof(long)) || BinaryPrimitives.ReadInt32LittleEndian(state[SeededAt..]) != 1)
            return false;

        // Each number drawn takes one word of those left; a generator that has drawn none has one left, to make the others of.
        var (left, next) = (BinaryPrimitives.ReadInt32LittleEndian(state[LeftAt..]), BinaryPrimitives.ReadUInt64LittleEndian(state[NextAt..]));
        return (left, next) is (1, 0) or ( >= 1 and <= Words, >= 1 and <= Words) && (next == 0 || (ulong)left + next == Words + 1);
    }
}
