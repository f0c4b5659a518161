using static TorchSharp.torch;

namespace MlNetMlp.Solvers;

/// <summary>
/// A fixed map of rows to features that only a linear readout is trained on: random features, kernels written as products of features, frozen
/// attention. It has no trainable part, and rows do not depend on each other.
/// </summary>
public abstract class FeatureMap
{
    /// <summary>Values of a row that comes in.</summary>
    public abstract int Inputs { get; }

    /// <summary>M, features of a row that goes out.</summary>
    public abstract int Features { get; }

    /// <summary>Maps rows.</summary>
    /// <param name="x">Rows, Float32 [rows, <see cref="Inputs"/>], on the device of the map.</param>
    /// <returns>Features, Float32 [rows, <see cref="Features"/>]; the caller owns the tensor and may change it.</returns>
    public abstract Tensor Map(Tensor x);

    /// <summary>
    /// Some of the features of rows. The default computes all of them and copies; a map that can do better overrides it, so that very wide
    /// maps never have all features of many rows in memory.
    /// </summary>
    /// <param name="x">Rows, Float32 [rows, <see cref="Inputs"/>].</param>
    /// <param name="first">The first feature, from 0.</param>
    /// <param name="count">How many features, at least 1.</param>
    /// <returns>Features, Float32 [rows, <paramref name="count"/>]; the caller owns the tensor.</returns>
    public virtual Tensor Map(Tensor x, int first, int count)
    {
        using var all = Map(x);
        using var part = all.narrow(1, first, count);
        return part.clone();
    }
}
