using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>
/// Learned periodic functions of single numbers, for several networks at once: each number z becomes a_i + Σ_f A_if·cos(2π·w_f·z + b_f), with weights of its own for every number
/// and network (Gorishniy and others, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022; with a bias in the cosine as in Holzmüller and others, "Better by
/// Default", 2024).
/// </summary>
/// <remarks>
/// The numbers themselves need no gradient where they are the data, so the training loop can have that of the weights from a kernel that keeps no cosine:
/// <see cref="IsRecording"/> and <see cref="AddGradients"/>. Without it torch's own differentiation serves.
/// </remarks>
public sealed class PeriodicEmbedding : nn.Module<Tensor, Tensor>
{
    /// <summary>Values that a number becomes.</summary>
    public const int Sums = 3;

    private readonly int _networks;
    private readonly int _numbers;
    private readonly int _frequencies;
    private readonly Parameter frequency;
    private readonly Parameter phase;
    private readonly Parameter amplitude;
    private readonly Parameter offset;
    private CosineSumWeights[]? _host;
    private (Tensor Input, Tensor Output)? _recorded;

    /// <summary>Creates an embedding whose weights are not yet set.</summary>
    /// <param name="networks">k, number of networks.</param>
    /// <param name="numbers">D, numbers of a row.</param>
    /// <param name="frequencies">F, cosines of a number.</param>
    /// <param name="device">Where the weights are.</param>
    /// <param name="type">Single, or Double.</param>
    public PeriodicEmbedding(int networks, int numbers, int frequencies, Device device, ScalarType type = ScalarType.Float32)
        : base(nameof(PeriodicEmbedding))
    {
        (_networks, _numbers, _frequencies) = (networks, numbers, frequencies);
        frequency = new Parameter(empty(networks, frequencies, numbers, type, device));
        phase = new Parameter(empty(networks, frequencies, numbers, type, device));
        amplitude = new Parameter(empty([networks, Sums, frequencies, numbers], type, device));
        offset = new Parameter(empty(networks, Sums, numbers, type, device));
        RegisterComponents();
    }

    /// <summary>w [networks, F, D].</summary>
    public Parameter Frequency => frequency;

    /// <summary>b [networks, F, D].</summary>
    public Parameter Phase => phase;

    /// <summary>A [networks, 3, F, D].</summary>
    public Parameter Amplitude => amplitude;

    /// <summary>a [networks, 3, D].</summary>
    public Parameter Offset => offset;

    /// <summary>
    /// Whether what comes out in training is a leaf of the graph, whose gradient <see cref="AddGradients"/> passes on to the weights; false at the beginning. It takes effect
    /// for Single numbers on the CPU.
    /// </summary>
    public bool IsRecording { get; set; }

    /// <summary>Number of weights.</summary>
    /// <param name="networks">k.</param>
    /// <param name="numbers">D.</param>
    /// <param name="frequencies">F.</param>
    /// <returns>The number.</returns>
    public static long WeightCountOf(int networks, int numbers, int frequencies) => (long)networks * numbers * (((Sums + 2L) * frequencies) + Sums);

    /// <summary>Draws w from N(0, deviation²), b from U(−π, π), A and a from U(−1, 1)/√F.</summary>
    /// <param name="random">The stream of random numbers.</param>
    /// <param name="deviation">Standard deviation of the frequencies.</param>
    public void Initialize(Generator random, double deviation)
    {
        using var noGradient = no_grad();
        var bound = 1 / Math.Sqrt(_frequencies);
        frequency.normal_(0, deviation, random);
        phase.uniform_(-Math.PI, Math.PI, random);
        amplitude.uniform_(-bound, bound, random);
        offset.uniform_(-bound, bound, random);
    }

    /// <summary>Applies the functions.</summary>
    /// <param name="input">z [networks, rows, at least D]: the first D numbers of a row count.</param>
    /// <returns>Values [networks, rows, 3·D].</returns>
    public override Tensor forward(Tensor input)
    {
        var isOnHost = input.device_type == DeviceType.CPU && input.dtype == ScalarType.Float32 && !input.requires_grad;
        var records = IsRecording && training && is_grad_enabled();
        if (isOnHost && (records || !is_grad_enabled()))
            return OnHost(input, records);
        var z = input.narrow(2, 0, _numbers).unsqueeze(2);                                        // [k, n, 1, D]
        var cosines = z.mul(frequency.unsqueeze(1)).Times(2 * Math.PI).Plus(phase.unsqueeze(1)).cos();   // [k, n, F, D]
        var sums = new Tensor[Sums];
        for (var i = 0; i < Sums; i++)
            sums[i] = cosines.mul(amplitude.select(1, i).unsqueeze(1)).sum(2L);                   // Σ_f A_if·cos(2π·w_f·z + b_f): [k, n, D]
        return stack(sums, 2).Plus(offset.unsqueeze(1)).flatten(2);
    }

    /// <summary>Adds to the gradients of the weights what the last forward pass in training brings, after <c>backward()</c> and before its graph is released.</summary>
    public unsafe void AddGradients()
    {
        if (_recorded is not var (input, output))
            return;
        _recorded = null;
        using var given = output.grad;
        if (given is null)
            return;
        using var dense = given.contiguous();
        using Tensor? dw = frequency.grad, db = phase.grad, da = amplitude.grad, dc = offset.grad;
        if (dw is null || db is null || da is null || dc is null)
            throw new InvalidOperationException("The gradients of the weights must be there before they are added to.");
        float* z = TensorMemory.Address(input), dy = TensorMemory.Address(dense);
        float* toFrequency = TensorMemory.Address(dw), toPhase = TensorMemory.Address(db), toAmplitude = TensorMemory.Address(da), toOffset = TensorMemory.Address(dc);
        var rows = (int)input.shape[1];
        for (var i = 0; i < _networks; i++)
        {
            var weights = (long)i * _frequencies * _numbers;
            CosineSumKernel.AddGradient(
                _host![i], z + (i * input.stride(0)), (int)input.stride(1), dy + ((long)i * rows * Sums * _numbers), Sums * _numbers, rows,
                new(toFrequency + weights, toPhase + weights, toAmplitude + (Sums * weights), toOffset + ((long)i * Sums * _numbers)));
        }
    }

    private unsafe Tensor OnHost(Tensor input, bool records)
    {
        if (input.stride(2) != 1)
            input = input.contiguous();
        var output = empty(_networks, input.shape[1], Sums * _numbers);
        var weights = HostWeights(records);
        float* z = TensorMemory.Address(input), y = TensorMemory.Address(output);
        var rows = (int)input.shape[1];
        for (var i = 0; i < _networks; i++)
            CosineSumKernel.Run(weights[i], z + (i * input.stride(0)), (int)input.stride(1), y + ((long)i * rows * Sums * _numbers), Sums * _numbers, rows);
        if (!records)
            return output;
        _host = weights;
        output.requires_grad_(true);
        _recorded = (input, output);
        return output;
    }

    // Several threads may score at once, but one trains.
    private CosineSumWeights[] HostWeights(bool reuse)
    {
        var weights = reuse && _host is { } kept ? kept : [.. Enumerable.Range(0, _networks).Select(_ => new CosineSumWeights(_numbers, _frequencies, Sums) { Unit = 2 * MathF.PI })];
        ReadOnlySpan<float> w = TensorMemory.Floats(frequency), b = TensorMemory.Floats(phase), a = TensorMemory.Floats(amplitude), c = TensorMemory.Floats(offset);
        var count = _frequencies * _numbers;
        for (var i = 0; i < _networks; i++)
            weights[i].Set(w.Slice(i * count, count), b.Slice(i * count, count), a.Slice(i * Sums * count, Sums * count), c.Slice(i * Sums * _numbers, Sums * _numbers));
        return weights;
    }
}
