using System.Text.Json.Serialization;

namespace MlNetMlp.Data;

/// <summary>What the radius of a perturbation is a multiple of, feature by feature: a row may move by up to radius · unit in each feature.</summary>
public sealed record PerturbationUnit
{
    [JsonConstructor]
    private PerturbationUnit(bool ofDeviations, IReadOnlyList<float>? values)
    {
        if (values is not null)
            Check(values);
        (OfDeviations, Values) = (ofDeviations, values);
    }

    /// <summary>1 in every feature: a radius in the unit of the data, for features of one kind such as pixels.</summary>
    public static PerturbationUnit One { get; } = new(ofDeviations: false, values: null);

    /// <summary>The standard deviation of each feature, for features of many kinds.</summary>
    public static PerturbationUnit StandardDeviation { get; } = new(ofDeviations: true, values: null);

    /// <summary>Whether the unit is the standard deviation.</summary>
    public bool OfDeviations { get; }

    /// <summary>The given units, or null.</summary>
    public IReadOnlyList<float>? Values { get; }

    /// <summary>Units of one's own.</summary>
    /// <param name="units">One finite number of at least 0 for each feature; 0 where a feature cannot be perturbed.</param>
    /// <returns>The units.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A unit is negative or not finite.</exception>
    public static PerturbationUnit Of(params float[] units)
    {
        ArgumentNullException.ThrowIfNull(units);
        return new(ofDeviations: false, [.. units]);
    }

    /// <summary>The unit of each feature.</summary>
    /// <param name="statistics">Deviations of the features.</param>
    /// <returns>Numbers of at least 0 [features].</returns>
    /// <exception cref="ArgumentException">There are units for another number of features.</exception>
    public float[] For(FeatureStatistics statistics)
    {
        ArgumentNullException.ThrowIfNull(statistics);
        var count = statistics.StandardDeviation.Count;
        if (Values is not null && Values.Count != count)
            throw new ArgumentException($"The option 'Unit' must have one unit for each of the {count} features, but has {Values.Count}.");
        return Values is not null ? [.. Values] : OfDeviations ? [.. statistics.StandardDeviation] : [.. Enumerable.Repeat(1f, count)];
    }

    /// <inheritdoc/>
    public bool Equals(PerturbationUnit? other) =>
        other is not null && OfDeviations == other.OfDeviations
        && (Values is null ? other.Values is null : other.Values is not null && Values.SequenceEqual(other.Values));

    /// <inheritdoc/>
    public override int GetHashCode() => Values is null ? OfDeviations.GetHashCode() : Values.Aggregate(17, HashCode.Combine);

    /// <inheritdoc/>
    public override string ToString() => Values is null ? OfDeviations ? nameof(StandardDeviation) : nameof(One) : $"{Values.Count} units";

    private static void Check(IReadOnlyList<float> units)
    {
        for (var i = 0; i < units.Count; i++)
        {
            if (!float.IsFinite(units[i]) || units[i] < 0)
                throw new ArgumentOutOfRangeException(nameof(units), $"The unit of feature {i} must be a finite number of at least 0, but was {units[i]}.");
        }
    }
}
