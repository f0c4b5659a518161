using MlNetMlp.Networks;
using MlNetMlp.Runtime;

namespace MlNetMlp.Data;

/// <summary>Makes a row of a <see cref="SetLayout"/> of the numbers of its columns, and refuses those that are none.</summary>
/// <param name="name">The feature column.</param>
/// <param name="layout">The layout.</param>
/// <param name="acceptNonFinite">Whether single numbers may be NaN or infinite.</param>
internal sealed class SetPacker(string name, SetLayout layout, bool acceptNonFinite)
{
    private float[] _packed = new float[layout.RowWidth(1)];
    private int _length;

    /// <summary>Where the numbers of a column of the context go.</summary>
    /// <param name="index">Which column.</param>
    /// <returns>Room for exactly its numbers.</returns>
    public Span<float> Context(int index) =>
        _packed.AsSpan(1 + layout.Context.Take(index).Sum(column => column.Width), layout.Context[index].Width);

    /// <summary>Puts the items behind the context that was written before.</summary>
    /// <param name="values">The items, one after the other.</param>
    /// <param name="count">How many of them count; null for all.</param>
    /// <param name="row">Number of the row, for errors.</param>
    /// <returns>Length of the packed row.</returns>
    public int Pack(ReadOnlySpan<float> values, float? count, long row)
    {
        CheckContext(row);
        var (width, most) = (layout.ItemWidth, values.Length / layout.ItemWidth);
        if (values.Length % width != 0 || (layout.IsOneItem && most > 1))
            throw DataErrors.SetLength(name, row, values.Length, width);
        var items = most;
        if (count is { } given)
            items = given >= 0 && given <= most && given == MathF.Truncate(given) ? (int)given : throw DataErrors.SetCount(layout.CountColumnName!, row, given, name, most);
        if (_packed.Length < layout.RowWidth(items))
            Array.Resize(ref _packed, Math.Max(layout.RowWidth(items), 2 * _packed.Length));
        var place = layout.ItemsStart;
        for (var first = 0; first < items * width; first += width)
        {
            var item = values.Slice(first, width);
            if (!acceptNonFinite && Finite.IndexOfNonFinite(item) is >= 0 and var bad)
            {
                if (!IsMissing(item))
                    throw DataErrors.NonFiniteFeature(name, row, first + bad, null, item[bad]);
                continue;
            }

            item.CopyTo(_packed.AsSpan(place));
            place += width;
        }

        _packed[0] = (place - layout.ItemsStart) / width;
        _length = place;
        return _packed[0] > 0 ? place : throw DataErrors.EmptySet(name, row);
    }

    /// <summary>Copies the packed row.</summary>
    /// <param name="destination">Room for it; the rest is filled with zeros.</param>
    public void Write(Span<float> destination)
    {
        _packed.AsSpan(0, _length).CopyTo(destination);
        destination[_length..].Clear();
    }

    private static bool IsMissing(ReadOnlySpan<float> item)
    {
        foreach (var value in item)
        {
            if (!float.IsNaN(value))
                return false;
        }

        return true;
    }

    private void CheckContext(long row)
    {
        for (var i = 0; i < layout.Context.Count && !acceptNonFinite; i++)
        {
            if (Finite.IndexOfNonFinite(Context(i)) is >= 0 and var bad)
                throw DataErrors.NonFiniteFeature(layout.Context[i].Name, row, bad, null, Context(i)[bad]);
        }
    }
}
