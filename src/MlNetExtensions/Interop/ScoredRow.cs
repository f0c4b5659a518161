using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Interop;

/// <summary>The current row of a block as ML.NET's scorer sees it: it has no values but brings its scores along.</summary>
internal sealed class ScoredRow : DataViewRow
{
    private readonly BatchedScoreCursor _cursor;
    private readonly IReadOnlyList<DataViewSchema.Column> _features;

    public ScoredRow(BatchedScoreCursor cursor, DataViewSchema schema, IReadOnlyList<DataViewSchema.Column> features)
    {
        _cursor = cursor;
        _features = features;
        Schema = schema;
        Scores = new BlockScores(cursor);
    }

    public RowScores Scores { get; }

    public override long Position => _cursor.Position;

    public override long Batch => _cursor.Batch;

    public override DataViewSchema Schema { get; }

    public override bool IsColumnActive(DataViewSchema.Column column) => _features.Any(feature => feature.Index == column.Index);

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column) =>
        throw new InvalidOperationException("The row is scored already; its features are not kept.");

    public override ValueGetter<DataViewRowId> GetIdGetter() => _cursor.GetIdGetter();

    private sealed class BlockScores(BatchedScoreCursor cursor) : RowScores
    {
        public override ReadOnlySpan<float> Current => cursor.Scores;
    }
}
