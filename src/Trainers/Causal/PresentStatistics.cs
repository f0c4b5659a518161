using MlNetMlp.Data;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Causal;

/// <summary>Means and deviations of the numbers of training rows that are there.</summary>
internal static class PresentStatistics
{
    private const int BlockRows = 4096;

    /// <summary>Reads all training rows, each of which counts the same.</summary>
    /// <param name="data">The rows, with numbers that may be NaN or infinite.</param>
    /// <returns>The statistics; mean and deviation 0 where no row has a number.</returns>
    public static FeatureStatistics Of(TrainingSet data)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var (counts, sums, squares) = (Zeros(), Zeros(), Zeros());
        foreach (var block in data.Blocks(BlockRows))
        {
            using (block)
            using (NewDisposeScope())
            {
                var x = block.Features.to_type(ScalarType.Float64).cpu();
                var isThere = x.isfinite();
                x = where(isThere, x, zeros_like(x));
                counts.AddScaled(isThere.to_type(ScalarType.Float64).sum(0L), 1);
                sums.AddScaled(x.sum(0L), 1);
                squares.AddScaled(x.mul(x).sum(0L), 1);
            }
        }

        var some = counts.AtLeast(1);
        var means = sums.div(some);
        var variances = squares.div(some).sub(means.mul(means)).AtLeast(0);

        // What never changes has a variance of rounding errors.
        var isConstant = variances.le(means.mul(means).Times(1e-12));
        return new(Singles(means), Singles(where(isConstant, zeros_like(variances), variances.sqrt())));

        Tensor Zeros() => zeros(data.FeatureCount, ScalarType.Float64);

        static float[] Singles(Tensor values) => TensorMemory.ToFloats(values.to_type(ScalarType.Float32));
    }
}
