using System.Collections.Concurrent;

namespace MlNetMlp.Data;

/// <summary>
/// One reading of rows that several threads share: each reads stretches of its own some way ahead, and the stretches are put in order again. What is computed from the rows
/// does not depend on which thread was faster.
/// </summary>
internal sealed class SharedPass : IDisposable
{
    private const int PieceElements = 1 << 16;
    private const int MostPieceRows = 256;
    private const int PiecesAhead = 8;

    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentBag<Piece> _free = [];
    private readonly Source[] _sources;
    private readonly int _width;
    private readonly int _labelWidth;
    private Source? _current;
    private int _row = -1;

    /// <summary>Starts to read.</summary>
    /// <param name="passes">A pass for each thread; they are disposed with this one.</param>
    /// <param name="width">Number of features.</param>
    /// <param name="labelWidth">Number of values of a label.</param>
    public SharedPass(IReadOnlyList<RowStream.Pass> passes, int width, int labelWidth)
    {
        (_width, _labelWidth) = (width, labelWidth);
        _sources = [.. passes.Select(pass => new Source(pass))];
        foreach (var source in _sources)
            source.Reading = Task.Factory.StartNew(() => Read(source), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    public ReadOnlySpan<float> Label => _current!.Head!.Labels.AsSpan(_row * _labelWidth, _labelWidth);

    public float Weight => _current!.Head!.Weights[_row];

    /// <summary>Goes to the next row.</summary>
    /// <param name="features">Gets its features.</param>
    /// <returns>Whether there was one.</returns>
    public bool Next(Span<float> features)
    {
        if (_current is null || ++_row == _current.Head!.Rows)
        {
            if (!Advance())
                return false;
            _row = 0;
        }

        _current!.Head!.Features.AsSpan(_row * _width, _width).CopyTo(features);
        return true;
    }

    /// <summary>Stops the threads and waits for them.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        foreach (var source in _sources)
        {
            // Whoever stops early is not concerned by what went wrong in rows that nobody takes.
            source.Reading.ContinueWith(_ => { }, TaskScheduler.Default).Wait();
            source.Pass.Dispose();
            source.Pieces.Dispose();
        }

        _stop.Dispose();
    }

    // The stretch with the least number comes next, and which that is can only be said when each thread has one to show.
    private bool Advance()
    {
        if (_current is not null)
        {
            _free.Add(_current!.Head!);
            _current.Head = null;
        }

        foreach (var source in _sources)
            source.Fill();
        _current = _sources.Where(source => source.Head is not null).MinBy(source => source.Head!.Batch);
        return _current is not null;
    }

    private void Read(Source source)
    {
        try
        {
            var piece = Take();
            while (source.Pass.Next(piece.Features.AsSpan(piece.Rows * _width, _width)))
            {
                if (piece.Rows > 0 && source.Pass.Batch != piece.Batch)
                {
                    var next = Take();
                    piece.Features.AsSpan(piece.Rows * _width, _width).CopyTo(next.Features);
                    source.Pieces.Add(piece, _stop.Token);
                    piece = next;
                }

                piece.Batch = source.Pass.Batch;
                source.Pass.Label.CopyTo(piece.Labels.AsSpan(piece.Rows * _labelWidth));
                piece.Weights[piece.Rows++] = source.Pass.Weight;
                if (piece.Rows == piece.Weights.Length)
                {
                    source.Pieces.Add(piece, _stop.Token);
                    piece = Take();
                }
            }

            if (piece.Rows > 0)
                source.Pieces.Add(piece, _stop.Token);
        }
        finally
        {
            source.Pieces.CompleteAdding();
        }
    }

    private Piece Take()
    {
        if (!_free.TryTake(out var piece))
        {
            var rows = Math.Clamp(PieceElements / _width, 1, MostPieceRows);
            piece = new(new float[rows * _width], new float[rows * _labelWidth], new float[rows]);
        }

        piece.Rows = 0;
        return piece;
    }

    private sealed record Piece(float[] Features, float[] Labels, float[] Weights)
    {
        public long Batch { get; set; }

        public int Rows { get; set; }
    }

    private sealed class Source(RowStream.Pass pass)
    {
        public RowStream.Pass Pass => pass;

        public BlockingCollection<Piece> Pieces { get; } = new(PiecesAhead);

        public Piece? Head { get; set; }

        public Task Reading { get; set; } = Task.CompletedTask;

        /// <summary>Waits for the next piece, and throws what reading threw where there is none.</summary>
        public void Fill()
        {
            if (Head is not null)
                return;
            if (Pieces.TryTake(out var piece, Timeout.Infinite))
                Head = piece;
            else
                Reading.GetAwaiter().GetResult();
        }
    }
}
