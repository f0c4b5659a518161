using System.Globalization;

namespace MlNetMlp.RandomFeatures;

/// <summary>How well random hidden units of one scale did, a part of them at a time.</summary>
/// <param name="Scale">λ, the scale of the weights.</param>
/// <param name="Units">Number of units, the first so many that were drawn.</param>
/// <param name="TrainingError">
/// Root of the mean squared error of the rows trained on, in standard deviations of the labels; for classification, of targets −1 and 1, or 0
/// and 1 for each class.
/// </param>
/// <param name="ValidationError">The same for rows that are left out of the fit, one at a time.</param>
/// <param name="StandardError">Standard error of the mean squared error of rows left out.</param>
/// <param name="CoefficientNorm">‖C‖, length of the output weights: large ones multiply rounding errors.</param>
/// <param name="Rank">Number of units that rounding errors leave independent of each other.</param>
/// <param name="Saturated">Share of unit outputs within 0.001 of a bound of φ, in [0, 1].</param>
/// <param name="Dead">Share of units that put out the same for all rows, in [0, 1].</param>
/// <param name="Penalty">α, the ridge penalty, divided by the largest eigenvalue of the units' products.</param>
public sealed record BandwidthPoint(
    double Scale, int Units, double TrainingError, double ValidationError, double StandardError, double CoefficientNorm, int Rank, double Saturated,
    double Dead, double Penalty);

/// <summary>
/// What the range that random weights are drawn from does to the error: the table of scales and widths, and what follows from it. It is part
/// of a trained model: <see cref="RandomFeatureNetwork.GetDiagnostics"/>.
/// </summary>
/// <param name="Points">The table, by scale and then by units.</param>
/// <param name="Scale">λ, the scale that was given or chosen.</param>
public sealed record BandwidthReport(IReadOnlyList<BandwidthPoint> Points, double Scale)
{
    private const double FlatDecrease = 0.05;
    private const double BetterScale = 0.2;
    private const double SteepDecrease = 0.2;
    private const double SmallError = 0.01;

    /// <summary>
    /// Whether more units do not help at this scale while another scale does: from a quarter of the units on the error falls by less than 5 %,
    /// and at the best scale it is at least 20 % smaller. The range is too narrow for the target, or too wide: change the option
    /// <c>WeightScale</c>, not the number of units.
    /// </summary>
    public bool IsPlateau => Widths is [.., var quarter, _, var all]
        && all.ValidationError > (1 - FlatDecrease) * quarter.ValidationError
        && Best is { } best && best.Scale != Scale && best.ValidationError <= (1 - BetterScale) * all.ValidationError;

    /// <summary>Whether the error still falls by more than 20 % when the units are doubled, and is above 1 %: add units.</summary>
    public bool IsStarved => Widths is [.., var half, var all]
        && half.ValidationError > SmallError && all.ValidationError < (1 - SteepDecrease) * half.ValidationError;

    /// <summary>The point with the least error of rows left out; null where the table is empty.</summary>
    public BandwidthPoint? Best => Points.MinBy(point => point.ValidationError);

    /// <summary>What to do about it, a sentence each; empty where all is well.</summary>
    public IReadOnlyList<string> Findings
    {
        get
        {
            var findings = new List<string>();
            if (IsPlateau)
            {
                findings.Add(string.Create(CultureInfo.InvariantCulture,
                    $"Plateau: at the weight scale {Scale:G4} more units do not help, while at {Best!.Scale:G4} the error is {Best.ValidationError:G3} in place of"
                    + $" {Widths[^1].ValidationError:G3}. {(Best.Scale > Scale ? "Widen" : "Narrow")} the range of the weights with 'WeightScale' and leave 'HiddenUnits'."));
            }

            if (IsStarved)
            {
                findings.Add(string.Create(CultureInfo.InvariantCulture,
                    $"Starved: the last doubling of the units brought the error from {Widths[^2].ValidationError:G3} to {Widths[^1].ValidationError:G3}. Raise 'HiddenUnits'."));
            }

            return findings;
        }
    }

    /// <inheritdoc/>
    public bool Equals(BandwidthReport? other) => other is not null && Scale == other.Scale && Points.SequenceEqual(other.Points);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Scale, Points.Count);

    private BandwidthPoint[] Widths => [.. Points.Where(point => point.Scale == Scale).OrderBy(point => point.Units)];

    /// <summary>
    /// The smallest scale whose error is within one standard error of the best: smaller weights mean smaller coefficients, too. A scale whose
    /// coefficients would drown the outputs in rounding errors is only chosen where all have such.
    /// </summary>
    /// <param name="points">Points of one width.</param>
    /// <param name="greatestNorm">The greatest ‖C‖ that is allowed.</param>
    internal static BandwidthPoint Choose(IReadOnlyList<BandwidthPoint> points, double greatestNorm)
    {
        var allowed = points.Where(point => point.CoefficientNorm <= greatestNorm).DefaultIfEmpty(points.MinBy(point => point.CoefficientNorm)!).ToArray();
        var best = allowed.MinBy(point => point.ValidationError)!;
        var bound = (best.ValidationError * best.ValidationError) + best.StandardError;
        return allowed.Where(point => point.ValidationError * point.ValidationError <= bound).MinBy(point => point.Scale)!;
    }
}
