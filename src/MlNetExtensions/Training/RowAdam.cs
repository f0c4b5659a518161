using System.Runtime.InteropServices;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// Adam for a <see cref="RowTable"/>: a step reads and changes the rows that its batch has looked up, and no other. Like torch's <c>SparseAdam</c>
/// it corrects the moments of a row by the number of all steps, so that it is <see cref="Adam"/> itself where each batch looks every row up.
/// </summary>
/// <remarks>It owns two tables of moments as large as the table, and 4 bytes more for each row.</remarks>
public sealed class RowAdam : IDisposable
{
    private const int Fixed = -1;
    private const double Beta1 = 0.9;
    private const double Epsilon = 1e-8;

    private readonly RowTable _table;
    private readonly double _beta2;
    private readonly Tensor _m;
    private readonly Tensor _v;
    private readonly bool _isOnHost;

    // On the host: for each row its place among those of this batch, counted from 1; 0 for none.
    private readonly int[] _place = [];
    private readonly List<long> _rows = [];
    private float[] _gradient = [];
    private float[] _values = [];
    private float[] _first = [];
    private float[] _second = [];

    // Elsewhere: the rows of this batch and their gradient.
    private readonly List<(Tensor Index, Tensor Gradient)> _parts = [];
    private (Tensor Rows, Tensor Gradient)? _gathered;

    /// <summary>Prepares the optimiser; the table records its look-ups from now on.</summary>
    /// <param name="table">What to train. It must outlive the optimiser.</param>
    /// <param name="useManagedCode">Off for the tests of the code that serves other devices.</param>
    /// <param name="beta2">β₂, how slowly the mean of the square of the gradient changes, in [0, 1).</param>
    public RowAdam(RowTable table, bool useManagedCode = true, double beta2 = 0.999)
    {
        ArgumentNullException.ThrowIfNull(table);
        (_table, _beta2) = (table, FlatOptimizer.Below1(beta2, nameof(beta2)));
        var weight = table.Weight;
        (_m, _v) = (zeros_like(weight).DetachFromDisposeScope(), zeros_like(weight).DetachFromDisposeScope());
        _isOnHost = useManagedCode && weight.device_type == DeviceType.CPU && weight.dtype == ScalarType.Float32;
        if (_isOnHost)
        {
            _place = new int[table.Rows];
            foreach (var row in table.ZeroRows)
                _place[row] = Fixed;
        }

        table.IsRecording = true;
    }

    /// <summary>How many steps were made.</summary>
    public long StepCount { get; internal set; }

    /// <summary>The moments, always in the same order.</summary>
    internal IReadOnlyList<Tensor> State => [_m, _v];

    /// <summary>Forgets the gradients collected so far.</summary>
    public void Clear()
    {
        foreach (var row in _rows)
            _place[row] = 0;
        _rows.Clear();
        foreach (var (index, gradient) in _parts)
        {
            index.Dispose();
            gradient.Dispose();
        }

        _parts.Clear();
        _gathered?.Rows.Dispose();
        _gathered?.Gradient.Dispose();
        _gathered = null;
    }

    /// <summary>Adds the gradients of the look-ups since it was last called. To be called after each <c>backward()</c>, before its graph is released.</summary>
    public void Collect() => _table.TakeGradients(_isOnHost ? AddOnHost : (index, gradient) =>
        _parts.Add((index.clone().DetachFromDisposeScope(), gradient.clone().DetachFromDisposeScope())));

    /// <summary>Adds to the gradient of a row of a table of Single numbers on the CPU.</summary>
    /// <param name="row">Index of the row.</param>
    /// <param name="gradient">What is added, as wide as the table.</param>
    public void Add(long row, ReadOnlySpan<float> gradient)
    {
        ref var place = ref _place[row];
        if (place == Fixed)
            return;
        var width = _table.Width;
        if (place == 0)
        {
            _rows.Add(row);
            place = _rows.Count;
            if (_gradient.Length < place * width)
                Array.Resize(ref _gradient, Math.Max(place * width, 2 * _gradient.Length));
            gradient.CopyTo(_gradient.AsSpan((place - 1) * width, width));
            return;
        }

        var target = _gradient.AsSpan((place - 1) * width, width);
        System.Numerics.Tensors.TensorPrimitives.Add(target, gradient, target);
    }

    /// <summary>Adds the gradient of ½·λ·‖w‖² over the rows that were looked up.</summary>
    /// <param name="decay">λ, at least 0.</param>
    public void AddPenalty(double decay)
    {
        if (decay == 0)
            return;
        if (!_isOnHost)
        {
            using var values = _table.Weight.index_select(0, Gather().Rows);
            Gather().Gradient.AddScaled(values, decay);
            return;
        }

        AddPenaltyOnHost((float)decay);
    }

    /// <summary>The sum of the squares of the gradient.</summary>
    /// <returns>The sum.</returns>
    public double SquaredNorm()
    {
        if (_isOnHost)
        {
            double sum = 0;
            foreach (var value in _gradient.AsSpan(0, _rows.Count * _table.Width))
                sum += (double)value * value;
            return sum;
        }

        using var norm = Gather().Gradient.norm();
        return Math.Pow(norm.ToDouble(), 2);
    }

    /// <summary>Multiplies the gradient.</summary>
    /// <param name="factor">The factor.</param>
    public void Scale(double factor)
    {
        if (!_isOnHost)
        {
            Gather().Gradient.Scale(factor);
            return;
        }

        var gradient = _gradient.AsSpan(0, _rows.Count * _table.Width);
        System.Numerics.Tensors.TensorPrimitives.Multiply(gradient, (float)factor, gradient);
    }

    /// <summary>Changes the rows that were looked up, and forgets their gradient.</summary>
    /// <param name="learningRate">The learning rate of this step.</param>
    /// <param name="decay">λ of decoupled weight decay on the rows that were looked up, at least 0.</param>
    public void Step(double learningRate, double decay = 0)
    {
        StepCount++;
        var shrink = 1 - (learningRate * decay);
        if (_isOnHost)
        {
            UpdateOnHost(AdamKernel<float>.Create(
                Beta1, _beta2, Epsilon, Math.Sqrt(1 - Math.Pow(_beta2, StepCount)), learningRate / (1 - Math.Pow(Beta1, StepCount)), shrink, 0));
        }
        else
        {
            UpdateOnDevice(learningRate, shrink);
        }

        Clear();
    }

    /// <summary>Frees the moments; the table stays, and no longer records.</summary>
    public void Dispose()
    {
        Clear();
        _table.IsRecording = false;
        _m.Dispose();
        _v.Dispose();
    }

    private unsafe void AddOnHost(Tensor index, Tensor gradient)
    {
        using var dense = gradient.contiguous();
        var rows = TensorMemory.Longs(index);
        var values = TensorMemory.Address(dense);
        var width = _table.Width;
        for (var i = 0; i < rows.Length; i++)
            Add(rows[i], new ReadOnlySpan<float>(values + ((long)i * width), width));
    }

    // The rows are brought together, so that all of them go through the registers as one vector.
    private unsafe void UpdateOnHost(AdamKernel<float> kernel)
    {
        var count = _rows.Count * _table.Width;
        if (_values.Length < count)
            (_values, _first, _second) = (new float[_gradient.Length], new float[_gradient.Length], new float[_gradient.Length]);
        Copy(_table.Weight, _values, toTable: false);
        Copy(_m, _first, toTable: false);
        Copy(_v, _second, toTable: false);
        fixed (float* values = _values, gradient = _gradient, first = _first, second = _second)
            HostUpdate.Run<float, AdamKernel<float>>(new((nint)values, (nint)gradient, (nint)first, (nint)second), 0, count, kernel);
        Copy(_table.Weight, _values, toTable: true);
        Copy(_m, _first, toTable: true);
        Copy(_v, _second, toTable: true);
    }

    private unsafe void Copy(Tensor table, float[] rows, bool toTable)
    {
        var start = TensorMemory.Address(table);
        var width = _table.Width;
        var places = CollectionsMarshal.AsSpan(_rows);
        for (var i = 0; i < places.Length; i++)
        {
            var far = new Span<float>(start + (places[i] * width), width);
            var near = rows.AsSpan(i * width, width);
            if (toTable)
                near.CopyTo(far);
            else
                far.CopyTo(near);
        }
    }

    private unsafe void AddPenaltyOnHost(float decay)
    {
        var start = TensorMemory.Address(_table.Weight);
        var width = _table.Width;
        for (var i = 0; i < _rows.Count; i++)
        {
            var row = start + (_rows[i] * width);
            for (var j = 0; j < width; j++)
                _gradient[(i * width) + j] += decay * row[j];
        }
    }

    private (Tensor Rows, Tensor Gradient) Gather()
    {
        if (_gathered is { } done)
            return done;
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var weight = _table.Weight;
        var index = _parts.Count == 0 ? empty(0, ScalarType.Int64, weight.device) : cat([.. _parts.Select(part => part.Index)]);
        var (rows, inverse, _) = index.unique(sorted: true, return_inverse: true);
        var gradient = zeros([rows.shape[0], _table.Width], weight.dtype, weight.device);
        if (_parts.Count > 0)
        {
            using Scalar one = 1;
            gradient.index_add_(0, inverse!, cat([.. _parts.Select(part => part.Gradient)]), one);
        }

        if (_table.ZeroRows.Count > 0)
        {
            using var fixedRows = tensor(_table.ZeroRows.ToArray(), device: weight.device);
            gradient.mul_(isin(rows, fixedRows).logical_not().to(weight.dtype).unsqueeze(1));
        }

        _gathered = (rows.MoveToOuterDisposeScope().DetachFromDisposeScope(), gradient.MoveToOuterDisposeScope().DetachFromDisposeScope());
        return _gathered.Value;
    }

    private void UpdateOnDevice(double learningRate, double shrink)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var (rows, gradient) = Gather();
        var (m, v) = (_m.index_select(0, rows), _v.index_select(0, rows));
        m.Scale(Beta1);
        m.AddScaled(gradient, 1 - Beta1);
        v.Scale(_beta2);
        using (Scalar rest = 1 - _beta2)
            v.addcmul_(gradient, gradient, rest);
        var root = v.sqrt();
        root.Scale(1 / Math.Sqrt(1 - Math.Pow(_beta2, StepCount)));
        root.Shift(Epsilon);
        var values = _table.Weight.index_select(0, rows);
        values.Scale(shrink);
        using (Scalar step = -learningRate / (1 - Math.Pow(Beta1, StepCount)))
            values.addcdiv_(m, root, step);
        _table.Weight.index_copy_(0, rows, values);
        _m.index_copy_(0, rows, m);
        _v.index_copy_(0, rows, v);
    }
}
