using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;

namespace Microsoft.ML;

/// <summary>Tells how well predicted effects put rows in order, by outcomes of which each row has one: no row needs to have been seen under both treatments.</summary>
public static class UpliftEvaluation
{
    private const int CurvePoints = 100;

    /// <summary>
    /// Judges predicted effects of a Boolean treatment by the outcomes of rows that were treated at random, or with known probabilities: those with the greatest predicted effects
    /// should differ most from rows like them that had no treatment.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="data">Scored rows, best ones that no model was trained on.</param>
    /// <param name="labelColumnName">The outcome: a number, or Boolean.</param>
    /// <param name="treatmentColumnName">The treatment: Boolean.</param>
    /// <param name="effectColumnName">The predicted effect: a number. Only the order of the rows counts.</param>
    /// <param name="propensityColumnName">
    /// The probability, in (0, 1), with which each row had the treatment; null where it was the same for all. Where it was neither chosen nor is known, the figures mean nothing.
    /// </param>
    /// <returns>The figures.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type.</exception>
    /// <exception cref="InvalidOperationException">There are no rows of either treatment, or a value cannot be used.</exception>
    public static UpliftMetrics EvaluateUplift(
        this CausalInferenceCatalog catalog, IDataView data, string labelColumnName = "Label", string treatmentColumnName = "Treatment",
        string effectColumnName = TreatmentModel.Effect, string? propensityColumnName = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(data);
        var label = Number(data.Schema, "label", labelColumnName);
        var effect = Number(data.Schema, "effect", effectColumnName);
        var treatment = RowReader.Find(data.Schema, "treatment", treatmentColumnName);
        if (treatment.Type is not BooleanDataViewType)
            throw DataErrors.WrongType("treatment", treatmentColumnName, "Boolean", DataErrors.Describe(treatment.Type));
        DataViewSchema.Column[] columns = propensityColumnName is null ? [label, effect, treatment] : [label, effect, treatment, Number(data.Schema, "propensity", propensityColumnName)];
        var rows = Read(data, columns);
        foreach (var isTreated in new[] { true, false })
        {
            if (!rows.Exists(row => row.IsTreated == isTreated))
                throw new InvalidOperationException($"Column '{treatmentColumnName}' is {(isTreated ? "false" : "true")} in all {rows.Count} rows: nothing can be compared.");
        }

        // The order of equal effects is nobody's: they count as one block.
        rows.Sort((a, b) => b.Effect.CompareTo(a.Effect));
        return Measure(rows);
    }

    private static List<Row> Read(IDataView data, DataViewSchema.Column[] columns)
    {
        var rows = new List<Row>();
        using var cursor = data.GetRowCursor(columns);
        Func<float>[] getters = [.. columns.Select(column => ScalarReader.Create(cursor, column))];
        var values = new float[columns.Length];
        while (cursor.MoveNext())
        {
            for (var i = 0; i < values.Length; i++)
                values[i] = getters[i]();
            if (Array.FindIndex(values, value => !float.IsFinite(value)) is >= 0 and var bad)
                throw DataErrors.NonFiniteFeature(columns[bad].Name, cursor.Position, 0, null, values[bad]);
            var isTreated = values[2] > 0;
            var share = values.Length > 3 ? values[3] : 0.5;
            if (!(share > 0 && share < 1))
                throw DataErrors.BadPropensity(columns[3].Name, cursor.Position, values[3]);
            rows.Add(new(values[1], values[0], isTreated, isTreated ? 1 / share : 1 / (1 - share)));
        }

        return rows;
    }

    private static UpliftMetrics Measure(List<Row> rows)
    {
        var (treated, others, all) = (new Group(), new Group(), rows.Where(row => row.IsTreated).Sum(row => row.Weight));
        var points = new List<UpliftPoint> { new(0, 0, 0) };
        var (area, qini) = (0.0, 0.0);
        for (var i = 0; i < rows.Count; i++)
        {
            (rows[i].IsTreated ? treated : others).Add(rows[i]);
            if (i + 1 < rows.Count && rows[i + 1].Effect == rows[i].Effect)
                continue;
            var share = (i + 1.0) / rows.Count;
            UpliftPoint next = new(
                share, share * (treated.Mean - others.Mean), (treated.Outcomes - (others.Weight > 0 ? others.Outcomes * treated.Weight / others.Weight : 0)) / all);
            var width = share - points[^1].Share;
            area += width * (next.Gain + points[^1].Gain) / 2;
            qini += width * (next.QiniGain + points[^1].QiniGain) / 2;
            points.Add(next);
        }

        return new(rows.Count, rows.Count(row => row.IsTreated), points[^1].Gain, area, qini - (points[^1].QiniGain / 2), [.. Thinned(points)]);
    }

    private static IEnumerable<UpliftPoint> Thinned(List<UpliftPoint> points)
    {
        var next = 0;
        for (var i = 0; i < points.Count; i++)
        {
            if (i < points.Count - 1 && points[i].Share < next / (double)CurvePoints)
                continue;
            next = (int)Math.Floor(points[i].Share * CurvePoints) + 1;
            yield return points[i];
        }
    }

    private static DataViewSchema.Column Number(DataViewSchema schema, string role, string name) => RowReader.Find(schema, role, name) is var column && VectorReader.IsNumber(column.Type)
        ? column
        : throw DataErrors.WrongType(role, name, "a number or Boolean", DataErrors.Describe(column.Type));

    private readonly record struct Row(float Effect, float Outcome, bool IsTreated, double Weight);

    private sealed class Group
    {
        public double Weight { get; private set; }

        public double Outcomes { get; private set; }

        public double Mean => Weight > 0 ? Outcomes / Weight : 0;

        public void Add(in Row row)
        {
            Weight += row.Weight;
            Outcomes += row.Weight * row.Outcome;
        }
    }
}

/// <summary>What is gained where the rows with the greatest predicted effects are treated.</summary>
/// <param name="Share">φ, their share of all rows.</param>
/// <param name="Gain">
/// φ times the mean outcome of treated rows among them less that of the others, each row with the inverse of the probability of what it had: what their treatment adds to the mean
/// outcome of all rows. A group without rows counts as one of mean 0.
/// </param>
/// <param name="QiniGain">
/// Outcomes of treated rows among them, less those of the others as if there were as many, over the number of all treated rows (Radcliffe, "Using control groups to target on
/// predicted lift", 2007); rows count with the same weights.
/// </param>
public sealed record UpliftPoint(double Share, double Gain, double QiniGain);

/// <summary>How well predicted effects put rows in order.</summary>
/// <param name="Rows">Number of rows.</param>
/// <param name="TreatedRows">Number of those that had the treatment.</param>
/// <param name="AverageEffect">The mean effect of the treatment, of all rows: the last <see cref="UpliftPoint.Gain"/>.</param>
/// <param name="Auuc">Area under <see cref="UpliftPoint.Gain"/> over all shares, in the unit of the outcome; half of <see cref="AverageEffect"/> for effects that tell nothing.</param>
/// <param name="Qini">Area between <see cref="UpliftPoint.QiniGain"/> and the straight line to its end; 0 for effects that tell nothing, negative for worse.</param>
/// <param name="Curve">Both gains by share, about a hundred points from nothing to all rows.</param>
public sealed record UpliftMetrics(long Rows, long TreatedRows, double AverageEffect, double Auuc, double Qini, IReadOnlyList<UpliftPoint> Curve)
{
    /// <inheritdoc/>
    public bool Equals(UpliftMetrics? other) =>
        other is not null && (Rows, TreatedRows, AverageEffect, Auuc, Qini) == (other.Rows, other.TreatedRows, other.AverageEffect, other.Auuc, other.Qini) && Curve.SequenceEqual(other.Curve);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Rows, TreatedRows, AverageEffect, Auuc, Qini);
}
