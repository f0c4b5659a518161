using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>A fitted linear readout of features: y = Cᵀh + c. Dispose it when it is done with.</summary>
/// <param name="Coefficients">C, Float64 [M, K].</param>
/// <param name="Intercept">c, Float64 [K].</param>
public sealed record LinearReadout(Tensor Coefficients, Tensor Intercept) : IDisposable
{
    /// <summary>Outputs for rows.</summary>
    /// <param name="features">H [rows, M].</param>
    /// <returns>Float64 [rows, K]; the caller owns it.</returns>
    public Tensor Predict(Tensor features)
    {
        ArgumentNullException.ThrowIfNull(features);
        using var doubles = features.to(ScalarType.Float64);
        return addmm(Intercept, doubles, Coefficients, 1, 1);
    }

    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        Coefficients.Dispose();
        Intercept.Dispose();
    }
}
