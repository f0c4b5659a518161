using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace MlNetMlp.Explanations;

/// <summary>
/// The boundary of the classifier that takes the class with the nearer centroid, and how other boundaries are tilted from it (Tanay and Griffin, "A Boundary Tilting
/// Perspective on the Phenomenon of Adversarial Examples", 2016).
/// </summary>
/// <remarks>With i and j the means of the classes its normal b is along j − i, and it goes through (i + j)/2.</remarks>
public sealed class CentroidBoundary
{
    private readonly double[] _difference;
    private readonly double[] _middle;

    /// <summary>Puts it between two centroids.</summary>
    /// <param name="first">i, mean of the class on its negative side [features].</param>
    /// <param name="second">j, mean of the class on its positive side [features].</param>
    /// <exception cref="ArgumentException">They have different numbers of features.</exception>
    public CentroidBoundary(IReadOnlyList<double> first, IReadOnlyList<double> second)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.Count != second.Count)
            throw new ArgumentException($"Both centroids must have the same features, but they have {first.Count} and {second.Count}.", nameof(second));
        _difference = [.. second.Zip(first, (j, i) => j - i)];
        _middle = [.. second.Zip(first, (j, i) => (i + j) / 2)];
        Length = TensorPrimitives.Norm<double>(_difference);
    }

    /// <summary>j − i [features].</summary>
    public IReadOnlyList<double> Difference => _difference;

    /// <summary>(i + j)/2 [features].</summary>
    public IReadOnlyList<double> Middle => _middle;

    /// <summary>‖j − i‖, in the unit of the features; where it is 0 there is no boundary.</summary>
    public double Length { get; }

    /// <summary>Distance of a row, in the unit of the features: above 0 on the side of the second class.</summary>
    /// <param name="row">The row [features].</param>
    /// <returns>b·(x − (i + j)/2).</returns>
    public double Distance(ReadOnlySpan<float> row)
    {
        var sum = 0.0;
        for (var i = 0; i < row.Length; i++)
            sum += _difference[i] * (row[i] - _middle[i]);
        return sum / Length;
    }

    /// <summary>The cosine of the angle between a normal and b.</summary>
    /// <param name="normal">The normal [features], of any length.</param>
    /// <returns>The cosine; 0 where the normal or j − i is 0.</returns>
    public double Cosine(ReadOnlySpan<double> normal)
    {
        var lengths = TensorPrimitives.Norm(normal) * Length;
        return lengths > 0 ? TensorPrimitives.Dot(normal, _difference) / lengths : 0;
    }

    /// <summary>θ, the angle between a normal and b.</summary>
    /// <param name="normal">The normal [features], of any length.</param>
    /// <returns>Degrees in [0, 180].</returns>
    public double AngleDegrees(ReadOnlySpan<double> normal) => Degrees(Cosine(normal));

    /// <summary>
    /// 1/cos θ: how many times nearer rows are, in the mean, to a plane with this normal than to this boundary, wherever the plane lies. Distances are signed, and each class counts half.
    /// </summary>
    /// <param name="normal">The normal [features], of any length.</param>
    /// <returns>At least 1; null where θ is 90° or more.</returns>
    public double? Strength(ReadOnlySpan<double> normal) => Cosine(normal) is > 0 and var cosine ? 1 / cosine : null;

    /// <summary>The direction along which a normal is tilted: that of its part at right angles to b.</summary>
    /// <param name="normal">The normal [features], of any length.</param>
    /// <returns>A vector of length 1; null where nothing but rounding errors are at right angles.</returns>
    public double[]? TiltDirection(ReadOnlySpan<double> normal)
    {
        var (length, cosine) = (TensorPrimitives.Norm(normal), Cosine(normal));
        var tilt = new double[normal.Length];
        for (var i = 0; i < tilt.Length; i++)
            tilt[i] = (normal[i] / length) - (cosine * _difference[i] / Length);
        var size = TensorPrimitives.Norm<double>(tilt);
        if (!(size > 1e-8))
            return null;
        TensorPrimitives.Divide<double>(tilt, size, tilt);
        return tilt;
    }

    internal static double Degrees(double cosine) => Math.Acos(Math.Clamp(cosine, -1, 1)) * 180 / Math.PI;
}
