using System.Diagnostics.CodeAnalysis;

namespace MlNetMlp.Persistence;

/// <summary>The element types that the weights of a model may have.</summary>
[SuppressMessage("Naming", "CA1720", Justification = "The members are element types; any other name would hide which.")]
public enum TensorType
{
    /// <summary>32-bit floating point numbers, <c>F32</c> in the file.</summary>
    Float32,

    /// <summary>64-bit floating point numbers, <c>F64</c> in the file.</summary>
    Float64,

    /// <summary>64-bit signed integers, <c>I64</c> in the file.</summary>
    Int64,

    /// <summary>Bytes, <c>U8</c> in the file.</summary>
    Byte,
}

/// <summary>How each type is written in a safetensors file.</summary>
internal static class TensorTypes
{
    public const string AllCodes = "F32, F64, I64, U8";

    public static int Size(this TensorType type) => type switch
    {
        TensorType.Float32 => sizeof(float),
        TensorType.Float64 => sizeof(double),
        TensorType.Int64 => sizeof(long),
        TensorType.Byte => sizeof(byte),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Not a tensor type."),
    };

    public static string Code(this TensorType type) => type switch
    {
        TensorType.Float32 => "F32",
        TensorType.Float64 => "F64",
        TensorType.Int64 => "I64",
        TensorType.Byte => "U8",
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Not a tensor type."),
    };

    public static TensorType? FromCode(string code) => code switch
    {
        "F32" => TensorType.Float32,
        "F64" => TensorType.Float64,
        "I64" => TensorType.Int64,
        "U8" => TensorType.Byte,
        _ => null,
    };
}
