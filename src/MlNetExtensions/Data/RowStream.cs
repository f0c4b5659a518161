using Microsoft.ML;
using MlNetMlp.Runtime;

namespace MlNetMlp.Data;

/// <summary>The rows of a data view that is too large for memory, read anew for every pass.</summary>
/// <param name="View">The data view.</param>
/// <param name="Settings">How it is read.</param>
/// <param name="Transform">What labels and weights become.</param>
/// <param name="Width">Number of features.</param>
/// <param name="LabelWidth">Number of values of a label.</param>
/// <param name="HoldOut">Share of the rows held out for validation.</param>
/// <param name="CheckCancelled">Throws when training is to stop.</param>
internal sealed record RowStream(
    IDataView View, LoadSettings Settings, RowTransform Transform, int Width, int LabelWidth, double HoldOut, Action CheckCancelled)
{
    /// <summary>Number of rows that the shuffle buffer holds.</summary>
    public long BufferRows { get; init; } = 1;

    /// <summary>Starts a pass over the rows.</summary>
    /// <param name="validation">Whether the pass yields the rows held out and not those to train on.</param>
    /// <param name="shuffleSeed">Has the data view shuffle as well as it can, by this seed; null for its own order.</param>
    /// <returns>The pass.</returns>
    public Pass Open(bool validation, int? shuffleSeed = null) =>
        new(this, validation, new(View, Settings.Columns, Settings.AcceptNonFinite, shuffleSeed is { } seed && View.CanShuffle ? new Random(seed) : null));

    /// <summary>Starts a pass over the rows to train on that several threads read, where the data view can be shared between them.</summary>
    /// <returns>The pass, which yields the rows in their own order.</returns>
    public SharedPass OpenShared() => new(
        [.. RowReader.CreateSet(View, Settings.Columns, Settings.AcceptNonFinite, Environment.ProcessorCount).Select(reader => new Pass(this, validation: false, reader))],
        Width, LabelWidth);

    /// <summary>Reads the rows held out.</summary>
    /// <param name="limit">At most so many rows.</param>
    /// <param name="log">Hears when there were more.</param>
    /// <returns>The rows, or null where there are none.</returns>
    public RowBlock? ReadValidation(long limit, Action<string> log)
    {
        using var pass = Open(validation: true);
        using var store = new RowStore(Width, LabelWidth, null, limit);
        while (store.Count < limit && pass.Next(store.NextRow()))
            store.Commit(pass.Label, pass.Weight);
        if (store.Count == limit)
            log($"Only the first {limit} validation rows are used, to stay within the memory budget.");
        return store.Count == 0 ? null : Transform.Make(store.Weights, store.Labels, store.TakeFeatures());
    }

    /// <summary>Counts the rows to train on.</summary>
    /// <returns>Their number, at least 1.</returns>
    /// <exception cref="InvalidOperationException">All rows are held out.</exception>
    public long CountTraining()
    {
        using var pass = Open(validation: false);
        var row = new float[Width];
        long rows = 0;
        while (pass.Next(row))
            rows++;
        return rows > 0 ? rows : throw DataErrors.NoTrainingRows((Settings.Columns.Validation ?? Settings.Columns.Label)!);
    }

    /// <summary>One reading of the rows.</summary>
    internal sealed class Pass : IDisposable
    {
        private const int CheckInterval = 256;

        private readonly RowStream _stream;
        private readonly bool _validation;
        private readonly RowReader _reader;
        private long _rows;

        public Pass(RowStream stream, bool validation, RowReader reader)
        {
            _stream = stream;
            _validation = validation;
            _reader = reader;
        }

        public long Batch => _reader.Batch;

        public ReadOnlySpan<float> Label => _reader.Label;

        public float Weight => _reader.Weight;

        public bool Next(Span<float> features)
        {
            while (_reader.Next(features))
            {
                if (++_rows % CheckInterval == 0)
                    _stream.CheckCancelled();
                var held = _stream.Settings.Columns.Validation is not null
                    ? _reader.IsValidation
                    : ValidationSplit.IsHeldOut(_reader.RowId, _stream.HoldOut, _stream.Settings.Seed);
                if (held == _validation)
                    return true;
            }

            return false;
        }

        public void Dispose() => _reader.Dispose();
    }
}
