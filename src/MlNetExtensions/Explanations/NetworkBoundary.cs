using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Explanations;

/// <summary>Boundaries between the classes of a network.</summary>
internal sealed class NetworkBoundaries : DecisionBoundaries
{
    private readonly DifferentiableModel _model;
    private readonly double _threshold;
    private readonly int _steps;

    /// <summary>Prepares the search.</summary>
    /// <param name="network">A network for classification.</param>
    /// <param name="threshold">The logit above which a binary network's prediction is true.</param>
    /// <param name="steps">Newton steps of a row at most.</param>
    public NetworkBoundaries(TrainedNetwork network, double threshold, int steps)
    {
        (_model, _threshold, _steps) = (new(network), threshold, steps);
        Classes = network.Head is BinaryHead ? 2 : network.Outputs;
    }

    public override int Inputs => _model.Trained.Inputs;

    public override int Classes { get; }

    private bool IsBinary => _model.Trained.Head is BinaryHead;

    public override DecisionBoundary Between(int first, int second)
    {
        var sign = second > first ? 1 : -1;
        return new NetworkBoundary(
            _model,
            outputs => IsBinary ? outputs.flatten().Plus(-_threshold).Times(sign) : outputs.select(1, second).sub(outputs.select(1, first)),
            _steps);
    }

    public override void Predict(ReadOnlySpan<float> rows, Span<int> classes)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var outputs = _model.Forward(tensor(rows.ToArray(), [classes.Length, Inputs]));
        var predicted = IsBinary ? outputs.flatten().IsAbove(_threshold).to(ScalarType.Int64) : outputs.argmax(1);
        var found = TensorMemory.Longs(predicted.contiguous());
        for (var row = 0; row < classes.Length; row++)
            classes[row] = (int)found[row];
    }

    public override void Dispose() => _model.Dispose();
}

/// <summary>
/// The boundary of a network, looked for from each row by Newton's steps along the margin's gradient (Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool", 2016) to the first point on the other side, and
/// then by halving the way there. What is found is on the boundary, if not always its nearest point.
/// </summary>
/// <param name="model">The network.</param>
/// <param name="margin">Makes the margin of each row [rows] of the raw outputs.</param>
/// <param name="steps">Newton steps of a row at most.</param>
internal sealed class NetworkBoundary(DifferentiableModel model, Func<Tensor, Tensor> margin, int steps) : DecisionBoundary
{
    private const double Overshoot = 1.02;

    // How nearly the way to the boundary is found: less than this a Single cannot tell.
    private const float Precision = 1e-6f;
    private const int MostHalvings = 60;

    public override double[]? Normal => null;

    public override void Find(ReadOnlySpan<float> rows, Span<double> distances, Span<float> moves, Span<float> normals)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var x = tensor(rows.ToArray(), [distances.Length, rows.Length / distances.Length]);
        var (margins, slopes) = model.Gradient(x, margin);
        var way = Halve(x, margins, Cross(x, margins, slopes));
        var signed = way.to(ScalarType.Float64).Norms([1]).mul(margins.sign().to(ScalarType.Float64));
        signed.data<double>().ToArray().CopyTo(distances);
        Put(way, moves);
        Put(slopes.div(Lengths(slopes)), normals);

        static void Put(Tensor values, Span<float> room)
        {
            if (!room.IsEmpty)
                TensorMemory.Floats(values.contiguous()).CopyTo(room);
        }
    }

    // The lengths of small gradients are not those of their squares, which may be no numbers of Single precision any more.
    private static Tensor Lengths(Tensor slopes)
    {
        using var scope = NewDisposeScope();
        return slopes.to(ScalarType.Float64).Norms([1], keepDimensions: true).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    // The way from each row to the first point on the other side that Newton's steps come to; NaN where they come to none. Without going a little further than they say, steps that end on the row's own
    // side would never cross. Steps from the other side on would end nearer to the boundary, but not nearer to the row.
    private Tensor Cross(Tensor x, Tensor margins, Tensor slopes)
    {
        var way = full_like(x, float.NaN);
        var index = arange(x.shape[0]);
        var (own, start, moved, m, g) = (x, margins, zeros_like(x), margins, slopes);
        for (var step = 0; step < steps && index.shape[0] > 0; step++)
        {
            using var scope = NewDisposeScope();
            var length = Lengths(g);
            moved = moved.sub(g.div(length).mul(m.unsqueeze(1).div(length)));
            var further = moved.Times(Overshoot);
            (m, g) = model.Gradient(own.Plus(further), margin);
            var isAcross = IsAcross(m, start);
            var found = isAcross.nonzero().view(-1);
            way.index_copy_(0, index.index_select(0, found), further.index_select(0, found));
            var goes = isAcross.logical_or(m.isfinite().logical_not()).logical_not().nonzero().view(-1);
            (index, own, start, moved, m, g) = (Going(index), Going(own), Going(start), Going(moved), Going(m), Going(g));

            Tensor Going(Tensor values) => values.index_select(0, goes).MoveToOuterDisposeScope();
        }

        return way;
    }

    private static Tensor IsAcross(Tensor found, Tensor start) => found.sign().mul(start.sign()).IsAbove(0).logical_or(found.isnan()).logical_not();

    private Tensor Halve(Tensor x, Tensor margins, Tensor way)
    {
        var (near, far) = (zeros(x.shape[0], 1), ones(x.shape[0], 1));
        for (var halving = 0; halving < MostHalvings; halving++)
        {
            using var scope = NewDisposeScope();
            var middle = near.Plus(far).Times(0.5);
            var isAcross = IsAcross(margin(model.Forward(x.Plus(way.mul(middle)))), margins).unsqueeze(1);
            far.copy_(where(isAcross, middle, far));
            near.copy_(where(isAcross, near, middle));

            // The first point on the other side may be far behind the boundary: what counts is the part of the way that is left.
            if (!far.sub(near).gt(far.Times(Precision)).any().item<bool>())
                break;
        }

        return way.mul(near.Plus(far).Times(0.5));
    }
}
