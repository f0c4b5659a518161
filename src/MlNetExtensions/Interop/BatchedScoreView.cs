using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Methods;

namespace MlNetMlp.Interop;

/// <summary>
/// Data with predictions. A cursor reads some rows ahead, has the model score them together, and then hands them on one by one; the output
/// columns are made by ML.NET's own scorer from those scores.
/// </summary>
internal sealed class BatchedScoreView : IDataView
{
    private readonly IHost _host;
    private readonly IDataView _source;
    private readonly IDataView _rowWise;
    private readonly IRowToRowMapper _scorer;
    private readonly IBlockModel _model;
    private readonly FeatureColumns _features;
    private readonly DataViewSchema.Column[] _inputs;
    private readonly DataViewSchema.Column?[] _sourceOf;

    public BatchedScoreView(IHost host, IDataView source, IDataView rowWise, IBlockModel model, FeatureColumns features)
    {
        _host = host;
        _source = source;
        _rowWise = rowWise;
        _scorer = (IRowToRowMapper)rowWise;
        _model = model;
        _features = features;
        _inputs = features.Find(source.Schema, model.Inputs);
        if (model.LabelColumnName is { } label && _inputs.All(input => input.Name != label))
            _inputs = [.. _inputs, RowReader.Find(source.Schema, "label", label)];
        _sourceOf = MatchInputs(source.Schema, rowWise.Schema);
    }

    public DataViewSchema Schema => _rowWise.Schema;

    // A window holds the rows before its own, which must come in their order and all to one cursor.
    public bool CanShuffle => _source.CanShuffle && !IsInOrder;

    public long? GetRowCount() => _source.GetRowCount();

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null)
    {
        var active = new ActiveColumns(this, columnsNeeded);
        rand = IsInOrder ? null : rand;
        return active.CanReadAhead
            ? new BatchedScoreCursor(_host, _source.GetRowCursor(active.Source, rand), active.Scoring)
            : _rowWise.GetRowCursor(active.Asked, rand);
    }

    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null)
    {
        if (IsInOrder)
            return [GetRowCursor(columnsNeeded)];
        var active = new ActiveColumns(this, columnsNeeded);
        return active.CanReadAhead
            ? CursorSet.Wrap<DataViewRowCursor>(_source.GetRowCursorSet(active.Source, n, rand), cursor => new BatchedScoreCursor(_host, cursor, active.Scoring))
            : _rowWise.GetRowCursorSet(active.Asked, n, rand);
    }

    private bool IsInOrder => _features.Windows is not null;

    /// <summary>For each column after scoring, the column before; null for one that is computed.</summary>
    private static DataViewSchema.Column?[] MatchInputs(DataViewSchema before, DataViewSchema after)
    {
        // Columns of the input keep their order, but a computed one stands right behind those of its name, which it hides.
        var computed = after.GroupBy(column => column.Name)
            .Where(same => same.Count() > before.Count(column => column.Name == same.Key))
            .Select(same => same.Last().Index);
        var columns = new DataViewSchema.Column?[after.Count];
        var next = 0;
        foreach (var index in Enumerable.Range(0, after.Count).Except(computed))
            columns[index] = before[next++];
        return columns;
    }

    /// <summary>What a cursor must read and compute for the columns that are asked for.</summary>
    private readonly struct ActiveColumns
    {
        public ActiveColumns(BatchedScoreView view, IEnumerable<DataViewSchema.Column> columnsNeeded)
        {
            Asked = [.. columnsNeeded.DistinctBy(column => column.Index)];
            var computed = Asked.Where(column => view._sourceOf[column.Index] is null).ToArray();
            var passed = Asked.Select(column => view._sourceOf[column.Index]).OfType<DataViewSchema.Column>().ToArray();
            Source = [.. passed.Concat(view._inputs).DistinctBy(column => column.Index)];

            // A value that is disposed by whoever reads it cannot wait in a block.
            CanReadAhead = computed.Length > 0 && passed.All(column => !typeof(IDisposable).IsAssignableFrom(column.Type.RawType));
            if (computed.Length > 0 && !CanReadAhead && view.IsInOrder)
                throw new NotSupportedException($"Forecasts cannot be read together with '{passed.First(column => typeof(IDisposable).IsAssignableFrom(column.Type.RawType)).Name}', whose values live for one row only.");
            Scoring = new(view.Schema, view._scorer, view._model, view._features, view._inputs, passed, computed, view._sourceOf);
        }

        public DataViewSchema.Column[] Asked { get; }

        public DataViewSchema.Column[] Source { get; }

        public bool CanReadAhead { get; }

        public BlockScoring Scoring { get; }
    }
}

/// <summary>What the cursors of one request share.</summary>
/// <param name="Schema">The columns after scoring.</param>
/// <param name="Scorer">ML.NET's scorer of a row.</param>
/// <param name="Model">What scores the rows.</param>
/// <param name="Features">How features are read.</param>
/// <param name="Inputs">The columns of the source that they are read from.</param>
/// <param name="Passed">Columns of the source that are asked for.</param>
/// <param name="Computed">Columns of <paramref name="Schema"/> that are asked for and computed.</param>
/// <param name="SourceOf">For each column of <paramref name="Schema"/> that of the source; null for one that is computed.</param>
internal sealed record BlockScoring(
    DataViewSchema Schema,
    IRowToRowMapper Scorer,
    IBlockModel Model,
    FeatureColumns Features,
    DataViewSchema.Column[] Inputs,
    DataViewSchema.Column[] Passed,
    DataViewSchema.Column[] Computed,
    IReadOnlyList<DataViewSchema.Column?> SourceOf);
