using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Runtime;

/// <summary>
/// Arithmetic of tensors with numbers. TorchSharp turns a number into a native scalar that nothing holds while the operation runs: where a
/// garbage collection falls into it, the scalar is freed before it is read, and the operation fails or takes another number. Its sums of two
/// tensors do so too, with a hidden factor of 1. Here each scalar lives until its operation is done.
/// </summary>
public static class TensorArithmetic
{
    /// <summary>tensor ← factor · tensor.</summary>
    /// <param name="tensor">The tensor, changed in place.</param>
    /// <param name="factor">The factor.</param>
    public static void Scale(this Tensor tensor, double factor)
    {
        using Scalar scalar = factor;
        tensor.mul_(scalar);
    }

    /// <summary>tensor ← tensor + factor · other.</summary>
    /// <param name="tensor">The tensor, changed in place.</param>
    /// <param name="other">The other tensor, of a shape that broadcasts to that of <paramref name="tensor"/>.</param>
    /// <param name="factor">The factor.</param>
    public static void AddScaled(this Tensor tensor, Tensor other, double factor = 1)
    {
        using Scalar scalar = factor;
        tensor.add_(other, scalar);
    }

    /// <summary>tensor ← tensor + value.</summary>
    /// <param name="tensor">The tensor, changed in place.</param>
    /// <param name="value">The number.</param>
    public static void Shift(this Tensor tensor, double value)
    {
        using Scalar scalar = value, one = 1;
        tensor.add_(scalar, one);
    }

    /// <summary>tensor + other, as a new tensor.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="other">The other tensor, of a shape that broadcasts with it.</param>
    /// <returns>The sum.</returns>
    public static Tensor Plus(this Tensor tensor, Tensor other)
    {
        using Scalar one = 1;
        return tensor.add(other, one);
    }

    /// <summary>tensor + value, as a new tensor.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="value">The number.</param>
    /// <returns>The sum.</returns>
    public static Tensor Plus(this Tensor tensor, double value)
    {
        using Scalar scalar = value, one = 1;
        return tensor.add(scalar, one);
    }

    /// <summary>tensor + value for whole numbers, which stay what they are, as a new tensor.</summary>
    /// <param name="tensor">The tensor, such as indexes.</param>
    /// <param name="value">The number.</param>
    /// <returns>The sum, of the type of <paramref name="tensor"/>.</returns>
    public static Tensor PlusWhole(this Tensor tensor, long value)
    {
        using Scalar scalar = value, one = 1L;
        return tensor.add(scalar, one);
    }

    /// <summary>factor · tensor, as a new tensor.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="factor">The factor.</param>
    /// <returns>The product.</returns>
    public static Tensor Times(this Tensor tensor, double factor)
    {
        using Scalar scalar = factor;
        return tensor.mul(scalar);
    }

    /// <summary>Whether each element is greater than a number.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="value">The number.</param>
    /// <returns>Boolean, of the shape of <paramref name="tensor"/>.</returns>
    public static Tensor IsAbove(this Tensor tensor, double value)
    {
        using Scalar scalar = value;
        return tensor.gt(scalar);
    }

    internal static double Dot(this Tensor tensor, Tensor other)
    {
        using var product = tensor.dot(other);
        return product.ToDouble();
    }

    /// <summary>‖x‖₂ along dimensions.</summary>
    /// <param name="tensor">x.</param>
    /// <param name="dimensions">The dimensions to sum over.</param>
    /// <param name="keepDimensions">Whether they stay, of size 1.</param>
    /// <returns>A new tensor.</returns>
    public static Tensor Norms(this Tensor tensor, long[] dimensions, bool keepDimensions = false)
    {
        using var scope = NewDisposeScope();
        return tensor.mul(tensor).sum(dimensions, keepDimensions).sqrt_().MoveToOuterDisposeScope();
    }

    /// <summary>The greater of tensor and a number.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="least">The number.</param>
    /// <returns>A new tensor.</returns>
    public static Tensor AtLeast(this Tensor tensor, double least)
    {
        using Scalar low = least;
        return tensor.clamp_min(low);
    }

    /// <inheritdoc cref="AtLeast(Tensor, double)"/>
    /// <remarks>A tensor of whole numbers stays one.</remarks>
    public static Tensor AtLeast(this Tensor tensor, long least)
    {
        using Scalar low = least;
        return tensor.clamp_min(low);
    }

    /// <summary>The tensor, cut to an interval.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="least">The least value.</param>
    /// <param name="greatest">The greatest value.</param>
    /// <returns>A new tensor.</returns>
    public static Tensor CutTo(this Tensor tensor, double least, double greatest)
    {
        using Scalar low = least;
        using Scalar high = greatest;
        return tensor.clamp(low, high);
    }
}
