using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Methods;

/// <summary>
/// Attacks a classifier by projected gradient steps on its margin (Madry and others, "Towards Deep Learning Models Resistant to Adversarial Attacks", 2018), and bounds it where
/// a bound is known. Radii are gone through in rising order, and each starts from the worst points of the one before, so that accuracy never rises with the radius.
/// </summary>
internal sealed class RobustnessEvaluation : IDisposable
{
    private const int BlockRows = 1024;

    private readonly DifferentiableModel _model;
    private readonly HiddenLayerBounds? _bounds;
    private readonly RobustnessOptions _options;
    private readonly bool _isBinary;

    public RobustnessEvaluation(TrainedNetwork network, RobustnessOptions options)
    {
        (_model, _bounds, _options) = (new(network), HiddenLayerBounds.Of(network), options);
        _isBinary = network.Head is BinaryHead;
    }

    public RobustnessReport Run(LabeledRows rows)
    {
        using var noGradient = no_grad();
        using var random = new Generator((ulong)_options.Seed, CPU);
        double[] radii = [.. _options.Radii.Order()];
        using var unit = tensor(_options.Unit.For(rows.Statistics));
        var (right, certain, clean) = (new long[radii.Length], new long[radii.Length], 0L);
        for (long start = 0; start < rows.Features.shape[0]; start += BlockRows)
        {
            using var scope = NewDisposeScope();
            var count = (int)Math.Min(BlockRows, rows.Features.shape[0] - start);
            var x = rows.Features.narrow(0, start, count);
            var labels = rows.Labels.AsSpan((int)start, count).ToArray();
            var (isRight, move) = (IsRight(x, labels), zeros_like(x));
            clean += Count(isRight);
            for (var i = 0; i < radii.Length; i++)
            {
                var radius = unit.Times(radii[i]);
                if (_bounds is not null)
                    certain[i] += Certify(x, labels, radius, isRight, move);
                if (radii[i] > 0)
                    Attack(x, labels, radius, isRight, move, random);
                right[i] += Count(isRight);
            }
        }

        double total = rows.Features.shape[0];
        return new(
            rows.Features.shape[0], clean / total,
            [.. radii.Select((radius, i) => new RobustnessPoint(radius, right[i] / total, _bounds is null ? null : certain[i] / total))]);
    }

    public void Dispose()
    {
        _model.Dispose();
        _bounds?.Dispose();
    }

    private static long Count(Tensor flags) => flags.sum(0L).item<long>();

    // How far the right class is ahead; what is predicted at a draw is the task's matter, so that the prediction itself decides.
    private Tensor Margin(Tensor outputs, float[] labels)
    {
        if (_isBinary)
            return outputs.flatten().mul(Signs(labels));
        var classes = tensor([.. labels.Select(label => (long)label)], [labels.Length, 1]);
        var own = outputs.gather(1, classes).squeeze(1);
        return own.sub(outputs.scatter(1, classes, zeros_like(classes, outputs.dtype).log_()).amax([1]));
    }

    private Tensor IsRight(Tensor x, float[] labels)
    {
        using var scope = NewDisposeScope();
        var outputs = _model.Forward(x);
        var predicted = _isBinary ? outputs.flatten().IsAbove(0).to(ScalarType.Int64) : outputs.argmax(1);
        return predicted.eq(tensor([.. labels.Select(label => (long)label)])).MoveToOuterDisposeScope();
    }

    // Goes downhill from the worst point so far, and from random ones; rows that are fooled are left alone.
    private void Attack(Tensor x, float[] labels, Tensor radius, Tensor isRight, Tensor move, Generator random)
    {
        for (var attempt = 0; attempt < _options.Restarts; attempt++)
        {
            using var scope = NewDisposeScope();
            var index = isRight.nonzero().view(-1);
            if (index.shape[0] == 0)
                return;
            var (rows, own) = (x.index_select(0, index), Select(labels, index));
            var point = attempt == 0 ? move.index_select(0, index) : rand(rows.shape, generator: random).Times(2).Plus(-1).mul(radius);
            var worst = Margin(_model.Forward(rows.Plus(point)), own);
            var best = point.clone();
            for (var step = 0; step < _options.Steps; step++)
            {
                using var inner = NewDisposeScope();
                var (_, slope) = _model.Gradient(rows.Plus(point), outputs => Margin(outputs, own));
                var next = point.clone();
                next.AddScaled(slope.sign().mul(radius), -_options.StepSize);
                point.copy_(next.minimum(radius).maximum(radius.neg()));
                Keep(rows, own, point, worst, best);
            }

            move.index_copy_(0, index, best);
            isRight.index_copy_(0, index, IsRight(rows.Plus(best), own));
        }
    }

    private void Keep(Tensor rows, float[] labels, Tensor point, Tensor worst, Tensor best)
    {
        var margin = Margin(_model.Forward(rows.Plus(point)), labels);
        var isWorse = margin.lt(worst);
        worst.copy_(where(isWorse, margin, worst));
        best.copy_(where(isWorse.unsqueeze(1), point, best));
    }

    // Rows whose margins over all other classes are above 0 in the whole box; the least point of the bound is an attack as well.
    private long Certify(Tensor x, float[] labels, Tensor radius, Tensor isRight, Tensor move)
    {
        using var scope = NewDisposeScope();
        var box = radius.to(ScalarType.Float64);
        var isCertain = isRight.clone();
        var worst = Margin(_model.Forward(x.Plus(move)), labels);
        foreach (var combination in Combinations(labels))
        {
            var (bounds, moves) = _bounds!.Least(x, combination, box);

            // Of a row's own class the combination is zero.
            isCertain = isCertain.logical_and(bounds.IsAbove(0).logical_or(combination.abs().amax([1]).IsAbove(0).logical_not()));
            Keep(x, labels, moves, worst, move);
        }

        isRight.copy_(isRight.logical_and(IsRight(x.Plus(move), labels)));
        return Count(isCertain.logical_and(isRight));
    }

    private IEnumerable<Tensor> Combinations(float[] labels)
    {
        if (_isBinary)
            return [Signs(labels).to(ScalarType.Float64).unsqueeze(1)];
        var classes = _model.Trained.Outputs;
        var own = nn.functional.one_hot(tensor([.. labels.Select(label => (long)label)]), classes).to(ScalarType.Float64);
        return Enumerable.Range(0, classes).Select(other =>
        {
            var combination = own.clone();
            using var column = combination.narrow(1, other, 1);
            column.Shift(-1);

            // Where it is the own class, 1 − 1 is 0 already.
            return combination;
        });
    }

    private static Tensor Signs(float[] labels) => tensor([.. labels.Select(label => label > 0 ? 1f : -1f)]);

    private static float[] Select(float[] labels, Tensor index) => [.. index.data<long>().ToArray().Select(i => labels[i])];
}
