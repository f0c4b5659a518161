using System.Globalization;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;

namespace MlNetMlp.Methods;

/// <summary>Finds out which treatments training rows have had.</summary>
internal static class TreatmentSurvey
{
    // Quantiles of so many doses are as good as those of all.
    private const int MostDoses = 1_000_000;

    private const int BlockRows = 4096;
    private const double LeastQuantile = 0.01;

    /// <summary>Looks at all training rows.</summary>
    /// <param name="set">The rows.</param>
    /// <param name="method">What the method wants.</param>
    /// <param name="armNames">Names of the arms; null for a dose.</param>
    /// <param name="earlier">The treatments of a model that training goes on from; or null.</param>
    /// <returns>The treatments.</returns>
    /// <exception cref="InvalidOperationException">All rows have had the same treatment, or one of them none.</exception>
    public static Treatments Of(TrainingSet set, ITreatmentMethod method, IReadOnlyList<string>? armNames, Treatments? earlier)
    {
        var input = method.Treatment;
        if (armNames is null)
        {
            var grid = Grid(set, input);
            return earlier is { AreArms: false } ? earlier : new() { Doses = [.. input.Doses.Count > 0 ? input.Doses : grid] };
        }

        var areKeys = set.Layout!.Columns[0].IsKey;
        var treatments = new Treatments
        {
            Arms = [.. armNames],
            ArmRows = [.. Count(set, input.ColumnName, armNames, areKeys ? 1 : 0)],
            AreKeys = areKeys,
            Reference = input.ReferenceArm is null ? 0 : armNames.ToList().IndexOf(input.ReferenceArm),
        };
        if (treatments.Reference < 0)
            throw new InvalidOperationException($"{method.Name}: option 'ReferenceArm' must be a treatment of column '{input.ColumnName}', {string.Join(", ", armNames)}, but was '{input.ReferenceArm}'.");
        return earlier is not null && earlier.Arms.Equals(treatments.Arms) ? earlier : treatments;
    }

    private static long[] Count(TrainingSet set, string column, IReadOnlyList<string> names, int first)
    {
        var rows = new long[names.Count];
        foreach (var value in Values(set))
        {
            var arm = (int)value - first;
            if (arm < 0 || arm >= rows.Length)
                throw Missing(column);
            rows[arm]++;
        }

        if (rows.Count(count => count > 0) < 2)
            throw Constant(column, names[Array.FindIndex(rows, count => count > 0)], rows.Sum());
        return rows;
    }

    private static float[] Grid(TrainingSet set, TreatmentInput input)
    {
        var stride = (set.RowCount + MostDoses - 1) / MostDoses;
        var doses = new List<float>();
        var (least, greatest, row) = (float.PositiveInfinity, float.NegativeInfinity, 0L);
        foreach (var dose in Values(set))
        {
            if (!float.IsFinite(dose))
                throw Missing(input.ColumnName);
            (least, greatest) = (Math.Min(least, dose), Math.Max(greatest, dose));
            if (row++ % stride == 0)
                doses.Add(dose);
        }

        if (least == greatest)
            throw Constant(input.ColumnName, least.ToString(CultureInfo.InvariantCulture), row);
        doses.Sort();
        float[] grid = [.. Enumerable.Range(0, input.GridPoints).Select(i => Quantile(doses, LeastQuantile + (i * (1 - (2 * LeastQuantile)) / (input.GridPoints - 1)))).Distinct()];
        return grid.Length > 1 ? grid : [least, greatest];
    }

    private static float Quantile(List<float> sorted, double share)
    {
        var place = share * (sorted.Count - 1);
        var below = (int)place;
        var above = Math.Min(below + 1, sorted.Count - 1);
        return (float)(sorted[below] + ((place - below) * (sorted[above] - (double)sorted[below])));
    }

    private static IEnumerable<float> Values(TrainingSet set)
    {
        var (width, place) = (set.Layout!.Width, set.Layout.FeatureWidth);
        foreach (var block in set.Blocks(BlockRows))
        {
            float[] values;
            using (block)
                values = TensorMemory.ToFloats(block.Features);
            for (var start = place; start < values.Length; start += width)
                yield return values[start];
        }
    }

    private static InvalidOperationException Missing(string column) => new($"Column '{column}' is missing in a training row: give each row a treatment, or drop it.");

    private static InvalidOperationException Constant(string column, string value, long rows) => new(
        $"Column '{column}' is '{value}' in all {rows} training rows: what a treatment does can only be learned from rows that differ in it.");
}
