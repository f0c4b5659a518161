using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Explanations;

/// <summary>
/// Computes contributions of features to predictions, block of rows by block of rows; a row's contributions follow from the row, its id and its label alone.
/// Of a row it tells the contributions, one class after the other where all are asked for, then the class that is explained where there are several, and then
/// by how much integrated gradients miss their sum.
/// </summary>
internal abstract class Explainer : IBlockModel, IDisposable
{
    // Values of the points of a few steps at once: enough for products to be fast with few rows, not more than stays in the cache with many.
    private const int GroupValues = 1 << 17;

    private readonly ExplanationState _state;
    private readonly int _scores;
    private readonly ContributionShape _shape;
    private readonly (double[] Nodes, double[] Weights) _path;
    private readonly float[] _baseline;
    private readonly float[] _deviations;

    /// <summary>Prepares explanations.</summary>
    /// <param name="state">Options and figures of the features.</param>
    /// <param name="scores">Number of scores of the model: classes or numbers; 1 for one number and for binary classification.</param>
    protected Explainer(ExplanationState state, int scores)
    {
        (_state, _scores) = (state, scores);
        _shape = new(Options, state.Groups()?.GroupOf, state.Features);
        _path = GaussLegendre.Of(Options.Steps);
        (_baseline, _deviations) = (state.BaselineValues(), state.Deviations());
    }

    public int Inputs => _state.Features;

    public int Outputs => (Blocks * _shape.Width) + (TellsClass ? 1 : 0) + (Options.AddConvergenceDelta ? 1 : 0);

    public virtual bool AcceptsMissingValues => false;

    public IReadOnlyList<string>? FeatureNames => _state.SlotNames;

    public string? LabelColumnName => Options.NeedsLabel ? Options.LabelColumnName : null;

    /// <summary>Number of contributions of a class.</summary>
    public int Width => _shape.Width;

    /// <summary>Number of scores that are explained.</summary>
    public int Blocks => Options.Target == ExplanationTarget.AllClasses ? _scores : 1;

    /// <summary>Whether the class that is explained is told.</summary>
    public bool TellsClass => _scores > 1 && Options.Target != ExplanationTarget.AllClasses;

    protected ExplanationOptions Options => _state.Options;

    public int Compute(in ModelRows rows, Span<float> values)
    {
        RowParts.Compute(rows, values, Inputs, Outputs, ComputePart);
        var bad = Finite.IndexOfNonFinite(values);
        return bad < 0 ? -1 : bad / Outputs;
    }

    public abstract void Dispose();

    /// <summary>What a model puts out of rows [n, D], as <see cref="Value"/> takes it.</summary>
    protected abstract Tensor Forward(Tensor x);

    /// <summary>The explained number of each row [n].</summary>
    /// <param name="outputs">What <see cref="Forward"/> gave.</param>
    /// <param name="classes">The class of each row, Int64 [n]; null for models of one number.</param>
    /// <param name="labels">The label of each row [n], or null.</param>
    protected abstract Tensor Value(Tensor outputs, Tensor? classes, Tensor? labels);

    /// <summary>The gradients of <see cref="Value"/> [n, D].</summary>
    protected virtual Tensor Gradient(Tensor x, Tensor? classes, Tensor? labels) => throw HasNoGradients();

    /// <summary>The affine beginning of the model [n, ·]: see <see cref="DifferentiableModel.AffinePart"/>.</summary>
    protected virtual Tensor AffinePart(Tensor x) => throw HasNoGradients();

    /// <summary>The gradients of <see cref="Value"/> by what <see cref="AffinePart"/> gave [n, ·].</summary>
    protected virtual Tensor ContinuedGradient(Tensor begun, Tensor? classes, Tensor? labels) => throw HasNoGradients();

    /// <summary>What gradients by <see cref="AffinePart"/> are by the features [n, D].</summary>
    protected virtual Tensor PullBack(Tensor slopes) => throw HasNoGradients();

    /// <summary>The most probable class of each row, Int64 [n]; null for models of one number.</summary>
    protected abstract Tensor? Predicted(Tensor outputs);

    /// <summary>Number of classes that labels tell apart; 0 for numbers.</summary>
    protected abstract int LabelClasses { get; }

    private void ComputePart(in ModelRows rows, Span<float> values)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var x = empty(rows.Count, Inputs);
        rows.Features.CopyTo(TensorMemory.Floats(x));
        var labels = LabelsOf(rows.Labels);
        for (var block = 0; block < Blocks; block++)
        {
            using var inner = NewDisposeScope();
            var classes = ClassesOf(x, labels, block);
            var (contributions, delta) = Attribute(x, classes, labels, rows.Ids);
            var found = TensorMemory.Floats(contributions.contiguous());
            for (var row = 0; row < rows.Count; row++)
                _shape.Write(found.Slice(row * Inputs, Inputs), values.Slice((row * Outputs) + (block * Width), Width));
            if (TellsClass)
                Put(TensorMemory.Floats(classes!.to(ScalarType.Float32)), Width, values);
            if (delta is not null)
                Put(TensorMemory.Floats(delta.contiguous()), Outputs - 1, values);
        }
    }

    private void Put(ReadOnlySpan<float> column, int place, Span<float> values)
    {
        for (var row = 0; row < column.Length; row++)
            values[(row * Outputs) + place] = column[row];
    }

    private Tensor? LabelsOf(ReadOnlySpan<float> labels)
    {
        if (labels.IsEmpty)
            return null;
        for (var row = 0; row < labels.Length; row++)
        {
            if (!float.IsFinite(labels[row]))
                throw new InvalidOperationException($"The label column '{Options.LabelColumnName}' is missing or not finite in a row, which is to be explained by its label: drop such rows first.");
            if (LabelClasses > 0 && !(labels[row] >= 0 && labels[row] < LabelClasses && labels[row] == MathF.Truncate(labels[row])))
                throw DataErrors.UnknownClass(Options.LabelColumnName, labels[row], LabelClasses);
        }

        return tensor(labels.ToArray());
    }

    private Tensor? ClassesOf(Tensor x, Tensor? labels, int block) => LabelClasses == 0 && _scores == 1 ? null : Options switch
    {
        { Output: ExplainedOutput.Loss } or { Target: ExplanationTarget.TrueLabel } => labels!.to(ScalarType.Int64),
        { Target: ExplanationTarget.ClassIndex } => full(x.shape[0], Options.ClassIndex, ScalarType.Int64),
        { Target: ExplanationTarget.AllClasses } when _scores > 1 => full(x.shape[0], block, ScalarType.Int64),
        _ => Predicted(Forward(x)),
    };

    private (Tensor Contributions, Tensor? Delta) Attribute(Tensor x, Tensor? classes, Tensor? labels, ReadOnlySpan<DataViewRowId> ids)
    {
        switch (Options.Method)
        {
            case ExplanationMethod.Gradient:
                return (Gradient(x, classes, labels), null);
            case ExplanationMethod.GradientTimesInput:
                return (Gradient(x, classes, labels).mul(x), null);
            case ExplanationMethod.IntegratedGradients:
                var contributions = Integrate(x, classes, labels);
                if (!Options.AddConvergenceDelta)
                    return (contributions, null);
                var baseline = tensor(_baseline).unsqueeze(0).expand(x.shape);
                var change = Value(Forward(x), classes, labels).sub(Value(Forward(baseline), classes, labels));
                return (contributions, contributions.sum(1L).sub(change));
            default:
                return (Smooth(x, classes, labels, ids), null);
        }
    }

    // Σ_k w_k ∂f(x′ + t_k(x − x′))/∂x, a few steps at a time; the class stays that of x all the way. Where a model begins with an affine map, its values on the way lie on a
    // line, too, and gradients by them can be added up before they go back through it.
    private Tensor Integrate(Tensor x, Tensor? classes, Tensor? labels)
    {
        var baseline = tensor(_baseline).unsqueeze(0);
        var (start, end) = (AffinePart(baseline), AffinePart(x));
        var (way, sum, width) = (end.sub(start), zeros_like(end), end.shape[1]);
        var group = GroupOf(end, Options.Steps);
        for (var first = 0; first < Options.Steps; first += group)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(group, Options.Steps - first);
            var points = way.unsqueeze(0).mul(Column(_path.Nodes)).Plus(start).view(-1, width);
            var gradients = ContinuedGradient(points, classes?.repeat(count), labels?.repeat(count)).view(count, -1, width);
            sum.AddScaled(gradients.mul(Column(_path.Weights)).sum(0L));

            Tensor Column(double[] values) => tensor([.. values.AsSpan(first, count).ToArray().Select(value => (float)value)], [count, 1, 1]);
        }

        return PullBack(sum).mul(x.sub(baseline));
    }

    // The mean over points around x of the gradient, or of what two scores tell about it.
    private Tensor Smooth(Tensor x, Tensor? classes, Tensor? labels, ReadOnlySpan<DataViewRowId> ids)
    {
        var (deviations, sum) = (tensor(_deviations), zeros_like(x));

        // A feature that never changes is not moved, and nothing can be told of it by moving.
        var inverse = tensor([.. _deviations.Select(deviation => deviation > 0 ? 1 / deviation : 0)]);
        var noise = new RowNoise(Options.Seed, ids, Inputs);
        var group = GroupOf(x, Options.Samples);
        for (var first = 0; first < Options.Samples; first += group)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(group, Options.Samples - first);
            var e = noise.Draw(count);                                                       // [count, n, D]
            var (moves, repeatedClasses, repeatedLabels) = (e.mul(deviations), classes?.repeat(count), labels?.repeat(count));
            if (Options.Method == ExplanationMethod.SmoothGrad)
            {
                sum.AddScaled(Gradient(x.Plus(moves).view(-1, Inputs), repeatedClasses, repeatedLabels).view(moves.shape).sum(0L));
                continue;
            }

            var difference = At(x.Plus(moves)).sub(At(x.sub(moves))).view(count, -1, 1);
            sum.AddScaled(difference.mul(e).mul_(inverse).sum(0L), 0.5);

            Tensor At(Tensor points) => Value(Forward(points.view(-1, Inputs)), repeatedClasses, repeatedLabels);
        }

        return sum.Times(1.0 / Options.Samples);
    }

    private static InvalidOperationException HasNoGradients() => new("A model that is known by its scores alone has no gradients.");

    private static int GroupOf(Tensor x, int most) => (int)Math.Clamp(GroupValues / Math.Max(1, x.numel()), 1, most);
}
