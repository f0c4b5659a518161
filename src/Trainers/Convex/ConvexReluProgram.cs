using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Convex;

/// <summary>
/// The rows and gates of one convex program, and its linear operators. Everything is laid out as [·, G, P], where G = 2C are the v of the C outputs
/// and then their w, so that each operator is one product of matrices with elementwise work before or after it, block of rows by block of rows.
/// </summary>
/// <remarks>
/// Rows are scaled by the roots of their example weights, so that a weight of k is k rows: F and G below stand for √w·F and √w·G.
/// </remarks>
internal sealed class ConvexReluProgram : IDisposable
{
    // Values of a block of rows by groups: few enough to stay near the processor, enough to keep products fast.
    private const int BlockValues = 1 << 19;

    private readonly long _blockRows;

    /// <summary>Takes the rows in.</summary>
    /// <param name="x">X, standardised and with the bias column, Float32 or Float64 [n, d].</param>
    /// <param name="gates">D, 0 or 1, of the type of X [n, P].</param>
    /// <param name="targets">y, of the type of X [n, C]: standardised labels, or ±1.</param>
    /// <param name="weights">w, of the type of X [n]; null where all are 1.</param>
    /// <param name="loss">ℓ.</param>
    /// <param name="beta">β.</param>
    /// <param name="coneScale">c; null for what makes features and rows count alike.</param>
    public ConvexReluProgram(
        Tensor x, Tensor gates, Tensor targets, Tensor? weights, ConvexReluLossFunction loss, double beta, double? coneScale = null)
    {
        using var scope = NewDisposeScope();
        (Loss, Beta) = (loss, beta);
        RootWeights = weights?.sqrt().unsqueeze(1).DetachFromDisposeScope();
        Plain = x.alias().DetachFromDisposeScope();
        X = (RootWeights is null ? x.alias() : x.mul(RootWeights)).DetachFromDisposeScope();
        Gates = gates.alias().DetachFromDisposeScope();
        Signs = gates.Times(2).Plus(-1).DetachFromDisposeScope();
        Targets = targets.alias().DetachFromDisposeScope();
        TotalWeight = weights?.sum().ToDouble() ?? x.shape[0];
        Gram = X.t().mm(X).DetachFromDisposeScope();
        ConeScale = coneScale ?? 1 / Math.Sqrt(Gram.diagonal().mean().ToDouble());
        _blockRows = X.device.type == TorchSharp.DeviceType.CPU
            ? Math.Clamp(BlockValues / ((long)Groups * Patterns), 16, Math.Max(16, Rows))
            : Math.Max(16, Rows);
    }

    public ConvexReluLossFunction Loss { get; }

    public double Beta { get; }

    /// <summary>X without the weights [n, d].</summary>
    public Tensor Plain { get; }

    /// <summary>√w·X [n, d].</summary>
    public Tensor X { get; }

    /// <summary>D [n, P].</summary>
    public Tensor Gates { get; }

    /// <summary>E = 2D − 1 [n, P].</summary>
    public Tensor Signs { get; }

    /// <summary>y [n, C].</summary>
    public Tensor Targets { get; }

    /// <summary>√w [n, 1], or null.</summary>
    public Tensor? RootWeights { get; }

    public double TotalWeight { get; }

    /// <summary>
    /// c, where the cone is written cGu ≥ 0: the same set for every c, but of the many rows of G, each as long as a row of X, iterations would see little else.
    /// </summary>
    public double ConeScale { get; }

    /// <summary>XᵀX with the weights in it [d, d]; because of E² = 1 also each block of GᵀG, but for c².</summary>
    public Tensor Gram { get; }

    public long Rows => X.shape[0];

    public int Width => (int)X.shape[1];

    public int Patterns => (int)Gates.shape[1];

    public int Outputs => (int)Targets.shape[1];

    public int Groups => 2 * Outputs;

    public Tensor Zeros(params long[] shape) => zeros(shape, X.dtype, X.device);

    /// <summary>Goes through the rows; tensors that a visit makes are disposed after it.</summary>
    public void ForBlocks(Action<long, long> visit)
    {
        for (long start = 0; start < Rows; start += _blockRows)
        {
            using var scope = NewDisposeScope();
            visit(start, Math.Min(_blockRows, Rows - start));
        }
    }

    /// <summary>v − w: [d, G, P] → [d, C, P].</summary>
    public Tensor Difference(Tensor u) => u.narrow(1, 0, Outputs).sub(u.narrow(1, Outputs, Outputs));

    /// <summary>(b, −b): [d, C, P] → [d, G, P].</summary>
    public static Tensor Opposed(Tensor b) => cat([b, b.neg()], 1);

    /// <summary>F_d t = Σ_i D_iXt_i: [d, C, P] → [n, C].</summary>
    public Tensor Gated(Tensor t)
    {
        var result = empty([Rows, t.shape[1]], X.dtype, X.device);
        using var flat = t.reshape(Width, -1);
        ForBlocks((start, rows) =>
        {
            var xt = X.narrow(0, start, rows).mm(flat).view(rows, t.shape[1], Patterns);
            result.narrow(0, start, rows).copy_(xt.mul_(Gates.narrow(0, start, rows).unsqueeze(1)).sum(2L));
        });
        return result;
    }

    /// <summary>F_dᵀr = Xᵀ(D∘r1ᵀ): [n, C] → [d, C, P].</summary>
    public Tensor GatedTransposed(Tensor r) => Transposed(r, (block, start, rows) => block.unsqueeze(2).mul(Gates.narrow(0, start, rows).unsqueeze(1)), r.shape[1]);

    /// <summary>cGᵀs = cXᵀ(E∘S): [n, G, P] → [d, G, P].</summary>
    public Tensor SignedTransposed(Tensor s)
    {
        var result = Transposed(s, (block, start, rows) => block.mul(Signs.narrow(0, start, rows).unsqueeze(1)), s.shape[1]);
        result.Scale(ConeScale);
        return result;
    }

    /// <summary>cGu = cE∘(XU): [d, G, P] → [n, G, P]; as large as the slacks.</summary>
    public Tensor Signed(Tensor u)
    {
        using var scope = NewDisposeScope();
        return X.mm(u.Times(ConeScale).reshape(Width, -1)).view(Rows, u.shape[1], Patterns).mul_(Signs.unsqueeze(1)).MoveToOuterDisposeScope();
    }

    /// <summary>Values of the network that v stands for: Σ_i (Xv_i)₊ − (Xw_i)₊, of rows as they are.</summary>
    public static Tensor NetworkOutputs(Tensor x, Tensor v)
    {
        var (groups, patterns) = (v.shape[1], v.shape[2]);
        var result = empty([x.shape[0], groups / 2], x.dtype, x.device);
        using var flat = v.reshape(v.shape[0], -1);
        var most = Math.Max(16, BlockValues / (groups * patterns));
        for (long start = 0; start < x.shape[0]; start += most)
        {
            using var scope = NewDisposeScope();
            var rows = Math.Min(most, x.shape[0] - start);
            result.narrow(0, start, rows).copy_(NetSums(x.narrow(0, start, rows).mm(flat).relu_().view(rows, groups, patterns)));
        }

        return result;
    }

    /// <summary>
    /// What v is on the rows, without weights: the values of the convex program Σ_i D_iX(v_i − w_i) [n, C], those of the network [n, C], and the greatest of
    /// −e_ik·x_k·v_i relative to ‖x_k‖ and the longest v_i, at least 0.
    /// </summary>
    public (Tensor Convex, Tensor Network, double ConeViolation) Trace(Tensor v)
    {
        using var scope = NewDisposeScope();
        var (convex, network) = (empty([Rows, Outputs], X.dtype, X.device), empty([Rows, Outputs], X.dtype, X.device));
        var (flat, least) = (v.reshape(Width, -1), empty([Rows], X.dtype, X.device));
        ForBlocks((start, rows) =>
        {
            var (x, gates, signs) = (Plain.narrow(0, start, rows), Gates.narrow(0, start, rows).unsqueeze(1), Signs.narrow(0, start, rows).unsqueeze(1));
            var values = x.mm(flat).view(rows, Groups, Patterns);
            convex.narrow(0, start, rows).copy_(NetSums(values.mul(gates)));
            network.narrow(0, start, rows).copy_(NetSums(values.relu()));
            least.narrow(0, start, rows).copy_(values.mul_(signs).amin([1, 2]));
        });
        var sides = least.div(Plain.Norms([1]).mul_(GroupNorms(v).max())).nan_to_num(0, 0, 0);
        return (convex.MoveToOuterDisposeScope(), network.MoveToOuterDisposeScope(), Math.Max(0, -sides.min().ToDouble()));
    }

    /// <summary>‖v_i‖ of all groups [G, P].</summary>
    public static Tensor GroupNorms(Tensor v) => v.Norms([0]);

    /// <summary>Each group of v shortened by t, to 0 at least.</summary>
    public static Tensor ShrinkGroups(Tensor v, double t)
    {
        using var scope = NewDisposeScope();
        var columns = v.reshape(v.shape[0], -1).clone();
        GroupLasso.Shrink(columns.t(), t);
        return columns.view(v.shape).MoveToOuterDisposeScope();
    }

    /// <summary>The greatest of ‖βv_i/‖v_i‖ − slopes_i‖ over the groups with v_i ≠ 0, relative to β.</summary>
    public double Stationarity(Tensor v, Tensor slopes)
    {
        using var scope = NewDisposeScope();
        var norms = GroupNorms(v);
        var difference = GroupNorms(v.div(norms).nan_to_num(0, 0, 0).sub(slopes.Times(1 / Beta)));
        return difference.mul(norms.IsAbove(0).to(norms.dtype)).max().ToDouble();
    }

    /// <summary>ℓ(f, y) + βΣ‖v_i‖, f without weights.</summary>
    public double Objective(Tensor f, Tensor v) => LossSum(f) + (Beta * GroupNorms(v).sum(ScalarType.Float64).ToDouble());

    /// <summary>Σ w·ℓ over rows and outputs, f without weights.</summary>
    public double LossSum(Tensor f)
    {
        using var scope = NewDisposeScope();
        return Weighted(Loss.Values(f, Targets)).sum(ScalarType.Float64).ToDouble();
    }

    public Tensor Weighted(Tensor a) => RootWeights is null ? a : a.mul(RootWeights).mul_(RootWeights);

    public Tensor Scaled(Tensor a) => RootWeights is null ? a : a.mul(RootWeights);

    public Tensor Unscaled(Tensor a) => RootWeights is null ? a : a.div(RootWeights);

    public void Dispose()
    {
        foreach (var tensor in new[] { X, Plain, Gates, Signs, Targets, Gram, RootWeights })
            tensor?.Dispose();
    }

    // Sums over the patterns, those of the w taken from those of the v: [n, G, P] → [n, C].
    private static Tensor NetSums(Tensor values)
    {
        var (sums, outputs) = (values.sum(2L), values.shape[1] / 2);
        return sums.narrow(1, 0, outputs).sub(sums.narrow(1, outputs, outputs));
    }

    private Tensor Transposed(Tensor r, Func<Tensor, long, long, Tensor> gate, long columns)
    {
        var result = Zeros(Width, columns, Patterns);
        using var flat = result.view(Width, -1);

        // Solutions of linear systems come column by column.
        using var byRows = r.contiguous();
        ForBlocks((start, rows) => flat.addmm_(X.narrow(0, start, rows).t(), gate(byRows.narrow(0, start, rows), start, rows).view(rows, -1), 1, 1));
        return result;
    }
}
