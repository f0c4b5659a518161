using System.Globalization;
using System.Text;

namespace MlNetMlp.Methods;

/// <summary>How well one of some methods does on data, and at what cost.</summary>
/// <param name="Name">Its name in the comparison.</param>
/// <param name="Folds">The measure on the rows that each fold held out.</param>
/// <param name="Weights">Number of trained and fixed values of the network.</param>
/// <param name="Multiplications">About how many multiplications a row takes.</param>
/// <param name="Latency">What a row takes to score where many are scored together: the median of several runs on this machine.</param>
public sealed record MethodResult(string Name, IReadOnlyList<double> Folds, long Weights, long Multiplications, TimeSpan Latency)
{
    /// <summary>Mean of <see cref="Folds"/>.</summary>
    public double Mean => Folds.Average();

    /// <summary>Standard deviation of <see cref="Folds"/>.</summary>
    public double StandardDeviation => Folds.Average() is var mean ? Math.Sqrt(Folds.Sum(fold => (fold - mean) * (fold - mean)) / Math.Max(1, Folds.Count - 1)) : 0;

    /// <inheritdoc/>
    public bool Equals(MethodResult? other) =>
        other is not null && (Name, Weights, Multiplications, Latency) == (other.Name, other.Weights, other.Multiplications, other.Latency) && Folds.SequenceEqual(other.Folds);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Name, Weights, Folds.Count);
}

/// <summary>Some methods side by side, cross-validated on the same folds.</summary>
/// <param name="Measure">What is measured on rows held out: accuracy, where rows have classes, else the root of the mean squared error.</param>
/// <param name="Results">The methods, in the order in which they were given.</param>
public sealed record MethodComparison(string Measure, IReadOnlyList<MethodResult> Results)
{
    /// <inheritdoc/>
    public bool Equals(MethodComparison? other) => other is not null && Measure == other.Measure && Results.SequenceEqual(other.Results);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Measure, Results.Count);

    /// <summary>The table as markdown.</summary>
    /// <returns>A line for each method.</returns>
    public override string ToString()
    {
        var text = new StringBuilder().Append(CultureInfo.InvariantCulture, $"| method | {Measure} | ± | weights | multiplications | microseconds a row |\n| --- | --- | --- | --- | --- | --- |\n");
        foreach (var result in Results)
        {
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {result.Name} | {result.Mean:F3} | {result.StandardDeviation:F3} | {result.Weights:N0} | {result.Multiplications:N0} | {result.Latency.TotalMicroseconds:F0} |\n");
        }

        return text.ToString();
    }
}
