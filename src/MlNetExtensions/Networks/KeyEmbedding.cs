using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Networks;

/// <summary>
/// A vector for each key of each column, in one table: the rows of a column are [missing, key 1, …, key V, out of vocabulary]. The row of the
/// missing key is zero and stays so. The vector of a column of several keys is the mean over those that are not missing, zero where all are.
/// </summary>
/// <remarks>
/// A table takes 4·Width·Σ(V + 2) bytes; training takes four times as much (the table, its best state and Adam's two moments) and 4 bytes more a
/// row. A step reads and writes the rows of its batch only, so its time does not grow with the table.
/// </remarks>
public sealed class KeyEmbedding : Module<Tensor, Tensor>
{
    private const string Limits = "limits";
    private const string Offsets = "offsets";
    private const string Outside = "outside";
    private const string Places = "places";

    private readonly int[] _widths;
    private readonly int _start;
    private readonly int _slots;
    private readonly bool _isOneRun;
    private readonly bool _hasRare;
    private readonly RowTable table;
    private readonly Tensor? rare;

    /// <summary>Creates an embedding whose vectors are not yet set.</summary>
    /// <param name="layout">How rows lie.</param>
    /// <param name="columns">Indices of the columns of keys in the layout that are embedded, at least one, ascending.</param>
    /// <param name="width">Numbers of a vector.</param>
    /// <param name="device">Where the vectors are.</param>
    /// <param name="hasRare">Whether keys can be declared rare: see <see cref="SetRare"/>.</param>
    /// <param name="type">Single, or Double.</param>
    public KeyEmbedding(RowLayout layout, IReadOnlyList<int> columns, int width, Device device, bool hasRare = false, ScalarType type = ScalarType.Float32)
        : base(nameof(KeyEmbedding))
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(columns);
        (Columns, Width, _hasRare) = ([.. columns.Select(column => layout.Columns[column])], width, hasRare);
        _widths = [.. Columns.Select(column => column.Width)];
        FirstRows = FirstRowsOf(Columns);
        var places = columns.SelectMany(column => Enumerable.Range(layout.StartOf(column), layout.Columns[column].Width)).Select(place => (long)place).ToArray();
        (_start, _slots) = ((int)places[0], places.Length);
        _isOneRun = places[^1] - places[0] + 1 == places.Length;
        table = new RowTable(RowsOf(Columns), width, device, [.. FirstRows], type);
        if (hasRare)
            rare = zeros(table.Rows, device: device);
        RegisterComponents();

        // Constants of the layout: they move with the network, but are no part of its file.
        var slots = Columns.SelectMany((column, i) => Enumerable.Repeat((column.OutOfVocabulary, First: FirstRows[i]), column.Width)).ToArray();
        Constant(Limits, [.. slots.Select(slot => (float)slot.OutOfVocabulary)]);
        Constant(Offsets, [.. slots.Select(slot => slot.First)]);
        Constant(Outside, [.. slots.Select(slot => slot.First + slot.OutOfVocabulary)]);
        Constant(Places, places);

        void Constant<T>(string name, T[] values)
            where T : unmanaged
        {
            var onHost = values is float[] numbers ? tensor(numbers) : tensor((long[])(object)values);
            if (device.type == DeviceType.CPU)
            {
                register_buffer(name, onHost, persistent: false);
                return;
            }

            register_buffer(name, device.type == DeviceType.META ? empty_like(onHost, device: device) : onHost.to(device), persistent: false);
            onHost.Dispose();
        }
    }

    /// <summary>The columns that are embedded.</summary>
    public IReadOnlyList<RowColumn> Columns { get; }

    /// <summary>Numbers of a vector.</summary>
    public int Width { get; }

    /// <summary>For each column the row of its missing key; key k of the column is k rows behind.</summary>
    public IReadOnlyList<long> FirstRows { get; }

    /// <summary>The vectors.</summary>
    public RowTable Table => table;

    /// <summary>Number of rows of a table: V + 2 for each column of V keys.</summary>
    /// <param name="columns">The columns.</param>
    /// <returns>The number.</returns>
    public static long RowsOf(IEnumerable<RowColumn> columns) => columns.Sum(column => column.KeyCount + 2L);

    /// <summary>Number of values that an embedding adds to a network's state.</summary>
    /// <param name="columns">The columns.</param>
    /// <param name="width">Numbers of a vector.</param>
    /// <param name="hasRare">Whether keys can be declared rare.</param>
    /// <returns>The number.</returns>
    public static long WeightCountOf(IEnumerable<RowColumn> columns, int width, bool hasRare) => RowsOf(columns) * (width + (hasRare ? 1L : 0));

    /// <summary>Draws the vectors from N(0, deviation²).</summary>
    /// <param name="random">The stream of random numbers.</param>
    /// <param name="deviation">The standard deviation.</param>
    public void Initialize(Generator random, double deviation)
    {
        table.Initialize(random, deviation);
        rare?.zero_().Dispose();
    }

    /// <summary>Declares keys rare: they share the vector of those out of vocabulary.</summary>
    /// <param name="column">Index in <see cref="Columns"/>.</param>
    /// <param name="keys">The keys, from 1.</param>
    public void SetRare(int column, IEnumerable<int> keys)
    {
        if (rare is null)
            throw new InvalidOperationException("The embedding was not made to know rare keys.");
        using var noGradient = no_grad();
        using var index = tensor([.. keys.Select(key => FirstRows[column] + key)], dtype: ScalarType.Int64, device: rare.device);
        using Scalar one = 1;
        if (index.numel() > 0)
            rare.index_fill_(0, index, one);
    }

    /// <summary>Looks the vectors of rows up.</summary>
    /// <param name="input">Rows [n, numbers of the layout].</param>
    /// <returns>Vectors [n, columns, width].</returns>
    public override Tensor forward(Tensor input)
    {
        var keys = _isOneRun ? input.narrow(1, _start, _slots) : input.index_select(1, get_buffer(Places)!);
        var index = minimum(keys, get_buffer(Limits)!).to(ScalarType.Int64).Plus(get_buffer(Offsets)!);
        if (_hasRare)
            index = where(rare!.index_select(0, index.flatten()).view(index.shape).IsAbove(0.5), get_buffer(Outside)!, index);
        var vectors = table.call(index.flatten()).view(-1, _slots, Width);
        return Array.TrueForAll(_widths, width => width == 1) ? vectors : Mean(vectors, keys);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        // The base class knows only of those buffers that fields hold.
        if (disposing)
        {
            foreach (var name in (string[])[Limits, Offsets, Outside, Places])
                get_buffer(name)?.Dispose();
        }

        base.Dispose(disposing);
    }

    private Tensor Mean(Tensor vectors, Tensor keys)
    {
        var parts = new List<Tensor>();
        for (int column = 0, start = 0; column < _widths.Length; start += _widths[column++])
        {
            var part = vectors.narrow(1, start, _widths[column]);
            if (_widths[column] == 1)
            {
                parts.Add(part);
                continue;
            }

            // The vectors of missing keys are zero: the sum over all is that over the others.
            var counts = keys.narrow(1, start, _widths[column]).IsAbove(0.5).sum(1L, keepdim: true, type: vectors.dtype).AtLeast(1);
            parts.Add(part.sum(1L, keepdim: true).div(counts.unsqueeze(2)));
        }

        return cat(parts, 1);
    }

    private static long[] FirstRowsOf(IReadOnlyList<RowColumn> columns)
    {
        var first = new long[columns.Count];
        for (var i = 1; i < first.Length; i++)
            first[i] = first[i - 1] + columns[i - 1].KeyCount + 2;
        return first;
    }
}
