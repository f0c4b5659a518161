using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Convex;

/// <summary>
/// The convex program of adversarial training: rows may move by ε_j in each feature, so patterns have to hold in whole boxes, e_ik·x_k·v_i ≥ Σε_j|v_ij|, and the loss
/// is that of the worst point of the box. With m_k = Σd_ik(v_i − w_i) and p_k = x_k·m_k that is p_k moved by a_k = Σε_j|m_kj|.
/// </summary>
internal sealed class RobustConvexReluProgram : IDisposable
{
    /// <summary>Takes a program and the box in.</summary>
    /// <param name="inner">Rows, patterns, labels of one output, loss and β; the caller keeps it.</param>
    /// <param name="epsilon">ε for each column of X, of its type [d]; 0 for the constant.</param>
    public RobustConvexReluProgram(ConvexReluProgram inner, Tensor epsilon)
    {
        (Inner, Epsilon) = (inner, epsilon.alias().DetachFromDisposeScope());
        RootGates = inner.Scaled(inner.Gates).alias().DetachFromDisposeScope();
    }

    public ConvexReluProgram Inner { get; }

    /// <summary>ε [d].</summary>
    public Tensor Epsilon { get; }

    /// <summary>√w∘D [n, P].</summary>
    public Tensor RootGates { get; }

    /// <summary>√w·m: [d, 2, P] → [n, d].</summary>
    public Tensor RowWeights(Tensor u)
    {
        using var scope = NewDisposeScope();
        return RootGates.mm(Inner.Difference(u).squeeze(1).t()).MoveToOuterDisposeScope();
    }

    /// <summary>The transpose: [n, d] → [d, 2, P].</summary>
    public Tensor RowWeightsTransposed(Tensor m)
    {
        using var scope = NewDisposeScope();
        return ConvexReluProgram.Opposed(m.t().mm(RootGates).unsqueeze(1)).MoveToOuterDisposeScope();
    }

    /// <summary>p and a of a solution, without weights [n].</summary>
    public (Tensor P, Tensor A) Box(Tensor v)
    {
        using var scope = NewDisposeScope();
        var m = Inner.Unscaled(RowWeights(v));
        return (Inner.Plain.mul(m).sum(1L).MoveToOuterDisposeScope(), m.abs().mv(Epsilon).MoveToOuterDisposeScope());
    }

    /// <summary>The robust loss of all rows plus the penalty.</summary>
    public double Objective(Tensor v)
    {
        using var scope = NewDisposeScope();
        var (p, a) = Box(v);
        var losses = Inner.Weighted(Inner.Loss.WorstValues(p.unsqueeze(1), a.unsqueeze(1), Inner.Targets));
        return losses.sum(ScalarType.Float64).ToDouble() + (Inner.Beta * ConvexReluProgram.GroupNorms(v).sum(ScalarType.Float64).ToDouble());
    }

    /// <summary>Δ [n, d], the worst move of each row: −y·ε∘sign(m) for classes, and away from the label for numbers.</summary>
    public Tensor WorstMoves(Tensor v)
    {
        using var scope = NewDisposeScope();
        var m = Inner.Unscaled(RowWeights(v));
        var p = Inner.Plain.mul(m).sum(1L, keepdim: true);
        var away = Inner.Loss.IsSquared ? p.sub(Inner.Targets).sign() : Inner.Targets.neg();
        return m.sign().mul(Epsilon).mul(away).MoveToOuterDisposeScope();
    }

    /// <summary>The greatest of Σε_j|v_ij| − e_ik·x_k·v_i relative to ‖x_k‖ and the longest v_i, at least 0.</summary>
    public double ConeViolation(Tensor v)
    {
        using var scope = NewDisposeScope();
        var directions = v.div(ConvexReluProgram.GroupNorms(v).max()).nan_to_num(0, 0, 0);
        var needed = directions.abs().mul(Epsilon.view(-1, 1, 1)).sum(0L);                                   // [2, P]
        var sides = Inner.Plain.mm(directions.view(Inner.Width, -1)).view(Inner.Rows, 2, Inner.Patterns).mul_(Inner.Signs.unsqueeze(1));
        var lengths = Inner.Plain.Norms([1]).view(-1, 1, 1);
        return Math.Max(0, needed.sub(sides).div(lengths).max().ToDouble());
    }

    /// <summary>
    /// The nearest point of the robust cone: q_k ≥ s_kΣε_j|r_j| for all rows k of each group. r is r⁰ shrunk by Tε and q the greater of q⁰ and s·t, where
    /// T = Σs(st − q⁰)₊ is found by bisection.
    /// </summary>
    /// <param name="q">q⁰ [n, G, P], changed to q.</param>
    /// <param name="r">r⁰ [d, G, P], changed to r.</param>
    /// <param name="epsilon">ε, each at least 0 [d].</param>
    /// <param name="rootWeights">s [n, 1], or null for 1.</param>
    public static void Project(Tensor q, Tensor r, Tensor epsilon, Tensor? rootWeights)
    {
        using var scope = NewDisposeScope();
        var (box, s) = (epsilon.view(-1, 1, 1), rootWeights?.unsqueeze(2));
        var (low, high) = (zeros_like(r.narrow(0, 0, 1)), Lack(r).clone());
        for (var i = 0; i < Bisections(r); i++)
        {
            using var inner = NewDisposeScope();
            var middle = low.Plus(high).Times(0.5);
            var isLow = Lack(Shrunk(middle)).gt(middle);
            low.copy_(where(isLow, middle, low));
            high.copy_(where(isLow, high, middle));
        }

        r.copy_(Shrunk(high));
        var bound = Needed(r);
        q.copy_(q.maximum(s is null ? bound : bound.mul(s)));

        Tensor Shrunk(Tensor total) => r.sign().mul(r.abs().sub(box.mul(total)).relu_());

        Tensor Needed(Tensor point) => point.abs().mul(box).sum(0L, keepdim: true);

        Tensor Lack(Tensor point)
        {
            var needed = Needed(point);
            return s is null ? needed.sub(q).relu_().sum(0L, keepdim: true) : needed.mul(s).sub(q).relu_().mul(s).sum(0L, keepdim: true);
        }
    }

    /// <summary>
    /// The minimiser of ℓ_rob(p, Σε_j|m_j|) + σ/2·((p − p⁰)² + ‖m − m⁰‖²) for each row, by the slope g of the loss at the worst point, which alone decides: p moves by
    /// g/σ to the good side and m shrinks by gε/σ. g is found by bisection.
    /// </summary>
    /// <param name="p">p⁰ [n, 1].</param>
    /// <param name="m">m⁰ [n, d].</param>
    /// <param name="y">Labels [n, 1].</param>
    /// <param name="loss">ℓ.</param>
    /// <param name="epsilon">ε [d].</param>
    /// <param name="sigma">σ.</param>
    /// <returns>p and m.</returns>
    public static (Tensor P, Tensor M) Proximal(Tensor p, Tensor m, Tensor y, ConvexReluLossFunction loss, Tensor epsilon, double sigma)
    {
        using var scope = NewDisposeScope();

        // Of a number only the distance to its label matters, which is the less the better; of a class the margin.
        var side = loss.IsSquared ? y.sub(p).sign() : y;
        var distance = p.sub(y).abs();
        var box = epsilon.unsqueeze(0);
        var (low, high) = (zeros_like(p), loss.IsSquared ? distance.Plus(Width(zeros_like(p))) : ones_like(p).Times(2));
        for (var i = 0; i < Bisections(p); i++)
        {
            using var inner = NewDisposeScope();
            var g = low.Plus(high).Times(0.5);
            var isLow = SlopeAt(g).gt(g);
            low.copy_(where(isLow, g, low));
            high.copy_(where(isLow, high, g));
        }

        var slope = low.Plus(high).Times(0.5);
        var step = slope.Times(1 / sigma);
        return (p.Plus(side.mul(loss.IsSquared ? step.minimum(distance) : step)).MoveToOuterDisposeScope(), Shrunk(slope).MoveToOuterDisposeScope());

        Tensor Shrunk(Tensor g) => m.sign().mul(m.abs().sub(box.mul(g.Times(1 / sigma))).relu_());

        Tensor Width(Tensor g) => Shrunk(g).abs().mul(box).sum(1L, keepdim: true);

        // The slope that the loss has where g leads to; the larger g, the smaller it is.
        Tensor SlopeAt(Tensor g)
        {
            var (moved, width) = (g.Times(1 / sigma), Width(g));
            if (loss.IsSquared)
                return distance.sub(moved).relu_().Plus(width);
            var worst = p.mul(y).Plus(moved).sub(width).mul(y);
            return loss.Slopes(worst, y).mul(y);
        }
    }

    public void Dispose()
    {
        Epsilon.Dispose();
        RootGates.Dispose();
    }

    private static int Bisections(Tensor like) => like.dtype == ScalarType.Float64 ? 55 : 30;
}
