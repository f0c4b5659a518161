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
        if (input.device_type == DeviceType.CPU && input.dtype == ScalarType.Float32 && !is_grad_enabled())
            return OnHost(input);
        var z = input.narrow(2, 0, _numbers).unsqueeze(2);                                        // [k, n, 1, D]
        var cosines = z.mul(frequency.unsqueeze(1)).Times(2 * Math.PI).Plus(phase.unsqueeze(1)).cos();   // [k, n, F, D]
        var sums = new Tensor[Sums];
        for (var i = 0; i < Sums; i++)
            sums[i] = cosines.mul(amplitude.select(1, i).unsqueeze(1)).sum(2L);                   // Σ_f A_if·cos(2π·w_f·z + b_f): [k, n, D]
        return stack(sums, 2).Plus(offset.unsqueeze(1)).flatten(2);
    }

    /// <summary>Applies the functions of a network to rows in memory.</summary>
    /// <param name="network">Index of the network.</param>
    /// <param name="z">The numbers of the first row.</param>
    /// <param name="zStride">Floats from row to row.</param>
    /// <param name="y">Room for the 3·D values of each row.</param>
    /// <param name="yStride">Floats from row to row.</param>
    /// <param name="rows">Number of rows.</param>
    internal unsafe void RunOnHost(int network, float* z, int zStride, float* y, int yStride, int rows)
    {
        _host ??= CreateHostWeights();
        SetHostWeights(_host, network);
        CosineSumKernel.Run(_host[network], z, zStride, y, yStride, rows);
    }

    /// <summary>Adds to the gradients of the weights of a network those of the rows of the last <see cref="RunOnHost"/> for it.</summary>
    /// <param name="network">Index of the network.</param>
    /// <param name="z">The numbers of the first row.</param>
    /// <param name="zStride">Floats from row to row.</param>
    /// <param name="dy">The gradient of the values of the first row.</param>
    /// <param name="dyStride">Floats from row to row.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="gradient">The gradients of the network's own weights.</param>
    internal unsafe void AddGradientsOnHost(int network, float* z, int zStride, float* dy, int dyStride, int rows, CosineSumGradient gradient) =>
        CosineSumKernel.AddGradient(_host![network], z, zStride, dy, dyStride, rows, gradient);

    private unsafe Tensor OnHost(Tensor input)
    {
        if (input.stride(2) != 1)
            input = input.contiguous();
        var output = empty(_networks, input.shape[1], Sums * _numbers);

        // Several threads may score at once.
        var weights = CreateHostWeights();
        float* z = TensorMemory.Address(input), y = TensorMemory.Address(output);
        var rows = (int)input.shape[1];
        for (var i = 0; i < _networks; i++)
        {
            SetHostWeights(weights, i);
            CosineSumKernel.Run(weights[i], z + (i * input.stride(0)), (int)input.stride(1), y + ((long)i * rows * Sums * _numbers), Sums * _numbers, rows);
        }

        return output;
    }

    private CosineSumWeights[] CreateHostWeights() =>
        [.. Enumerable.Range(0, _networks).Select(_ => new CosineSumWeights(_numbers, _frequencies, Sums) { Unit = 2 * MathF.PI })];

    private void SetHostWeights(CosineSumWeights[] weights, int network)
    {
        var count = _frequencies * _numbers;
        weights[network].Set(Of(frequency, count), Of(phase, count), Of(amplitude, Sums * count), Of(offset, Sums * _numbers));

        ReadOnlySpan<float> Of(Parameter parameter, int length) => TensorMemory.Floats(parameter).Slice(network * length, length);
    }
}
