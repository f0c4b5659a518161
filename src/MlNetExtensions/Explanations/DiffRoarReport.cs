using System.ComponentModel.DataAnnotations;

namespace MlNetMlp.Explanations;

/// <summary>How explanations are put to the test.</summary>
public sealed record DiffRoarOptions : IValidatableObject
{
    /// <summary>Shares of the features that are kept, each above 0 and at most 1; 1, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1 and 0.05 by default.</summary>
    [Required]
    public IReadOnlyList<double> Levels { get; init; } = [1, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05];

    /// <summary>Trainings for each level and side, in [1, 1000]; 3 by default.</summary>
    [Range(1, 1000)]
    public int Repeats { get; init; } = 3;

    /// <summary>Seed of the first training, at least 0; the others count on. 1 by default.</summary>
    [Range(0, int.MaxValue)]
    public int Seed { get; init; } = 1;

    /// <summary>The feature column that trainers read, <c>Features</c> by default.</summary>
    [Required]
    public string FeatureColumnName { get; init; } = "Features";

    /// <summary>The label column, Boolean or a key; <c>Label</c> by default.</summary>
    [Required]
    public string LabelColumnName { get; init; } = "Label";

    /// <summary>The column of contributions, <c>FeatureContributions</c> by default.</summary>
    [Required]
    public string ContributionColumnName { get; init; } = "FeatureContributions";

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var level in Levels.Where(level => !(level > 0 && level <= 1)))
            yield return new($"option 'Levels' must hold shares above 0 and at most 1, but one was {level}");
    }
}

/// <summary>What is left of accuracy when only some features of each row are kept.</summary>
/// <param name="Level">Share of the features that are kept.</param>
/// <param name="TopAccuracies">Accuracy on test rows of networks trained on the features with the greatest contributions, training by training.</param>
/// <param name="BottomAccuracies">The same of those with the least.</param>
public sealed record DiffRoarPoint(double Level, IReadOnlyList<double> TopAccuracies, IReadOnlyList<double> BottomAccuracies)
{
    /// <summary>Mean of top minus bottom over all pairs of trainings: above 0 where contributions point at what predicts, 0 where they are random, below 0 where they point away.</summary>
    public double Mean => TopAccuracies.Average() - BottomAccuracies.Average();

    /// <summary>Standard deviation of top minus bottom over all pairs of trainings.</summary>
    public double StandardDeviation
    {
        get
        {
            var mean = Mean;
            return Math.Sqrt(TopAccuracies.SelectMany(top => BottomAccuracies.Select(bottom => Math.Pow(top - bottom - mean, 2))).Average());
        }
    }
}

/// <summary>
/// Whether explanations point at what predicts: networks trained on the features that they rank highest against networks trained on those that they rank lowest (Shah, Jain and
/// Netrapalli, "Do Input Gradients Highlight Discriminative Features?", NeurIPS 2021).
/// </summary>
/// <param name="Points">What each level gives, in the order of the options.</param>
public sealed record DiffRoarReport(IReadOnlyList<DiffRoarPoint> Points);

/// <summary>How much of the contributions falls on the features that carry the signal.</summary>
/// <param name="Rows">Number of rows.</param>
/// <param name="Overall">Mean over rows of the share of Σ|contribution| that is on them.</param>
/// <param name="Top">The same among the given fraction of each row's features with the greatest |contribution|.</param>
public sealed record SignalFractionReport(long Rows, double Overall, IReadOnlyList<(double Fraction, double Share)> Top);

/// <summary>Which features contribute in general.</summary>
/// <param name="Name">The feature; its index where it has no name.</param>
/// <param name="MeanAbsoluteContribution">Mean over rows of |contribution|.</param>
public sealed record GlobalContribution(string Name, double MeanAbsoluteContribution);
