using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Data;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Solvers;
using static TorchSharp.torch;

namespace MlNetMlp.Explain;

/// <summary>Shapes and switches of a <see cref="VectorQuantize"/>'s network, which are its file format.</summary>
public sealed record VectorQuantizeDefinition : NetworkDefinition, ICodebookDefinition, IValidatableObject
{
    /// <summary>n, codes of each group.</summary>
    [Range(2, 1 << 16)]
    public required int NumCodes { get; init; }

    /// <summary>K, codes of a row in each group.</summary>
    [Range(1, 1 << 16)]
    public required int K { get; init; }

    /// <summary>G, slices of the features with codes of their own.</summary>
    [Range(1, 1 << 16)]
    public required int Groups { get; init; }

    /// <summary>How alike rows and codes are.</summary>
    public required RowSimilarity Similarity { get; init; }

    /// <summary>Whether slices are normalised before their codes are looked up.</summary>
    public required bool Normalize { get; init; }

    /// <summary>Whether the network standardises its inputs.</summary>
    public required bool StandardizeInputs { get; init; }

    /// <summary>Name of the column of codes.</summary>
    [Required]
    public required string CodesColumnName { get; init; }

    /// <summary>What is done to codes after training.</summary>
    [Required]
    public ValueList<CodeIntervention> Interventions { get; init; } = [];

    /// <inheritdoc/>
    public override IReadOnlyList<AddedColumn> AddedColumns => CodeColumns.Of(CodesColumnName, [Site]);

    /// <inheritdoc/>
    public override long WeightCount => (StandardizeInputs ? 2L * Inputs : 0) + Codes.WeightCount;

    /// <summary>The shape of the codebook.</summary>
    [JsonIgnore]
    public CodebookShape Codes => new(Inputs, NumCodes, K, Groups, Similarity, Normalize);

    private CodebookSite Site => new(1, CodePlace.Layer, Codes);

    IReadOnlyList<CodebookSite> ICodebookDefinition.Sites => [Site];

    /// <inheritdoc/>
    public override Network Build(Device device) => new VectorQuantizeModule(this, device);

    /// <inheritdoc/>
    public override IRowScorer? BuildScorer(WeightReader weights)
    {
        var (mean, deviation) = StandardizeInputs ? (weights.Take("mean", Inputs), weights.Take("deviation", Inputs)) : default;
        float[] factors = [.. deviation.ToArray().Select(d => 1 / d)];
        var part = Inputs / Groups;
        var site = new CodebookScorer.Site(Codes, "codebook", weights, ((ICodebookDefinition)this).Edits(Site), Inputs, readsSlices: true, (builder, group) =>
            StandardizeInputs ? builder.Affine(builder.Input, mean.Span.Slice(group * part, part), factors.AsSpan(group * part, part)) : builder.Input);
        var end = new DenseProgramBuilder(Inputs);
        var o = end.Input;
        if (StandardizeInputs && !Normalize)
            o = end.Affine(end.Affine(o, new float[Inputs], deviation.Span), [.. mean.ToArray().Select(m => -m)], [.. Enumerable.Repeat(1f, Inputs)]);
        weights.Finish();
        return new CodebookScorer(Codes, [site], end.Build(o), withColumns: true);
    }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Outputs != Inputs)
            yield return new ValidationResult($"'Outputs' must be 'Inputs', {Inputs}, but is {Outputs}");
        if (K > NumCodes)
            yield return new ValidationResult($"'K' must be at most 'NumCodes', {NumCodes}, but is {K}");
        if (Inputs % Groups != 0)
            yield return new ValidationResult($"'Groups' must divide 'Inputs', {Inputs}, but is {Groups}");
        foreach (var fault in ((ICodebookDefinition)this).Faults())
            yield return fault;
    }

    NetworkDefinition ICodebookDefinition.With(ValueList<CodeIntervention> interventions) => this with { Interventions = interventions };
}

/// <summary>The network of a <see cref="VectorQuantize"/>: it puts out what it makes of a row from its codes.</summary>
internal sealed class VectorQuantizeModule : Network
{
    private readonly VectorQuantizeDefinition _definition;
    private readonly Tensor? mean;
    private readonly Tensor? deviation;
    private readonly Codebook codebook;

    public VectorQuantizeModule(VectorQuantizeDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        if (definition.StandardizeInputs)
            (mean, deviation) = (zeros(definition.Inputs, device: device), ones(definition.Inputs, device: device));
        ICodebookDefinition codes = definition;
        codebook = new Codebook(definition.Codes, device, codes.Edits(codes.Sites[0]));
        RegisterComponents();
    }

    /// <summary>The codes.</summary>
    public Codebook Codebook => codebook;

    /// <inheritdoc/>
    public override Tensor forward(Tensor x) => Restore(codebook.call(Standardize(x)));

    /// <inheritdoc/>
    public override Tensor CallWithAdded(Tensor x)
    {
        var normalized = codebook.Normalize(Standardize(x));
        var ids = codebook.Select(normalized);
        Tensor[] values = [Restore(codebook.Combine(ids)), ids.flatten(1).to(x.dtype), codebook.Similarities(normalized, ids).flatten(1)];
        return cat(values, 1);
    }

    /// <inheritdoc/>
    public override void Initialize(Generator random) => codebook.Initialize(random);

    /// <summary>Fixes how inputs are standardised.</summary>
    /// <param name="statistics">Means and deviations of the rows.</param>
    public void SetScaling(FeatureStatistics statistics)
    {
        if (mean is null || deviation is null)
            return;
        using var noGradient = no_grad();
        using Tensor means = tensor(statistics.Mean.ToArray()), deviations = tensor(statistics.Scale());
        mean.copy_(means);
        deviation.copy_(deviations);
    }

    /// <summary>The features as codes are looked up for them.</summary>
    /// <param name="x">Features [rows, D].</param>
    /// <returns>Values [rows, D].</returns>
    public Tensor Standardize(Tensor x) => mean is null || deviation is null ? x : x.sub(mean).div_(deviation);

    private Tensor Restore(Tensor o) => mean is null || deviation is null || _definition.Normalize ? o : o.mul(deviation).Plus(mean);
}
