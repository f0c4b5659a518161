using System.ComponentModel.DataAnnotations;
using MlNetMlp.Data;

namespace MlNetMlp.Methods;

/// <summary>How a model is attacked.</summary>
public sealed record RobustnessOptions : IValidatableObject
{
    /// <summary>How far each feature may move, in units of <see cref="Unit"/>: numbers of at least 0; 0, 0.05, 0.1 and 0.2 by default.</summary>
    [Required]
    public IReadOnlyList<double> Radii { get; init; } = [0, 0.05, 0.1, 0.2];

    /// <summary>
    /// What radii are multiples of; the <see cref="PerturbationUnit.StandardDeviation"/> of each feature over the rows that are evaluated by default.
    /// </summary>
    [Required]
    public PerturbationUnit Unit { get; init; } = PerturbationUnit.StandardDeviation;

    /// <summary>Steps of an attack, in [1, 10000]; 40 by default.</summary>
    [Range(1, 10_000)]
    public int Steps { get; init; } = 40;

    /// <summary>Length of a step relative to the radius, in (0, 2]; 0.1 by default.</summary>
    [Range(0, 2, MinimumIsExclusive = true)]
    public double StepSize { get; init; } = 0.1;

    /// <summary>Attacks of each row, all but the first from random points of the box, in [1, 1000]; 3 by default.</summary>
    [Range(1, 1000)]
    public int Restarts { get; init; } = 3;

    /// <summary>Decides the random points, at least 0; 1 by default.</summary>
    [Range(0, int.MaxValue)]
    public int Seed { get; init; } = 1;

    /// <summary>The label column, <c>Label</c> by default.</summary>
    [Required]
    public string LabelColumnName { get; init; } = "Label";

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var radius in Radii.Where(radius => !(radius >= 0 && double.IsFinite(radius))))
            yield return new ValidationResult($"option 'Radii' must hold finite numbers of at least 0, but one was {radius}");
    }
}

/// <summary>What perturbations of one size do to a model.</summary>
/// <param name="Radius">How far each feature may move, in units of <see cref="RobustnessOptions.Unit"/>.</param>
/// <param name="AttackedAccuracy">
/// Share of the rows that are predicted right even at the worst point that attacks have found: at least the accuracy under the worst perturbation there is.
/// </param>
/// <param name="CertifiedAccuracy">
/// Share of the rows that are predicted right in the whole box for certain: at most the accuracy under the worst perturbation. Null for networks that no
/// bound is known for; there is one for a hidden layer of ReLU units.
/// </param>
public sealed record RobustnessPoint(double Radius, double AttackedAccuracy, double? CertifiedAccuracy)
{
    /// <summary>Whether this is the accuracy under the worst perturbation itself: each row is either fooled or certain.</summary>
    public bool IsExact => CertifiedAccuracy == AttackedAccuracy;
}

/// <summary>How the accuracy of a model falls when features are perturbed by those who know it.</summary>
/// <param name="Rows">Number of rows.</param>
/// <param name="CleanAccuracy">Share of the rows that are predicted right as they are.</param>
/// <param name="Points">What each radius does, in rising order.</param>
public sealed record RobustnessReport(long Rows, double CleanAccuracy, IReadOnlyList<RobustnessPoint> Points)
{
    /// <inheritdoc/>
    public bool Equals(RobustnessReport? other) =>
        other is not null && Rows == other.Rows && CleanAccuracy == other.CleanAccuracy && Points.SequenceEqual(other.Points);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Rows, CleanAccuracy, Points.Count);
}
