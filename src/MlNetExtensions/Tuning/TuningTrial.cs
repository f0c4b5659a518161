namespace MlNetMlp.Tuning;

/// <summary>One evaluation of a search: some settings, cross-validated on a share of the rows.</summary>
/// <param name="Number">Number of the settings, from 1 in the order in which they were drawn; 0 for the options that the search starts from.</param>
/// <param name="Values">Their values, in the order of the dimensions; none for the options that the search starts from.</param>
/// <param name="Share">Share of the training rows that they were trained on, in (0, 1].</param>
/// <param name="Losses">What the search minimises, on the rows that each fold held out; none where training failed.</param>
/// <param name="Seconds">What the evaluation took.</param>
/// <param name="Failure">Why training failed; null where it did not.</param>
public sealed record TuningTrial(int Number, IReadOnlyList<string> Values, double Share, IReadOnlyList<double> Losses, double Seconds, string? Failure = null)
{
    /// <summary>Mean of <see cref="Losses"/>; infinite where training failed or a loss is not a number.</summary>
    public double Loss => Losses.Count > 0 && Losses.Average() is var mean && !double.IsNaN(mean) ? mean : double.PositiveInfinity;

    /// <inheritdoc/>
    public bool Equals(TuningTrial? other) =>
        other is not null && (Number, Share, Seconds, Failure) == (other.Number, other.Share, other.Seconds, other.Failure) && Values.SequenceEqual(other.Values) && Losses.SequenceEqual(other.Losses);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Number, Share, Seconds);
}
