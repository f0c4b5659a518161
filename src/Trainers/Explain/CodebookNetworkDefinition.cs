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
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Explain;

/// <summary>Shapes and switches of a <see cref="CodebookNetwork"/>'s network, which are its file format.</summary>
public sealed record CodebookNetworkDefinition : NetworkDefinition, ICodebookDefinition, IValidatableObject
{
    /// <summary>d, units of a hidden layer.</summary>
    [Range(1, 1 << 16)]
    public required int HiddenUnits { get; init; }

    /// <summary>Number of hidden layers.</summary>
    [Range(1, 64)]
    public required int HiddenLayers { get; init; }

    /// <summary>The hidden layers behind which codes stand, from 1 and ascending.</summary>
    [Required]
    public required ValueList<int> CodebookLayers { get; init; }

    /// <summary>n, codes of each group behind a layer.</summary>
    [Range(2, 1 << 16)]
    public required int NumCodes { get; init; }

    /// <summary>K, codes that stand for a row behind a layer and in a group.</summary>
    [Range(1, 1 << 16)]
    public required int K { get; init; }

    /// <summary>G, parts of the hidden units with codes of their own.</summary>
    [Range(1, 1 << 16)]
    public required int Groups { get; init; }

    /// <summary>How alike activations and codes are.</summary>
    public required RowSimilarity Similarity { get; init; }

    /// <summary>Whether the network standardises its inputs.</summary>
    public required bool StandardizeInputs { get; init; }

    /// <summary>Name of the column of codes.</summary>
    [Required]
    public required string CodesColumnName { get; init; }

    /// <summary>What is done to codes after training.</summary>
    [Required]
    public ValueList<CodeIntervention> Interventions { get; init; } = [];

    /// <summary>Whether the last layer is left out, so that what it would read is put out.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsBody { get; init; }

    /// <inheritdoc/>
    public override NetworkDefinition? Body => IsBody ? null : this with { IsBody = true, Outputs = HiddenUnits };

    /// <inheritdoc/>
    public override IReadOnlyList<AddedColumn> AddedColumns => IsBody ? [] : CodeColumns.Of(CodesColumnName, Sites);

    /// <inheritdoc/>
    public override long WeightCount => DenseCount + (StandardizeInputs ? 2L * Inputs : 0) + (CodebookLayers.Count * Codes.WeightCount);

    /// <inheritdoc/>
    public override long MultiplicationsPerRow => DenseCount + (CodebookLayers.Count * (long)HiddenUnits * (NumCodes + K));

    /// <summary>The shape of all codebooks.</summary>
    [JsonIgnore]
    public CodebookShape Codes => new(HiddenUnits, NumCodes, K, Groups, Similarity);

    private IReadOnlyList<CodebookSite> Sites => CodebookSite.Behind(CodebookLayers, Codes);

    IReadOnlyList<CodebookSite> ICodebookDefinition.Sites => Sites;

    private long DenseCount =>
        ((Inputs + 1L) * HiddenUnits) + ((HiddenLayers - 1) * (HiddenUnits + 1L) * HiddenUnits) + (IsBody ? 0 : (HiddenUnits + 1L) * Outputs);

    /// <inheritdoc/>
    public override Network Build(Device device) => new CodebookNetworkModule(this, device);

    /// <inheritdoc/>
    public override IRowScorer? BuildScorer(WeightReader weights)
    {
        var sites = new List<CodebookScorer.Site>();
        var (mean, scale) = StandardizeInputs ? (weights.Take("mean", Inputs), weights.Take("scale", Inputs)) : default;
        (ReadOnlyMemory<float> Weight, ReadOnlyMemory<float> Bias)[] layers =
        [
            .. Enumerable.Range(0, HiddenLayers).Select(l =>
                (weights.Take($"layers.{l}.weight", HiddenUnits, l == 0 ? Inputs : HiddenUnits), weights.Take($"layers.{l}.bias", HiddenUnits))),
        ];
        var (after, inputs, part) = (0, Inputs, HiddenUnits / Groups);
        for (var site = 0; site < Sites.Count; site++)
        {
            var (first, last) = (after, Sites[site].Layer);
            sites.Add(new(Codes, $"codebooks.{site}", weights, ((ICodebookDefinition)this).Edits(Sites[site]), inputs, readsSlices: false, (builder, group) =>
            {
                // The units of one group are a slice of the last layer's rows.
                var x = Hidden(builder, Begin(builder, first), first, last - 1);
                var (weight, bias) = layers[last - 1];
                return builder.Dense(x, weight.Slice(group * part * x.Width, part * x.Width), bias.Span.Slice(group * part, part), part, Activation.Relu);
            }));
            (after, inputs) = (last, HiddenUnits);
        }

        var end = new DenseProgramBuilder(inputs);
        var y = Hidden(end, Begin(end, after), after, HiddenLayers);
        if (!IsBody)
            y = end.Dense(y, weights.Take("output.weight", Outputs, HiddenUnits), weights.Take("output.bias", Outputs).Span, Outputs);
        weights.Finish();
        return new CodebookScorer(Codes, [.. sites], end.Build(y), withColumns: !IsBody);

        DenseRegister Begin(DenseProgramBuilder builder, int layer) =>
            layer == 0 && StandardizeInputs ? builder.Affine(builder.Input, mean.Span, scale.Span) : builder.Input;

        DenseRegister Hidden(DenseProgramBuilder builder, DenseRegister x, int from, int to)
        {
            for (var l = from; l < to; l++)
                x = builder.Dense(x, layers[l].Weight, layers[l].Bias.Span, HiddenUnits, Activation.Relu);
            return x;
        }
    }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (K > NumCodes)
            yield return new ValidationResult($"'K' must be at most 'NumCodes', {NumCodes}, but is {K}");
        if (HiddenUnits % Groups != 0)
            yield return new ValidationResult($"'Groups' must divide 'HiddenUnits', {HiddenUnits}, but is {Groups}");
        if (FaultOf(CodebookLayers, HiddenLayers) is { } wrong)
            yield return new ValidationResult($"'CodebookLayers' {wrong}");
        foreach (var fault in ((ICodebookDefinition)this).Faults())
            yield return fault;
    }

    NetworkDefinition ICodebookDefinition.With(ValueList<CodeIntervention> interventions) => this with { Interventions = interventions };

    /// <summary>What is wrong with a choice of layers; null for nothing.</summary>
    internal static string? FaultOf(ValueList<int> layers, int hiddenLayers) =>
        layers.Count == 0 || layers.Any(layer => layer < 1 || layer > hiddenLayers) || layers.Zip(layers.Skip(1)).Any(pair => pair.First >= pair.Second)
            ? $"must be numbers of hidden layers, from 1 to {hiddenLayers} and ascending, but was {layers}"
            : null;
}

/// <summary>The network of a <see cref="CodebookNetwork"/>.</summary>
internal sealed class CodebookNetworkModule : Network
{
    private readonly CodebookNetworkDefinition _definition;
    private readonly Codebook?[] _behind;
    private readonly Tensor? mean;
    private readonly Tensor? scale;
    private readonly ModuleList<Dense> layers = [];
    private readonly ModuleList<Codebook> codebooks = [];
    private readonly Dense? output;

    public CodebookNetworkModule(CodebookNetworkDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        _behind = new Codebook?[definition.HiddenLayers];
        if (definition.StandardizeInputs)
            (mean, scale) = (zeros(definition.Inputs, device: device), ones(definition.Inputs, device: device));
        for (var l = 0; l < definition.HiddenLayers; l++)
            layers.Add(new Dense(l == 0 ? definition.Inputs : definition.HiddenUnits, definition.HiddenUnits, device));
        ICodebookDefinition codes = definition;
        foreach (var site in codes.Sites)
            codebooks.Add(_behind[site.Layer - 1] = new Codebook(site.Shape, device, codes.Edits(site)));
        output = definition.IsBody ? null : new Dense(definition.HiddenUnits, definition.Outputs, device);
        RegisterComponents();
    }

    /// <summary>The codebooks in their order.</summary>
    public IReadOnlyList<Codebook> Codebooks => [.. codebooks];

    /// <summary>The layers before the last, and the last one where there is one.</summary>
    public IReadOnlyList<Dense> Layers => output is null ? [.. layers] : [.. layers, output];

    /// <inheritdoc/>
    public override Tensor forward(Tensor x) => Run(x, CodebookLoss.Task, 0, null).Outputs;

    /// <summary>Computes the outputs, and what the codes add to the loss.</summary>
    /// <param name="x">Features [rows, D].</param>
    /// <param name="loss">What the codes learn from beside the task.</param>
    /// <param name="beta">β.</param>
    /// <param name="weights">Example weights [rows], or null.</param>
    /// <returns>Raw outputs [rows, outputs]; and a scalar, or null for nothing to add.</returns>
    public (Tensor Outputs, Tensor? Loss) Run(Tensor x, CodebookLoss loss, double beta, Tensor? weights)
    {
        Tensor? sum = null;
        var h = Standardize(x);
        for (var l = 0; l < _behind.Length; l++)
        {
            h = nn.functional.relu(layers[l].call(h));                      // a [rows, d]
            if (_behind[l] is not { } codebook)
                continue;
            (h, var extra) = codebook.Snap(h, loss, beta, weights);         // o [rows, d]
            sum = sum is null || extra is null ? extra : sum.Plus(extra);
        }

        return (output is null ? h : output.call(h), sum);
    }

    /// <inheritdoc/>
    public override Tensor CallWithAdded(Tensor x)
    {
        if (_definition.IsBody)
            return call(x);
        var (ids, similarities) = (new List<Tensor>(), new List<Tensor>());
        var h = Standardize(x);
        for (var l = 0; l < _behind.Length; l++)
        {
            h = nn.functional.relu(layers[l].call(h));
            if (_behind[l] is not { } codebook)
                continue;
            var normalized = codebook.Normalize(h);
            var selected = codebook.Select(normalized);                     // [rows, G, K]
            similarities.Add(codebook.Similarities(normalized, selected).flatten(1));
            ids.Add(selected.flatten(1).to(h.dtype));
            h = codebook.Combine(selected);
        }

        Tensor[] values = [output!.call(h), .. ids, .. similarities];
        return cat(values, 1);
    }

    /// <summary>Sets the codes behind each layer, the first one first, to centroids of the activations of rows.</summary>
    /// <param name="x">Features [rows, D].</param>
    /// <param name="random">What is drawn from.</param>
    /// <param name="checkCancelled">Throws when it is to stop.</param>
    public void InitializeByKMeans(Tensor x, Generator random, Action checkCancelled)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var settings = new KMeansSettings { BatchRows = 4096, MaxIterations = 10 };
        var h = Standardize(x);
        for (var l = 0; l < _behind.Length; l++)
        {
            h = nn.functional.relu(layers[l].call(h));
            if (_behind[l] is not { } codebook)
                continue;
            codebook.InitializeByKMeans(h, settings, random, checkCancelled);
            h = codebook.call(h);
        }
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
        foreach (var layer in Layers)
            layer.Initialize(random);
        foreach (var codebook in codebooks)
            codebook.Initialize(random);
    }

    private Tensor Standardize(Tensor x) => mean is null || scale is null ? x : x.sub(mean).mul_(scale);
}
