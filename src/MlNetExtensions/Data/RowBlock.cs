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

    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        Features.Dispose();
        Labels.Dispose();
        Weights?.Dispose();
    }
}
