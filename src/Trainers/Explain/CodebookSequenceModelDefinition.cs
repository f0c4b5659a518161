using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json.Serialization;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Explain;

/// <summary>Shapes and switches of a <see cref="CodebookSequenceModel"/>'s network, which are its file format.</summary>
public sealed record CodebookSequenceModelDefinition : NetworkDefinition, ICodebookDefinition, IValidatableObject
{
    /// <summary>d, numbers of a token.</summary>
    [Range(1, 1 << 16)]
    public required int Width { get; init; }

    /// <summary>Number of blocks.</summary>
    [Range(1, 64)]
    public required int Layers { get; init; }

    /// <summary>h, attention heads of a block.</summary>
    [Range(1, 1 << 16)]
    public required int Heads { get; init; }

    /// <summary>How many times as wide as a token an MLP is inside.</summary>
    [Range(1, 64)]
    public required int ExpansionFactor { get; init; }

    /// <summary>Whether codes stand behind attention heads.</summary>
    public required bool AttentionCodes { get; init; }

    /// <summary>Whether codes stand behind MLPs.</summary>
    public required bool MlpCodes { get; init; }

    /// <summary>n, codes of each group.</summary>
    [Range(2, 1 << 16)]
    public required int NumCodes { get; init; }

    /// <summary>K, codes that stand for an activation in each group.</summary>
    [Range(1, 1 << 16)]
    public required int K { get; init; }

    /// <summary>How alike activations and codes are.</summary>
    public required RowSimilarity Similarity { get; init; }

    /// <summary>Name of the column of codes.</summary>
    [Required]
    public required string CodesColumnName { get; init; }

    /// <summary>What the tokens stand for; null where the data did not say it.</summary>
    public required ValueList<string>? TokenNames { get; init; }

    /// <summary>What is done to codes after training.</summary>
    [Required]
    public ValueList<CodeIntervention> Interventions { get; init; } = [];

    /// <inheritdoc/>
    public override IReadOnlyList<string>? OutputNames => TokenNames ?? [.. Enumerable.Range(1, Outputs).Select(key => key.ToString(CultureInfo.InvariantCulture))];

    /// <inheritdoc/>
    public override IReadOnlyList<AddedColumn> AddedColumns => CodeColumns.Of(CodesColumnName, Sites, Inputs);

    /// <inheritdoc/>
    public override long WeightCount =>
        ((Outputs + 2L + Inputs) * Width) + (Layers * BlockWeights) + Sites.Sum(site => site.Shape.WeightCount) + NormWeights + ((Width + 1L) * Outputs);

    /// <inheritdoc/>
    public override long MultiplicationsPerRow =>
        (Inputs * ((Layers * (BlockWeights + (2L * Inputs * Width))) + Sites.Sum(site => (site.Shape.NumCodes + site.Shape.K) * (long)Width))) + ((long)Outputs * Width);

    /// <inheritdoc/>
    public override long WidestLayer => Inputs * Math.Max((long)ExpansionFactor * Width, Math.Max((long)Heads * Inputs, Outputs));

    private long NormWeights => TokenNormalization.WeightCount(TokenNorm.Token, Width);

    private long BlockWeights => MultiHeadAttention.WeightCountOf(Width) + ChannelMlp.WeightCount(Width, ExpansionFactor) + (2 * NormWeights);

    private IReadOnlyList<CodebookSite> Sites => SitesOf(Width, Layers, Heads, AttentionCodes, MlpCodes, NumCodes, K, Similarity);

    IReadOnlyList<CodebookSite> ICodebookDefinition.Sites => Sites;

    int ICodebookDefinition.Positions => Inputs;

    /// <inheritdoc/>
    public override Network Build(Device device) => new CodebookSequenceNetwork(this, device);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Layout is not { FeatureWidth: 0, Columns: [{ IsKey: true } column] } || column.Width != Inputs || column.KeyCount != Outputs)
            yield return new ValidationResult($"'Layout' must be one column of {Inputs} keys of {Outputs} values, but is {Layout}");
        if (Width % Heads != 0)
            yield return new ValidationResult($"'Heads' must divide 'Width', {Width}, but is {Heads}");
        if (K > NumCodes)
            yield return new ValidationResult($"'K' must be at most 'NumCodes', {NumCodes}, but is {K}");
        if (TokenNames is { } names && names.Count != Outputs)
            yield return new ValidationResult($"'TokenNames' must be {Outputs} names, one for each token, but are {names.Count}");
        foreach (var fault in ((ICodebookDefinition)this).Faults())
            yield return fault;
    }

    NetworkDefinition ICodebookDefinition.With(ValueList<CodeIntervention> interventions) => this with { Interventions = interventions };

    /// <summary>Where codes stand in a model.</summary>
    internal static IReadOnlyList<CodebookSite> SitesOf(int width, int layers, int heads, bool attention, bool mlp, int codes, int k, RowSimilarity similarity)
    {
        var sites = new List<CodebookSite>();
        for (var layer = 1; layer <= layers; layer++)
        {
            if (attention)
                sites.Add(new(layer, CodePlace.Attention, new(width, codes, k, heads, similarity)));
            if (mlp)
                sites.Add(new(layer, CodePlace.Layer, new(width, codes, k, 1, similarity)));
        }

        return sites;
    }
}

/// <summary>The network of a <see cref="CodebookSequenceModel"/>: it puts out the probabilities of the token that follows the last one.</summary>
internal sealed class CodebookSequenceNetwork : Network
{
    private const double EmbeddingDeviation = 0.1;

    private readonly CodebookSequenceModelDefinition _definition;
    private readonly RowTable tokens;
    private readonly Parameter positions;
    private readonly ModuleList<Block> blocks = [];
    private readonly TokenNormalization norm;
    private readonly Dense output;

    public CodebookSequenceNetwork(CodebookSequenceModelDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        ICodebookDefinition codes = definition;

        // The vector of a missing token is zero and stays so.
        tokens = new RowTable(definition.Outputs + 2, definition.Width, device, [0]);
        positions = new Parameter(empty(definition.Inputs, definition.Width, device: device));
        for (var layer = 1; layer <= definition.Layers; layer++)
        {
            blocks.Add(new Block(definition, device, At(CodePlace.Attention), At(CodePlace.Layer)));

            Codebook? At(CodePlace place) => codes.Sites.FirstOrDefault(site => (site.Layer, site.Place) == (layer, place)) is { } site
                ? new Codebook(site.Shape, device, codes.Edits(site), positions: definition.Inputs)
                : null;
        }

        norm = new TokenNormalization(TokenNorm.Token, definition.Width, device);
        output = new Dense(definition.Width, definition.Outputs, device);
        RegisterComponents();
    }

    /// <summary>The codebooks in the order of their sites.</summary>
    public IReadOnlyList<Codebook> Codebooks => [.. blocks.SelectMany(block => block.Codebooks)];

    /// <inheritdoc/>
    public override void Initialize(Generator random)
    {
        using (no_grad())
            positions.normal_(0, EmbeddingDeviation, random);
        tokens.Initialize(random, EmbeddingDeviation);
        foreach (var block in blocks)
            block.Initialize(random);
        norm.Initialize();
        InitialWeights.Dense(output.Weight, random);
        using (no_grad())
            output.Bias.zero_();
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x) => Next(x, Hidden(x, static (codebook, a) => codebook.call(a)));

    /// <inheritdoc/>
    public override Tensor CallWithAdded(Tensor x)
    {
        var (ids, similarities) = (new List<Tensor>(), new List<Tensor>());
        var (rows, length) = (x.shape[0], x.shape[1]);
        var hidden = Hidden(x, (codebook, a) =>
        {
            var normalized = codebook.Normalize(a);
            var selected = codebook.Select(normalized);                                     // [B·T, G, K]
            similarities.Add(codebook.Similarities(normalized, selected).view(rows, length, -1));
            ids.Add(selected.view(rows, length, -1));
            return codebook.Combine(selected);
        });
        if (ids.Count == 0)
            return Next(x, hidden);

        // A position without a token has no codes.
        var isThere = x.IsAbove(0).unsqueeze(2);
        var keys = cat(ids, 2).PlusWhole(1).mul(isThere).PlusWhole(-1);
        Tensor[] values = [Next(x, hidden), keys.flatten(1).to(x.dtype), cat(similarities, 2).mul(isThere).flatten(1)];
        return cat(values, 1);
    }

    /// <summary>What the network tells of the token behind each position.</summary>
    /// <param name="x">Tokens [B, T]: keys from 1, 0 for a missing one.</param>
    /// <returns>Logits [B, T, V].</returns>
    public Tensor Logits(Tensor x) => Tell(Hidden(x, static (codebook, a) => codebook.call(a)));

    /// <summary>What the network tells of the token behind each position, and what the codes add to the loss.</summary>
    /// <param name="x">Tokens [B, T].</param>
    /// <param name="loss">What codes learn from beside the task.</param>
    /// <param name="beta">β.</param>
    /// <param name="weights">What each row counts [B]; null for 1.</param>
    /// <returns>Logits [B, T, V]; and a scalar, or null for nothing to add.</returns>
    public (Tensor Logits, Tensor? Loss) Run(Tensor x, CodebookLoss loss, double beta, Tensor? weights)
    {
        Tensor? sum = null;

        // Positions that are there to fill rows up count nothing, and the others that much more.
        var there = x.IsAbove(0).to(ScalarType.Float32);
        var counts = (weights is null ? there : there.mul(weights.unsqueeze(1))).mul(there.numel()).div(there.sum().AtLeast(1.0)).flatten();
        var hidden = Hidden(x, (codebook, a) =>
        {
            var (o, extra) = codebook.Snap(a, loss, beta, counts);
            sum = sum is null || extra is null ? extra : sum.Plus(extra);
            return o;
        });
        return (Tell(hidden), sum);
    }

    // The residual stream behind the last block, [B, T, d].
    //
    // NOTE[DIFF]: positions are trained vectors, where the original has rotary ones: sequences are short and of a known length.
    private Tensor Hidden(Tensor x, Func<Codebook, Tensor, Tensor> put)
    {
        var (rows, length) = (x.shape[0], x.shape[1]);
        var h = tokens.call(x.to(ScalarType.Int64).flatten()).view(rows, length, _definition.Width).Plus(positions);
        using var later = MultiHeadAttention.Later(length, x.device);
        foreach (var block in blocks)
            h = block.Forward(h, later, put);
        return h;
    }

    private Tensor Tell(Tensor hidden) => output.call(norm.call(hidden));

    // The probabilities behind the last token of each row, [B, V].
    private Tensor Next(Tensor x, Tensor hidden)
    {
        var places = arange(x.shape[1], dtype: x.dtype, device: x.device);
        var last = x.IsAbove(0).to(x.dtype).mul(places).amax([1]).to(ScalarType.Int64);
        var at = hidden.gather(1, last.view(-1, 1, 1).expand(-1, 1, _definition.Width)).squeeze(1);
        return nn.functional.softmax(Tell(at), 1);
    }

    /// <summary>A block: attention, and an MLP, each with a normalisation before it and a sum behind it.</summary>
    private sealed class Block : nn.Module
    {
        private readonly int _width;
        private readonly TokenNormalization attention_norm;
        private readonly MultiHeadAttention attention;
        private readonly Codebook? attention_codes;
        private readonly TokenNormalization mlp_norm;
        private readonly ChannelMlp mlp;
        private readonly Codebook? mlp_codes;

        public Block(CodebookSequenceModelDefinition definition, Device device, Codebook? attentionCodes, Codebook? mlpCodes)
            : base(nameof(Block))
        {
            _width = definition.Width;
            attention_norm = new TokenNormalization(TokenNorm.Token, _width, device);
            attention = new MultiHeadAttention(_width, definition.Heads, device);
            attention_codes = attentionCodes;
            mlp_norm = new TokenNormalization(TokenNorm.Token, _width, device);
            mlp = new ChannelMlp(_width, definition.ExpansionFactor, device);
            mlp_codes = mlpCodes;
            RegisterComponents();
        }

        public IEnumerable<Codebook> Codebooks => new[] { attention_codes, mlp_codes }.OfType<Codebook>();

        public void Initialize(Generator random)
        {
            attention_norm.Initialize();
            attention.Initialize(random);
            mlp_norm.Initialize();
            mlp.Initialize(random);
            foreach (var codebook in Codebooks)
                codebook.Initialize(random);
        }

        public Tensor Forward(Tensor h, Tensor later, Func<Codebook, Tensor, Tensor> put)
        {
            // NOTE[DIFF]: the MLP reads what attention has added, where the original has both beside each other: the codes of the first MLP can then stand for more than one token.
            var normalized = attention_norm.call(h);
            var heads = attention.Heads(normalized, normalized, later);                     // [B, T, d]
            h = h.Plus(attention.Join(Put(attention_codes, heads)));
            return h.Plus(Put(mlp_codes, mlp.Forward(mlp_norm.call(h))));

            Tensor Put(Codebook? codebook, Tensor a) => codebook is null ? a : put(codebook, a.view(-1, _width)).view(a.shape);
        }
    }
}
