using MlNetMlp.Data;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// Ridge regression on so many features that their products with each other fit no memory: conjugate gradients whose every step is one pass
/// over the rows.
/// </summary>
internal static class ConjugateGradientReadout
{
    /// <summary>Solves for one penalty.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="penalty">Finds α, above 0, given the trace of H̃ᵀH̃, the sum of its eigenvalues.</param>
    /// <param name="settings">Tolerance and limit; null for the defaults.</param>
    /// <param name="report">Called after each pass over the rows; null for nobody.</param>
    /// <returns>The readout, which the caller owns, and how the solution ended.</returns>
    public static (LinearReadout Readout, ConjugateGradientResult Result) Solve(
        FeatureRows rows, Func<double, double> penalty, ConjugateGradientSettings? settings = null, Action? report = null)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(penalty);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var moments = Moments(rows);
        var alpha = penalty(moments.Diagonal.sum().cpu().item<double>());
        moments.Diagonal.Shift(alpha);
        var coefficients = zeros_like(moments.WithLabels);
        var result = ConjugateGradient.Solve(Product, moments.WithLabels, coefficients, moments.Diagonal, settings);
        var intercept = moments.LabelMeans.sub(moments.Means.t().mm(coefficients)).flatten();
        return (new(coefficients.MoveToOuterDisposeScope(), intercept.MoveToOuterDisposeScope()), result);

        // H̃ᵀ(H̃P) + αP, with H̃ = √w·(H − h̄).
        Tensor Product(Tensor p)
        {
            var (shift, sum, total) = (moments.Means.t().mm(p), p.Times(alpha), zeros(1, p.shape[1], ScalarType.Float64, p.device));
            foreach (var block in rows.Blocks())
            {
                using var features = block;
                using var inner = NewDisposeScope();
                var h = block.Features.to(ScalarType.Float64);
                var fitted = h.mm(p).sub_(shift);
                if (block.Weights is { } weights)
                    fitted.mul_(weights.unsqueeze(1));
                sum.addmm_(h.t(), fitted, 1, 1);
                total.AddScaled(fitted.sum(0L, keepdim: true));
            }

            sum.AddScaled(moments.Means.mm(total), -1);
            report?.Invoke();
            return sum;
        }
    }

    // h̄ [M, 1], ȳ [1, K], H̃ᵀỸ [M, K] and the diagonal of H̃ᵀH̃ [M, 1].
    private static (Tensor Means, Tensor LabelMeans, Tensor WithLabels, Tensor Diagonal) Moments(FeatureRows rows)
    {
        var device = rows.Run.Device;
        var (sum, squares) = (zeros(rows.Features, 1, ScalarType.Float64, device), zeros(rows.Features, 1, ScalarType.Float64, device));
        var (labels, products) = (zeros(1, rows.Outputs, ScalarType.Float64, device), zeros(rows.Features, rows.Outputs, ScalarType.Float64, device));
        var weight = 0.0;
        foreach (var block in rows.Blocks())
        {
            using var features = block;
            using var inner = NewDisposeScope();
            var (h, y) = (block.Features.to(ScalarType.Float64), block.Targets.to(ScalarType.Float64));
            var w = (block.Weights ?? ones(h.shape[0], ScalarType.Float64, device)).unsqueeze(1);
            sum.addmm_(h.t(), w, 1, 1);
            squares.addmm_(h.mul(h).t(), w, 1, 1);
            labels.addmm_(w.t(), y, 1, 1);
            products.addmm_(h.t(), y.mul(w), 1, 1);
            weight += w.sum().cpu().item<double>();
        }

        var means = sum.Times(1 / weight);
        products.AddScaled(means.mm(labels), -1);
        squares.AddScaled(means.mul(means), -weight);
        return (means, labels.Times(1 / weight), products, nn.functional.relu(squares));
    }
}
