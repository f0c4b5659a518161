using MlNetMlp.Runtime;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace MlNetMlp.Data;

/// <summary>Mean and standard deviation of every feature over the training rows, where a row counts as often as its example weight says.</summary>
/// <param name="Mean">Means [features].</param>
/// <param name="StandardDeviation">Standard deviations [features] (of the population), 0 for a feature that never changes.</param>
public sealed record FeatureStatistics(IReadOnlyList<float> Mean, IReadOnlyList<float> StandardDeviation)
{
    /// <summary>What the features are divided by to have deviation 1: the standard deviation, or 1 for a feature that never changes.</summary>
    /// <returns>Positive numbers [features].</returns>
    public float[] Scale() => [.. StandardDeviation.Select(s => s > 0 ? s : 1)];

    /// <summary>
    /// What makes z-scores divided by √D of features, so that a row's length is near 1 in any number of features: (x − mean)·factor. A feature that
    /// never changes tells nothing, and becomes 0.
    /// </summary>
    /// <returns>Means and factors [features].</returns>
    public (float[] Mean, float[] Factor) ToUnitLength()
    {
        var live = Math.Max(1, StandardDeviation.Count(deviation => deviation > 0));
        return ([.. Mean], [.. StandardDeviation.Select(deviation => deviation > 0 ? (float)(1 / (deviation * Math.Sqrt(live))) : 0)]);
    }
}

/// <summary>
/// Gathers <see cref="FeatureStatistics"/>: a few rows at a time in Single precision about a value near the mean, and the groups in Double
/// (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979).
/// </summary>
internal sealed class FeatureMoments(int width)
{
    private const int GroupRows = 64;

    private readonly double[] _mean = new double[width];
    private readonly double[] _squares = new double[width];
    private readonly float[] _centre = new float[width];
    private readonly float[] _sum = new float[width];
    private readonly float[] _sumOfSquares = new float[width];
    private readonly float[] _difference = new float[width];
    private double _total;

    /// <summary>Takes rows in.</summary>
    /// <param name="features">Single [rows, width] on the CPU.</param>
    /// <param name="weights">Example weights [rows], above 0.</param>
    public unsafe void Add(Tensor features, ReadOnlySpan<float> weights)
    {
        var address = TensorMemory.Address(features);
        for (var start = 0; start < weights.Length; start += GroupRows)
            AddGroup(address + ((long)start * width), weights.Slice(start, Math.Min(GroupRows, weights.Length - start)));
    }

    public FeatureStatistics Finish()
    {
        var deviation = new float[width];
        for (var i = 0; i < width; i++)
        {
            var value = _total > 0 ? Math.Sqrt(_squares[i] / _total) : 0;

            // A feature that never changes has a variance of rounding errors.
            deviation[i] = value <= 1e-6 * Math.Abs(_mean[i]) ? 0 : (float)value;
        }

        return new([.. _mean.Select(m => (float)m)], deviation);
    }

    private unsafe void AddGroup(float* rows, ReadOnlySpan<float> weights)
    {
        // Any value of the feature is near enough to the group's mean to keep digits.
        new ReadOnlySpan<float>(rows, width).CopyTo(_centre);
        _sum.AsSpan().Clear();
        _sumOfSquares.AsSpan().Clear();
        var count = 0.0;
        for (var row = 0; row < weights.Length; row++)
        {
            var weight = weights[row];
            TensorPrimitives.Subtract(new ReadOnlySpan<float>(rows + ((long)row * width), width), _centre, _difference);
            TensorPrimitives.MultiplyAdd(_difference, weight, _sum, _sum);
            if (weight != 1)
                TensorPrimitives.Multiply(_difference, MathF.Sqrt(weight), _difference);
            TensorPrimitives.MultiplyAdd(_difference, _difference, _sumOfSquares, _sumOfSquares);
            count += weight;
        }

        var total = _total + count;
        for (var i = 0; i < width; i++)
        {
            var offset = (double)_sum[i] / count;
            var change = _centre[i] + offset - _mean[i];
            _squares[i] += Math.Max(0, _sumOfSquares[i] - (offset * _sum[i])) + (change * change * (_total * count / total));
            _mean[i] += change * count / total;
        }

        _total = total;
    }
}
