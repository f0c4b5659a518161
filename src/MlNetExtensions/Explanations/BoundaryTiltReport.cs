namespace MlNetMlp.Explanations;

/// <summary>What a boundary is tilted along.</summary>
public enum BoundaryTiltType
{
    /// <summary>It is hardly tilted: adversarial examples are about as far as the other class.</summary>
    Type0,

    /// <summary>Along directions in which rows vary: the data may need it.</summary>
    Type1,

    /// <summary>Along directions in which rows hardly vary: the model fits noise, and more regularisation takes the tilt away at no loss.</summary>
    Type2,
}

/// <summary>How far the boundary between two classes is tilted from that of the nearest centroid.</summary>
/// <param name="DeviationAngleDegrees">
/// The angle between its normal and the line between the means, in [0, 180]. The normal of a network is the mean of the directions in which the margins of rows rise fastest, where each class counts half.
/// </param>
/// <param name="AdversarialStrength">
/// How many times nearer rows are, in the mean, to this boundary than to that of the nearest centroid, and so their adversarial examples. Distances are signed, and each class counts half; for a plane it
/// is 1/cos of the angle. null where the mean distance is not above 0: there the model is no better than chance along the line between the means.
/// </param>
/// <param name="TiltVarianceRatio">
/// The variance of rows within the classes along the direction of the tilt, relative to their mean variance over all directions. null where there is no tilt, or no variance.
/// </param>
/// <param name="Type">What it is tilted along, by the limits of the options.</param>
/// <param name="Local">What single rows find; null for linear models, where all find the same normal.</param>
public sealed record BoundaryTilt(
    double DeviationAngleDegrees, double? AdversarialStrength, double? TiltVarianceRatio, BoundaryTiltType Type, LocalBoundaryTilt? Local);

/// <summary>How the boundary of a network lies about single rows.</summary>
/// <param name="Rows">Rows from which it was looked for.</param>
/// <param name="RowsWithoutBoundary">Those of them from which none was found.</param>
/// <param name="AngleDegrees">The angle between the direction in which a row's margin rises fastest and the line between the means; null where no margin changes.</param>
/// <param name="RowStrength">How many times nearer a row is to the boundary than to that of the nearest centroid; null where no boundary was found.</param>
public sealed record LocalBoundaryTilt(int Rows, int RowsWithoutBoundary, DistributionSummary? AngleDegrees, DistributionSummary? RowStrength);

/// <summary>Where the values of some rows lie.</summary>
/// <param name="Least">The least.</param>
/// <param name="Tenth">A tenth of them is below.</param>
/// <param name="Quarter">A quarter of them is below.</param>
/// <param name="Median">Half of them are below.</param>
/// <param name="ThreeQuarters">Three quarters of them are below.</param>
/// <param name="NineTenths">Nine tenths of them are below.</param>
/// <param name="Greatest">The greatest.</param>
public sealed record DistributionSummary(double Least, double Tenth, double Quarter, double Median, double ThreeQuarters, double NineTenths, double Greatest)
{
    /// <summary>Sums values up, with values between those of rows where a share falls between two.</summary>
    /// <param name="values">The values, none of them NaN.</param>
    /// <returns>The summary; null where there are no values.</returns>
    internal static DistributionSummary? Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? null : new(sorted[0], At(0.1), At(0.25), At(0.5), At(0.75), At(0.9), sorted[^1]);

        double At(double share)
        {
            var (place, rest) = ((int)(share * (sorted.Length - 1)), share * (sorted.Length - 1) % 1);
            return rest == 0 ? sorted[place] : (sorted[place] * (1 - rest)) + (sorted[place + 1] * rest);
        }
    }
}

/// <summary>
/// How far the boundaries of a classifier are tilted from those of the nearest centroid, which says how near adversarial examples are without looking for any (Tanay and Griffin, "A Boundary Tilting
/// Perspective on the Phenomenon of Adversarial Examples", 2016).
/// </summary>
/// <param name="Rows">Number of rows.</param>
/// <param name="ErrorRate">Share of the rows that are predicted wrong.</param>
/// <param name="Tilt">The tilt of a binary model's boundary; null for others.</param>
/// <param name="Pairs">
/// The tilt of the boundary between each two classes [classes][classes] by the difference of their scores; null for a class with itself or with one that has no rows. null for binary models.
/// </param>
public sealed record BoundaryTiltReport(long Rows, double ErrorRate, BoundaryTilt? Tilt, IReadOnlyList<IReadOnlyList<BoundaryTilt?>>? Pairs)
{
    /// <inheritdoc/>
    public bool Equals(BoundaryTiltReport? other) =>
        other is not null && Rows == other.Rows && ErrorRate == other.ErrorRate && Tilt == other.Tilt && Pairs is null == other.Pairs is null
        && (Pairs is null || Pairs.SelectMany(row => row).SequenceEqual(other.Pairs!.SelectMany(row => row)));

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Rows, ErrorRate, Tilt, Pairs?.Count);
}
