namespace MlNetMlp.Data;

/// <summary>The last rows of each of several time series.</summary>
/// <param name="length">Rows that are kept of a series.</param>
/// <param name="channels">Numbers of a row.</param>
internal sealed class SeriesMemory(int length, int channels)
{
    private readonly Dictionary<long, History> _series = [];

    /// <summary>The series of which rows are kept, in ascending order.</summary>
    public IEnumerable<long> Series => _series.Keys.Order();

    /// <summary>Keeps a row, and forgets the oldest one of its series where there are too many.</summary>
    /// <param name="series">The series.</param>
    /// <param name="row">Its next row.</param>
    public void Add(long series, ReadOnlySpan<float> row)
    {
        if (!_series.TryGetValue(series, out var history))
            _series.Add(series, history = new(new float[length * channels]));
        row.CopyTo(history.Rows.AsSpan(history.Next * channels, channels));
        history.Next = (history.Next + 1) % length;
        history.Count = Math.Min(history.Count + 1, length);
    }

    /// <summary>Rows that are kept of a series.</summary>
    /// <param name="series">The series.</param>
    /// <returns>At most as many as fit.</returns>
    public int Count(long series) => _series.TryGetValue(series, out var history) ? history.Count : 0;

    /// <summary>Copies the rows of a series, the oldest first.</summary>
    /// <param name="series">A series of which rows are kept.</param>
    /// <param name="rows">Room for all rows that are kept of it.</param>
    public void Write(long series, Span<float> rows)
    {
        var history = _series[series];
        var first = history.Count < length ? 0 : history.Next;
        var older = history.Rows.AsSpan(first * channels, (history.Count - first) * channels);
        older.CopyTo(rows);
        history.Rows.AsSpan(0, first * channels).CopyTo(rows[older.Length..]);
    }

    private sealed class History(float[] rows)
    {
        public float[] Rows => rows;

        public int Next { get; set; }

        public int Count { get; set; }
    }
}
