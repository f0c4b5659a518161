using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Convex;

/// <summary>
/// Solves (I + κFᵀF + c²GᵀG)u = b, the linear system of each iteration. With b₊ = (b_u + b_z)/2, b₋ = (b_u − b_z)/2 and B = I + c²XᵀX it falls
/// apart into B⁻¹b₊, column by column, and (I⊗B + 2κF_dᵀF_d)t = b₋, F_d = [D₁X … D_PX]; then u is B⁻¹b₊ + t and z is B⁻¹b₊ − t.
/// </summary>
internal abstract class ConvexReluUStep(ConvexReluProgram program) : IDisposable
{
    private readonly Tensor _inverse = Invert(program);

    protected ConvexReluProgram Program => program;

    protected double Kappa { get; private set; }

    public void SetKappa(double kappa)
    {
        if (kappa == Kappa)
            return;
        Kappa = kappa;
        using var scope = NewDisposeScope();
        Factor();
    }

    /// <summary>b [d, G, P] → u [d, G, P] and Fu [n, C].</summary>
    public (Tensor U, Tensor Fit) Solve(Tensor b)
    {
        using var scope = NewDisposeScope();
        var (bu, bz) = (b.narrow(1, 0, program.Outputs), b.narrow(1, program.Outputs, program.Outputs));
        var sum = ApplyInverse(bu.Plus(bz).Times(0.5));
        var (t, fit) = SolveDifference(bu.sub(bz).Times(0.5));
        return (cat([sum.Plus(t), sum.sub(t)], 1).MoveToOuterDisposeScope(), fit.Times(2).MoveToOuterDisposeScope());
    }

    public virtual void Dispose() => _inverse.Dispose();

    protected abstract void Factor();

    /// <summary>(I⊗B + 2κF_dᵀF_d)t = b, [d, C, P]; and F_dt.</summary>
    protected abstract (Tensor T, Tensor Fit) SolveDifference(Tensor b);

    protected Tensor ApplyInverse(Tensor b) => _inverse.mm(b.reshape(program.Width, -1)).view(b.shape);

    protected Tensor ApplyB(Tensor t) => program.Gram.mm(t.reshape(program.Width, -1)).view(t.shape).Times(program.ConeScale * program.ConeScale).Plus(t);

    // Small and done once, so in double precision.
    private static Tensor Invert(ConvexReluProgram program)
    {
        using var scope = NewDisposeScope();
        var b = program.Gram.to(ScalarType.Float64).Times(program.ConeScale * program.ConeScale);
        b.diagonal().Shift(1);
        return linalg.inv(b).to(program.X.dtype).DetachFromDisposeScope();
    }
}

/// <summary>t = t₀ − B⁻¹F_dᵀ(I/(2κ) + S)⁻¹F_dt₀ with t₀ = B⁻¹b and S = XB⁻¹Xᵀ ∘ DDᵀ, n x n whatever P and C are.</summary>
internal sealed class ConvexReluRowFactor(ConvexReluProgram program) : ConvexReluUStep(program)
{
    private const int PanelRows = 256;

    private readonly Tensor _kernel = program.Zeros(program.Rows, program.Rows).DetachFromDisposeScope();
    private Tensor? _factor;

    public override void Dispose()
    {
        _kernel.Dispose();
        _factor?.Dispose();
        base.Dispose();
    }

    protected override void Factor()
    {
        if (_factor is null)
            FillKernel();
        _factor?.Dispose();
        using var shifted = _kernel.clone();
        shifted.diagonal().Shift(1 / (2 * Kappa));
        _factor = linalg.cholesky(shifted).DetachFromDisposeScope();
    }

    protected override (Tensor T, Tensor Fit) SolveDifference(Tensor b)
    {
        var start = ApplyInverse(b);
        var r = Program.Gated(start).cholesky_solve(_factor!);

        // F_dt₀ − Sr is what is left of the right side: r/(2κ).
        return (start.sub(ApplyInverse(Program.GatedTransposed(r))), r.Times(1 / (2 * Kappa)));
    }

    private void FillKernel()
    {
        var (x, d) = (Program.X, Program.Gates);
        var xb = ApplyInverse(x.t()).t();
        for (long start = 0; start < Program.Rows; start += PanelRows)
        {
            using var scope = NewDisposeScope();
            var rows = Math.Min(PanelRows, Program.Rows - start);

            // What is above the diagonal of a symmetric matrix need not be computed.
            var (before, panel) = (start + rows, _kernel.narrow(0, start, rows).narrow(1, 0, start + rows));
            panel.copy_(xb.narrow(0, start, rows).mm(x.narrow(0, 0, before).t()).mul_(d.narrow(0, start, rows).mm(d.narrow(0, 0, before).t())));
        }
    }
}

/// <summary>The system itself, dP x dP, factored.</summary>
internal sealed class ConvexReluPatternFactor(ConvexReluProgram program) : ConvexReluUStep(program)
{
    private Tensor? _products;
    private Tensor? _factor;

    public override void Dispose()
    {
        _products?.Dispose();
        _factor?.Dispose();
        base.Dispose();
    }

    protected override void Factor()
    {
        _products ??= GateProducts(Program, Program.Gates).DetachFromDisposeScope();
        _factor?.Dispose();
        var matrix = _products.Times(2 * Kappa);
        matrix.view(Program.Width, Program.Patterns, Program.Width, Program.Patterns).diagonal(0, 1, 3).AddScaled(Program.Gram.unsqueeze(2), Program.ConeScale * Program.ConeScale);
        matrix.diagonal().Shift(1);
        _factor = linalg.cholesky(matrix).DetachFromDisposeScope();
    }

    protected override (Tensor T, Tensor Fit) SolveDifference(Tensor b)
    {
        var (d, c, p) = (b.shape[0], b.shape[1], b.shape[2]);
        var t = b.transpose(1, 2).reshape(d * p, c).cholesky_solve(_factor!).view(d, p, c).transpose(1, 2).contiguous();
        return (t, Program.Gated(t));
    }

    /// <summary>F_dᵀF_d for some patterns, in the order (feature, pattern); only its lower triangle is sure to be right.</summary>
    internal static Tensor GateProducts(ConvexReluProgram program, Tensor gates)
    {
        const long blockValues = 1 << 23;
        var size = program.Width * gates.shape[1];
        var result = program.Zeros(size, size);
        var panel = Math.Max(256, size / 8);
        for (long start = 0, most = Math.Max(64, blockValues / size); start < program.Rows; start += most)
        {
            using var scope = NewDisposeScope();
            var rows = Math.Min(most, program.Rows - start);
            var z = program.X.narrow(0, start, rows).unsqueeze(2).mul(gates.narrow(0, start, rows).unsqueeze(1)).view(rows, size);
            for (long column = 0; column < size; column += panel)
            {
                // What is above the diagonal of a symmetric matrix need not be computed.
                var columns = Math.Min(panel, size - column);
                result.narrow(0, column, size - column).narrow(1, column, columns)
                    .addmm_(z.narrow(1, column, size - column).t(), z.narrow(1, column, columns), 1, 1);
            }
        }

        return result;
    }
}
