using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Networks;

/// <summary>
/// A matrix of which each batch uses few rows, such as the vectors of a million keys. It is a buffer and no parameter, so no gradient of its full
/// size is ever made: in training each look-up is a leaf of the graph, and whoever trains collects the gradients of the rows that were looked up
/// (<see cref="TakeGradients"/>) and changes just those. The training loop of this library does so by itself.
/// </summary>
public sealed class RowTable : Module<Tensor, Tensor>
{
    private readonly List<(Tensor Index, Tensor Rows)> _used = [];
    private readonly Tensor weight;
    private bool _isRecording;

    /// <summary>Creates a table whose values are not yet set.</summary>
    /// <param name="rows">Number of rows.</param>
    /// <param name="width">Numbers of a row.</param>
    /// <param name="device">Where the table is.</param>
    /// <param name="zeroRows">Rows that stay zero, ascending; null for none.</param>
    /// <param name="type">Single, or Double.</param>
    public RowTable(long rows, int width, Device device, IReadOnlyList<long>? zeroRows = null, ScalarType type = ScalarType.Float32)
        : base(nameof(RowTable))
    {
        (Rows, Width, ZeroRows) = (rows, width, zeroRows ?? []);
        weight = empty(rows, width, dtype: type, device: device);
        RegisterComponents();
    }

    /// <summary>Number of rows.</summary>
    public long Rows { get; }

    /// <summary>Numbers of a row.</summary>
    public int Width { get; }

    /// <summary>Rows that stay zero.</summary>
    public IReadOnlyList<long> ZeroRows { get; }

    /// <summary>The values [rows, width].</summary>
    public Tensor Weight => weight;

    /// <summary>Copies rows out of a table of Single numbers on the CPU.</summary>
    /// <param name="index">Indices of rows.</param>
    /// <param name="target">Room for their values, row after row.</param>
    public unsafe void CopyRows(ReadOnlySpan<long> index, Span<float> target)
    {
        var start = TensorMemory.Address(weight);
        for (var i = 0; i < index.Length; i++)
            new ReadOnlySpan<float>(start + (index[i] * Width), Width).CopyTo(target[(i * Width)..]);
    }

    /// <summary>Whether look-ups in training mode are kept for <see cref="TakeGradients"/>; false at the beginning.</summary>
    public bool IsRecording
    {
        get => _isRecording;
        set
        {
            _isRecording = value;
            _used.Clear();
        }
    }

    /// <summary>Draws all values from N(0, deviation²) but those of <see cref="ZeroRows"/>.</summary>
    /// <param name="random">The stream of random numbers, on the device of the table.</param>
    /// <param name="deviation">The standard deviation.</param>
    public void Initialize(Generator random, double deviation)
    {
        using var noGradient = no_grad();
        weight.normal_(0, deviation, random);
        if (ZeroRows.Count == 0)
            return;
        using var index = tensor(ZeroRows.ToArray(), device: weight.device);
        using Scalar zero = 0;
        weight.index_fill_(0, index, zero);
    }

    /// <summary>Looks rows up.</summary>
    /// <param name="index">Int64 [n], each in [0, rows).</param>
    /// <returns>Rows [n, width].</returns>
    public override Tensor forward(Tensor index)
    {
        if (!training || !_isRecording || !is_grad_enabled())
            return weight.index_select(0, index);
        var rows = weight.index_select(0, index).requires_grad_(true);
        _used.Add((index, rows));
        return rows;
    }

    /// <summary>Visits the gradients of all look-ups since it was last called, after <c>backward()</c> and before what it made is released.</summary>
    /// <param name="visit">Gets the index [n] and the gradient [n, width] of each look-up, in their order.</param>
    public void TakeGradients(Action<Tensor, Tensor> visit)
    {
        ArgumentNullException.ThrowIfNull(visit);
        foreach (var (index, rows) in _used)
        {
            using var gradient = rows.grad;
            if (gradient is not null)
                visit(index, gradient);
        }

        _used.Clear();
    }
}
