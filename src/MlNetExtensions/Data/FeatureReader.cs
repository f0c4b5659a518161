using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Networks;

namespace MlNetMlp.Data;

/// <summary>Reads the numbers of a row from the columns that they come from.</summary>
internal abstract class FeatureReader
{
    /// <summary>Reads the current row.</summary>
    /// <returns>How many numbers it has at least.</returns>
    public abstract int Load();

    /// <summary>Writes the row that was read.</summary>
    /// <param name="destination">Room for the row; what is too much is filled with zeros.</param>
    public abstract void Write(Span<float> destination);
}

/// <summary>A row that is one vector of known size.</summary>
internal sealed class PlainFeatureReader(VectorReader vector) : FeatureReader
{
    public override int Load() => vector.Load();

    public override void Write(Span<float> destination) => vector.Write(destination);
}

/// <summary>A row that is a set of items.</summary>
internal sealed class SetReader : FeatureReader
{
    private readonly DataViewRow _row;
    private readonly SetPacker _packer;
    private readonly VectorReader _items;
    private readonly VectorReader[] _context;
    private readonly Func<float>? _count;
    private float[] _values = [];

    public SetReader(DataViewRow row, string name, SetLayout layout, bool acceptNonFinite)
    {
        _row = row;
        _packer = new(name, layout, acceptNonFinite);
        _items = VectorReader.Create(row, row.Schema[name]);
        _context = [.. layout.Context.Select(column => VectorReader.CreateLabel(row, row.Schema[column.Name]))];
        _count = layout.CountColumnName is { } count ? ScalarReader.Create(row, row.Schema[count]) : null;
    }

    public override int Load()
    {
        for (var i = 0; i < _context.Length; i++)
            _context[i].Read(_packer.Context(i));
        var length = _items.Load();
        if (_values.Length < length)
            _values = new float[Math.Max(length, 2 * _values.Length)];
        _items.Write(_values.AsSpan(0, length));
        return _packer.Pack(_values.AsSpan(0, length), _count?.Invoke(), _row.Position);
    }

    public override void Write(Span<float> destination) => _packer.Write(destination);
}
