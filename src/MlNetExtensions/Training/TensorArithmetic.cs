using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

// In-place arithmetic whose native scalars are freed at once: TorchSharp's implicit conversion leaves each to the finaliser.
internal static class TensorArithmetic
{
    public static void Scale(this Tensor tensor, double factor)
    {
        using Scalar scalar = factor;
        tensor.mul_(scalar);
    }

    public static void AddScaled(this Tensor tensor, Tensor other, double factor)
    {
        using Scalar scalar = factor;
        tensor.add_(other, scalar);
    }

    public static double Dot(this Tensor tensor, Tensor other)
    {
        using var product = tensor.dot(other);
        return product.ToDouble();
    }
}
