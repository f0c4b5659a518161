using System.ComponentModel.DataAnnotations;

namespace MlNetMlp.ScalableKernels;

/// <summary>The function that a scalable neural network kernel layer is made from: what the products of its features estimate.</summary>
public enum ScalableKernel
{
    /// <summary>
    /// max(g·x, floor): on average over g the products of features are the arc-cosine kernel of input and weights. It is not an approximation of a
    /// layer of rectified units but another layer, and the practical default.
    /// </summary>
    ReluArcCos,

    /// <summary>cos(w·x + b), by positive features exp(g·x − ‖x‖²/2).</summary>
    Cosine,

    /// <summary>sin(w·x + b), by positive features exp(g·x − ‖x‖²/2).</summary>
    Sine,

    /// <summary>Any f(w·x + b) that is a sum of waves, which the option <c>Spectrum</c> gives.</summary>
    CustomFourier,

    /// <summary>Any f(w·x) that is a power series, which the option <c>Series</c> gives, by products of random signs.</summary>
    TaylorSeries,
}

/// <summary>One wave: Re[(a + i·b)·exp(2πi·ξ·z)].</summary>
/// <param name="Frequency">ξ, in cycles per unit of z.</param>
/// <param name="Real">a, what a cosine has.</param>
/// <param name="Imaginary">b; a sine is a wave of −1.</param>
public readonly record struct FourierTerm(double Frequency, double Real, double Imaginary = 0)
{
    internal double Amplitude => Math.Sqrt((Real * Real) + (Imaginary * Imaginary));
}

/// <summary>A function of one number as a sum of waves: samples of its Fourier transform times the distance between them.</summary>
/// <param name="Terms">The waves; at least one, not all 0.</param>
public sealed record FourierSpectrum(IReadOnlyList<FourierTerm> Terms) : IValidatableObject
{
    private const int MostTerms = 100_000;

    /// <summary>cos z.</summary>
    public static FourierSpectrum Cosine { get; } = new([new(1 / (2 * Math.PI), 1)]);

    /// <summary>sin z.</summary>
    public static FourierSpectrum Sine { get; } = new([new(1 / (2 * Math.PI), 0, -1)]);

    /// <summary>Its value.</summary>
    /// <param name="z">Where.</param>
    /// <returns>f(z).</returns>
    public double At(double z) => Terms.Sum(term =>
        (term.Real * Math.Cos(2 * Math.PI * term.Frequency * z)) - (term.Imaginary * Math.Sin(2 * Math.PI * term.Frequency * z)));

    /// <inheritdoc/>
    public bool Equals(FourierSpectrum? other) => other is not null && Terms.SequenceEqual(other.Terms);

    /// <inheritdoc/>
    public override int GetHashCode() => Terms.Aggregate(17, HashCode.Combine);

    /// <summary>Whether there are waves, all of them finite.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Terms is null || Terms.Count is 0 or > MostTerms || !(Terms.Sum(term => term.Amplitude) > 0))
            yield return new ValidationResult($"'Terms' must be 1 to {MostTerms} waves, not all of them 0");
        else if (Terms.Any(term => !double.IsFinite(term.Frequency) || !double.IsFinite(term.Amplitude)))
            yield return new ValidationResult("'Terms' must be finite numbers");
    }
}

/// <summary>A function of one number as a power series, f(z) = Σ aₙ·zⁿ.</summary>
/// <param name="Coefficients">aₙ from n = 0 on: 1 to 33 finite numbers, not all 0.</param>
public sealed record PowerSeries(IReadOnlyList<double> Coefficients) : IValidatableObject
{
    private const int MostCoefficients = 33;

    /// <summary>tanh z to the power 9; for |z| well below π/2.</summary>
    public static PowerSeries Tanh { get; } = new([0, 1, 0, -1.0 / 3, 0, 2.0 / 15, 0, -17.0 / 315, 0, 62.0 / 2835]);

    /// <summary>z·Φ(z) with the normal distribution function Φ to the power 10; for |z| up to 2.</summary>
    public static PowerSeries Gelu { get; } = new([0, 0.5, Gaussian(0), 0, Gaussian(1), 0, Gaussian(2), 0, Gaussian(3), 0, Gaussian(4)]);

    /// <summary>Its value.</summary>
    /// <param name="z">Where.</param>
    /// <returns>f(z).</returns>
    public double At(double z) => Coefficients.Reverse().Aggregate(0.0, (sum, a) => (sum * z) + a);

    /// <inheritdoc/>
    public bool Equals(PowerSeries? other) => other is not null && Coefficients.SequenceEqual(other.Coefficients);

    /// <inheritdoc/>
    public override int GetHashCode() => Coefficients.Aggregate(17, HashCode.Combine);

    /// <summary>Whether there are coefficients, all of them finite.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Coefficients is null || Coefficients.Count is 0 or > MostCoefficients || Coefficients.Any(a => !double.IsFinite(a)) || Coefficients.All(a => a == 0))
            yield return new ValidationResult($"'Coefficients' must be 1 to {MostCoefficients} finite numbers, not all of them 0");
    }

    /// <summary>Number of features for each power, so many in all: in proportion to 2⁻ⁿ, at least one for each power that there is.</summary>
    /// <param name="features">m, at least the number of powers.</param>
    internal int[] Share(int features)
    {
        // NOTE[DIFF]: features are shared out among the powers where the paper's code draws the power of each: the same mean with less variance.
        // A constant needs no second feature.
        int[] powers = [.. Enumerable.Range(0, Coefficients.Count).Where(n => Coefficients[n] != 0)];
        var counts = new int[Coefficients.Count];
        foreach (var n in powers)
            counts[n] = 1;
        int[] open = [.. powers.Where(n => n > 0).DefaultIfEmpty(0)];
        var (left, total) = (features - powers.Length, open.Sum(n => Math.Pow(2, -n)));
        foreach (var n in open)
            counts[n] += (int)(left * Math.Pow(2, -n) / total);
        counts[open[0]] += features - counts.Sum();
        return counts;
    }

    internal int Powers => Coefficients.Count(a => a != 0);

    private static double Gaussian(int k)
    {
        var factorial = Enumerable.Range(1, k).Aggregate(1.0, (product, i) => product * i);
        return (k % 2 == 0 ? 1 : -1) / (Math.Sqrt(2 * Math.PI) * Math.Pow(2, k) * factorial * ((2 * k) + 1));
    }
}

/// <summary>What the features of scalable kernels depend on.</summary>
internal interface IScalableKernelOptions
{
    int FeatureCount { get; }

    ScalableKernel Kernel { get; }

    bool Orthogonal { get; }

    bool? NormalizeInput { get; }

    double NormalizationConstant { get; }

    double FloorConstant { get; }

    bool AppendConstant { get; }

    bool StandardizeInputs { get; }

    FourierSpectrum? Spectrum { get; }

    PowerSeries? Series { get; }
}

internal static class ScalableKernelOptionsExtensions
{
    /// <summary>The network that options ask for.</summary>
    /// <param name="options">The options.</param>
    /// <param name="inputs">D.</param>
    /// <param name="outputs">O, or null for the features alone.</param>
    /// <param name="depth">Number of layers.</param>
    /// <param name="width">Values between two layers.</param>
    public static ScalableKernelDefinition Define(this IScalableKernelOptions options, int inputs, int? outputs, int depth = 1, int width = 1) => new()
    {
        Inputs = inputs,
        Outputs = outputs ?? options.FeatureCount,
        FeatureCount = options.FeatureCount,
        Kernel = options.Kernel,
        Depth = depth,
        Width = depth > 1 ? width : 1,
        Orthogonal = options.Orthogonal,
        NormalizeInput = options.NormalizeInput ?? options.Kernel != ScalableKernel.ReluArcCos,
        NormalizationConstant = options.NormalizationConstant,
        FloorConstant = options.FloorConstant,
        AppendConstant = options.AppendConstant,
        StandardizeInputs = options.StandardizeInputs,
        HasReadout = outputs is not null,
        Spectrum = options.Kernel switch
        {
            ScalableKernel.Cosine => FourierSpectrum.Cosine,
            ScalableKernel.Sine => FourierSpectrum.Sine,
            ScalableKernel.CustomFourier => options.Spectrum,
            _ => null,
        },
        Series = options.Kernel == ScalableKernel.TaylorSeries ? options.Series ?? PowerSeries.Tanh : null,
    };

    /// <summary>What is wrong between options.</summary>
    public static IEnumerable<ValidationResult> CheckTogether(this IScalableKernelOptions options)
    {
        if (options.Kernel == ScalableKernel.CustomFourier && options.Spectrum is null)
            yield return new ValidationResult("option 'Spectrum' must be given with the kernel CustomFourier");
        if (options.Kernel == ScalableKernel.TaylorSeries && (options.Series ?? PowerSeries.Tanh).Powers is var powers && options.FeatureCount < powers)
            yield return new ValidationResult($"option 'FeatureCount' must be at least {powers}, one for each power of the series, but was {options.FeatureCount}");
    }
}
