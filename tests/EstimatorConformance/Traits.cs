namespace MlNetMlp.Conformance;

/// <summary>How an example weight of k compares with a row that is there k times.</summary>
public enum WeightSemantics
{
    /// <summary>The same model.</summary>
    Exact,

    /// <summary>A model of the same kind: rows are drawn at random, and what a row counts is only right on average.</summary>
    Statistical,

    /// <summary>There are no example weights.</summary>
    None,
}

/// <summary>
/// What the suite has to know of an estimator to hold it to the right promise. The defaults are the strictest; every departure is declared in
/// the estimator's <see cref="ConformanceProfile"/>.
/// </summary>
public sealed record Traits
{
    /// <summary>Whether another seed gives another model; true by default. A method that draws nothing at random says false.</summary>
    public bool IsRandom { get; init; } = true;

    /// <summary>Whether NaN and infinite features are values like others; false by default: they are refused.</summary>
    public bool AcceptsMissingValues { get; init; }

    /// <summary>What example weights mean; exact by default.</summary>
    public WeightSemantics Weights { get; init; } = WeightSemantics.Exact;

    /// <summary>Whether the order of the classes changes nothing but the order of the scores; true by default. Random starting weights are
    /// drawn in the order of the classes: such a method says false and is held to the same predictions on nine rows of ten.</summary>
    public bool IsClassOrderExact { get; init; } = true;

    /// <summary>Whether a network is trained by gradients; null (the default): as the type of the options says.</summary>
    public bool? IsGradientTrained { get; init; }

    /// <summary>Most times that a fit may read its data from the first row to the last; 2 by default.</summary>
    public int DataPasses { get; init; } = 2;

    /// <summary>Whether training uses the device that the context asks for; true by default.</summary>
    public bool UsesDevice { get; init; } = true;

    /// <summary>Number of features of the rows to train on; 5 by default.</summary>
    public int FeatureCount { get; init; } = 5;

    /// <summary>
    /// The columns of keys that the method is given beside the features, of <see cref="SampleRow.Group"/> and <see cref="SampleRow.Words"/>; none by default.
    /// What hands over single vectors is then to be refused rather than served.
    /// </summary>
    public IReadOnlyList<string> KeyColumns { get; init; } = [];

    /// <summary>Whether the features are the pixels of an image of one channel, row after row; then <see cref="FeatureCount"/> is a square.</summary>
    public bool NeedsImages { get; init; }

    /// <summary>Numbers of features that the method could be trained on as well: of images with a row and a column less or more.</summary>
    public IEnumerable<int> OtherFeatureCounts
    {
        get
        {
            var side = (int)Math.Round(Math.Sqrt(FeatureCount));
            int[] counts = NeedsImages ? [(side - 1) * (side - 1), (side + 1) * (side + 1)] : [FeatureCount - 1, FeatureCount + 1];
            return counts.Where(count => count >= 2);
        }
    }

    /// <summary>Rows that a forecast is made from; 16 by default.</summary>
    public int ContextLength { get; init; } = 16;

    /// <summary>Steps that are forecast; 3 by default.</summary>
    public int Horizon { get; init; } = 3;

    /// <summary>Greatest difference of a score, relative to the largest score, where equal arithmetic may be done in another order; 1e-5 by default.</summary>
    public double Tolerance { get; init; } = 1e-5;
}
