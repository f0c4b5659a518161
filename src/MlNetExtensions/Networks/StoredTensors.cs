using MlNetMlp.Persistence;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>Tensors of libtorch as tensors of files and back, in their own type, where <see cref="Network.ReadWeights"/> has all in Single.</summary>
internal static class StoredTensors
{
    /// <summary>Copies a tensor.</summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="tensor">The tensor, on any device.</param>
    /// <returns>The copy.</returns>
    /// <exception cref="NotSupportedException">Files have no such type.</exception>
    public static NamedTensor Of(string name, Tensor tensor)
    {
        using var scope = NewDisposeScope();
        var values = tensor.detach().cpu().contiguous();
        var shape = tensor.shape;
        return TypeOf(name, tensor) switch
        {
            TensorType.Float32 => NamedTensor.Of(name, Values<float>(values), shape),
            TensorType.Float64 => NamedTensor.Of(name, Values<double>(values), shape),
            TensorType.Int64 => NamedTensor.Of(name, Values<long>(values), shape),
            _ => NamedTensor.Of(name, Values<byte>(values), shape),
        };
    }

    /// <summary>Sets a tensor to stored values.</summary>
    /// <param name="stored">The values; those of a file may be hostile.</param>
    /// <param name="target">The tensor.</param>
    /// <exception cref="ModelFormatException">The values are of another type or shape.</exception>
    public static void CopyTo(this NamedTensor stored, Tensor target)
    {
        var (type, shape) = (TypeOf(stored.Name, target), target.shape);
        if (stored.Type != type || !stored.Shape.AsSpan().SequenceEqual(shape))
            throw ModelFormatException.InWeights($"tensor '{stored.Name}' is {stored.Type} {TensorShape.Text(stored.Shape.AsSpan())}; {type} {TensorShape.Text(shape)} is needed.");
        using var noGradient = no_grad();
        using var values = ToTensor(stored);
        target.copy_(values);
    }

    /// <summary>Makes a tensor of stored values.</summary>
    /// <param name="stored">The values.</param>
    /// <returns>The tensor, on the CPU.</returns>
    public static Tensor ToTensor(this NamedTensor stored)
    {
        long[] shape = [.. stored.Shape];
        return stored.Type switch
        {
            TensorType.Float32 => tensor(stored.Values<float>(TensorType.Float32), shape),
            TensorType.Float64 => tensor(stored.Values<double>(TensorType.Float64), shape),
            TensorType.Int64 => tensor(stored.Values<long>(TensorType.Int64), shape),
            _ => tensor(stored.Values<byte>(TensorType.Byte), shape),
        };
    }

    private static TensorType TypeOf(string name, Tensor tensor) => tensor.dtype switch
    {
        ScalarType.Float32 => TensorType.Float32,
        ScalarType.Float64 => TensorType.Float64,
        ScalarType.Int64 => TensorType.Int64,
        ScalarType.Byte => TensorType.Byte,
        _ => throw new NotSupportedException($"The tensor '{name}' is of type {tensor.dtype}, which files do not have."),
    };

    private static T[] Values<T>(Tensor tensor)
        where T : unmanaged => tensor.numel() == 0 ? [] : tensor.data<T>().ToArray();
}
