using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>Mean and standard deviation of every feature over the training rows.</summary>
/// <param name="Mean">Means [features].</param>
/// <param name="StandardDeviation">Standard deviations [features] (of the population), 0 for a feature that never changes.</param>
public sealed record FeatureStatistics(IReadOnlyList<float> Mean, IReadOnlyList<float> StandardDeviation)
{
    /// <summary>What the features are divided by to have deviation 1: the standard deviation, or 1 for a feature that never changes.</summary>
    /// <returns>Positive numbers [features].</returns>
    public float[] Scale() => [.. StandardDeviation.Select(s => s > 0 ? s : 1)];
}

/// <summary>Gathers <see cref="FeatureStatistics"/> block by block; blocks are merged in double precision (Chan, Golub and LeVeque, 1979).</summary>
internal sealed class FeatureMoments(int width)
{
    private readonly double[] _mean = new double[width];
    private readonly double[] _squares = new double[width];
    private long _rows;

    public void Add(Tensor features)
    {
        const int blockValues = 1 << 20;
        var rows = features.shape[0];
        var step = Math.Max(1, blockValues / width);
        for (long start = 0; start < rows; start += step)
        {
            using var scope = NewDisposeScope();
            var length = Math.Min(step, rows - start);
            var block = features.narrow(0, start, length);
            var (variance, mean) = block.var_mean(new long[] { 0 }, unbiased: false);
            Merge(TensorMemory.Floats(mean), TensorMemory.Floats(variance), length);
        }
    }

    public FeatureStatistics Finish()
    {
        var deviation = new float[width];
        for (var i = 0; i < width; i++)
        {
            var value = Math.Sqrt(_squares[i] / Math.Max(1, _rows));

            // A feature that never changes has a variance of rounding errors.
            deviation[i] = value <= 1e-6 * Math.Abs(_mean[i]) ? 0 : (float)value;
        }

        return new([.. _mean.Select(m => (float)m)], deviation);
    }

    private void Merge(ReadOnlySpan<float> mean, ReadOnlySpan<float> variance, long rows)
    {
        var total = _rows + rows;
        for (var i = 0; i < width; i++)
        {
            var difference = mean[i] - _mean[i];
            _squares[i] += ((double)variance[i] * rows) + (difference * difference * ((double)_rows * rows / total));
            _mean[i] += difference * rows / total;
        }

        _rows = total;
    }
}
