using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Tabular;

/// <summary>How the layers of a <see cref="ScaledMlp"/> are connected.</summary>
public enum ScaledMlpArchitecture
{
    /// <summary>Residual blocks that widen and narrow again: z + U·φ(V·N(z) + c) + d.</summary>
    InvertedBottleneck,

    /// <summary>The paper's weak baseline, a plain MLP without skips: W·φ(N(z)) + b.</summary>
    Standard,
}

/// <summary>What the layers of a <see cref="ScaledMlp"/> are normalised by.</summary>
public enum ScaledMlpNormalization
{
    /// <summary>Layer normalisation, over the units of one row.</summary>
    Layer,

    /// <summary>Batch normalisation, over the rows of one batch; over the training rows once trained.</summary>
    Batch,

    /// <summary>Nothing.</summary>
    None,
}

/// <summary>The nonlinearity φ of a <see cref="ScaledMlp"/>.</summary>
public enum ScaledMlpActivation
{
    /// <summary>x·Φ(x) with the exact normal distribution function Φ.</summary>
    Gelu,

    /// <summary>max(x, 0).</summary>
    Relu,
}

/// <summary>Shapes and switches of a <see cref="ScaledMlp"/>'s network, which are its file format.</summary>
public sealed record ScaledMlpDefinition : NetworkDefinition
{
    /// <summary>ε of both normalisations.</summary>
    internal const double Epsilon = 1e-5;

    /// <summary>W, units of a hidden layer.</summary>
    [Range(8, 1 << 16)]
    public required int Width { get; init; }

    /// <summary>L, number of residual blocks, or of hidden layers.</summary>
    [Range(1, 64)]
    public required int Blocks { get; init; }

    /// <summary>f, width of a block's inside divided by W.</summary>
    [Range(1, 8)]
    public required int ExpansionFactor { get; init; }

    /// <summary>How the layers are connected.</summary>
    public required ScaledMlpArchitecture Architecture { get; init; }

    /// <summary>What the layers are normalised by.</summary>
    public required ScaledMlpNormalization Normalization { get; init; }

    /// <summary>The nonlinearity φ.</summary>
    public required ScaledMlpActivation Activation { get; init; }

    /// <summary>Whether the network standardises its inputs.</summary>
    public required bool StandardizeInputs { get; init; }

    /// <summary>Whether standardised inputs are bent smoothly to stay within ±3.</summary>
    public required bool ClipInputs { get; init; }

    /// <summary>Whether the last layer is left out, so that the W activations that it would read are put out.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsBody { get; init; }

    /// <inheritdoc/>
    public override NetworkDefinition? Body => IsBody ? null : this with { IsBody = true, Outputs = Width };

    /// <inheritdoc/>
    public override long WeightCount => ParameterCount + BufferCount;

    /// <summary>Number of trained values: D·W + W + L·(2f·W² + (f + 3)·W) + W·K + K for inverted bottlenecks with layer normalisation.</summary>
    internal long ParameterCount
    {
        get
        {
            long w = Width, l = Blocks, f = ExpansionFactor;
            var layers = Architecture == ScaledMlpArchitecture.InvertedBottleneck
                ? l * ((2 * f * w * w) + ((f + 1) * w))
                : (l - 1) * ((w * w) + w);
            var gains = Normalization == ScaledMlpNormalization.None ? 0 : l * 2 * w;
            return ((Inputs + 1) * w) + layers + gains + (IsBody ? 0 : (w + 1) * Outputs);
        }
    }

    private long BufferCount =>
        (StandardizeInputs ? 2L * Inputs : 0) + (Normalization == ScaledMlpNormalization.Batch ? 2L * Blocks * Width : 0);

    /// <inheritdoc/>
    public override Network Build(Device device) => new ScaledMlpNetwork(this, device);

    /// <inheritdoc/>
    public override DenseProgram? BuildDense(WeightReader weights)
    {
        var builder = new DenseProgramBuilder(Inputs);
        var activation = Activation == ScaledMlpActivation.Gelu ? Scoring.Activation.Gelu : Scoring.Activation.Relu;
        var x = builder.Input;
        if (StandardizeInputs)
            x = builder.Affine(x, Take("mean", Inputs), Take("scale", Inputs));
        if (StandardizeInputs && ClipInputs)
            x = builder.Elementwise(x, Scoring.Activation.SmoothClip);

        var z = Layer(x, "input", Width);
        for (var l = 0; l < Blocks; l++)
        {
            var n = Normalize(z, $"norms.{l}");
            if (Architecture == ScaledMlpArchitecture.InvertedBottleneck)
            {
                var h = Layer(n, $"expand.{l}", ExpansionFactor * Width, activation);
                builder.AddDense(z, h, weights.Take($"contract.{l}.weight", Width, h.Width), Take($"contract.{l}.bias", Width));
            }
            else
            {
                var h = builder.Elementwise(n, activation);
                z = l < Blocks - 1 ? Layer(h, $"hidden.{l}", Width) : h;
            }
        }

        var y = IsBody ? z : Layer(z, "output", Outputs);
        weights.Finish();
        return builder.Build(y);

        ReadOnlySpan<float> Take(string name, params long[] shape) => weights.Take(name, shape).Span;

        DenseRegister Layer(DenseRegister from, string name, int outputs, Activation function = Scoring.Activation.Identity) =>
            builder.Dense(from, weights.Take($"{name}.weight", outputs, from.Width), Take($"{name}.bias", outputs), outputs, function);

        DenseRegister Normalize(DenseRegister from, string name)
        {
            if (Normalization == ScaledMlpNormalization.None)
                return from;
            var gain = Take($"{name}.weight", Width);
            var shift = Take($"{name}.bias", Width);
            if (Normalization == ScaledMlpNormalization.Layer)
                return builder.LayerNorm(from, gain, shift, (float)Epsilon);

            // Two steps, as a gain of 0 leaves no single shift of the input that stands for the bias.
            var mean = Take($"{name}.running_mean", Width);
            var variance = Take($"{name}.running_var", Width);
            var (factor, before, one) = (new float[Width], new float[Width], new float[Width]);
            for (var i = 0; i < Width; i++)
                (factor[i], before[i], one[i]) = ((float)(gain[i] / Math.Sqrt(variance[i] + Epsilon)), -shift[i], 1);
            return builder.Affine(builder.Affine(from, mean, factor), before, one);
        }
    }
}

/// <summary>The network of a <see cref="ScaledMlp"/>.</summary>
internal sealed class ScaledMlpNetwork : Network
{
    private readonly ScaledMlpDefinition _definition;
    private readonly Tensor? mean;
    private readonly Tensor? scale;
    private readonly Dense input;
    private readonly ModuleList<nn.Module<Tensor, Tensor>> norms = [];
    private readonly ModuleList<Dense> expand = [];
    private readonly ModuleList<Dense> contract = [];
    private readonly ModuleList<Dense> hidden = [];
    private readonly Dense? output;

    public ScaledMlpNetwork(ScaledMlpDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        var width = definition.Width;
        if (definition.StandardizeInputs)
            (mean, scale) = (zeros(definition.Inputs, device: device), ones(definition.Inputs, device: device));
        input = new Dense(definition.Inputs, width, device);
        output = definition.IsBody ? null : new Dense(width, definition.Outputs, device);
        for (var l = 0; l < definition.Blocks; l++)
        {
            if (definition.Normalization == ScaledMlpNormalization.Layer)
                norms.Add(nn.LayerNorm(width, ScaledMlpDefinition.Epsilon, device: device));
            else if (definition.Normalization == ScaledMlpNormalization.Batch)
                norms.Add(new BatchNormalization(width, device));

            if (definition.Architecture == ScaledMlpArchitecture.InvertedBottleneck)
            {
                expand.Add(new Dense(width, definition.ExpansionFactor * width, device));
                contract.Add(new Dense(definition.ExpansionFactor * width, width, device));
            }
            else if (l < definition.Blocks - 1)
            {
                hidden.Add(new Dense(width, width, device));
            }
        }

        RegisterComponents();
    }

    /// <summary>A_in, b_in.</summary>
    public Dense InputLayer => input;

    /// <summary>A_out, b_out; null for a body.</summary>
    public Dense? OutputLayer => output;

    /// <summary>U_l, d_l.</summary>
    public IEnumerable<Dense> Contractions => contract;

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        return Rest(input.call(Standardize(x)));                            // z₀ = A_in·x + b_in: [rows, W]
    }

    /// <inheritdoc/>
    public override Tensor AffinePart(Tensor x) => _definition.ClipInputs ? x : input.call(Standardize(x));

    /// <inheritdoc/>
    public override Tensor FromAffinePart(Tensor begun) => _definition.ClipInputs ? call(begun) : Rest(begun);

    private Tensor Rest(Tensor z)
    {
        for (var l = 0; l < _definition.Blocks; l++)
        {
            var n = norms.Count > 0 ? norms[l].call(z) : z;
            if (_definition.Architecture == ScaledMlpArchitecture.InvertedBottleneck)
            {
                var h = Activate(expand[l].call(n));                        // φ(V_l·LN_l(z) + c_l): [rows, f·W]
                z = z.Plus(contract[l].call(h));                            // z + U_l·h + d_l: [rows, W]
            }
            else
            {
                // NOTE[DIFF]: the original applies no φ before the head, so its last two layers are one linear map; here L hidden
                // layers are L nonlinearities, which is what users of other libraries mean by them. The weights are the same in number.
                z = Activate(n);
                z = l < hidden.Count ? hidden[l].call(z) : z;               // W_l·φ(LN_l(z)) + b_l: [rows, W]
            }
        }

        return output is null ? z : output.call(z);                         // A_out·z_L + b_out: [rows, K]
    }

    /// <summary>Fixes how inputs are standardised.</summary>
    /// <param name="statistics">Means and deviations of the training rows.</param>
    public void SetScaling(FeatureStatistics statistics)
    {
        if (mean is null || scale is null)
            return;
        using var noGradient = no_grad();
        using Tensor means = tensor(statistics.Mean.ToArray()), factors = tensor(statistics.Scale().Select(s => 1 / s).ToArray());
        mean.copy_(means);
        scale.copy_(factors);
    }

    /// <inheritdoc/>
    public override void Initialize(Generator random)
    {
        input.Initialize(random);
        foreach (var layer in expand.Zip(contract).SelectMany(pair => new[] { pair.First, pair.Second }).Concat(hidden))
            layer.Initialize(random);
        output?.Initialize(random);
        foreach (var norm in norms)
        {
            foreach (var (name, tensor) in norm.state_dict())
                tensor.zero_().Shift(name is "weight" or "running_var" ? 1 : 0);
        }
    }

    private Tensor Activate(Tensor x) =>
        _definition.Activation == ScaledMlpActivation.Gelu ? nn.functional.gelu(x) : nn.functional.relu(x);

    private Tensor Standardize(Tensor x)
    {
        if (mean is null || scale is null)
            return x;
        x = x.sub(mean).mul_(scale);
        if (!_definition.ClipInputs)
            return x;

        // NOTE[DIFF]: x/√(1 + (x/3)²) is not in the paper, whose pixels have no outliers; one wild value of a table would drown its row.
        return SmoothClip.Apply(x);
    }
}
