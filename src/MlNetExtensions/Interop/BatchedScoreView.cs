using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Methods;

namespace MlNetMlp.Interop;

/// <summary>
/// Data with predictions or features. A cursor reads some rows ahead, has the network score them together, and then hands them on one by one;
/// the output columns are made from those scores by the mapper that would score row by row.
/// </summary>
internal sealed class BatchedScoreView : IDataView
{
    private readonly IHost _host;
    private readonly IDataView _source;
    private readonly IDataView _rowWise;
    private readonly IRowToRowMapper _scorer;
    private readonly TrainedNetwork _network;
    private readonly DataViewSchema.Column _feature;
    private readonly int _firstComputed;

    /// <summary>Creates a view.</summary>
    /// <param name="host">The host.</param>
    /// <param name="source">The data before.</param>
    /// <param name="rowWise">The same data after a mapper that takes the scores of a <see cref="ScoredRow"/>.</param>
    /// <param name="network">The network.</param>
    /// <param name="featureColumnName">The column that it reads.</param>
    /// <param name="firstComputed">Where the computed columns stand together among the others; null for behind them.</param>
    public BatchedScoreView(IHost host, IDataView source, IDataView rowWise, TrainedNetwork network, string featureColumnName, int? firstComputed = null)
    {
        _host = host;
        _source = source;
        _rowWise = rowWise;
        _scorer = (IRowToRowMapper)rowWise;
        _network = network;
        _feature = source.Schema[featureColumnName];
        _firstComputed = firstComputed ?? source.Schema.Count;
    }

    public DataViewSchema Schema => _rowWise.Schema;

    public bool CanShuffle => _source.CanShuffle;

    public long? GetRowCount() => _source.GetRowCount();

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null)
    {
        var active = new ActiveColumns(this, columnsNeeded);
        return active.CanReadAhead
            ? new BatchedScoreCursor(_host, _source.GetRowCursor(active.Source, rand), active.Scoring)
            : _rowWise.GetRowCursor(active.Asked, rand);
    }

    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null)
    {
        var active = new ActiveColumns(this, columnsNeeded);
        return active.CanReadAhead
            ? [.. _source.GetRowCursorSet(active.Source, n, rand).Select(cursor => new BatchedScoreCursor(_host, cursor, active.Scoring))]
            : _rowWise.GetRowCursorSet(active.Asked, n, rand);
    }

    /// <summary>What a cursor must read and compute for the columns that are asked for.</summary>
    private readonly struct ActiveColumns
    {
        public ActiveColumns(BatchedScoreView view, IEnumerable<DataViewSchema.Column> columnsNeeded)
        {
            // Names may repeat, so columns are told apart by their indexes.
            Asked = [.. columnsNeeded.DistinctBy(column => column.Index)];
            var places = new ColumnPlaces(view._firstComputed, view.Schema.Count - view._source.Schema.Count);
            var passed = Asked.Select(column => places.SourceIndex(column)).OfType<int>().Select(index => view._source.Schema[index]).ToArray();
            var computed = Asked.Where(column => places.SourceIndex(column) is null).ToArray();
            Source = [.. passed.Append(view._feature).DistinctBy(column => column.Index)];

            // A value that is disposed by whoever reads it cannot wait in a block.
            CanReadAhead = computed.Length > 0 && passed.All(column => !typeof(IDisposable).IsAssignableFrom(column.Type.RawType));
            Scoring = new(view.Schema, view._scorer, view._network, view._feature, places, passed, computed);
        }

        public DataViewSchema.Column[] Asked { get; }

        public DataViewSchema.Column[] Source { get; }

        public bool CanReadAhead { get; }

        public BlockScoring Scoring { get; }
    }
}

/// <summary>Where computed columns stand among those of the source.</summary>
/// <param name="First">Index of the first computed column.</param>
/// <param name="Count">Number of computed columns.</param>
internal readonly record struct ColumnPlaces(int First, int Count)
{
    /// <summary>Finds a column in the source.</summary>
    /// <param name="column">A column after scoring.</param>
    /// <returns>Its index in the source, or null where it is computed.</returns>
    public int? SourceIndex(DataViewSchema.Column column) =>
        column.Index < First ? column.Index : column.Index >= First + Count ? column.Index - Count : null;
}

/// <summary>What the cursors of one request share.</summary>
/// <param name="Schema">The columns after scoring.</param>
/// <param name="Scorer">The scorer of a row.</param>
/// <param name="Network">The network.</param>
/// <param name="Feature">The feature column of the source.</param>
/// <param name="Places">Where the columns of <paramref name="Schema"/> come from.</param>
/// <param name="Passed">Columns of the source that are asked for.</param>
/// <param name="Computed">Columns of <paramref name="Schema"/> that are computed.</param>
internal sealed record BlockScoring(
    DataViewSchema Schema,
    IRowToRowMapper Scorer,
    TrainedNetwork Network,
    DataViewSchema.Column Feature,
    ColumnPlaces Places,
    DataViewSchema.Column[] Passed,
    DataViewSchema.Column[] Computed);
