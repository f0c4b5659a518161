using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>Some rows of a training set as tensors. The block owns them: dispose it when its rows are done with.</summary>
/// <param name="Features">Features, Single [rows, features].</param>
/// <param name="Labels">
/// Labels [rows]: Single, standardised to mean 0 and deviation 1, for regression; Single 0 or 1 for binary, Int64 class indexes from 0 for
/// multiclass classification. Single [rows, outputs], each column standardised, for multi-output regression.
/// </param>
/// <param name="Weights">Example weights times class weights, Single [rows] of mean 1 over the training rows; null where all are 1.</param>
public sealed record RowBlock(Tensor Features, Tensor Labels, Tensor? Weights) : IDisposable
{
    /// <summary>Number of rows.</summary>
    public long Rows => Features.shape[0];

    /// <summary>Some rows that stand one behind the other, not copied.</summary>
    /// <param name="start">The first.</param>
    /// <param name="rows">How many.</param>
    /// <returns>The rows; the caller disposes the block.</returns>
    internal RowBlock Slice(long start, long rows) =>
        new(Features.narrow(0, start, rows), Labels.narrow(0, start, rows), Weights?.narrow(0, start, rows));

    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        Features.Dispose();
        Labels.Dispose();
        Weights?.Dispose();
    }
}
