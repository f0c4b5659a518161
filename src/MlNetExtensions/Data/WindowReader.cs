using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;

namespace MlNetMlp.Data;

/// <summary>How rows in time order become windows of the last rows.</summary>
/// <param name="Length">Rows of a window.</param>
/// <param name="HasSeries">Whether the last number of a row is the key of its series.</param>
internal sealed record WindowInput(int Length, bool HasSeries)
{
    /// <summary>The key of the only series, where none is read.</summary>
    public const long OnlySeries = 1;
}

/// <summary>Reads rows in time order and gives for each the window that ends with it; NaN where too few rows of its series were there.</summary>
internal sealed class WindowReader : FeatureReader
{
    private readonly DataViewRow _source;
    private readonly SeriesRowReader _row;
    private readonly SeriesMemory _memory;
    private readonly int _length;

    public WindowReader(DataViewRow source, FeatureColumns columns, WindowInput window)
    {
        _source = source;
        _row = new(source, columns, window.HasSeries);
        _memory = new(window.Length, _row.Channels);
        _length = window.Length;
    }

    public override int Load()
    {
        _row.Read(_source.Position);
        _memory.Add(_row.Series, _row.Values);
        return _length * _row.Channels;
    }

    public override void Write(Span<float> destination)
    {
        if (_memory.Count(_row.Series) < _length)
            destination.Fill(float.NaN);
        else
            _memory.Write(_row.Series, destination);
    }
}

/// <summary>Reads the numbers of all channels and the series of a row.</summary>
internal sealed class SeriesRowReader
{
    private readonly FeatureColumns _columns;
    private readonly FeatureReader _reader;
    private readonly bool _hasSeries;
    private readonly float[] _numbers;

    public SeriesRowReader(DataViewRow source, FeatureColumns columns, bool hasSeries)
    {
        (_columns, _hasSeries) = (columns, hasSeries);
        _numbers = new float[columns.Layout!.Width];
        _reader = new LayoutReader(source, null, columns.Layout);
    }

    public int Channels => _numbers.Length - (_hasSeries ? 1 : 0);

    public ReadOnlySpan<float> Values => _numbers.AsSpan(0, Channels);

    public long Series => _hasSeries ? (long)_numbers[^1] : WindowInput.OnlySeries;

    /// <summary>Reads the current row.</summary>
    /// <param name="position">Its number, for errors.</param>
    public void Read(long position)
    {
        _reader.Load();
        _reader.Write(_numbers);
        if (_hasSeries && _numbers[^1] == RowColumn.Missing)
            throw DataErrors.NoSeries(_columns.Layout!.Columns[^1].Name, position);
        if (Finite.IndexOfNonFinite(Values) is >= 0 and var slot)
            throw _columns.NonFinite(position, slot, null, _numbers[slot]);
    }
}
