using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;

namespace MlNetMlp.Interop;

/// <summary>Reads rows ahead in blocks that grow, so that a look at the first rows stays cheap, and scores each block as a whole.</summary>
internal sealed class BatchedScoreCursor : DataViewRowCursor
{
    private const int FirstBlockRows = 64;
    private const int MostBlockRows = 1024;
    private const int BlockGrowth = 4;

    // So much of a block stays in a core's cache between reading and scoring.
    private const int MostBlockFeatures = 1 << 17;

    private readonly IHost _host;
    private readonly DataViewRowCursor _source;
    private readonly BlockScoring _scoring;
    private readonly FeatureReader _reader;
    private readonly Func<float>? _label;
    private readonly ValueGetter<DataViewRowId> _sourceId;
    private readonly PassedColumn?[] _passed;
    private readonly DataViewRow _output;
    private readonly int _mostRows;
    private readonly ScoredRow _row;

    private float[] _features = [];
    private float[] _labels = [];
    private float[] _scores = [];
    private DataViewRowId[] _ids = [];
    private long[] _batches = [];
    private int _rows;
    private int _index;
    private int _width;

    // The source stands on a row that was too wide for the block before.
    private bool _isHeld;
    private long _position = -1;
    private bool _ended;

    public BatchedScoreCursor(IHost host, DataViewRowCursor source, BlockScoring scoring)
    {
        _host = host;
        _source = source;
        _scoring = scoring;
        try
        {
            _reader = scoring.Features.CreateReader(source, scoring.Model.AcceptsMissingValues);
            _label = scoring.Model.LabelColumnName is { } label ? ScalarReader.Create(source, source.Schema[label]) : null;
            _sourceId = source.GetIdGetter();
            _mostRows = Math.Clamp(MostBlockFeatures / scoring.Model.Inputs, FirstBlockRows / BlockGrowth, MostBlockRows);
            _passed = new PassedColumn?[source.Schema.Count];
            foreach (var column in scoring.Passed)
                _passed[column.Index] = PassedColumn.Create(source, source.Schema[column.Index]);
            _row = new ScoredRow(this, source.Schema, scoring.Inputs);
            _output = scoring.Scorer.GetRow(_row, scoring.Computed);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    public override long Position => _position;

    public override long Batch => _position < 0 || _ended ? 0 : _batches[_index];

    public override DataViewSchema Schema => _scoring.Schema;

    /// <summary>Index of the current row in its block.</summary>
    public int Index => _index;

    public ReadOnlySpan<float> Scores => _scores.AsSpan(_index * _scoring.Model.Outputs, _scoring.Model.Outputs);

    public override bool IsColumnActive(DataViewSchema.Column column) =>
        _scoring.SourceOf[column.Index] is { } source ? _passed[source.Index] is not null : _scoring.Computed.Any(c => c.Index == column.Index);

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        if (!IsColumnActive(column))
            throw new InvalidOperationException($"Column '{column.Name}' was not asked for when the cursor was made.");
        return _scoring.SourceOf[column.Index] is { } source ? _passed[source.Index]!.GetGetter<TValue>(this) : _output.GetGetter<TValue>(column);
    }

    public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = _ids[_index];

    public override bool MoveNext()
    {
        if (_ended)
            return false;
        if (++_index >= _rows && !ReadBlock())
        {
            _ended = true;
            _position = -1;
            return false;
        }

        _position++;
        return true;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _ended = true;
            _position = -1;
            _output.Dispose();
            _source.Dispose();
        }

        base.Dispose(disposing);
    }

    private bool ReadBlock()
    {
        _host.CheckAlive();
        Grow();
        var outputs = _scoring.Model.Outputs;
        var first = _position + 1;
        _rows = 0;
        _index = 0;
        _width = _scoring.Model.Inputs;
        while (_rows < _ids.Length && (_isHeld || _source.MoveNext()))
        {
            _isHeld = !MakeRoom(_reader.Load());
            if (_isHeld)
                break;
            _reader.Write(_features.AsSpan(_rows * _width, _width));
            if (_label is not null)
                _labels[_rows] = _label();
            _sourceId(ref _ids[_rows]);
            _batches[_rows] = _source.Batch;
            foreach (var column in _passed)
                column?.Read(_rows);
            _rows++;
        }

        var features = _features.AsSpan(0, _rows * _width);
        if (!_scoring.Model.AcceptsMissingValues && Finite.IndexOfNonFinite(features) is >= 0 and var bad)
            throw _scoring.Features.NonFinite(first + (bad / _width), bad % _width, _scoring.Model.FeatureNames, features[bad]);
        var rows = new ModelRows(features, _labels.AsSpan(0, _label is null ? 0 : _rows), _ids.AsSpan(0, _rows));
        var badRow = _scoring.Model.Compute(rows, _scores.AsSpan(0, _rows * outputs));
        return badRow < 0 ? _rows > 0 : throw DataErrors.NonFiniteScore(first + badRow);
    }

    /// <summary>Makes room for a row that may be wider than those of the block so far; false where the block has to be scored first.</summary>
    private bool MakeRoom(int width)
    {
        var wide = Math.Max(width, _width);
        var needed = (_rows + 1L) * wide;
        if (_rows > 0 && wide > _scoring.Model.Inputs && needed > MostBlockFeatures)
            return false;
        if (_features.Length < needed)
            Array.Resize(ref _features, (int)Math.Max(needed, Math.Min(2L * _features.Length, MostBlockFeatures)));
        for (var row = _rows - 1; row >= 0 && wide > _width; row--)
        {
            _features.AsSpan(row * _width, _width).CopyTo(_features.AsSpan(row * wide));
            _features.AsSpan((row * wide) + _width, wide - _width).Clear();
        }

        _width = wide;
        return true;
    }

    private void Grow()
    {
        if (_ids.Length == _mostRows)
            return;
        var rows = Math.Min(_mostRows, _ids.Length == 0 ? FirstBlockRows : _ids.Length * BlockGrowth);
        _features = new float[rows * _scoring.Model.Inputs];
        _scores = new float[rows * _scoring.Model.Outputs];
        _labels = _label is null ? [] : new float[rows];
        _ids = new DataViewRowId[rows];
        _batches = new long[rows];
        foreach (var column in _passed)
            column?.Resize(rows);
    }
}
