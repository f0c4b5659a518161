using System.Buffers.Binary;
using System.Text;
using MlNetMlp.Persistence;

namespace MlNetMlp.Tests.Persistence;

/// <summary>Weight sets and raw files that the tests of this folder share.</summary>
internal static class Weights
{
    public static WeightSet OfAllTypes() =>
    [
        NamedTensor.Of("bytes", [1, 2, 255], 3),
        NamedTensor.Of("dense.weight", [1f, -2f, 3.5f, float.Epsilon, float.MaxValue, -0f], 2, 3),
        NamedTensor.Of("empty", Array.Empty<float>(), 4, 0),
        NamedTensor.Of("scalar", [0.1]),
        NamedTensor.Of("Größe+1", [long.MinValue, -1, long.MaxValue], 3, 1, 1),
    ];

    public static WeightSet Small() => [NamedTensor.Of("a", [1f, 2f], 2), NamedTensor.Of("b", [3L], 1)];

    public static byte[] Written(WeightSet weights)
    {
        var stream = new MemoryStream();
        SafeTensors.Write(stream, weights);
        return stream.ToArray();
    }

    public static WeightSet Read(byte[] file) => SafeTensors.Read(new MemoryStream(file), file.Length);

    /// <summary>A file with any header, sound or not.</summary>
    public static byte[] File(string header, int dataLength, long? declaredHeaderLength = null)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        byte[] file = new byte[sizeof(long) + json.Length + dataLength];
        BinaryPrimitives.WriteInt64LittleEndian(file, declaredHeaderLength ?? json.Length);
        json.CopyTo(file, sizeof(long));
        return file;
    }

    /// <summary>The description of one Float32 tensor, with any shape and place.</summary>
    public static string Tensor(string name, string shape, long begin, long end) =>
        $"\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{begin},{end}]}}";

    public static void AssertEqual(WeightSet expected, WeightSet actual)
    {
        Assert.Equal(expected.Select(t => t.ToString()), actual.Select(t => t.ToString()));
        foreach ((NamedTensor e, NamedTensor a) in expected.Zip(actual))
            Assert.Equal(RawBytes(e), RawBytes(a));
    }

    private static byte[] RawBytes(NamedTensor tensor) => tensor.Type switch
    {
        TensorType.Float32 => System.Runtime.InteropServices.MemoryMarshal.AsBytes(tensor.Floats).ToArray(),
        TensorType.Float64 => System.Runtime.InteropServices.MemoryMarshal.AsBytes(tensor.Doubles).ToArray(),
        TensorType.Int64 => System.Runtime.InteropServices.MemoryMarshal.AsBytes(tensor.Integers).ToArray(),
        _ => tensor.Bytes.ToArray(),
    };
}

/// <summary>Gives a few bytes at a time and cannot seek, as the stream of a zip entry does.</summary>
internal sealed class TrickleStream(byte[] content) : Stream
{
    private int _position;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public int Left => content.Length - _position;

    public override int Read(byte[] buffer, int offset, int count)
    {
        int read = Math.Min(Math.Min(count, 3), Left);
        Array.Copy(content, _position, buffer, offset, read);
        _position += read;
        return read;
    }

    public override void Flush() => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
