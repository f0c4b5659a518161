using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>
/// A piecewise-linear, non-decreasing map of each input, which stays as it is beyond the first and the last knot: what makes inputs with
/// long tails or many steps easy for a hidden layer that sees the map beside the input itself.
/// </summary>
/// <remarks>
/// With knots at quantiles and their normal scores as values this is the quantile transform that Gorishniy et al., "Revisiting Deep Learning
/// Models for Tabular Data", 2021, https://arxiv.org/abs/2106.11959, prepare tables with.
/// </remarks>
public sealed class InputKnots
{
    /// <summary>The least number of knots.</summary>
    public const int LeastCount = 3;

    private readonly float[] _positions;
    private readonly float[] _values;

    /// <summary>Makes a map.</summary>
    /// <param name="count">Q, knots of an input, at least 3.</param>
    /// <param name="positions">Where the knots are, [inputs, Q] row after row, non-decreasing in each row.</param>
    /// <param name="values">What is there, [inputs, Q].</param>
    /// <exception cref="ArgumentException">The arrays have other sizes, or positions decrease.</exception>
    public InputKnots(int count, float[] positions, float[] values)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, LeastCount);
        ArgumentNullException.ThrowIfNull(positions);
        ArgumentNullException.ThrowIfNull(values);
        if (positions.Length != values.Length || positions.Length % count != 0)
            throw new ArgumentException($"{positions.Length} positions and {values.Length} values are not {count} of each for every input.", nameof(values));
        for (var i = 1; i < positions.Length; i++)
        {
            if (i % count != 0 && !(positions[i] >= positions[i - 1]))
                throw new ArgumentException($"The positions of the knots of input {i / count} decrease from {positions[i - 1]} to {positions[i]}.", nameof(positions));
        }

        (Count, _positions, _values) = (count, positions, values);
    }

    /// <summary>Q, knots of an input.</summary>
    public int Count { get; }

    /// <summary>Number of inputs.</summary>
    public int Inputs => _positions.Length / Count;

    /// <summary>Where the knots are, [inputs, Q] row after row; where an input has fewer values than knots, the last one stands several times.</summary>
    public ReadOnlySpan<float> Positions => _positions;

    /// <summary>What is there, [inputs, Q].</summary>
    public ReadOnlySpan<float> Values => _values;

    /// <summary>Puts the knots of each input at quantiles of rows, with the normal scores of the quantiles as values.</summary>
    /// <param name="rows">Rows of inputs, row after row.</param>
    /// <param name="weights">Weight of each row, above 0.</param>
    /// <param name="inputs">Number of inputs.</param>
    /// <param name="count">Q, at least 3.</param>
    /// <returns>The map. A row of weight 2 counts as two rows.</returns>
    public static InputKnots AtQuantiles(ReadOnlySpan<float> rows, ReadOnlySpan<float> weights, int inputs, int count)
    {
        var (positions, levels) = (new float[inputs * count], new double[inputs * count]);
        var (column, order) = (new float[weights.Length], new float[weights.Length]);
        for (var input = 0; input < inputs; input++)
        {
            for (var row = 0; row < column.Length; row++)
                column[row] = rows[(row * inputs) + input];
            weights.CopyTo(order);
            Array.Sort(column, order);
            Place(column, order, positions.AsSpan(input * count, count), levels.AsSpan(input * count, count));
        }

        using var scope = NewDisposeScope();
        return new(count, positions, special.ndtri(tensor(levels)).to(ScalarType.Float32).data<float>().ToArray());
    }

    /// <summary>The map, by tensors.</summary>
    /// <param name="x">Single [rows, inputs].</param>
    /// <returns>Single [rows, inputs], on the device of <paramref name="x"/>.</returns>
    public Tensor Map(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        using var scope = NewDisposeScope();
        return Map(x, tensor(_positions, [Inputs, Count]).to(x.device), tensor(_values, [Inputs, Count]).to(x.device)).MoveToOuterDisposeScope();
    }

    /// <summary>The map of knots that are tensors already.</summary>
    /// <param name="x">Single [rows, inputs].</param>
    /// <param name="positions">Where the knots are [inputs, Q], at least 3 of each, non-decreasing.</param>
    /// <param name="values">What is there [inputs, Q].</param>
    /// <returns>Single [rows, inputs].</returns>
    public static Tensor Map(Tensor x, Tensor positions, Tensor values)
    {
        var count = positions.shape[1];
        var column = x.t().contiguous();                                                     // [inputs, rows]
        var left = searchsorted(positions.narrow(1, 1, count - 2).contiguous(), column, right: true);
        var (width, rise) = (positions.diff(dim: 1), values.diff(dim: 1));
        var slope = where(width.gt(zeros_like(width)), rise.div(width), zeros_like(rise));
        var distance = column.sub(positions.gather(1, left)).relu().minimum(width.gather(1, left));
        var mapped = values.gather(1, left);
        mapped.AddScaled(distance.mul(slope.gather(1, left)));
        return mapped.t().contiguous();
    }

    private static void Place(ReadOnlySpan<float> sorted, ReadOnlySpan<float> weights, Span<float> positions, Span<double> levels)
    {
        var total = 0.0;
        foreach (var weight in weights)
            total += weight;
        var (knot, below, row, next) = (0, 0.0, 0, 0.0);
        while (row < sorted.Length)
        {
            // Equal values share the middle of their levels, so that what counts is the order alone.
            var (value, here) = (sorted[row], 0.0);
            for (; row < sorted.Length && sorted[row] == value; row++)
                here += weights[row];
            var level = (below + (here / 2)) / total;
            below += here;
            var isLast = row == sorted.Length;
            if (!isLast && level < next)
                continue;
            (positions[knot], levels[knot]) = (value, level);
            if (isLast)
            {
                positions[knot..].Fill(value);
                levels[knot..].Fill(level);
                return;
            }

            // One knot for each 1 / (Q − 1) of the rows, so that there is a place left for the greatest value.
            next = (Math.Floor(level * (positions.Length - 1)) + 1) / (positions.Length - 1);
            knot++;
        }
    }
}
