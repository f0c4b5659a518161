using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>The last m steps s = x' − x and gradient changes y = g' − g, and the direction −Hg that they give.</summary>
/// <remarks>
/// All vectors are rows of one matrix B: s and y of slot k are rows 2k and 2k+1, the gradient is row 2m. The direction is a combination
/// of these rows, so the two-loop recursion (Nocedal and Wright, algorithm 7.4) runs on the 2m + 1 coefficients with the rows' inner
/// products (Chen, Wang and Zhou, "Large-scale L-BFGS using MapReduce", 2014). An iteration then costs three products with B in place
/// of 4m operations on vectors, each of which would wait for the device.
/// </remarks>
internal sealed class LbfgsHistory : IDisposable
{
    private readonly int _capacity;
    private readonly Tensor _basis;
    private readonly Tensor _transposed;
    private readonly Tensor _gradient;
    private readonly double[,] _products;
    private readonly double _epsilon;
    private readonly Queue<int> _slots;
    private int _nextSlot;

    public LbfgsHistory(int capacity, Tensor like)
    {
        _capacity = capacity;
        var rows = 2 * capacity + 1;
        _basis = torch.zeros(rows, like.numel(), like.dtype, like.device).DetachFromDisposeScope();
        _transposed = _basis.t().DetachFromDisposeScope();
        _gradient = _basis.select(0, rows - 1).DetachFromDisposeScope();
        _products = new double[rows, rows];
        _epsilon = Epsilon(like.dtype);
        _slots = new(capacity);
    }

    public Tensor Gradient => _gradient;

    // The distance from 1 to the next number.
    public static double Epsilon(ScalarType type) =>
        type == ScalarType.Float32 ? MathF.BitIncrement(1) - 1 : Math.BitIncrement(1.0) - 1;

    public double GradientNorm => Math.Sqrt(_products[2 * _capacity, 2 * _capacity]);

    public bool IsEmpty => _slots.Count == 0;

    public void Clear() => _slots.Clear();

    public void SetGradient(Tensor gradient)
    {
        _gradient.copy_(gradient);
        using var products = _basis.mv(_gradient);
        Record(2 * _capacity, products);
    }

    // Keeps the step from one point to another, and the gradient at the latter.
    public void Push(Tensor before, Tensor after, Tensor gradientAfter)
    {
        if (_slots.Count == _capacity)
            _slots.Dequeue();
        var slot = _nextSlot;
        using var scope = torch.NewDisposeScope();
        var pair = _basis.narrow(0, 2 * slot, 2);
        pair.select(0, 0).copy_(after).sub_(before);
        pair.select(0, 1).copy_(gradientAfter).sub_(_gradient);
        var products = _basis.mm(pair.t());
        Record(2 * slot, products.select(1, 0));
        Record(2 * slot + 1, products.select(1, 1));
        SetGradient(gradientAfter);

        // The Wolfe conditions promise sᵀy > 0; a pair of which rounding left nothing would make H indefinite.
        var (ss, sy, yy) = (_products[2 * slot, 2 * slot], Curvature(slot), _products[2 * slot + 1, 2 * slot + 1]);
        if (!(sy > _epsilon * Math.Sqrt(ss * yy)) || !double.IsFinite(yy))
        {
            pair.zero_();
            return;
        }
        _slots.Enqueue(slot);
        _nextSlot = (slot + 1) % _capacity;
    }

    // d = −Hg.
    public void Direction(Tensor direction)
    {
        using var scope = torch.NewDisposeScope();
        var coefficients = torch.tensor(Coefficients(), _basis.dtype, _basis.device);
        direction.copy_(_transposed.mv(coefficients));
    }

    public void Dispose()
    {
        _gradient.Dispose();
        _transposed.Dispose();
        _basis.Dispose();
    }

    private double[] Coefficients()
    {
        var c = new double[2 * _capacity + 1];
        c[^1] = -1;
        var newestFirst = _slots.Reverse().ToArray();
        var alpha = new double[_capacity];
        foreach (var slot in newestFirst)
        {
            alpha[slot] = Product(c, 2 * slot) / Curvature(slot);
            c[2 * slot + 1] -= alpha[slot];
        }
        if (newestFirst is [var newest, ..])
        {
            // γ = sᵀy / yᵀy, the size of the initial H.
            var scale = Curvature(newest) / _products[2 * newest + 1, 2 * newest + 1];
            for (var i = 0; i < c.Length; i++)
                c[i] *= scale;
        }
        foreach (var slot in _slots)
            c[2 * slot] += alpha[slot] - Product(c, 2 * slot + 1) / Curvature(slot);
        return c;
    }

    private double Curvature(int slot) => _products[2 * slot, 2 * slot + 1];

    // The inner product of the combination c of the rows with one row. Rows of dropped slots have coefficient 0.
    private double Product(double[] c, int row)
    {
        var sum = 0.0;
        for (var i = 0; i < c.Length; i++)
        {
            if (c[i] != 0)
                sum += c[i] * _products[i, row];
        }
        return sum;
    }

    private void Record(int row, Tensor products)
    {
        using var scope = torch.NewDisposeScope();
        var values = products.to(ScalarType.Float64).cpu().contiguous().data<double>();
        for (var i = 0; i < 2 * _capacity + 1; i++)
            _products[i, row] = _products[row, i] = values[i];
    }
}
