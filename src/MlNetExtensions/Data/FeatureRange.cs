using Microsoft.ML;
using MlNetMlp.Runtime;

namespace MlNetMlp.Data;

/// <summary>The least, the greatest and the mean value of each feature of some rows.</summary>
/// <param name="Minimum">Least values [features].</param>
/// <param name="Maximum">Greatest values [features].</param>
/// <param name="Mean">Means [features].</param>
/// <param name="SlotNames">Names of the features, or null.</param>
internal sealed record FeatureRange(float[] Minimum, float[] Maximum, float[] Mean, string[]? SlotNames)
{
    private const int CheckInterval = 1024;

    /// <summary>Reads the feature column once.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="name">The feature column.</param>
    /// <param name="width">Number of features that it must have.</param>
    /// <param name="acceptNonFinite">Whether features that are not finite are passed over; else they are an error.</param>
    /// <param name="checkCancelled">Throws when the reading is to stop.</param>
    /// <returns>The figures; of a feature without any finite value they are 0.</returns>
    public static FeatureRange Read(IDataView data, string name, int width, bool acceptNonFinite, Action checkCancelled)
    {
        var column = VectorReader.Find(data.Schema, name, width);
        var names = Data.SlotNames.Get(column);
        var (row, minimum, maximum) = (new float[width], new float[width], new float[width]);
        var (sums, counts) = (new double[width], new long[width]);
        using var cursor = data.GetRowCursor([column]);
        var reader = VectorReader.Create(cursor, column);
        var rows = 0L;
        for (; cursor.MoveNext(); rows++)
        {
            if (rows % CheckInterval == 0)
                checkCancelled();
            reader.Read(row);
            if (!acceptNonFinite && Finite.IndexOfNonFinite(row) is >= 0 and var slot)
                throw DataErrors.NonFiniteFeature(name, cursor.Position, slot, names?[slot], row[slot]);
            for (var i = 0; i < width; i++)
            {
                var value = row[i];
                if (!float.IsFinite(value))
                    continue;
                (minimum[i], maximum[i]) = counts[i] == 0 ? (value, value) : (Math.Min(minimum[i], value), Math.Max(maximum[i], value));
                sums[i] += value;
                counts[i]++;
            }
        }

        if (rows == 0)
            throw new InvalidOperationException($"There are no rows in which to look at the feature column '{name}'.");
        return new(minimum, maximum, [.. sums.Zip(counts, (sum, count) => count == 0 ? 0 : (float)(sum / count))], names);
    }
}
