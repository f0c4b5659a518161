using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace MlNetMlp.Runtime;

/// <summary>Direct access to the memory of contiguous CPU tensors.</summary>
public static class TensorMemory
{
    /// <summary>The values of a contiguous Single tensor on the CPU, not copied.</summary>
    /// <param name="tensor">The tensor; it must live as long as the span is used.</param>
    /// <returns>Its values in row-major order.</returns>
    public static Span<float> Floats(Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);

    /// <summary>The values of a contiguous Int64 tensor on the CPU, not copied.</summary>
    /// <param name="tensor">The tensor; it must live as long as the span is used.</param>
    /// <returns>Its values in row-major order.</returns>
    public static Span<long> Longs(Tensor tensor) => MemoryMarshal.Cast<byte, long>(tensor.bytes);

    /// <summary>Copies rows out of a contiguous Int64 matrix on the CPU of any size.</summary>
    /// <param name="matrix">The matrix [all rows, width].</param>
    /// <param name="rows">Indices of rows.</param>
    /// <param name="target">Room for their values, row after row.</param>
    public static unsafe void CopyRows(Tensor matrix, ReadOnlySpan<long> rows, Span<long> target)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        var (start, width) = ((nint)Address(matrix), (int)matrix.shape[1]);
        for (var i = 0; i < rows.Length; i++)
            new ReadOnlySpan<long>((long*)start + (rows[i] * width), width).CopyTo(target[(i * width)..]);
    }

    /// <summary>A copy of the values of any tensor.</summary>
    /// <param name="tensor">The tensor, of any type, layout and device.</param>
    /// <returns>Its values as Single, in row-major order.</returns>
    public static float[] ToFloats(Tensor tensor)
    {
        // TorchSharp refuses to read a tensor of no values.
        if (tensor.numel() == 0)
            return [];
        using var scope = NewDisposeScope();
        return tensor.detach().cpu().to(ScalarType.Float32).contiguous().data<float>().ToArray();
    }

    /// <summary>The address of the first value of a contiguous CPU tensor of any size; a span reaches 2 GB at most.</summary>
    /// <param name="tensor">The tensor; it must live as long as the address is used.</param>
    /// <returns>The address, or null for a tensor of no values.</returns>
    internal static unsafe float* Address(Tensor tensor)
    {
        if (tensor.NumberOfElements == 0)
            return null;
        using var first = tensor.as_strided([1], [1], tensor.storage_offset());

        // Native memory does not move, so the pointer outlives the fixed statement.
        fixed (byte* address = first.bytes)
            return (float*)address;
    }
}
