using System.Runtime.CompilerServices;

namespace MlNetMlp.Scoring;

/// <summary>
/// A zeroed block of floats that starts on a cache line, so that no vector load crosses one, and that the collector never moves.
/// </summary>
internal sealed class AlignedFloats
{
    public const int LineFloats = 16;

    private readonly float[] _values;
    private readonly int _start;

    public AlignedFloats(int length)
    {
        _values = GC.AllocateArray<float>(Math.Max(checked(length + LineFloats), LineFloats + 1), pinned: true);
        Length = length;
        _start = StartOfLine(_values);
    }

    public int Length { get; }

    public ref float First => ref _values[_start];

    public Span<float> Span => _values.AsSpan(_start, Length);

    /// <summary>The next multiple of the cache line: the width that every register and weight row is padded to, on every machine.</summary>
    public static int Pad(int length) => checked((length + LineFloats - 1) / LineFloats * LineFloats);

    public static AlignedFloats Padded(ReadOnlySpan<float> values)
    {
        var padded = new AlignedFloats(Pad(values.Length));
        values.CopyTo(padded.Span);
        return padded;
    }

    private static unsafe int StartOfLine(float[] pinned)
    {
        nuint address = (nuint)Unsafe.AsPointer(ref pinned[0]);
        const nuint lineBytes = LineFloats * sizeof(float);
        return (int)((lineBytes - (address % lineBytes)) % lineBytes / sizeof(float));
    }
}
