using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>
/// The rows that a method trains on, as tensors. A set that fits the memory budget is read once and kept; a larger one is read again in
/// each pass and shuffled through a buffer of the budget's size. Methods use both alike.
/// </summary>
public sealed class TrainingSet : IDisposable
{
    // A number that no epoch has.
    private const ulong SampleStream = ulong.MaxValue;

    private const int MostBlockNumbers = 1 << 20;

    private readonly RowStream? _stream;
    private readonly int _seed;
    private RowBlock? _validation;
    private RowPool? _pool;
    private SeriesWindows? _windows;

    internal TrainingSet(
        FeatureStatistics statistics, IReadOnlyList<string>? slotNames, long rows, RowBlock? validation, int seed, double meanWeight, RowPool? pool, RowStream? stream)
    {
        Statistics = statistics;
        SlotNames = slotNames;
        RowCount = rows;
        _validation = validation;
        MeanWeight = meanWeight;
        _seed = seed;
        _pool = pool;
        _stream = stream;
    }

    internal TrainingSet(FeatureStatistics statistics, SeriesWindows windows, SeriesLayout series, int seed)
        : this(statistics, null, windows.Training.Length, null, seed, 1, new RowPool(windows.Rows, windows.Training), null)
    {
        _windows = windows;
        Series = series;
    }

    /// <summary>How a row lies where the method asks for sets of items; null for vectors of known size.</summary>
    public SetLayout? Sets { get; internal init; }

    /// <summary>How a row lies where the method reads other columns beside the features; null where it does not.</summary>
    public RowLayout? Layout { get; internal init; }

    /// <summary>The texts that the keys of the columns of <see cref="Layout"/> stand for, null for a column that holds no keys or does not say them; empty without a layout.</summary>
    public IReadOnlyList<IReadOnlyList<string>?> KeyNames { get; internal init; } = [];

    /// <summary>What the images of the feature column have become; null where it holds vectors.</summary>
    public ImageShape? Images { get; init; }

    /// <summary>How a row and its label lie where rows are windows of time series; null where they are not.</summary>
    public SeriesLayout? Series { get; }

    /// <summary>Number of features of a row; of sets, the numbers of the longest row; with a <see cref="Layout"/>, all numbers of a row.</summary>
    public int FeatureCount => Statistics.Mean.Count;

    /// <summary>The dimensions of the feature column where its type has several, such as channels, height and width of images; else the number of features alone.</summary>
    public IReadOnlyList<int> FeatureDimensions { get => field ?? [FeatureCount]; internal init; }

    /// <summary>Number of rows to train on; those held out are not counted.</summary>
    public long RowCount { get; }

    /// <summary>Means and standard deviations of the features; of sets, those of rows filled up with zeros. Those of keys mean nothing.</summary>
    public FeatureStatistics Statistics { get; }

    /// <summary>Names of the features, where the feature column names its slots.</summary>
    public IReadOnlyList<string>? SlotNames { get; }

    /// <summary>Rows held out to judge training by, or null. The set owns them. Windows of series are copied when they are asked for here.</summary>
    public RowBlock? Validation => _validation ??= _windows is { Held.Length: > 0 } ? RowPool.Gather(_windows.Rows, _windows.Held) : null;

    /// <summary>Number of rows held out.</summary>
    public long HeldCount => _windows?.Held.Length ?? _validation?.Rows ?? 0;

    /// <summary>
    /// What <see cref="RowBlock.Weights"/> are multiplied by to be the example weights times class weights as they were given: what sums have to
    /// use that those of other rows will be added to.
    /// </summary>
    public double MeanWeight { get; }

    /// <summary>Whether the rows are read anew in each pass because they do not fit the memory budget.</summary>
    public bool IsStreamed => _stream is not null;

    /// <summary>Number of rows that may be in memory at once: all of them, or as many as the memory budget allows.</summary>
    public long BufferRows => _stream?.BufferRows ?? RowCount;

    /// <summary>Draws all training rows once, in random order.</summary>
    /// <param name="batchSize">Rows of a batch; the sizes of the batches differ by one row at most.</param>
    /// <param name="epoch">Number of the pass: each has an order of its own, the same for the same seed.</param>
    /// <returns>The batches; the caller disposes each before it asks for the next.</returns>
    public IEnumerable<RowBlock> Batches(int batchSize, int epoch)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        var random = new DeterministicRandom(RandomStreams.Hash((ulong)_seed, (ulong)epoch));
        return _stream is null ? Pool.Draw(batchSize, RowCount, random, null) : Stream(batchSize, epoch, random);
    }

    /// <summary>
    /// Visits all training rows once in the order of the data, for sums over rows. Rows that are streamed are read ahead, by several threads where the data view can be shared.
    /// </summary>
    /// <param name="blockRows">Rows of a block.</param>
    /// <returns>The blocks; the caller disposes each before it asks for the next.</returns>
    public IEnumerable<RowBlock> Blocks(int blockRows)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(blockRows, 1);
        if (_stream is null)
        {
            for (var start = 0; start < Pool.Active.Length; start += blockRows)
                yield return RowPool.Gather(Pool.Rows, Pool.Active.AsSpan(start, Math.Min(blockRows, Pool.Active.Length - start)));
            yield break;
        }

        using var pass = _stream.OpenShared();
        var (more, rows) = (true, 0L);
        while (more)
        {
            using var block = new RowStore(FeatureCount, _stream.LabelWidth, blockRows, blockRows);
            while (block.Count < blockRows && (more = pass.Next(block.NextRow())))
                block.Commit(pass.Label, pass.Weight);
            rows += block.Count;
            if (block.Count > 0)
                yield return _stream.Transform.Make(block.Weights, block.Labels, block.TakeFeatures());
        }

        CheckRows(rows);
    }

    /// <summary>Visits the rows held out in the order of the data, without a copy of all of them.</summary>
    /// <param name="blockRows">Most rows of a block; windows of series, which are wide, come in smaller ones.</param>
    /// <returns>The blocks, none where no rows are held out; the caller disposes each before it asks for the next.</returns>
    public IEnumerable<RowBlock> HeldBlocks(int blockRows)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(blockRows, 1);
        if (_windows is null)
        {
            for (long start = 0; start < _validation?.Rows; start += blockRows)
                yield return _validation.Slice(start, Math.Min(blockRows, _validation.Rows - start));
            yield break;
        }

        blockRows = Math.Min(blockRows, Math.Max(1, MostBlockNumbers / FeatureCount));
        for (var start = 0; start < _windows.Held.Length; start += blockRows)
            yield return RowPool.Gather(_windows.Rows, _windows.Held.AsSpan(start, Math.Min(blockRows, _windows.Held.Length - start)));
    }

    /// <summary>Draws some of the training rows, each as likely as every other and none twice. A streamed set is read once for it.</summary>
    /// <param name="rows">How many rows, at least 1; all of them where there are fewer.</param>
    /// <returns>The rows, the same for the same seed; the caller disposes the block.</returns>
    public RowBlock Sample(int rows)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        var random = new DeterministicRandom(RandomStreams.Hash((ulong)_seed, SampleStream));
        if (_stream is null)
        {
            var places = (long[])Pool.Active.Clone();
            var count = Math.Min(rows, places.Length);
            for (var i = 0; i < count; i++)
            {
                var other = i + random.Next(places.Length - i);
                (places[i], places[other]) = (places[other], places[i]);
            }

            return RowPool.Gather(Pool.Rows, places.AsSpan(0, count));
        }

        return StreamSample(rows, random);
    }

    /// <summary>All training rows at once, for methods that need them so.</summary>
    /// <returns>The rows, not to be written to: they are copied only where others stand among them. The caller disposes the block.</returns>
    /// <exception cref="InvalidOperationException">The rows do not fit the memory budget.</exception>
    public RowBlock All() => _stream is null
        ? Pool.All()
        : throw new InvalidOperationException(
            $"This method needs all {RowCount} rows in memory at once, but they do not fit the memory budget of {MemoryBudget.Format(_stream.Settings.MemoryBudget)}. "
            + "Raise the option 'MemoryBudget', or train on fewer rows.");

    /// <summary>Moves the rows that are kept in memory to a device, where the batches then come from.</summary>
    /// <param name="device">The device.</param>
    public void MoveTo(Device device)
    {
        if (device.type == TorchSharp.DeviceType.CPU)
            return;
        if (_windows is not null)
        {
            _windows = _windows.MoveTo(device);
            _pool = new RowPool(_windows.Rows, _windows.Training);
            return;
        }

        _validation = _validation is null ? null : Move(_validation, device);
        _pool = _pool is null ? null : new RowPool(Move(_pool.Rows, device), _pool.Active);
    }

    // A method is lent the rows; whoever read them releases them.
    void IDisposable.Dispose()
    {
        _validation?.Dispose();
        _pool?.Dispose();
        _windows?.Dispose();
    }

    private RowPool Pool => _pool ?? throw new InvalidOperationException("The rows of a streamed set are not in memory.");

    private static RowBlock Move(RowBlock block, Device device)
    {
        var moved = new RowBlock(block.Features.to(device), block.Labels.to(device), block.Weights?.to(device));
        block.Dispose();
        return moved;
    }

    private IEnumerable<RowBlock> Stream(int batchSize, int epoch, DeterministicRandom random)
    {
        using var pass = _stream!.Open(validation: false, _seed + epoch);
        using var store = new RowStore(FeatureCount, _stream.LabelWidth, _stream.BufferRows, _stream.BufferRows);
        while (store.Count < _stream.BufferRows && pass.Next(store.NextRow()))
            store.Commit(pass.Label, pass.Weight);
        var count = store.Count;
        using var pool = new RowPool(
            _stream.Transform.Make(store.Weights, store.Labels, store.TakeFeatures()), [.. Enumerable.Range(0, (int)count).Select(i => (long)i)]);
        var rows = 0L;
        foreach (var batch in pool.Draw(batchSize, RowCount, random, places => Refill(pass, pool.Rows, places)))
        {
            rows += batch.Rows;
            yield return batch;
        }

        CheckRows(rows == RowCount && pass.Next(new float[FeatureCount]) ? rows + 1 : rows);
    }

    private void CheckRows(long rows)
    {
        if (rows != RowCount)
            throw DataErrors.OtherRows(RowCount, rows);
    }

    // Every later row takes the place of a random one with the probability that keeps all rows equally likely (Vitter, "Random Sampling with
    // a Reservoir", 1985, algorithm R).
    private unsafe RowBlock StreamSample(int rows, DeterministicRandom random)
    {
        using var pass = _stream!.Open(validation: false);
        using var store = new RowStore(FeatureCount, _stream.LabelWidth, rows, rows);
        while (store.Count < rows && pass.Next(store.NextRow()))
            store.Commit(pass.Label, pass.Weight);
        var count = (int)store.Count;
        var sample = _stream.Transform.Make(store.Weights, store.Labels, store.TakeFeatures());
        var features = TensorMemory.Address(sample.Features);
        var next = new float[FeatureCount];
        long seen = count;
        while (pass.Next(next))
        {
            seen++;
            var place = (long)(random.NextDouble() * seen);
            if (place >= count)
                continue;
            next.CopyTo(new Span<float>(features + (place * FeatureCount), FeatureCount));
            _stream.Transform.Put(sample, place, pass.Label, pass.Weight);
        }

        CheckRows(seen);
        return sample;
    }

    private unsafe int Refill(RowStream.Pass pass, RowBlock rows, long[] places)
    {
        var features = TensorMemory.Address(rows.Features);
        for (var i = 0; i < places.Length; i++)
        {
            var place = places[i];
            if (!pass.Next(new Span<float>(features + (place * FeatureCount), FeatureCount)))
                return i;
            _stream!.Transform.Put(rows, place, pass.Label, pass.Weight);
        }

        return places.Length;
    }
}
