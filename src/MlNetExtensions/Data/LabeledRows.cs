using Microsoft.ML;
using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>The features and labels of a data view as tensors, for what is found out about a trained model.</summary>
/// <param name="Features">Single [rows, features], as they are.</param>
/// <param name="Labels">Single [rows], as they are: 0 or 1 for Boolean, the index from 0 for key labels.</param>
/// <param name="Statistics">Means and deviations of the features.</param>
internal sealed record LabeledRows(Tensor Features, float[] Labels, FeatureStatistics Statistics) : IDisposable
{
    /// <summary>Reads all rows that have a label.</summary>
    /// <param name="data">The data.</param>
    /// <param name="feature">The feature column.</param>
    /// <param name="label">The label column.</param>
    /// <param name="inputs">Number of features that there must be.</param>
    /// <returns>The rows; the caller owns them.</returns>
    public static LabeledRows Read(IDataView data, string feature, string label, int inputs)
    {
        VectorReader.Find(data.Schema, feature, inputs);
        using var store = new RowStore(inputs, 1, data.GetRowCount(), long.MaxValue);
        using var reader = new RowReader(data, new(new(feature), label, null, null), acceptNonFinite: false);
        while (reader.Next(store.NextRow()))
            store.Commit(reader.Label, 1);
        if (store.Count == 0)
            throw DataErrors.NoRows(label, reader.MissingLabels, 0);
        var moments = new FeatureMoments(inputs);
        store.ForEachBlock(moments.Add);
        return new(store.TakeFeatures(), store.Labels.ToArray(), moments.Finish());
    }

    public void Dispose() => Features.Dispose();
}
