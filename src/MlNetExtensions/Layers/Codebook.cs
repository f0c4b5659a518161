using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>What a <see cref="Codebook"/> learns from beside the loss of the task.</summary>
public enum CodebookLoss
{
    /// <summary>Nothing: the codes follow the task alone.</summary>
    Task,

    /// <summary>Codes also move towards what they stand for, by the mean over positions of ‖o − a'‖² without a gradient to a'.</summary>
    AutoEncode,

    /// <summary><see cref="AutoEncode"/>, and β times the mean of ‖o − a'‖² without a gradient to the codes, which keeps activations near their codes.</summary>
    FullAutoEncode,

    /// <summary>The codes learn nothing from the task; otherwise like <see cref="FullAutoEncode"/> (van den Oord et al., "Neural Discrete Representation Learning", 2017).</summary>
    VqVae,
}

/// <summary>The size of a <see cref="Codebook"/> and how it is searched.</summary>
/// <param name="Width">d, numbers of an activation.</param>
/// <param name="NumCodes">n, codes of each group.</param>
/// <param name="K">Codes that stand for an activation, in each group.</param>
/// <param name="Groups">G, parts of an activation with codes of their own; it divides d.</param>
/// <param name="Similarity">How alike an activation and a code are.</param>
/// <param name="IsNormalized">Whether each part is normalised (layer normalisation with a trained gain and shift) before its codes are looked up.</param>
public sealed record CodebookShape(int Width, int NumCodes, int K, int Groups, RowSimilarity Similarity, bool IsNormalized = true)
{
    /// <summary>d/G, numbers of a code.</summary>
    public int CodeWidth => Width / Groups;

    /// <summary>Number of weights of the layer: n·d, and 2·d more where it normalises.</summary>
    public long WeightCount => (NumCodes + (IsNormalized ? 2L : 0)) * Width;
}

/// <summary>What is done to the codes of one group after training: some are always taken, some never.</summary>
public sealed record CodeEdit
{
    /// <summary>The group, from 0.</summary>
    [Range(0, 1 << 16)]
    public required int Group { get; init; }

    /// <summary>Codes, from 0, that stand for every activation; at most K.</summary>
    public required ValueList<int> Force { get; init; }

    /// <summary>Codes, from 0, that stand for none.</summary>
    public required ValueList<int> Disable { get; init; }

    /// <summary>Whether forced codes are filled up to K with the most similar of the others; or else are all there are.</summary>
    public bool KeepK { get; init; } = true;

    /// <summary>Positions of a sequence, from 0, at which it is done; null (the default) for all of them.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ValueList<int>? Positions { get; init; }
}

/// <summary>
/// A bottleneck of codes (Tamkin, Taufeeque and Goodman, "Codebook Features: Sparse and Discrete Interpretability for Neural Networks", 2023): an activation a is normalised to a', the K codes
/// most similar to a' are looked up, and their mean o = (1/K)·Σ c takes the place of a. In G groups each slice of d/G numbers has codes of its own.
/// </summary>
/// <remarks>
/// The gradient passes straight through: o + a' − stop(a') has the value o, gives a' the gradient of o, and each of the codes a K-th of it. Activations of sequences are rows too: those of the
/// first sequence's positions in their order, then those of the second's, and so on.
/// </remarks>
public sealed class Codebook : nn.Module<Tensor, Tensor>, IReplacesWeights, IKeepsTrainingState
{
    /// <summary>ε of the normalisation.</summary>
    public const double Epsilon = 1e-5;

    private readonly IReadOnlyList<CodeEdit> _edits;
    private readonly int _positions;
    private readonly Usage _usage = new();
    private readonly Parameter? weight;
    private readonly Parameter? bias;
    private readonly Parameter codes;

    /// <summary>Creates a layer whose weights are not yet set.</summary>
    /// <param name="shape">The shape.</param>
    /// <param name="device">Where the weights are.</param>
    /// <param name="edits">What is done to codes; of several edits of a group and position the last one counts. Null for nothing.</param>
    /// <param name="type">Single, or Double.</param>
    /// <param name="positions">T, positions of a sequence: row i is of position i mod T. 1 where rows are no sequences.</param>
    public Codebook(CodebookShape shape, Device device, IReadOnlyList<CodeEdit>? edits = null, ScalarType type = ScalarType.Float32, int positions = 1)
        : base(nameof(Codebook))
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentOutOfRangeException.ThrowIfLessThan(shape.Groups, 1, nameof(shape));
        ArgumentOutOfRangeException.ThrowIfNotEqual(shape.Width % shape.Groups, 0, nameof(shape));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(shape.K, shape.NumCodes, nameof(shape));
        (Shape, _edits, _positions) = (shape, edits ?? [], positions);
        if (shape.IsNormalized)
            (weight, bias) = (new Parameter(empty(shape.Width, type, device)), new Parameter(empty(shape.Width, type, device)));
        codes = new Parameter(empty([shape.Groups, shape.NumCodes, shape.CodeWidth], type, device));
        RegisterComponents();
    }

    /// <summary>The shape.</summary>
    public CodebookShape Shape { get; }

    /// <summary>The codes [G, n, d/G].</summary>
    public Parameter Codes => codes;

    /// <summary>The gain of the normalisation [d]; null without one.</summary>
    public Parameter? Gain => weight;

    /// <summary>The shift of the normalisation [d]; null without one.</summary>
    public Parameter? Offset => bias;

    /// <summary>Steps after which codes that no activation has used since are replaced by activations; 0 (the beginning) for never.</summary>
    public int ReplaceDeadAfterSteps { get; set; }

    /// <summary>Length of the noise on such activations, as a share of theirs.</summary>
    public double ReplaceNoise { get; set; } = 1e-4;

    /// <summary>Draws codes from N(0, 1), and sets gains to 1 and shifts to 0.</summary>
    /// <param name="random">The stream of random numbers.</param>
    public void Initialize(Generator random)
    {
        using var noGradient = no_grad();
        codes.normal_(0, 1, random);
        weight?.fill_(1);
        bias?.zero_();
    }

    /// <summary>Sets the codes of each group to centroids of activations.</summary>
    /// <param name="activations">a [rows, d].</param>
    /// <param name="settings">How centroids are found.</param>
    /// <param name="random">What is drawn from, on the device of the activations.</param>
    /// <param name="checkCancelled">Throws when it is to stop; null for never.</param>
    public void InitializeByKMeans(Tensor activations, KMeansSettings settings, Generator random, Action? checkCancelled = null)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var parts = Normalize(activations).transpose(0, 1);
        for (var group = 0; group < Shape.Groups; group++)
            codes[group].copy_(KMeans.Fit(parts[group], Shape.NumCodes, settings, random, checkCancelled).Centroids);
    }

    /// <summary>What codes are looked up for.</summary>
    /// <param name="activations">a [rows, d].</param>
    /// <returns>a' [rows, G, d/G].</returns>
    public Tensor Normalize(Tensor activations)
    {
        ArgumentNullException.ThrowIfNull(activations);
        var (rows, groups, width) = (activations.shape[0], Shape.Groups, Shape.CodeWidth);
        if (weight is null || bias is null)
            return activations.view(rows, groups, width);
        if (groups == 1)
            return nn.functional.layer_norm(activations, [width], weight, bias, Epsilon).view(rows, groups, width);
        return nn.functional.layer_norm(activations.view(rows, groups, width), [width], null, null, Epsilon).mul(weight.view(groups, width)).Plus(bias.view(groups, width));
    }

    /// <summary>Finds the codes of activations; there is no gradient through it.</summary>
    /// <param name="normalized">a' [rows, G, d/G].</param>
    /// <returns>Indices, Int64 [rows, G, K], the most similar first but for those that are forced, which stand before all others; −1 where there are fewer than K.</returns>
    public Tensor Select(Tensor normalized)
    {
        ArgumentNullException.ThrowIfNull(normalized);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var vectors = normalized.detach().transpose(0, 1);                                  // [G, rows, d/G]
        if (_edits.Count == 0)
            return NearestRows.Find(vectors, codes, Shape.K, Shape.Similarity).transpose(0, 1).contiguous().MoveToOuterDisposeScope();
        Tensor[] groups = [.. Enumerable.Range(0, Shape.Groups).Select(group => Select(vectors.narrow(0, group, 1), group))];
        return cat(groups, 0).transpose(0, 1).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>The mean of codes.</summary>
    /// <param name="ids">Indices [rows, G, K]; −1 for none, and all others before such.</param>
    /// <returns>o [rows, d].</returns>
    public Tensor Combine(Tensor ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var (rows, groups, k) = (ids.shape[0], Shape.Groups, ids.shape[2]);
        var flat = codes.view(-1, Shape.CodeWidth);
        var index = InAllCodes(ids, Shape);
        if (_edits.Count == 0 || _edits.All(edit => edit.KeepK || edit.Force.Count == 0))
        {
            var chosen = flat.index_select(0, index.flatten());
            return (k == 1 ? chosen : chosen.view(-1, k, Shape.CodeWidth).mean([1])).view(rows, Shape.Width);
        }

        var there = ids.IsAbove(-1);
        var used = flat.index_select(0, index.AtLeast(0).flatten()).view(rows, groups, k, Shape.CodeWidth).mul(there.unsqueeze(3));
        return used.sum([2]).div(there.sum(2, keepdim: true)).view(rows, Shape.Width);
    }

    /// <summary>How similar activations and codes are.</summary>
    /// <param name="normalized">a' [rows, G, d/G].</param>
    /// <param name="ids">Indices of codes [rows, G, K].</param>
    /// <returns>Similarities [rows, G, K]; 0 for an index of −1.</returns>
    public Tensor Similarities(Tensor normalized, Tensor ids)
    {
        ArgumentNullException.ThrowIfNull(normalized);
        ArgumentNullException.ThrowIfNull(ids);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var index = InAllCodes(ids, Shape).AtLeast(0);
        var chosen = codes.view(-1, Shape.CodeWidth).index_select(0, index.flatten()).view(ids.shape[0], ids.shape[1], ids.shape[2], Shape.CodeWidth);
        var own = normalized.unsqueeze(2);                                                  // [rows, G, 1, d/G]
        var alike = Shape.Similarity == RowSimilarity.InnerProduct
            ? chosen.mul(own).sum([3]).div(chosen.Norms([3]).AtLeast(NearestRows.LeastNorm))
            : chosen.sub(own).Norms([3]).neg();
        return alike.mul(ids.IsAbove(-1)).MoveToOuterDisposeScope();
    }

    /// <summary>Puts codes in the place of activations.</summary>
    /// <param name="input">a [rows, d].</param>
    /// <returns>o [rows, d], with the gradient of the task.</returns>
    public override Tensor forward(Tensor input) => Snap(input, CodebookLoss.Task, 0).Output;

    /// <summary>Puts codes in the place of activations.</summary>
    /// <param name="activations">a [rows, d].</param>
    /// <param name="loss">What the codes learn from beside the task.</param>
    /// <param name="beta">β.</param>
    /// <param name="weights">What each row counts in the mean over positions [rows], 0 for one that is there to fill up only; null for 1.</param>
    /// <returns>o [rows, d]; and what to add to the loss of the task, a scalar, or null for nothing.</returns>
    public (Tensor Output, Tensor? Loss) Snap(Tensor activations, CodebookLoss loss, double beta, Tensor? weights = null)
    {
        var normalized = Normalize(activations);
        var ids = Select(normalized);
        if (training && ReplaceDeadAfterSteps > 0)
            _usage.Count(ids, normalized, Shape, weights);
        var o = Combine(ids);                                                               // [rows, d]
        var a = normalized.view(o.shape);                                                   // a'
        if (!is_grad_enabled())
            return (o, null);
        var stopped = a.detach();
        var output = (loss == CodebookLoss.VqVae ? o.detach() : o).Plus(a.sub(stopped));

        // NOTE[DIFF]: the original's backward adds the gradient 2β(a' − o) of each position as it is, while that of the codes is of the mean over positions; both are of the mean here, so that
        // they are gradients of one loss.
        var extra = loss == CodebookLoss.Task ? null : SquaredLengths(o.sub(stopped), weights);
        if (loss is CodebookLoss.FullAutoEncode or CodebookLoss.VqVae)
            extra = extra!.Plus(SquaredLengths(a.sub(o.detach()), weights).Times(beta));
        return (output, extra);
    }

    /// <inheritdoc/>
    public (Parameter Parameter, Tensor Replaced)? Replace(Generator random)
    {
        if (ReplaceDeadAfterSteps == 0 || ++_usage.Steps % ReplaceDeadAfterSteps != 0 || _usage.Counts is not { } counts || _usage.Last is not { } last)
            return null;
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var dead = counts.IsAbove(0).logical_not().view(Shape.Groups, Shape.NumCodes, 1);
        counts.zero_();
        if (!dead.any().item<bool>())
            return null;
        var drawn = randint(0L, last.shape[0], [Shape.Groups, Shape.NumCodes, 1], device: codes.device, dtype: ScalarType.Int64, generator: random);
        var rows = last.transpose(0, 1).gather(1, drawn.expand(-1, -1, Shape.CodeWidth));   // [G, n, d/G]
        var noise = randn(rows.shape, rows.dtype, rows.device, generator: random).mul(rows.Norms([2], keepDimensions: true)).Times(ReplaceNoise);
        codes.copy_(where(dead, rows.Plus(noise), codes));
        return (codes, dead.MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public WeightSet ReadTrainingState() => _usage is not { Counts: { } counts, Last: { } last }
        ? []
        : [NamedTensor.Of("steps", [(long)_usage.Steps]), StoredTensors.Of("counts", counts), StoredTensors.Of("last", last)];

    /// <inheritdoc/>
    public void WriteTrainingState(WeightSet state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.Count == 0)
            return;
        var reader = state.Read();
        var steps = reader.TakeIntegers("steps").Span[0];
        var all = (long)Shape.Groups * Shape.NumCodes;
        reader.TakeDoubles("counts", all);
        if (steps is < 0 or > int.MaxValue || !state.TryGet("last", out var last) || last.Shape is not [> 0, var groups, var width] || (groups, width) != (Shape.Groups, Shape.CodeWidth))
            throw new ModelFormatException("What a codebook remembers of its use is not of this one.");
        state.TryGet("counts", out var counts);
        using var scope = NewDisposeScope();
        _usage.Set((int)steps, counts!.ToTensor().to(codes.device), last.ToTensor().to(codes.dtype).to(codes.device));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _usage.Dispose();
        base.Dispose(disposing);
    }

    // Indices within a group as indices among the codes of all groups.
    private static Tensor InAllCodes(Tensor ids, CodebookShape shape)
    {
        if (shape.Groups == 1)
            return ids.alias();
        using var starts = arange(0L, (long)shape.Groups * shape.NumCodes, shape.NumCodes, device: ids.device);
        using var shaped = starts.view(1, shape.Groups, 1);
        return ids.Plus(shaped);
    }

    // The mean over positions, which are rows, of a length that is summed over coordinates.
    private static Tensor SquaredLengths(Tensor differences, Tensor? weights)
    {
        var squares = differences.mul(differences);
        return (weights is null ? squares : squares.mul(weights.unsqueeze(1))).sum().Times(1.0 / differences.shape[0]);
    }

    private Tensor Select(Tensor vectors, int group)
    {
        var own = codes.narrow(0, group, 1);
        CodeEdit[] edits = [.. _edits.Where(edit => edit.Group == group)];
        var ids = edits is [{ Positions: null }, ..] ? null : NearestRows.Find(vectors, own, Shape.K, Shape.Similarity);
        foreach (var edit in edits)
        {
            var edited = Edited(vectors, own, edit);
            ids = edit.Positions is { } positions && ids is not null ? where(At(positions, vectors.shape[1]), edited, ids) : edited;
        }

        return ids!;
    }

    // Whether rows are of one of some positions: Boolean [1, rows, 1].
    private Tensor At(ValueList<int> positions, long rows)
    {
        var isNamed = new bool[_positions];
        foreach (var position in positions)
            isNamed[position] = true;
        return tensor(isNamed, device: codes.device).repeat(rows / _positions).view(1, rows, 1);
    }

    private Tensor Edited(Tensor vectors, Tensor own, CodeEdit edit)
    {
        var (rows, k, forced) = (vectors.shape[1], Shape.K, edit.Force.Count);
        var first = tensor([.. edit.Force.Select(id => (long)id)], [1, 1, forced], device: vectors.device).expand(1, rows, forced);
        if (forced == k)
            return first;
        if (forced > 0 && !edit.KeepK)
            return cat([first, ones(1, rows, k - forced, dtype: ScalarType.Int64, device: vectors.device).neg()], 2);
        var excluded = new bool[Shape.NumCodes];
        foreach (var id in edit.Force.Concat(edit.Disable))
            excluded[id] = true;
        var others = NearestRows.Find(vectors, own, k - forced, Shape.Similarity, tensor(excluded, [1, Shape.NumCodes], device: vectors.device));
        return forced == 0 ? others : cat([first, others], 2);
    }

    // How often each code was used since the last replacement, and the activations of the last batch. No weights, so they are not part of the module's state.
    private sealed class Usage : IDisposable
    {
        public int Steps { get; set; }

        public Tensor? Counts { get; private set; }

        public Tensor? Last { get; private set; }

        public void Count(Tensor ids, Tensor normalized, CodebookShape shape, Tensor? weights)
        {
            using var noGradient = no_grad();
            using var scope = NewDisposeScope();
            if (weights is not null)
            {
                // Rows that are there to fill up only use no code, and none begins anew from them.
                var counting = weights.IsAbove(0).nonzero().flatten();
                if (counting.shape[0] == 0)
                    return;
                (ids, normalized) = (ids.index_select(0, counting), normalized.index_select(0, counting));
            }

            var counts = InAllCodes(ids, shape).flatten().bincount(null, (long)shape.Groups * shape.NumCodes).to(ScalarType.Float64);
            Counts ??= zeros_like(counts).DetachFromDisposeScope();
            Counts.AddScaled(counts);
            Last?.Dispose();
            Last = normalized.detach().clone().DetachFromDisposeScope();
        }

        public void Set(int steps, Tensor counts, Tensor last)
        {
            Dispose();
            (Steps, Counts, Last) = (steps, counts.DetachFromDisposeScope(), last.DetachFromDisposeScope());
        }

        public void Dispose()
        {
            Counts?.Dispose();
            Last?.Dispose();
        }
    }
}
