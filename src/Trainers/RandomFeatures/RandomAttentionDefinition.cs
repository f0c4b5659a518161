using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.RandomFeatures;

/// <summary>
/// One layer of M frozen attention heads over a set of keys: φ_m = (1/N)·Σᵢ σ(x̃₀ᵀW_m x̃ᵢ)·x̃ᵢ/√M with x̃ = [x; 1], and a linear readout of all
/// φ_m, or φ_m themselves.
/// </summary>
/// <remarks>
/// Rows are [N, query, keys, zeros]. Tensors: <c>heads.weight</c> W [M, d+1, d+1]; with <see cref="HasReadout"/> <c>output.weight</c>
/// [outputs, M·(d+1)] and <c>output.bias</c> [outputs].
/// </remarks>
public sealed record RandomAttentionDefinition : NetworkDefinition, IValidatableObject
{
    /// <summary>M, number of heads.</summary>
    [Range(1, 20_000)]
    public required int Heads { get; init; }

    /// <summary>d, numbers of a key.</summary>
    [Range(1, 1 << 16)]
    public required int KeyDimension { get; init; }

    /// <summary>Whether rows bring a query of d numbers along.</summary>
    public required bool HasQuery { get; init; }

    /// <summary>What the query is otherwise.</summary>
    public required AttentionQueryMode QueryMode { get; init; }

    /// <summary>σ.</summary>
    public required AttentionActivation Activation { get; init; }

    /// <summary>T, what scores are divided by before a softmax.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public required double Temperature { get; init; }

    /// <summary>What is done to query and keys.</summary>
    public required AttentionNormalization Normalize { get; init; }

    /// <summary>Whether there is a readout; otherwise the network puts out features.</summary>
    public required bool HasReadout { get; init; }

    /// <summary>D = d + 1, numbers of a key with the constant.</summary>
    [JsonIgnore]
    public int Width => KeyDimension + 1;

    /// <summary>Number of features, M·(d+1).</summary>
    [JsonIgnore]
    public int Features => checked(Heads * Width);

    /// <summary>Index of the first number of the first key in a row.</summary>
    [JsonIgnore]
    public int KeysStart => 1 + (HasQuery ? KeyDimension : 0);

    /// <inheritdoc/>
    public override long WeightCount => ((long)Heads * Width * Width) + (HasReadout ? (((long)Heads * Width) + 1) * Outputs : 0);

    /// <inheritdoc/>
    public override NetworkDefinition? Body => HasReadout ? this with { HasReadout = false, Outputs = Features } : null;

    /// <inheritdoc/>
    public override Network Build(Device device) => new RandomAttentionNetwork(this, device);

    /// <inheritdoc/>
    public override IRowScorer? BuildScorer(WeightReader weights) => new RandomAttentionScorer(this, weights);

    /// <summary>Whether the widths fit each other.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if ((long)Heads * Width > 1 << 24)
            yield return new ValidationResult($"'Heads' times 'KeyDimension' plus 1 must be at most {1 << 24}, but they are {Heads} and {KeyDimension}");
        else if (!HasReadout && Outputs != Features)
            yield return new ValidationResult($"'Outputs' must be {Features} without a readout, but is {Outputs}");
        if (Inputs <= KeysStart || (Inputs - KeysStart) % KeyDimension != 0)
            yield return new ValidationResult($"'Inputs' must be {KeysStart} and some keys of {KeyDimension}, but is {Inputs}");
    }
}

/// <summary>The network of a <see cref="RandomAttentionDefinition"/>.</summary>
internal sealed class RandomAttentionNetwork : Network
{
    private readonly RandomAttentionDefinition _definition;
    private readonly HeadLayer heads;
    private readonly Dense? output;

    public RandomAttentionNetwork(RandomAttentionDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        heads = new(definition, device);
        output = definition.HasReadout ? new(definition.Features, definition.Outputs, device) : null;
        RegisterComponents();
    }

    public override void Initialize(Generator random)
    {
        using var noGradient = no_grad();
        heads.weight.normal_(0, AttentionHeads.DefaultStd, random);
        output?.Initialize(random);
    }

    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var features = AttentionMap.Compute(_definition, x, heads.weight);
        return (output is null ? features : output.call(features)).MoveToOuterDisposeScope();
    }

    // W is frozen: a buffer and no parameter.
    private sealed class HeadLayer : nn.Module
    {
        public readonly Tensor weight;

        public HeadLayer(RandomAttentionDefinition definition, Device device)
            : base(nameof(HeadLayer))
        {
            weight = zeros(definition.Heads, definition.Width, definition.Width, device: device);
            register_buffer(nameof(weight), weight);
        }
    }
}
