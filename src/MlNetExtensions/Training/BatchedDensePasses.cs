using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// The passes of <see cref="BatchedDense"/> layers written out, for Single numbers on the CPU: forward, and backward to the gradients in <see cref="FlatParameters"/>. In small batches
/// torch's graph costs more than the products do.
/// </summary>
/// <remarks>
/// The inputs of the first layer are s ⊙ [plain numbers, periodic functions of the first of them, further numbers], each hidden layer has the same function. Networks go through one after another,
/// in memory that they share: what comes out is to be used before the next call. Not safe for several threads at once.
/// </remarks>
public sealed unsafe class BatchedDensePasses
{
    private readonly PassKernels _kernels = PassKernels.OfMachine;
    private readonly FlatParameters _parameters;
    private readonly PeriodicEmbedding? _embedding;
    private readonly Activation _activation;
    private readonly Layer[] _layers;
    private readonly long _scale;
    private readonly int _networks;
    private readonly int _plain;
    private readonly int _inputs;
    private readonly int _stride;
    private readonly AlignedFloats _input;
    private readonly AlignedFloats _scaled;
    private readonly AlignedFloats _scales;
    private readonly AlignedFloats _outputs;
    private readonly AlignedFloats _outputGradient;
    private readonly AlignedFloats _gradient;
    private readonly AlignedFloats _nextGradient;
    private readonly AlignedFloats _scratch;
    private readonly nint[] _masks;
    private int _maskRows;

    /// <summary>Makes room for the passes.</summary>
    /// <param name="parameters">The weights and their gradients: Single numbers on the CPU. They must outlive this object.</param>
    /// <param name="layers">The layers, the last one without a function.</param>
    /// <param name="scale">s, what the inputs are multiplied by [networks, 1, inputs].</param>
    /// <param name="embedding">Periodic functions of the first plain numbers, or null.</param>
    /// <param name="plain">How many plain numbers come first in a row.</param>
    /// <param name="activation">The function of hidden units: <see cref="Activation.Silu"/> or <see cref="Activation.Relu"/>.</param>
    /// <param name="rows">The most rows of a network at once.</param>
    /// <exception cref="ArgumentException">Weights are elsewhere or of another type, or the function is another.</exception>
    public BatchedDensePasses(FlatParameters parameters, IReadOnlyList<BatchedDense> layers, Parameter scale, PeriodicEmbedding? embedding, int plain, Activation activation, int rows)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(layers);
        ArgumentNullException.ThrowIfNull(scale);
        if (parameters.ValuesAddress == 0 || parameters.Values.dtype != ScalarType.Float32)
            throw new ArgumentException("The weights must be Single numbers on the CPU.", nameof(parameters));
        if (activation is not (Activation.Silu or Activation.Relu))
            throw new ArgumentException($"The function of hidden units must be Silu or Relu, but was {activation}.", nameof(activation));
        (_parameters, _embedding, _activation, _plain, MostRows) = (parameters, embedding, activation, plain, rows);
        (_networks, _inputs, _scale) = ((int)scale.shape[0], (int)scale.shape[2], parameters.OffsetOf(scale));
        _stride = AlignedFloats.Pad(_inputs);
        _layers = [.. layers.Select((layer, i) => new Layer(layer, parameters, i + 1 < layers.Count ? rows : 0))];
        Outputs = _layers[^1].Outputs;
        _masks = new nint[_layers.Length - 1];
        var widest = _layers.Select(layer => layer.Stride).Append(_stride).Max();
        (_input, _scaled, _scales) = (new(checked(rows * _stride)), new(checked(rows * _stride)), new(_stride));
        (_outputs, _outputGradient) = (new(checked(rows * Outputs) + AlignedFloats.LineFloats), new(checked(rows * Outputs) + AlignedFloats.LineFloats));
        (_gradient, _nextGradient) = (new(checked(rows * widest)), new(checked(rows * widest)));
        _scratch = new(_kernels.ScratchOf(Math.Max(rows, widest)));
    }

    /// <summary>The most rows of a network at once.</summary>
    public int MostRows { get; }

    /// <summary>Values in a row that goes out.</summary>
    public int Outputs { get; }

    /// <summary>Whether the passes serve such a function on such a device.</summary>
    /// <param name="activation">The function of hidden units.</param>
    /// <param name="device">Where the weights are.</param>
    /// <returns>Whether they do.</returns>
    public static bool Serve(Activation activation, Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return device.type == TorchSharp.DeviceType.CPU && activation is Activation.Silu or Activation.Relu;
    }

    /// <summary>Writes the plain numbers of rows.</summary>
    /// <param name="rows">Single numbers on the CPU [all rows, plain numbers].</param>
    /// <param name="places">Which of them, no more than <see cref="MostRows"/>.</param>
    public void SetInputs(Tensor rows, ReadOnlySpan<long> places)
    {
        ArgumentNullException.ThrowIfNull(rows);
        var from = TensorMemory.Address(rows);
        for (var i = 0; i < places.Length; i++)
            new ReadOnlySpan<float>(from + (places[i] * _plain), _plain).CopyTo(Input(i));
    }

    /// <summary>A row that comes in: the plain numbers and, behind the periodic functions, the further ones are to be written.</summary>
    /// <param name="row">Index of the row.</param>
    /// <returns>Its numbers.</returns>
    public Span<float> Input(int row) => _input.Span.Slice(row * _stride, _inputs);

    /// <summary>After <see cref="Backward"/> the gradient of a row that came in; that of plain numbers is not what the periodic functions of them add.</summary>
    /// <param name="row">Index of the row.</param>
    /// <returns>The gradient of its numbers.</returns>
    public ReadOnlySpan<float> InputGradient(int row) => _gradient.Span.Slice(row * _stride, _inputs);

    /// <summary>The gradient of the outputs [rows, outputs], to be written before <see cref="Backward"/>.</summary>
    /// <param name="rows">Number of rows.</param>
    /// <returns>Its numbers.</returns>
    public Span<float> OutputGradient(int rows) => _outputGradient.Span[..(rows * Outputs)];

    /// <summary>Draws what is left out of the hidden layers of all networks in the next passes.</summary>
    /// <param name="dropout">What draws; null for nothing to be left out.</param>
    /// <param name="rows">Rows of each network.</param>
    public void DrawMasks(DropoutPool? dropout, int rows)
    {
        _maskRows = rows;
        for (var layer = 0; layer < _masks.Length; layer++)
            _masks[layer] = dropout is null ? 0 : (nint)dropout.Draw((long)_networks * rows * _layers[layer].Outputs);
    }

    /// <summary>Passes rows forward.</summary>
    /// <param name="network">Index of the network.</param>
    /// <param name="rows">Number of rows.</param>
    /// <returns>Outputs [rows, outputs].</returns>
    public ReadOnlySpan<float> Forward(int network, int rows)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows, MostRows);
        fixed (float* input = &_input.First, scaled = &_scaled.First, scales = &_scales.First, outputs = &_outputs.First, scratch = &_scratch.First)
        {
            _embedding?.RunOnHost(network, input, _stride, input + _plain, _stride, rows);
            new ReadOnlySpan<float>(Values(_scale) + ((nint)network * _inputs), _inputs).CopyTo(_scales.Span);
            _kernels.Scale(input, scales, scaled, _stride, rows);
            var x = scaled;
            var stride = _stride;
            for (var i = 0; i < _layers.Length; i++)
            {
                var layer = _layers[i];
                var isLast = i + 1 == _layers.Length;
                fixed (float* slopes = &layer.Slopes.First, h = &layer.Values.First)
                {
                    var z = isLast ? outputs : slopes;
                    _kernels.Multiply(
                        new()
                        {
                            A = x, ARow = stride, AStep = 1, B = Values(layer.Weight) + layer.WeightOf(network), BStride = layer.Outputs, Factor = layer.Factor,
                            Bias = Values(layer.Bias) + ((nint)network * layer.Outputs), C = z, CRow = isLast ? layer.Outputs : layer.Stride, Rows = rows, Columns = layer.Outputs, Steps = layer.Inputs,
                        },
                        scratch);
                    if (isLast)
                        break;
                    var mask = _masks[i] == 0 ? null : (float*)_masks[i] + ((nint)network * _maskRows * layer.Outputs);
                    _kernels.Activate(_activation, z, h, mask, layer.Outputs, layer.Stride, rows);

                    // Pinned for good.
                    x = h;
                    stride = layer.Stride;
                }
            }
        }

        return _outputs.Span[..(rows * Outputs)];
    }

    /// <summary>Passes the gradient of the outputs backward, after <see cref="Forward"/> for the same network and rows; the gradients of its weights are replaced.</summary>
    /// <param name="network">Index of the network.</param>
    /// <param name="rows">Number of rows.</param>
    public void Backward(int network, int rows)
    {
        fixed (float* input = &_input.First, scaled = &_scaled.First, scales = &_scales.First, outputs = &_outputGradient.First, first = &_gradient.First, second = &_nextGradient.First, scratch = &_scratch.First)
        {
            // The gradient of the inputs comes to lie in the first of the two.
            float* dy = outputs, dx = _layers.Length % 2 == 1 ? first : second;
            for (var i = _layers.Length - 1; i >= 0; i--)
            {
                var layer = _layers[i];
                var dyStride = i + 1 == _layers.Length ? layer.Outputs : layer.Stride;
                var (below, stride) = i > 0 ? (_layers[i - 1], _layers[i - 1].Stride) : (layer, _stride);
                fixed (float* h = &below.Values.First, slopes = &below.Slopes.First)
                {
                    var weight = layer.WeightOf(network);
                    _kernels.Multiply(                                                    // ∂W = xᵀ·∂y/√inputs
                        new()
                        {
                            A = i > 0 ? h : scaled, ARow = 1, AStep = stride, B = dy, BStride = dyStride, Factor = layer.Factor,
                            C = Gradient(layer.Weight) + weight, CRow = layer.Outputs, Rows = layer.Inputs, Columns = layer.Outputs, Steps = rows,
                        },
                        scratch);
                    _kernels.Sums(dy, null, Gradient(layer.Bias) + ((nint)network * layer.Outputs), layer.Outputs, dyStride, rows);
                    _kernels.Multiply(                                                    // ∂x = ∂y·Wᵀ/√inputs
                        new()
                        {
                            A = dy, ARow = dyStride, AStep = 1, B = Values(layer.Weight) + weight, BStride = layer.Outputs, IsTransposed = true, Factor = layer.Factor,
                            C = dx, CRow = stride, Rows = rows, Columns = layer.Inputs, Steps = layer.Outputs,
                        },
                        scratch);
                    if (i > 0)
                        _kernels.MultiplyInto(slopes, dx, (nint)rows * stride);
                }

                dy = dx;
                dx = dy == first ? second : first;
            }

            _kernels.Sums(dy, input, Gradient(_scale) + ((nint)network * _inputs), _inputs, _stride, rows);
            _kernels.Scale(dy, scales, dy, _stride, rows);
            _embedding?.AddGradientsOnHost(
                network, input, _stride, dy + _plain, _stride, rows, new(Cleared(_embedding.Frequency, network), Cleared(_embedding.Phase, network), Cleared(_embedding.Amplitude, network), Cleared(_embedding.Offset, network)));
        }
    }

    // Where the gradient of the part of a network is, set to zero.
    private float* Cleared(Parameter parameter, int network)
    {
        var count = (int)(parameter.numel() / _networks);
        var start = Gradient(_parameters.OffsetOf(parameter)) + ((nint)network * count);
        new Span<float>(start, count).Clear();
        return start;
    }

    private float* Values(long offset) => (float*)_parameters.ValuesAddress + offset;

    private float* Gradient(long offset) => (float*)_parameters.GradientAddress + offset;

    private sealed class Layer
    {
        public Layer(BatchedDense layer, FlatParameters parameters, int rows)
        {
            (Inputs, Outputs, Factor) = ((int)layer.Weight.shape[1], (int)layer.Weight.shape[2], layer.Factor);
            (Weight, Bias, Stride) = (parameters.OffsetOf(layer.Weight), parameters.OffsetOf(layer.Bias), AlignedFloats.Pad(Outputs));
            (Values, Slopes) = (new(checked(rows * Stride)), new(checked(rows * Stride)));
        }

        public int Inputs { get; }

        public int Outputs { get; }

        public int Stride { get; }

        public float Factor { get; }

        public long Weight { get; }

        public long Bias { get; }

        public AlignedFloats Values { get; }

        public AlignedFloats Slopes { get; }

        public nint WeightOf(int network) => (nint)network * Inputs * Outputs;
    }
}
