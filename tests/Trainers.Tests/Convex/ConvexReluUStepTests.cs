using MlNetMlp.Convex;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Convex;

/// <summary>The linear system of an iteration, against the same system written out.</summary>
public sealed class ConvexReluUStepTests
{
    public static TheoryData<string, double, double> Steps => new()
    {
        { "rows", 1, 1e-10 }, { "rows", 7.5, 1e-10 }, { "patterns", 1, 1e-10 }, { "patterns", 0.03, 1e-10 }, { "gradients", 1, 1e-9 }, { "gradients", 4, 1e-9 },
        { "blocks", 1, 1e-9 }, { "blocks", 0.3, 1e-9 },
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void Solves_the_dense_system(string kind, double kappa, double tolerance)
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(c: 1, weighted: true);
        var (f, g) = problem.Dense();
        var b = ConvexProblem.Normal(9, problem.Program.Width, 2, problem.Program.Patterns);
        var matrix = f.t().mm(f).Times(kappa).Plus(g.t().mm(g).Times(Math.Pow(problem.Program.ConeScale, 2)));
        matrix.diagonal().Shift(1);
        var expected = linalg.solve(matrix, b.view(-1)).view(b.shape);

        using var threads = TorchThreads.Limit(1);
        using var step = Create(kind, problem.Program);
        step.SetKappa(2 * kappa);
        step.SetKappa(kappa);
        for (var time = 0; time < 2; time++)
        {
            var (u, fit) = step.Solve(b);
            Assert.True(u.sub(expected).abs().max().ToDouble() < tolerance);
            Assert.True(fit.view(-1).sub(f.mv(u.view(-1))).abs().max().ToDouble() < tolerance);
        }
    }

    [Fact]
    public void Several_outputs_are_solved_as_each_alone()
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(c: 3);
        using var alone = new ConvexReluProgram(problem.X, problem.Gates, problem.Targets.narrow(1, 1, 1), null, problem.Loss, problem.Beta, coneScale: 1);
        var b = ConvexProblem.Normal(9, 3, 6, problem.Program.Patterns);
        using var step = new ConvexReluRowFactor(problem.Program);
        using var stepAlone = new ConvexReluRowFactor(alone);
        step.SetKappa(1);
        stepAlone.SetKappa(1);

        var (u, _) = step.Solve(b);
        var (expected, _) = stepAlone.Solve(cat([b.narrow(1, 1, 1), b.narrow(1, 4, 1)], 1));

        Assert.True(cat([u.narrow(1, 1, 1), u.narrow(1, 4, 1)], 1).sub(expected).abs().max().ToDouble() < 1e-12);
    }

    [Fact]
    public void Operators_are_those_of_the_dense_matrices()
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(c: 1, weighted: true);
        var (f, g) = problem.Dense();
        var program = problem.Program;
        var u = ConvexProblem.Normal(3, program.Width, 2, program.Patterns);
        var r = ConvexProblem.Normal(4, program.Rows, 1);
        var s = ConvexProblem.Normal(5, program.Rows, 2, program.Patterns);

        Assert.True(Near(program.Gated(program.Difference(u)), f.mv(u.view(-1))));
        Assert.True(Near(ConvexReluProgram.Opposed(program.GatedTransposed(r)), f.t().mv(r.view(-1))));
        Assert.True(Near(program.Signed(u), g.mv(u.view(-1)).Times(program.ConeScale)));
        Assert.True(Near(program.SignedTransposed(s), g.t().mv(s.view(-1)).Times(program.ConeScale)));

        static bool Near(Tensor actual, Tensor expected) => actual.reshape(-1).sub(expected).abs().max().ToDouble() < 1e-12;
    }

    [Fact]
    public void The_choice_is_by_cost_and_says_why()
    {
        using var scope = NewDisposeScope();
        using var few = new ConvexProblem(n: 20, d: 6, p: 40);
        using var many = new ConvexProblem(n: 400, d: 3, p: 4);
        var lines = new List<string>();

        var (byRows, rows) = ConvexReluSolverChoice.Choose(few.Program, ConvexReluSolver.Automatic, 1 << 30, 100, lines.Add);
        var (byPatterns, patterns) = ConvexReluSolverChoice.Choose(many.Program, ConvexReluSolver.Automatic, 1 << 30, 100, lines.Add);
        var (small, name) = ConvexReluSolverChoice.Choose(many.Program, ConvexReluSolver.Automatic, 40_000, 100, lines.Add);
        using (byRows)
        using (byPatterns)
        using (small)
        {
            Assert.Contains("of the rows", rows, StringComparison.Ordinal);
            Assert.Contains("patterns", patterns, StringComparison.Ordinal);
            Assert.All(lines, line => Assert.Matches("is solved by .*: about .* operations", line));
            Assert.Contains(name, lines[2], StringComparison.Ordinal);
            Assert.Contains("would take", lines[2], StringComparison.Ordinal);
        }

        var error = Assert.Throws<InvalidOperationException>(() => ConvexReluSolverChoice.Choose(few.Program, ConvexReluSolver.CachedCholesky, 100, 100, lines.Add));
        Assert.Contains("'Solver'", error.Message, StringComparison.Ordinal);
        Assert.Contains("'MemoryBudget'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Few_iterations_do_not_pay_for_the_larger_factor()
    {
        using var scope = NewDisposeScope();
        using var problem = new ConvexProblem(n: 120, d: 10, p: 10);

        var (many, patterns) = ConvexReluSolverChoice.Choose(problem.Program, ConvexReluSolver.Automatic, 1 << 30, 100, _ => { });
        var (once, rows) = ConvexReluSolverChoice.Choose(problem.Program, ConvexReluSolver.Automatic, 1 << 30, 1, _ => { });
        using (many)
        using (once)
        {
            Assert.Contains("patterns", patterns, StringComparison.Ordinal);
            Assert.Contains("of the rows", rows, StringComparison.Ordinal);
        }
    }

    private static ConvexReluUStep Create(string kind, ConvexReluProgram program) => kind switch
    {
        "rows" => new ConvexReluRowFactor(program),
        "patterns" => new ConvexReluPatternFactor(program),
        "gradients" => new ConvexReluConjugateGradient(program, 1e-13),
        _ => new ConvexReluBlockCoordinate(program, 1e-13, patternsOfBlock: 3),
    };
}
