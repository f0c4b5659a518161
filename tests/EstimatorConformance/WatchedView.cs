using System.Collections.Concurrent;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance;

/// <summary>
/// Rows that can only be read forward and do not say how many they are. The vectors that are handed out are the view's own, as those of a
/// source that keeps its rows in memory may be: whoever reads them must leave them alone.
/// </summary>
/// <param name="source">The rows.</param>
internal sealed class WatchedView(IDataView source) : IDataView
{
    private readonly ConcurrentDictionary<(int Column, long Row), (float[] Given, float[] Before)> _vectors = new();
    private long _rowsRead;

    public DataViewSchema Schema => source.Schema;

    public bool CanShuffle => false;

    /// <summary>How many rows were read, by all cursors together.</summary>
    public long RowsRead => _rowsRead;

    /// <summary>How many of the vectors that were handed out have been written to.</summary>
    public int VectorsChanged => _vectors.Values.Count(vector => !vector.Given.AsSpan().SequenceEqual(vector.Before));

    public long? GetRowCount() => null;

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
        new Cursor(this, source.GetRowCursor(columnsNeeded));

    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        [GetRowCursor(columnsNeeded)];

    private sealed class Cursor(WatchedView view, DataViewRowCursor cursor) : DataViewRowCursor
    {
        public override long Position => cursor.Position;

        public override long Batch => cursor.Batch;

        public override DataViewSchema Schema => view.Schema;

        public override bool IsColumnActive(DataViewSchema.Column column) => cursor.IsColumnActive(column);

        public override ValueGetter<DataViewRowId> GetIdGetter() => cursor.GetIdGetter();

        public override bool MoveNext()
        {
            if (!cursor.MoveNext())
                return false;
            Interlocked.Increment(ref view._rowsRead);
            return true;
        }

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            if (typeof(TValue) != typeof(VBuffer<float>))
                return cursor.GetGetter<TValue>(column);
            var getter = cursor.GetGetter<VBuffer<float>>(column);
            return (ValueGetter<TValue>)(Delegate)(ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) =>
            {
                VBuffer<float> read = default;
                getter(ref read);
                var vector = view._vectors.GetOrAdd((column.Index, Position), _ => ([.. read.DenseValues()], [.. read.DenseValues()]));
                value = new(vector.Given.Length, vector.Given);
            });
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                cursor.Dispose();
            base.Dispose(disposing);
        }
    }
}
