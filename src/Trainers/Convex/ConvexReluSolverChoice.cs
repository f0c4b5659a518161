using System.Globalization;
using MlNetMlp.Runtime;

namespace MlNetMlp.Convex;

/// <summary>What solves the linear system of each iteration of convex training.</summary>
public enum ConvexReluSolver
{
    /// <summary>Whatever is estimated to cost least within the memory budget; the log says which and why.</summary>
    Automatic,

    /// <summary>A factorisation made once: of size n (rows) or of size dP (features times patterns), whichever is cheaper.</summary>
    CachedCholesky,

    /// <summary>Some patterns at a time, in turn, each block solved exactly.</summary>
    BlockCoordinate,

    /// <summary>Conjugate gradients, which need no memory to speak of.</summary>
    ConjugateGradient,
}

/// <summary>Chooses what solves the linear system by estimated cost.</summary>
/// <param name="Name">What it is, for the log.</param>
/// <param name="Bytes">Memory that it takes.</param>
/// <param name="Operations">Arithmetic of a whole training.</param>
/// <param name="Create">Makes it.</param>
internal sealed record ConvexReluSolverChoice(string Name, double Bytes, double Operations, Func<ConvexReluProgram, ConvexReluUStep> Create)
{
    // Rough figures, all that a choice between orders of magnitude needs: iterations of a training that is left to end by itself, products of an inexact solution, and what
    // reading a factor once costs compared with arithmetic on it.
    private const double UsualIterations = 60;
    private const double Products = 15;
    private const double ReadingFactor = 4;

    /// <summary>Chooses.</summary>
    /// <param name="program">The program.</param>
    /// <param name="solver">What the user wants.</param>
    /// <param name="budget">Bytes that a factorisation may take.</param>
    /// <param name="iterations">Iterations at most: a factorisation pays only where there are many.</param>
    /// <param name="log">Gets a line that says what was chosen and why.</param>
    /// <param name="checkCancelled">Throws when a solution that takes long is to stop.</param>
    /// <returns>The solver, which the caller owns, and what it is.</returns>
    /// <exception cref="InvalidOperationException">The factorisation that the user wants does not fit the budget.</exception>
    public static (ConvexReluUStep Step, string Name) Choose(ConvexReluProgram program, ConvexReluSolver solver, long budget, int iterations, Action<string> log, Action? checkCancelled = null)
    {
        var (rows, patterns, blocks, gradients) = Candidates(program, Math.Min(iterations, UsualIterations), checkCancelled);
        ConvexReluSolverChoice[] wanted = solver switch
        {
            ConvexReluSolver.CachedCholesky => [rows, patterns],
            ConvexReluSolver.BlockCoordinate => [blocks],
            ConvexReluSolver.ConjugateGradient => [gradients],
            _ => [rows, patterns, blocks, gradients],
        };
        var best = wanted.Where(choice => choice.Bytes <= budget).MinBy(choice => choice.Operations);
        if (best is null)
        {
            var least = wanted.MinBy(choice => choice.Bytes)!;
            throw new InvalidOperationException(
                $"The option 'Solver' is {solver}, but {least.Name} would take {MemoryBudget.Format((long)least.Bytes)}, more than the {MemoryBudget.Format(budget)}"
                + " that half of the option 'MemoryBudget' leaves to it. Raise that, or let 'Solver' be Automatic.");
        }

        log($"The linear system is solved by {best.Name}: {best}; {string.Join("; ", wanted.Where(choice => choice != best).Select(choice => choice.Describe(budget)))}.");
        return (best.Create(program), best.Name);
    }

    /// <inheritdoc/>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"about {Operations / 1e9:G2} billion operations and {MemoryBudget.Format((long)Bytes)}");

    private static (ConvexReluSolverChoice Rows, ConvexReluSolverChoice Patterns, ConvexReluSolverChoice Blocks, ConvexReluSolverChoice Gradients) Candidates(
        ConvexReluProgram program, double iterations, Action? checkCancelled)
    {
        double n = program.Rows, d = program.Width, p = program.Patterns, c = program.Outputs;
        var (size, value, pass) = (d * p, program.X.element_size(), 8 * n * d * p * c);
        var tolerance = program.X.dtype == TorchSharp.torch.ScalarType.Float64 ? 1e-9 : 1e-5;
        var block = Math.Min(p, ConvexReluBlockCoordinate.PatternsOfBlock((int)d)) * d;
        return (
            new($"a factor of {n:0} x {n:0}, of the rows", 3 * n * n * value, (n * n * n / 3) + (2 * n * n * (d + p)) + (iterations * ((2 * ReadingFactor * n * n * c) + pass)),
                program => new ConvexReluRowFactor(program)),
            new($"a factor of {size:0} x {size:0}, of features and patterns", 3 * size * size * value,
                (n * size * size) + (size * size * size / 3) + (iterations * 2 * ReadingFactor * size * size * c),
                program => new ConvexReluPatternFactor(program)),
            new("turns of blocks of patterns", (n * c * block * 2 * value) + (size * block * value), (size * block * (n + block)) + (iterations * Products * pass),
                program => new ConvexReluBlockCoordinate(program, tolerance, checkCancelled)),
            new("conjugate gradients", 8 * n * c * value, iterations * Products * pass, program => new ConvexReluConjugateGradient(program, tolerance, checkCancelled)));
    }

    private string Describe(long budget) => Bytes > budget
        ? $"{Name} would take {MemoryBudget.Format((long)Bytes)}, more than {MemoryBudget.Format(budget)}"
        : $"{Name}: {this}";
}
