using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>What the sequences of a row are scaled by, each by itself.</summary>
public enum InstanceScale
{
    /// <summary>Their mean is taken away, and they are divided by √(variance + 1e-5).</summary>
    Std,

    /// <summary>They are divided by the mean of their magnitudes, 1e-5 at least.</summary>
    Mean,

    /// <summary>Nothing.</summary>
    None,
}

/// <summary>Sequences brought to one scale, each by itself, with what takes results back to theirs.</summary>
/// <param name="Scaled">Z, the sequences [..., L] on one scale.</param>
/// <param name="Location">What was taken away [..., 1], or null.</param>
/// <param name="Scale">What they were divided by [..., 1], or null.</param>
public sealed record InstanceScaling(Tensor Scaled, Tensor? Location, Tensor? Scale)
{
    /// <summary>What is added to the variance under the root, and the least mean magnitude.</summary>
    public const double Least = 1e-5;

    /// <summary>Scales sequences.</summary>
    /// <param name="sequences">X [..., L].</param>
    /// <param name="kind">By what.</param>
    /// <returns>The scaled sequences.</returns>
    public static InstanceScaling Of(Tensor sequences, InstanceScale kind)
    {
        if (kind == InstanceScale.None)
            return new(sequences, null, null);
        if (kind == InstanceScale.Mean)
        {
            var magnitude = sequences.abs().mean([-1L], keepdim: true).AtLeast(Least);
            return new(sequences.div(magnitude), null, magnitude);
        }

        var location = sequences.mean([-1L], keepdim: true);
        var centred = sequences.sub(location);
        var scale = centred.mul(centred).mean([-1L], keepdim: true).Plus(Least).sqrt();
        return new(centred.div(scale), location, scale);
    }

    /// <summary>Takes values back: value · scale + location.</summary>
    /// <param name="values">Values [..., H] of the same sequences, on their one scale.</param>
    /// <returns>Values in the unit of the sequences.</returns>
    public Tensor Inverse(Tensor values)
    {
        var scaled = Scale is null ? values : values.mul(Scale);
        return Location is null ? scaled : scaled.Plus(Location);
    }
}
