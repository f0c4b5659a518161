using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Data;

/// <summary>The mean of the features of each of two classes.</summary>
/// <param name="False">Of the rows whose label is false [features].</param>
/// <param name="True">Of the rows whose label is true [features].</param>
/// <param name="SlotNames">Names of the features, or null.</param>
internal sealed record ClassMeans(double[] False, double[] True, string[]? SlotNames)
{
    private const int CheckInterval = 1024;

    /// <summary>Reads features and labels once; rows without a label are passed over.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="feature">The feature column.</param>
    /// <param name="label">The label column.</param>
    /// <param name="width">Number of features that there must be.</param>
    /// <param name="checkCancelled">Throws when the reading is to stop.</param>
    /// <returns>The means.</returns>
    public static ClassMeans Read(IDataView data, string feature, string label, int width, Action checkCancelled)
    {
        if (RowReader.Find(data.Schema, "label", label) is { Type: not (BooleanDataViewType or NumberDataViewType) } other)
            throw DataErrors.WrongType("label", label, "Boolean (or a number that is 0 or 1)", DataErrors.Describe(other.Type));
        var names = Data.SlotNames.Get(VectorReader.Find(data.Schema, feature, width));
        var (row, sums, counts) = (new float[width], new[] { new double[width], new double[width] }, new long[2]);
        using var reader = new RowReader(data, new(new(feature), label, null, null), acceptNonFinite: false);
        while (reader.Next(row))
        {
            if (reader.Label[0] is not (0 or 1))
                throw DataErrors.NotBinary(label, reader.Label[0]);
            var own = (int)reader.Label[0];
            for (var i = 0; i < width; i++)
                sums[own][i] += row[i];
            if (counts[own]++ % CheckInterval == 0)
                checkCancelled();
        }

        if (counts.Sum() == 0)
            throw DataErrors.NoRows(label, reader.MissingLabels, 0);
        if (counts.Contains(0))
            throw DataErrors.OneClass(label, counts[0] == 0 ? "true" : "false", counts.Sum());
        return new(Mean(0), Mean(1), names);

        double[] Mean(int own) => [.. sums[own].Select(sum => sum / counts[own])];
    }
}
