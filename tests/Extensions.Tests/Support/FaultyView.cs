using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Tests.Support;

/// <summary>Where a data view of a user goes wrong.</summary>
public enum FaultAt
{
    /// <summary>When a cursor is made.</summary>
    GetRowCursor,

    /// <summary>When a getter is made.</summary>
    GetGetter,

    /// <summary>When a cursor goes to the row.</summary>
    MoveNext,

    /// <summary>When a value of the row is read.</summary>
    Getter,

    /// <summary>The rows end there.</summary>
    Ends,

    /// <summary>The rows go on and on behind it, each as the last.</summary>
    GoesOn,

    /// <summary>Vectors of the row are shorter than their type says.</summary>
    TooShort,

    /// <summary>Vectors of the row are longer than their type says.</summary>
    TooLong,
}

/// <summary>A data view of a user that goes wrong in one of its passes, and counts the cursors that nobody has closed.</summary>
/// <param name="source">The sound rows.</param>
/// <param name="at">Where it goes wrong.</param>
/// <param name="pass">In which pass over the rows, from 1.</param>
/// <param name="row">At which row.</param>
public sealed class FaultyView(IDataView source, FaultAt at, int pass, long row) : IDataView
{
    private int _passes;
    private int _open;

    public static string Message => "the user's own fault";

    /// <summary>Cursors that are not closed.</summary>
    public int Open => _open;

    /// <summary>How many passes there were.</summary>
    public int Passes => _passes;

    /// <summary>Whether it went wrong.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>No longer goes wrong.</summary>
    public bool IsMended { get; set; }

    public bool CanShuffle => false;

    public DataViewSchema Schema => source.Schema;

    public long? GetRowCount() => null;

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null)
    {
        var isFaulty = ++_passes == pass;
        Fail(isFaulty, FaultAt.GetRowCursor);
        return new Cursor(this, source.GetRowCursor(columnsNeeded), isFaulty);
    }

    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null)
    {
        // The last of several cursors goes wrong, when the others are open.
        var isFaulty = ++_passes == pass;
        Fail(isFaulty, FaultAt.GetRowCursor);
        var cursors = source.GetRowCursorSet(columnsNeeded, n);
        return [.. cursors.Select((cursor, i) => new Cursor(this, cursor, isFaulty && i == cursors.Length - 1))];
    }

    private bool Fails(bool isFaulty, FaultAt here)
    {
        var fails = isFaulty && !IsMended && at == here;
        HasFailed |= fails;
        return fails;
    }

    private void Fail(bool isFaulty, FaultAt here)
    {
        if (Fails(isFaulty, here))
            throw new InvalidDataException(Message);
    }

    private sealed class Cursor : DataViewRowCursor
    {
        private readonly FaultyView _view;
        private readonly DataViewRowCursor _source;
        private readonly bool _isFaulty;
        private long _rows = -1;
        private bool _isClosed;

        public Cursor(FaultyView view, DataViewRowCursor source, bool isFaulty)
        {
            (_view, _source, _isFaulty) = (view, source, isFaulty);
            Interlocked.Increment(ref view._open);
        }

        public override long Position => _source.Position;

        public override long Batch => _source.Batch;

        public override DataViewSchema Schema => _view.Schema;

        private bool IsThere => _isFaulty && _rows >= _view.LastRow;

        public override bool IsColumnActive(DataViewSchema.Column column) => _source.IsColumnActive(column);

        public override ValueGetter<DataViewRowId> GetIdGetter() => _source.GetIdGetter();

        public override bool MoveNext()
        {
            _rows++;
            _view.Fail(IsThere, FaultAt.MoveNext);
            if (_view.Fails(IsThere, FaultAt.Ends))
                return false;
            return _view.Fails(IsThere, FaultAt.GoesOn) || _source.MoveNext();
        }

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            _view.Fail(_isFaulty, FaultAt.GetGetter);
            var getter = _source.GetGetter<TValue>(column);
            return (ref TValue value) =>
            {
                _view.Fail(IsThere, FaultAt.Getter);
                getter(ref value);
                if (value is VBuffer<float> vector && (_view.Fails(IsThere, FaultAt.TooShort) || _view.Fails(IsThere, FaultAt.TooLong)))
                {
                    var values = vector.DenseValues();
                    value = (TValue)(object)Of([.. _view.IsShort ? values.Skip(1) : values.Append(1)]);
                }
            };

            static VBuffer<float> Of(float[] values) => new(values.Length, values);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing && !_isClosed)
            {
                _isClosed = true;
                Interlocked.Decrement(ref _view._open);
                _source.Dispose();
            }

            base.Dispose(disposing);
        }
    }

    private long LastRow => row;

    private bool IsShort => at == FaultAt.TooShort;
}
