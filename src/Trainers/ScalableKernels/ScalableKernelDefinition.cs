using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;
using static TorchSharp.torch;

namespace MlNetMlp.ScalableKernels;

/// <summary>
/// A stack of scalable neural network kernel layers, z = Ω·Φ(x), of which Φ is frozen: y = Ω_L·Φ_L(… N(Ω₁·Φ₁(x)) …) + b with N a layer
/// normalisation to length 1.
/// </summary>
/// <remarks>
/// Tensors: <c>mean</c> and <c>scale</c> [inputs] with <see cref="StandardizeInputs"/>; of each layer <c>layers.l.projection</c> G, for waves and series
/// <c>layers.l.spectrum</c>, what was drawn of them, and <c>layers.l.weight</c> Ω; <c>bias</c> b [outputs]. The last two are trained.
/// </remarks>
public sealed record ScalableKernelDefinition : NetworkDefinition, IValidatableObject
{
    /// <summary>ε of the normalisation between layers.</summary>
    internal const double Epsilon = 1e-5;

    /// <summary>m, features of a layer.</summary>
    [Range(1, 1 << 16)]
    public required int FeatureCount { get; init; }

    /// <summary>What the features are made for.</summary>
    public required ScalableKernel Kernel { get; init; }

    /// <summary>L, number of layers.</summary>
    [Range(1, 4)]
    public required int Depth { get; init; }

    /// <summary>H, values that a layer hands to the next; 1 where there is no next.</summary>
    [Range(1, 1 << 16)]
    public required int Width { get; init; }

    /// <summary>Whether the rows of G were drawn in orthogonal blocks.</summary>
    public required bool Orthogonal { get; init; }

    /// <summary>Whether a row is brought to the length <see cref="NormalizationConstant"/> before it is mapped.</summary>
    public required bool NormalizeInput { get; init; }

    /// <summary>The length of normalised rows.</summary>
    [Range(0, 100, MinimumIsExclusive = true)]
    public required double NormalizationConstant { get; init; }

    /// <summary>What g·x is cut at from below, for <see cref="ScalableKernel.ReluArcCos"/>.</summary>
    [Range(-1000, 1000)]
    public required double FloorConstant { get; init; }

    /// <summary>Whether a 1 is appended to what a layer reads.</summary>
    public required bool AppendConstant { get; init; }

    /// <summary>Whether the network standardises its inputs.</summary>
    public required bool StandardizeInputs { get; init; }

    /// <summary>Whether there is a last Ω; else the network puts out the m features of its last layer.</summary>
    public required bool HasReadout { get; init; }

    /// <summary>The waves of kernels that are sums of waves; null for others.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public FourierSpectrum? Spectrum { get; init; }

    /// <summary>The series of <see cref="ScalableKernel.TaylorSeries"/>; null for others.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public PowerSeries? Series { get; init; }

    /// <inheritdoc/>
    public override NetworkDefinition? Body => HasReadout ? this with { HasReadout = false, Outputs = FeatureCount } : null;

    /// <summary>Number of values that are trained where all layers are: Σ O_l·m, and O for the intercept.</summary>
    [JsonIgnore]
    public long TrainableCount => ((long)(Depth - 1) * Width * FeatureCount) + (HasReadout ? (FeatureCount + 1L) * Outputs : 0);

    /// <inheritdoc/>
    public override long WeightCount
    {
        get
        {
            var frozen = StandardizeInputs ? 2L * Inputs : 0;
            for (var layer = 0; layer < Depth; layer++)
                frozen += ((long)ProjectionRows * LayerInputs(layer)) + ((long)SpectrumRows * FeatureCount);
            return frozen + TrainableCount;
        }
    }

    internal int[] PowerCounts => Series?.Share(FeatureCount) ?? [];

    internal int ProjectionRows => Series is null ? FeatureCount : Math.Max(1, PowerCounts.Select((count, n) => count * n).Sum());

    internal int SpectrumRows => Series is not null ? 2 : Spectrum is not null ? 3 : 0;

    /// <inheritdoc/>
    public override Network Build(Device device) => new ScalableKernelStack(this, device);

    /// <summary>Whether kernel and waves or series belong together.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        var needsWaves = Kernel is ScalableKernel.Cosine or ScalableKernel.Sine or ScalableKernel.CustomFourier;
        if (needsWaves != Spectrum is not null || (Kernel == ScalableKernel.TaylorSeries) != Series is not null)
            yield return new ValidationResult($"'Spectrum' and 'Series' are not those of the kernel {Kernel}");
        if (Series?.Powers > FeatureCount)
            yield return new ValidationResult($"'FeatureCount' must be at least {Series.Powers}, but is {FeatureCount}");
        if (!HasReadout && Outputs != FeatureCount)
            yield return new ValidationResult($"'Outputs' must be {FeatureCount} without a readout, but is {Outputs}");
    }

    /// <inheritdoc/>
    public override DenseProgram? BuildDense(WeightReader weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        if (Kernel != ScalableKernel.ReluArcCos || NormalizeInput)
            return null;
        var builder = new DenseProgramBuilder(Inputs);
        var x = StandardizeInputs ? builder.Affine(builder.Input, weights.Take("mean", Inputs).Span, weights.Take("scale", Inputs).Span) : builder.Input;
        var floor = (float)(FloorConstant * (1 / Math.Sqrt(FeatureCount)));
        for (var layer = 0; ; layer++)
        {
            var units = Rectified(builder, x, weights.Take($"layers.{layer}.projection", FeatureCount, LayerInputs(layer)));
            var isLast = layer == Depth - 1;
            if (isLast && !HasReadout)
                return Finish(floor == 0 ? units : builder.Affine(units, Constant(FeatureCount, -floor), Constant(FeatureCount, 1)));
            var outputs = isLast ? Outputs : Width;
            var omega = weights.Take($"layers.{layer}.weight", outputs, FeatureCount);
            var bias = isLast ? weights.Take("bias", Outputs).ToArray() : new float[outputs];
            for (var row = 0; floor != 0 && row < outputs; row++)
                bias[row] += floor * Sum(omega.Span.Slice(row * FeatureCount, FeatureCount));
            x = builder.Dense(units, omega, bias, outputs);
            if (isLast)
                return Finish(x);
            x = builder.LayerNorm(x, Constant(Width, (float)(1 / Math.Sqrt(Width))), [], (float)Epsilon);
        }

        DenseProgram Finish(DenseRegister register)
        {
            weights.Finish();
            return builder.Build(register);
        }

        static float Sum(ReadOnlySpan<float> values) => System.Numerics.Tensors.TensorPrimitives.Sum(values);
    }

    internal int LayerInputs(int layer) => (layer == 0 ? Inputs : Width) + (AppendConstant ? 1 : 0);

    // max(g·x, c)/√m is a rectified unit of G/√m and the offset −c/√m, plus c/√m.
    private DenseRegister Rectified(DenseProgramBuilder builder, DenseRegister x, ReadOnlyMemory<float> projection)
    {
        var (factor, inputs, columns) = (1 / Math.Sqrt(FeatureCount), x.Width, x.Width + (AppendConstant ? 1 : 0));
        var bias = new float[FeatureCount];
        for (var j = 0; j < FeatureCount; j++)
            bias[j] = (float)(((AppendConstant ? projection.Span[(j * columns) + inputs] : 0) - FloorConstant) * factor);
        return builder.Dense(x, () => Scaled(projection.Span), bias, FeatureCount, Activation.Relu);

        float[] Scaled(ReadOnlySpan<float> values)
        {
            var weight = new float[FeatureCount * inputs];
            for (var j = 0; j < FeatureCount; j++)
            {
                for (var i = 0; i < inputs; i++)
                    weight[(j * inputs) + i] = (float)(values[(j * columns) + i] * factor);
            }

            return weight;
        }
    }

    private static float[] Constant(int count, float value)
    {
        var values = new float[count];
        values.AsSpan().Fill(value);
        return values;
    }
}
