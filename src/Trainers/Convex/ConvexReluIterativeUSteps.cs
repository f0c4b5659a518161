using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Convex;

/// <summary>
/// The system of <see cref="ConvexReluRowFactor"/> by conjugate gradients from products with F_d and F_dᵀ alone, from the solution of the
/// iteration before.
/// </summary>
/// <param name="program">The operators.</param>
/// <param name="tolerance">Residual relative to the right side.</param>
/// <param name="checkCancelled">Throws when it is to stop.</param>
internal sealed class ConvexReluConjugateGradient(ConvexReluProgram program, double tolerance, Action? checkCancelled = null) : ConvexReluUStep(program)
{
    private readonly Tensor _solution = program.Zeros(program.Rows, program.Outputs).DetachFromDisposeScope();
    private Tensor? _diagonal;

    public override void Dispose()
    {
        _solution.Dispose();
        _diagonal?.Dispose();
        base.Dispose();
    }

    protected override void Factor()
    {
        _diagonal?.Dispose();
        var x = Program.X;
        _diagonal = ApplyInverse(x.t()).t().mul(x).sum(1L, keepdim: true).mul_(Program.Gates.sum(1L, keepdim: true)).Plus(1 / (2 * Kappa)).DetachFromDisposeScope();
    }

    protected override (Tensor T, Tensor Fit) SolveDifference(Tensor b)
    {
        var start = ApplyInverse(b);
        ConjugateGradient.Solve(Product, Program.Gated(start), _solution, _diagonal, new() { MaxIterations = 200, Tolerance = tolerance });
        return (start.sub(ApplyInverse(Program.GatedTransposed(_solution))), _solution.Times(1 / (2 * Kappa)));

        Tensor Product(Tensor r)
        {
            using var scope = NewDisposeScope();
            checkCancelled?.Invoke();
            var product = Program.Gated(ApplyInverse(Program.GatedTransposed(r)));
            product.AddScaled(r, 1 / (2 * Kappa));
            return product.MoveToOuterDisposeScope();
        }
    }
}

/// <summary>
/// The system of size dP, some patterns at a time: each step solves it exactly for the patterns of one block, with the others as they are, and the
/// blocks take turns until they change little. The fit F_dt is kept up, so that a round costs as much as one product with F_d and one with F_dᵀ.
/// </summary>
/// <remarks>NOTE[DIFF]: the paper takes gradient steps with a line search in blocks drawn at random; exact steps in turn need neither.</remarks>
internal sealed class ConvexReluBlockCoordinate : ConvexReluUStep
{
    // Size of a block's matrix: large enough for quick products, small enough to be factored in no time.
    private const int BlockSize = 512;
    private const int MostRounds = 200;

    private readonly double _tolerance;
    private readonly Action? _checkCancelled;
    private readonly List<Block> _blocks = [];
    private readonly Tensor _solution;

    public ConvexReluBlockCoordinate(ConvexReluProgram program, double tolerance, Action? checkCancelled = null, int? patternsOfBlock = null)
        : base(program)
    {
        (_tolerance, _checkCancelled) = (tolerance, checkCancelled);
        _solution = program.Zeros(program.Width, program.Outputs, program.Patterns).DetachFromDisposeScope();
        var most = patternsOfBlock ?? PatternsOfBlock(program.Width);
        for (var first = 0; first < program.Patterns; first += most)
            _blocks.Add(new(first, Math.Min(most, program.Patterns - first)));
    }

    /// <summary>How many patterns a block has.</summary>
    public static int PatternsOfBlock(int width) => Math.Max(1, BlockSize / width);

    public override void Dispose()
    {
        _blocks.ForEach(block => block.Dispose());
        _solution.Dispose();
        base.Dispose();
    }

    protected override void Factor()
    {
        foreach (var block in _blocks)
        {
            using var scope = NewDisposeScope();
            var gates = Program.Gates.narrow(1, block.First, block.Count);
            var matrix = ConvexReluPatternFactor.GateProducts(Program, gates).Times(2 * Kappa);
            matrix.view(Program.Width, block.Count, Program.Width, block.Count).diagonal(0, 1, 3).AddScaled(Program.Gram.unsqueeze(2), Program.ConeScale * Program.ConeScale);
            matrix.diagonal().Shift(1);
            block.Factor?.Dispose();
            block.Factor = linalg.cholesky(matrix).DetachFromDisposeScope();
        }
    }

    protected override (Tensor T, Tensor Fit) SolveDifference(Tensor b)
    {
        var fit = Program.Gated(_solution);
        for (var round = 0; round < MostRounds; round++)
        {
            double change = 0;
            _checkCancelled?.Invoke();
            foreach (var block in _blocks)
            {
                using var scope = NewDisposeScope();
                var t = _solution.narrow(2, block.First, block.Count);
                var gates = Program.Gates.narrow(1, block.First, block.Count);
                var slopes = GatedTransposed(gates, fit);
                var rest = b.narrow(2, block.First, block.Count).sub(ApplyB(t.contiguous())).sub(slopes.Times(2 * Kappa));
                var (d, c, q) = (rest.shape[0], rest.shape[1], rest.shape[2]);
                var step = rest.transpose(1, 2).reshape(d * q, c).cholesky_solve(block.Factor!).view(d, q, c).transpose(1, 2).contiguous();
                t.AddScaled(step);
                fit.AddScaled(Gated(gates, step));
                change += step.mul(step).sum().ToDouble();
            }

            if (Math.Sqrt(change) <= _tolerance * Math.Sqrt(_solution.mul(_solution).sum().ToDouble()))
                break;
        }

        return (_solution.clone(), fit);
    }

    private Tensor Gated(Tensor gates, Tensor t)
    {
        var (c, q) = (t.shape[1], t.shape[2]);
        return Program.X.mm(t.view(Program.Width, -1)).view(Program.Rows, c, q).mul_(gates.unsqueeze(1)).sum(2L);
    }

    private Tensor GatedTransposed(Tensor gates, Tensor r) =>
        Program.X.t().mm(r.unsqueeze(2).mul(gates.unsqueeze(1)).view(Program.Rows, -1)).view(Program.Width, r.shape[1], gates.shape[1]);

    private sealed class Block(int first, int count) : IDisposable
    {
        public int First => first;

        public int Count => count;

        public Tensor? Factor { get; set; }

        public void Dispose() => Factor?.Dispose();
    }
}
