using Microsoft.ML.Data;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Explanations;

/// <summary>
/// Normal numbers for each row of a block that depend on nothing but the seed and the row's id, so that rows get the same in whatever order and block they are read.
/// </summary>
internal sealed class RowNoise
{
    private readonly DeterministicRandom[] _rows;
    private readonly int _width;

    public RowNoise(int seed, ReadOnlySpan<DataViewRowId> ids, int width)
    {
        (_rows, _width) = (new DeterministicRandom[ids.Length], width);
        for (var row = 0; row < ids.Length; row++)
            _rows[row] = new(Hash(seed, ids[row]));
    }

    /// <summary>Random bits of a row.</summary>
    /// <param name="seed">The seed.</param>
    /// <param name="id">The row's id.</param>
    /// <returns>The same for the same seed and row.</returns>
    public static ulong Hash(int seed, DataViewRowId id) => RandomStreams.Hash(RandomStreams.Hash((ulong)seed, id.Low), id.High);

    /// <summary>Draws the next numbers of all rows.</summary>
    /// <param name="count">How many draws.</param>
    /// <returns>Single [count, rows, width].</returns>
    public Tensor Draw(int count)
    {
        var result = empty(count, _rows.Length, _width);
        var values = TensorMemory.Floats(result);
        for (var draw = 0; draw < count; draw++)
        {
            for (var row = 0; row < _rows.Length; row++)
                Fill(_rows[row], values.Slice(((draw * _rows.Length) + row) * _width, _width));
        }

        return result;
    }

    // Box and Muller, "A note on the generation of random normal deviates", 1958.
    private static void Fill(DeterministicRandom random, Span<float> values)
    {
        for (var i = 0; i < values.Length; i += 2)
        {
            var radius = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()));
            var (sine, cosine) = Math.SinCos(2 * Math.PI * random.NextDouble());
            values[i] = (float)(radius * cosine);
            if (i + 1 < values.Length)
                values[i + 1] = (float)(radius * sine);
        }
    }
}
