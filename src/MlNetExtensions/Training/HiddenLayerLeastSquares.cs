using System.Runtime.CompilerServices;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace MlNetMlp.Training;

/// <summary>
/// Fits one small hidden layer h(x) = C·φ(A·x + a) + c to targets r by least squares over all rows at once:
/// ½·Σ w‖h(x) − r‖² / Σ w + λ/(2n)·(‖A‖² + ‖C‖²), with the gradient in closed form. Boosting does so in each of its steps.
/// </summary>
/// <remarks>
/// On the CPU a step of few units and some hundred rows takes microseconds, less than one tensor operation's overhead: it is computed in
/// managed vector code, block of rows by block of rows, and summed in an order that does not depend on the number of threads. On other
/// devices, and for functions φ whose slope does not follow from their value, tensor operations do it.
/// </remarks>
public sealed unsafe class HiddenLayerLeastSquares : IDisposable
{
    private const int MostChunks = 16;
    private const int TensorBlockValues = 1 << 24;

    // Arithmetic of an evaluation above which a second thread pays.
    private const double ParallelOperations = 4e6;

    private readonly int _inputs;
    private readonly int _units;
    private readonly int _outputs;
    private readonly Activation _activation;
    private readonly double _penalty;
    private readonly long _rows;
    private readonly int _blocks;
    private readonly int _blockRows;
    private readonly HiddenLayerBlocks? _managed;
    private readonly Tensor? _mean;
    private readonly Tensor? _factor;
    private readonly Tensor _x;
    private readonly Tensor _targets;
    private readonly Tensor _weights;
    private readonly float* _xAddress;
    private readonly float* _targetsAddress;
    private readonly float* _weightsAddress;
    private readonly Chunk[] _chunks = [];
    private readonly AlignedFloats _parameters;
    private readonly Action<int>? _evaluateChunk;
    private readonly ParallelOptions _parallel = new();

    /// <summary>Makes room for rows.</summary>
    /// <param name="inputs">D, number of features.</param>
    /// <param name="units">J, number of hidden units.</param>
    /// <param name="outputs">K, number of targets of a row.</param>
    /// <param name="activation">φ.</param>
    /// <param name="penalty">λ, at least 0.</param>
    /// <param name="rows">n, number of rows, at least 1.</param>
    /// <param name="device">Where the fit is computed.</param>
    /// <param name="standardization">Means and factors that rows are standardised by, (x − mean)·factor; null for rows as they are.</param>
    public HiddenLayerLeastSquares(
        int inputs, int units, int outputs, Activation activation, double penalty, long rows, Device device,
        (float[] Mean, float[] Factor)? standardization = null)
        : this(inputs, units, outputs, activation, penalty, rows, device, standardization, ScalarType.Float32)
    {
    }

    internal HiddenLayerLeastSquares(
        int inputs, int units, int outputs, Activation activation, double penalty, long rows, Device device,
        (float[] Mean, float[] Factor)? standardization, ScalarType type, HiddenLayerLeastSquares? rowsOf = null)
    {
        ArgumentNullException.ThrowIfNull(device);
        (_inputs, _units, _outputs, _activation, _penalty, _rows) = (inputs, units, outputs, activation, penalty, rows);
        if (device.type == DeviceType.CPU && type == ScalarType.Float32)
            _managed = HiddenLayerBlocks.Create(inputs, units, outputs, activation);

        // Blocks of the managed code, with what is computed of them, stay in the second cache; its kernels take 64 rows at a time.
        var most = _managed is null
            ? Math.Max(1, TensorBlockValues / (inputs + (3L * units) + (2L * outputs)))
            : Math.Clamp(32768 / (inputs + (3L * units) + (2L * outputs)), 64, 512) / 64 * 64;
        _blocks = checked((int)((rows + most - 1) / most));
        _blockRows = checked((int)((rows + _blocks - 1) / _blocks));
        if (_managed is not null)
            _blockRows = (_blockRows + 63) / 64 * 64;

        _x = (rowsOf?._x.alias() ?? zeros([_blocks, inputs, _blockRows], type, device)).DetachFromDisposeScope();
        _targets = zeros([_blocks, outputs, _blockRows], type, device).DetachFromDisposeScope();
        _weights = zeros([_blocks, _blockRows], type, device).DetachFromDisposeScope();
        if (standardization is { } inputsOf)
        {
            _mean = tensor(inputsOf.Mean, [inputs, 1], device: device).DetachFromDisposeScope();
            _factor = tensor(inputsOf.Factor, [inputs, 1], device: device).DetachFromDisposeScope();
        }
        else
        {
            _mean = rowsOf?._mean?.alias().DetachFromDisposeScope();
            _factor = rowsOf?._factor?.alias().DetachFromDisposeScope();
        }

        Parameters = new double[checked((units * (inputs + 1)) + (outputs * (units + 1)))];
        _parameters = new(Parameters.Length);
        if (_managed is null)
            return;
        _xAddress = TensorMemory.Address(_x);
        _targetsAddress = TensorMemory.Address(_targets);
        _weightsAddress = TensorMemory.Address(_weights);
        _chunks = new Chunk[Math.Min(_blocks, MostChunks)];
        for (var i = 0; i < _chunks.Length; i++)
        {
            _chunks[i] = new(
                (int)((long)_blocks * i / _chunks.Length), (int)((long)_blocks * (i + 1) / _chunks.Length), new double[Parameters.Length],
                new AlignedFloats(HiddenLayerBlocks.ScratchLength(units, outputs, _blockRows)));
        }

        _evaluateChunk = EvaluateChunk;
        var operations = (double)rows * units * (30 + (4.0 * (inputs + outputs)));
        _parallel.MaxDegreeOfParallelism = operations < ParallelOperations ? 1 : Math.Min(_chunks.Length, get_num_threads());
    }

    /// <summary>A [J, D], a [J], C [K, J] and c [K], each row after row: the starting point before a fit, the result after it.</summary>
    public double[] Parameters { get; }

    /// <summary>Makes another fit of the same rows, without a copy of them: it has targets and parameters of its own.</summary>
    /// <returns>The fit, which sees what <see cref="PutRows"/> puts into either; the caller owns it.</returns>
    public HiddenLayerLeastSquares ShareRows() =>
        new(_inputs, _units, _outputs, _activation, _penalty, _rows, _x.device, null, _x.dtype, this);

    /// <summary>Puts rows to fit into their places.</summary>
    /// <param name="place">Index of the first of them.</param>
    /// <param name="features">Features [m, D], as they are in the data.</param>
    public void PutRows(long place, Tensor features)
    {
        ArgumentNullException.ThrowIfNull(features);
        using var scope = NewDisposeScope();
        for (long done = 0, count = features.shape[0]; done < count;)
        {
            var first = (place + done) % _blockRows;
            var rows = Math.Min(_blockRows - first, count - done);
            var target = _x.select(0, (place + done) / _blockRows).narrow(1, first, rows);
            target.copy_(features.narrow(0, done, rows).t());
            if (_mean is not null && _factor is not null)
                target.sub_(_mean).mul_(_factor);
            done += rows;
        }
    }

    /// <summary>Sets what the rows are fitted to.</summary>
    /// <param name="targets">r [n, K].</param>
    /// <param name="weights">w [n], at least 0 and not all 0; null where all are 1.</param>
    public void SetTargets(Tensor targets, Tensor? weights)
    {
        ArgumentNullException.ThrowIfNull(targets);
        using var scope = NewDisposeScope();

        // Where threads share a sum, its last digits depend on how many they are.
        using var threads = TorchThreads.Limit(1);
        for (var b = 0; b < _blocks; b++)
        {
            var (first, rows) = Rows(b);
            _targets.select(0, b).narrow(1, 0, rows).copy_(targets.narrow(0, first, rows).t());
        }

        using Scalar even = 1.0 / _rows;
        var flat = _weights.view(-1).narrow(0, 0, _rows);
        if (weights is null)
            flat.fill_(even);
        else
            flat.copy_(weights.div(weights.sum()));
    }

    /// <summary>The loss at <see cref="Parameters"/>, and its gradient.</summary>
    /// <param name="gradient">Room for the gradient, as long as <see cref="Parameters"/>.</param>
    /// <returns>The loss.</returns>
    public double Evaluate(double[] gradient)
    {
        ArgumentNullException.ThrowIfNull(gradient);
        if (_managed is not null)
            return EvaluateManaged(gradient);
        using var scope = NewDisposeScope();
        var point = Point();
        var result = empty_like(point);
        var value = EvaluateTensors(point, result);
        result.to(ScalarType.Float64).cpu().data<double>().CopyTo(gradient);
        return value;
    }

    /// <summary>Minimises the loss by L-BFGS from <see cref="Parameters"/>.</summary>
    /// <param name="settings">When to stop.</param>
    /// <param name="checkCancelled">Called before each evaluation; it may throw.</param>
    /// <returns>The loss reached, and why the minimisation ended.</returns>
    public LbfgsResult Minimize(LbfgsSettings settings, Action checkCancelled)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(checkCancelled);
        if (_managed is not null)
        {
            return LbfgsMinimizer.Minimize(
                Parameters,
                gradient =>
                {
                    checkCancelled();
                    return EvaluateManaged(gradient);
                },
                settings with { Precision = MathF.BitIncrement(1) - 1 });
        }

        using var scope = NewDisposeScope();
        var point = Point();
        var result = LbfgsMinimizer.Minimize(
            point,
            gradient =>
            {
                checkCancelled();
                return EvaluateTensors(point, gradient);
            },
            settings);
        point.to(ScalarType.Float64).cpu().data<double>().CopyTo(Parameters);
        return result;
    }

    /// <summary>Lowers the loss by Adam on all rows at once, from <see cref="Parameters"/> (Kingma and Ba, 2015: β₁ = 0.9, β₂ = 0.999).</summary>
    /// <param name="rate">Step length, greater than 0.</param>
    /// <param name="iterations">Steps at most.</param>
    /// <param name="tolerance">Stop where ‖g‖₂ is at most this.</param>
    /// <param name="checkCancelled">Called before each evaluation; it may throw.</param>
    /// <returns>The loss before the last step.</returns>
    public double Descend(double rate, int iterations, double tolerance, Action checkCancelled)
    {
        ArgumentNullException.ThrowIfNull(checkCancelled);
        var (gradient, first, second) = (new double[Parameters.Length], new double[Parameters.Length], new double[Parameters.Length]);
        double value = 0, firstBias = 1, secondBias = 1;
        for (var iteration = 0; iteration < iterations; iteration++)
        {
            checkCancelled();
            value = Evaluate(gradient);
            if (!(TensorPrimitives.Norm<double>(gradient) > tolerance))
                break;
            (firstBias, secondBias) = (firstBias * 0.9, secondBias * 0.999);
            for (var i = 0; i < gradient.Length; i++)
            {
                first[i] = (0.9 * first[i]) + (0.1 * gradient[i]);
                second[i] = (0.999 * second[i]) + (0.001 * gradient[i] * gradient[i]);
                Parameters[i] -= rate * first[i] / (1 - firstBias) / (Math.Sqrt(second[i] / (1 - secondBias)) + 1e-8);
            }
        }

        return value;
    }

    /// <summary>Replaces C and c by those of least loss for the hidden units as they are: ridge regression on them, in closed form.</summary>
    public void SolveOutputs()
    {
        using var scope = NewDisposeScope();
        var (a, hiddenBias, _, _) = Split(Point());
        var gram = zeros(_units + 1, _units + 1, ScalarType.Float64, _x.device);
        var moments = zeros(_units + 1, _outputs, ScalarType.Float64, _x.device);
        for (var b = 0; b < _blocks; b++)
        {
            using var inner = NewDisposeScope();
            var h = HiddenLayerNetwork.Apply(_activation, addmm(hiddenBias, a, _x.select(0, b), 1, 1)).to(ScalarType.Float64);
            var units = cat([h, ones(1, _blockRows, ScalarType.Float64, _x.device)], 0);
            var weighted = units.mul(_weights.select(0, b));
            gram.AddScaled(weighted.mm(units.t()));
            moments.AddScaled(weighted.mm(_targets.select(0, b).t().to(ScalarType.Float64)));
        }

        gram.diagonal().narrow(0, 0, _units).Shift(_penalty / _rows);
        var solution = linalg.pinv(gram, hermitian: true).mm(moments).cpu();
        var (_, output, outputBias) = Starts;
        solution.narrow(0, 0, _units).t().contiguous().data<double>().CopyTo(Parameters, output);
        solution.select(0, _units).contiguous().data<double>().CopyTo(Parameters, outputBias);
    }

    /// <summary>h of any rows.</summary>
    /// <param name="features">Features [m, D], as they are in the data.</param>
    /// <returns>h [m, K]; the caller disposes it.</returns>
    public Tensor Predict(Tensor features)
    {
        ArgumentNullException.ThrowIfNull(features);
        using var scope = NewDisposeScope();
        var (a, hiddenBias, c, outputBias) = Split(Point());
        if (_mean is not null && _factor is not null)
            features = features.sub(_mean.t()).mul_(_factor.t());
        var h = HiddenLayerNetwork.Apply(_activation, nn.functional.linear(features, a, hiddenBias.flatten()));
        return nn.functional.linear(h, c, outputBias.flatten()).MoveToOuterDisposeScope();
    }

    /// <summary>h of the rows that are fitted.</summary>
    /// <returns>h [n, K]; the caller disposes it.</returns>
    public Tensor PredictRows()
    {
        using var scope = NewDisposeScope();
        var y = empty_like(_targets);
        if (_managed is not null)
        {
            WriteParameters();
            float* to = TensorMemory.Address(y), scratch = Pointer(_chunks[0].Scratch);
            for (nint b = 0; b < _blocks; b++)
                _managed.Predict(Pointer(_parameters), _xAddress + (b * _inputs * _blockRows), to + (b * _outputs * _blockRows), scratch, _blockRows);
        }
        else
        {
            var (a, hiddenBias, c, outputBias) = Split(Point());
            for (var b = 0; b < _blocks; b++)
                y.select(0, b).copy_(addmm(outputBias, c, HiddenLayerNetwork.Apply(_activation, addmm(hiddenBias, a, _x.select(0, b), 1, 1)), 1, 1));
        }

        return cat([.. Enumerable.Range(0, _blocks).Select(b => y.select(0, b).narrow(1, 0, Rows(b).Count).t())], 0).MoveToOuterDisposeScope();
    }

    /// <summary>The step that <see cref="Parameters"/> are.</summary>
    /// <returns>A copy.</returns>
    public HiddenLayerStep ToStep()
    {
        var (bias, output, outputBias) = Starts;
        float[] values = [.. Parameters.Select(p => (float)p)];
        return new(values[..bias], values[bias..output], values[output..outputBias], values[outputBias..]);
    }

    /// <summary>Releases the rows.</summary>
    public void Dispose()
    {
        _x.Dispose();
        _targets.Dispose();
        _weights.Dispose();
        _mean?.Dispose();
        _factor?.Dispose();
    }

    /// <summary>Where a, C and c start in the flat vector A [J, D], a [J], C [K, J], c [K].</summary>
    private (int HiddenBias, int OutputWeight, int OutputBias) Starts =>
        (_units * _inputs, _units * (_inputs + 1), (_units * (_inputs + 1)) + (_outputs * _units));

    private (long First, long Count) Rows(int block)
    {
        var first = (long)block * _blockRows;
        return (first, Math.Max(0, Math.Min(_blockRows, _rows - first)));
    }

    private double EvaluateManaged(double[] gradient)
    {
        WriteParameters();
        if (_parallel.MaxDegreeOfParallelism == 1)
        {
            for (var i = 0; i < _chunks.Length; i++)
                EvaluateChunk(i);
        }
        else
        {
            Parallel.For(0, _chunks.Length, _parallel, _evaluateChunk!);
        }

        gradient.AsSpan().Clear();
        double squares = 0;
        foreach (var chunk in _chunks)
        {
            squares += chunk.Squares;
            TensorPrimitives.Add(gradient, chunk.Gradient, gradient);
        }

        return (squares / 2) + AddPenalty(gradient);
    }

    private void EvaluateChunk(int index)
    {
        var chunk = _chunks[index];
        chunk.Gradient.AsSpan().Clear();
        double squares = 0;
        fixed (double* gradient = chunk.Gradient)
        {
            for (nint b = chunk.FirstBlock; b < chunk.EndBlock; b++)
            {
                squares += _managed!.Evaluate(
                    Pointer(_parameters), _xAddress + (b * _inputs * _blockRows), _targetsAddress + (b * _outputs * _blockRows),
                    _weightsAddress + (b * _blockRows), Pointer(chunk.Scratch), gradient, _blockRows);
            }
        }

        chunk.Squares = squares;
    }

    private double AddPenalty(double[] gradient)
    {
        if (_penalty == 0)
            return 0;
        var (strength, squares) = (_penalty / _rows, 0.0);
        var (bias, output, outputBias) = Starts;
        for (var i = 0; i < outputBias; i++)
        {
            if (i == bias)
                i = output;
            squares += Parameters[i] * Parameters[i];
            gradient[i] += strength * Parameters[i];
        }

        return squares * strength / 2;
    }

    private double EvaluateTensors(Tensor point, Tensor gradient)
    {
        var (a, hiddenBias, c, outputBias) = Split(point);
        var (da, dHiddenBias, dc, dOutputBias) = Split(gradient.zero_());
        var loss = zeros(1, ScalarType.Float64, _x.device);
        for (var b = 0; b < _blocks; b++)
        {
            using var inner = NewDisposeScope();
            var x = _x.select(0, b);                                                                     // [D, rows]
            var h = HiddenLayerNetwork.Apply(_activation, addmm(hiddenBias, a, x, 1, 1));                      // H = φ(A·X + a)
            var difference = addmm(outputBias, c, h, 1, 1).sub_(_targets.select(0, b));                        // C·H + c − R
            var e = difference.mul(_weights.select(0, b));                                               // E
            loss.AddScaled(e.mul(difference).sum());
            dc.AddScaled(e.mm(h.t()));                                                                   // ∂C = E·Hᵀ
            dOutputBias.AddScaled(e.sum(1, keepdim: true));                                              // ∂c
            var delta = c.t().mm(e).mul_(Slope(h));                                                      // Δ = (Cᵀ·E)∘φ′
            da.AddScaled(delta.mm(x.t()));                                                               // ∂A = Δ·Xᵀ
            dHiddenBias.AddScaled(delta.sum(1, keepdim: true));                                          // ∂a
        }

        if (_penalty > 0)
        {
            foreach (var (weight, slope) in new[] { (a, da), (c, dc) })
            {
                slope.AddScaled(weight, _penalty / _rows);
                loss.AddScaled(weight.mul(weight).sum(), _penalty / _rows);
            }
        }

        return loss.cpu().item<double>() / 2;
    }

    private Tensor Slope(Tensor h) => _activation switch
    {
        Activation.Sigmoid => h.mul(ones_like(h).sub_(h)),
        Activation.Tanh => ones_like(h).sub_(h.mul(h)),
        Activation.Relu => h.sign(),
        Activation.Identity => ones_like(h),
        _ => throw new NotSupportedException($"The slope of {_activation} does not follow from its value."),
    };

    private Tensor Point() => tensor(Parameters, ScalarType.Float64).to(_x.dtype).to(_x.device);

    private (Tensor HiddenWeight, Tensor HiddenBias, Tensor OutputWeight, Tensor OutputBias) Split(Tensor flat)
    {
        var (bias, output, outputBias) = Starts;
        return (
            flat.narrow(0, 0, bias).view(_units, _inputs), flat.narrow(0, bias, _units).view(_units, 1),
            flat.narrow(0, output, outputBias - output).view(_outputs, _units), flat.narrow(0, outputBias, _outputs).view(_outputs, 1));
    }

    private void WriteParameters() => TensorPrimitives.ConvertTruncating<double, float>(Parameters, _parameters.Span);

    // The memory is pinned, so the pointer stays right.
    private static float* Pointer(AlignedFloats memory) => (float*)Unsafe.AsPointer(ref memory.First);

    private sealed class Chunk(int firstBlock, int endBlock, double[] gradient, AlignedFloats scratch)
    {
        public int FirstBlock => firstBlock;

        public int EndBlock => endBlock;

        public double[] Gradient => gradient;

        public AlignedFloats Scratch => scratch;

        public double Squares { get; set; }
    }
}
