using MlNetMlp.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.ScalableKernels;

/// <summary>One layer z = Ω·Φ(x): Φ is drawn once and frozen, Ω starts as Ψ(W, b) of a dense layer's usual first weights.</summary>
internal sealed class ScalableKernelLayer : nn.Module
{
    // exp of more does not fit Single precision with room for products.
    private static readonly Scalar LargestExponent = 80.0, SmallestExponent = -1e30;

    private readonly ScalableKernelDefinition _definition;
    private readonly Scalar _floor;
    private readonly Scalar _noCeiling = float.MaxValue;
    private readonly Tensor projection;
    private readonly Tensor? spectrum;
    private readonly Parameter? weight;

    public ScalableKernelLayer(ScalableKernelDefinition definition, int inputs, int? outputs, Device device)
        : base(nameof(ScalableKernelLayer))
    {
        (_definition, _floor, Inputs) = (definition, definition.FloorConstant, inputs);
        projection = zeros(definition.ProjectionRows, inputs, device: device);
        spectrum = definition.SpectrumRows > 0 ? zeros(definition.SpectrumRows, definition.FeatureCount, device: device) : null;
        weight = outputs is { } count ? new Parameter(zeros(count, definition.FeatureCount, device: device)) : null;
        RegisterComponents();
    }

    /// <summary>Values that the kernel sees of a row, with the constant.</summary>
    public int Inputs { get; }

    /// <summary>Ω [O, m]; null where the layer's features are what is asked for.</summary>
    public Parameter? Weight => weight;

    /// <summary>G.</summary>
    public Tensor Projection => projection;

    private int FeatureCount => _definition.FeatureCount;

    private bool IsFourier => _definition.Spectrum is not null;

    /// <summary>Draws G and what belongs to it, and sets Ω to Ψ of weights from U(−1/√D, 1/√D).</summary>
    public void Initialize(Generator random)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        if (_definition.Series is { } series)
        {
            projection.copy_(rand(projection.shape, generator: random).Plus(-0.5).sgn());           // r ∈ {−1, 1}
            var counts = _definition.PowerCounts;
            float[] amplitudes = [.. counts.SelectMany((c, n) => Enumerable.Repeat((float)Math.Sqrt(Math.Abs(series.Coefficients[n]) / Math.Max(1, c)), c))];
            float[] signs = [.. counts.SelectMany((c, n) => Enumerable.Repeat((float)Math.Sign(series.Coefficients[n]), c))];
            spectrum!.copy_(stack([tensor(amplitudes), tensor(signs)]));
        }
        else
        {
            projection.copy_(_definition.Orthogonal
                ? RandomMatrix.OrthogonalGaussian(FeatureCount, Inputs, random)
                : empty(FeatureCount, Inputs).normal_(0, 1, random));
            if (_definition.Spectrum is { } waves)
                spectrum!.copy_(DrawWaves(waves, random));
        }

        if (weight is null)
            return;
        var plain = Inputs - (_definition.AppendConstant ? 1 : 0);
        var bound = 1 / Math.Sqrt(plain);
        var w = empty(weight.shape[0], plain).uniform_(-bound, bound, random);
        weight.copy_(Psi(w, empty(weight.shape[0]).uniform_(-bound, bound, random)));
    }

    /// <summary>Φ(x): features that are fixed.</summary>
    /// <param name="x">Rows [n, D], without the constant.</param>
    /// <returns>[n, m].</returns>
    public Tensor Phi(Tensor x) => Phi(x, 0, FeatureCount);

    /// <summary>Some of the features of rows.</summary>
    /// <param name="x">Rows [n, D], without the constant.</param>
    /// <param name="first">The first feature.</param>
    /// <param name="count">How many.</param>
    /// <returns>[n, count].</returns>
    public Tensor Phi(Tensor x, long first, long count)
    {
        if (_definition.AppendConstant)
            x = cat([x, ones_like(x.narrow(1, 0, 1))], 1);
        if (_definition.NormalizeInput)
            x = nn.functional.normalize(x, 2, 1, 1e-12).Times(_definition.NormalizationConstant);
        if (_definition.Series is not null)
            return Products(x).mul(spectrum![0]).narrow(1, first, count);                           // √(aₙ/mₙ)·Π r_k·x
        var z = nn.functional.linear(x, projection.narrow(0, first, count));                        // g·x: [n, m]
        var features = IsFourier
            ? z.sub(x.mul(x).sum(1L, keepdim: true).Times(0.5)).clamp(SmallestExponent, LargestExponent).exp()  // exp(g·x − ‖x‖²/2)
            : z.clamp(_floor, _noCeiling);                                                          // max(g·x, c)
        return features.Times(1 / Math.Sqrt(FeatureCount));
    }

    /// <summary>Ψ(W, b), for which Φ(x)·Ψ(w, b) is f(w·x + b) on average over what was drawn.</summary>
    /// <param name="w">W [O, D], without a column for the constant.</param>
    /// <param name="b">b [O]. Kernels that are no waves see it as the weight of the constant, if there is one.</param>
    /// <returns>[O, m].</returns>
    public Tensor Psi(Tensor w, Tensor b)
    {
        using var scope = NewDisposeScope();
        if (_definition.AppendConstant)
            w = cat([w, IsFourier ? zeros(b.shape[0], 1) : b.unsqueeze(1)], 1);
        if (_definition.Series is not null)
            return Products(w).mul(spectrum![0]).mul(spectrum[1]).MoveToOuterDisposeScope();        // sign(aₙ)·√(aₙ/mₙ)·Π r_k·w
        var z = nn.functional.linear(w, projection);                                                // g·w: [O, m]
        if (!IsFourier)
            return nn.functional.relu(z).Times(1 / Math.Sqrt(FeatureCount)).MoveToOuterDisposeScope();
        var (t, a, phase) = (spectrum![0], spectrum[1], spectrum[2]);
        var growth = w.mul(w).sum(1L, keepdim: true).Times(0.5).mul(t.mul(t)).exp();                // exp(t²‖w‖²/2)
        var wave = z.Plus(b.unsqueeze(1)).mul(t).Plus(phase).cos();                                 // cos(t·(g·w + b) + θ)
        return growth.mul(wave).mul(a).Times(1 / Math.Sqrt(FeatureCount)).MoveToOuterDisposeScope();
    }

    // Each ξ is drawn with a probability in proportion to |F(ξ)|, so that F/p has the same modulus for all.
    private Tensor DrawWaves(FourierSpectrum waves, Generator random)
    {
        var total = waves.Terms.Sum(term => term.Amplitude);
        var sums = waves.Terms.Select(term => term.Amplitude).ToArray();
        for (var k = 1; k < sums.Length; k++)
            sums[k] += sums[k - 1];
        var drawn = rand([FeatureCount], ScalarType.Float64, generator: random).data<double>().ToArray();
        var values = new float[3 * FeatureCount];
        for (var j = 0; j < FeatureCount; j++)
        {
            var place = Array.BinarySearch(sums, drawn[j] * total);
            var term = waves.Terms[Math.Min(place < 0 ? ~place : place + 1, sums.Length - 1)];
            values[j] = (float)(2 * Math.PI * term.Frequency);
            values[FeatureCount + j] = (float)total;
            values[(2 * FeatureCount) + j] = (float)Math.Atan2(term.Imaginary, term.Real);
        }

        return tensor(values, [3, FeatureCount]);
    }

    // Π_{k≤n} r_k·x for each feature of each power n: [rows, m].
    private Tensor Products(Tensor x)
    {
        var signs = nn.functional.linear(x, projection);
        var (parts, first) = (new List<Tensor>(), 0L);
        foreach (var (count, n) in _definition.PowerCounts.Select((count, n) => (count, n)).Where(power => power.count > 0))
        {
            parts.Add(n switch
            {
                0 => ones_like(signs.narrow(1, 0, 1)).expand(x.shape[0], count),
                1 => signs.narrow(1, first, count),
                _ => signs.narrow(1, first, (long)count * n).reshape(x.shape[0], count, n).prod(2L),
            });
            first += (long)count * n;
        }

        return cat(parts, 1);
    }
}
