using System.ComponentModel.DataAnnotations;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Solvers;

/// <summary>When <see cref="ConjugateGradient"/> stops.</summary>
public sealed record ConjugateGradientSettings
{
    /// <summary>Products with the matrix at most, at least 1; 1,000 by default.</summary>
    [Range(1, int.MaxValue)]
    public int MaxIterations { get; init; } = 1000;

    /// <summary>Stop where ‖B − AX‖ is at most this many times ‖B‖ in each column, at least 0; 1e-10 by default.</summary>
    [Range(0, 1)]
    public double Tolerance { get; init; } = 1e-10;
}

/// <summary>The end of a solution.</summary>
/// <param name="Iterations">Products with the matrix.</param>
/// <param name="Residual">The greatest ‖B − AX‖ / ‖B‖ of a column.</param>
/// <param name="Converged">Whether it is within the tolerance.</param>
public sealed record ConjugateGradientResult(int Iterations, double Residual, bool Converged);

/// <summary>
/// Solves AX = B for a symmetric positive definite A of which only products are known (Hestenes and Stiefel, "Methods of Conjugate Gradients
/// for Solving Linear Systems", 1952), for several right sides at once.
/// </summary>
public static class ConjugateGradient
{
    /// <summary>Solves, starting from and ending in <paramref name="x"/>.</summary>
    /// <param name="product">AP for the P [n, K] that it is given, as a new tensor. Tensors that it makes are disposed after it.</param>
    /// <param name="b">B, Float64 or Float32 [n, K].</param>
    /// <param name="x">X, of the same shape and type, changed in place.</param>
    /// <param name="preconditioner">The diagonal of a matrix like A [n, 1], above 0; null for 1.</param>
    /// <param name="settings">Tolerance and limit; null for the defaults.</param>
    /// <param name="report">Called after every product with their number and the residual; returns false to stop there. Null for nobody.</param>
    /// <param name="cancellation">Looked at before every product.</param>
    /// <returns>How it ended.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> asked for it.</exception>
    public static ConjugateGradientResult Solve(
        Func<Tensor, Tensor> product, Tensor b, Tensor x, Tensor? preconditioner = null, ConjugateGradientSettings? settings = null,
        Func<int, double, bool>? report = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(product);
        ArgumentNullException.ThrowIfNull(b);
        ArgumentNullException.ThrowIfNull(x);
        settings ??= new();
        using var outer = NewDisposeScope();
        using var noGradient = no_grad();
        var size = Columns(b, b).sqrt();
        var r = b.sub(product(x));
        var z = Precondition(r, preconditioner);
        var p = z.clone();
        var rz = Columns(r, z);
        for (var iteration = 1; ; iteration++)
        {
            using var scope = NewDisposeScope();
            var residual = Quotient(Columns(r, r).sqrt(), size).max().ToDouble();
            if (residual <= settings.Tolerance || iteration > settings.MaxIterations || (iteration > 1 && report?.Invoke(iteration - 1, residual) == false))
                return new(iteration - 1, residual, residual <= settings.Tolerance);
            cancellation.ThrowIfCancellationRequested();
            var ap = product(p);
            var step = Quotient(rz, Columns(p, ap));
            x.AddScaled(p.mul(step));
            r.AddScaled(ap.mul(step), -1);
            z.copy_(Precondition(r, preconditioner));
            var next = Columns(r, z);
            p.mul_(Quotient(next, rz));
            p.AddScaled(z);
            rz.copy_(next);
        }
    }

    private static Tensor Precondition(Tensor r, Tensor? diagonal) => diagonal is null ? r.clone() : r.div(diagonal);

    private static Tensor Columns(Tensor left, Tensor right) => left.mul(right).sum(0L, keepdim: true);

    // A column that is solved exactly has 0 over 0, and stays as it is.
    private static Tensor Quotient(Tensor over, Tensor under) => over.div(under).nan_to_num(0, 0, 0);
}
