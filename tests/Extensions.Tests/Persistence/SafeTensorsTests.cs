using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using MlNetMlp.Persistence;

namespace MlNetMlp.Tests.Persistence;

public class SafeTensorsTests
{
    [Fact]
    public void Reads_back_what_was_written()
    {
        WeightSet weights = Weights.OfAllTypes();
        Weights.AssertEqual(weights, Weights.Read(Weights.Written(weights)));
        Weights.AssertEqual([], Weights.Read(Weights.Written([])));
    }

    [Fact]
    public void Keeps_every_bit_of_NaN()
    {
        float[] values = [BitConverter.Int32BitsToSingle(0x7FC1_2345), BitConverter.Int32BitsToSingle(unchecked((int)0xFF80_0001))];
        WeightSet weights = [NamedTensor.Of("nan", values, 2)];
        Weights.AssertEqual(weights, Weights.Read(Weights.Written(weights)));
    }

    [Fact]
    public void Reads_back_more_than_one_part()
    {
        byte[] values = new byte[(1 << 24) + 5];
        new Random(1).NextBytes(values);
        WeightSet weights = [NamedTensor.Of("long", values, values.Length)];
        Weights.AssertEqual(weights, Weights.Read(Weights.Written(weights)));
    }

    [Fact]
    public void The_same_set_gives_the_same_bytes() =>
        Assert.Equal(Weights.Written(Weights.OfAllTypes()), Weights.Written(Weights.OfAllTypes()));

    [Fact]
    public void Writes_the_published_layout()
    {
        WeightSet weights = [NamedTensor.Of("w", [1f, 2f], 1, 2), NamedTensor.Of("n", [3L])];

        const string Header =
            """{"w":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}""";
        int padded = (Header.Length + 7) / 8 * 8;
        byte[] expected =
        [
            (byte)padded, 0, 0, 0, 0, 0, 0, 0,
            .. Encoding.UTF8.GetBytes(Header.PadRight(padded)),
            3, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0x80, 0x3F, 0, 0, 0, 0x40,
        ];
        Assert.Equal(expected, Weights.Written(weights));
    }

    [Fact]
    public void Data_is_aligned_to_its_elements_as_other_readers_need()
    {
        byte[] file = Weights.Written(Weights.OfAllTypes());
        int header = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        Assert.Equal(0, header % 8);

        using var json = JsonDocument.Parse(file.AsMemory(8, header));
        foreach (JsonProperty tensor in json.RootElement.EnumerateObject())
        {
            int size = tensor.Value.GetProperty("dtype").GetString() switch { "F32" => 4, "U8" => 1, _ => 8 };
            Assert.Equal(0, tensor.Value.GetProperty("data_offsets")[0].GetInt64() % size);
        }

        Assert.Contains("\"Größe+1\"", Encoding.UTF8.GetString(file, 8, header), StringComparison.Ordinal);
    }

    /// <summary>The bytes that Python's safetensors writes for a state dictionary: larger elements first, then by name.</summary>
    [Fact]
    public void Reads_a_file_as_Python_writes_it()
    {
        const string Header =
            """{"__metadata__":{"format":"pt"},"steps":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"bias":""" +
            """{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"weight":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]}}""";
        byte[] file =
        [
            0xD8, 0, 0, 0, 0, 0, 0, 0,
            .. Encoding.ASCII.GetBytes(Header.PadRight(0xD8)),
            0x2A, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0,
            0, 0, 0, 0x3F, 0, 0, 0x80, 0xBF,
        ];

        WeightReader reader = Weights.Read(file).Read();
        Assert.Equal([42L], reader.TakeIntegers("steps").ToArray());
        Assert.Equal([1f, -2f], reader.Take("bias", 2).ToArray());
        Assert.Equal([0.5f, -1f], reader.Take("weight", 2, 1).ToArray());
        reader.Finish();
    }

    [Fact]
    public void Reads_data_in_another_order_than_the_header()
    {
        byte[] file = Weights.File("{" + Weights.Tensor("late", "[1]", 4, 8) + "," + Weights.Tensor("early", "[1]", 0, 4) + "}", 8);
        BinaryPrimitives.WriteSingleLittleEndian(file.AsSpan(file.Length - 8), 1f);
        BinaryPrimitives.WriteSingleLittleEndian(file.AsSpan(file.Length - 4), 2f);

        WeightSet weights = Weights.Read(file);
        Assert.Equal(["late", "early"], weights.Select(t => t.Name));
        Assert.Equal([2f, 1f], weights.Select(t => t.Floats[0]));
    }

    [Theory]
    [InlineData("""{"a":{"shape":[1],"data_offsets":[0,4],"dtype":"F32"}}""")]
    [InlineData("""{ "a" : { "dtype" : "F32", "shape" : [ 1 ], "data_offsets" : [ 0, 4 ] } }   """)]
    [InlineData("""{"\u0061":{"dty\u0070e":"F\u00332","shape":[1],"data_offsets":[0,4]}}""")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{}}""")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"e":{"dtype":"F64","shape":[0],"data_offsets":[4,4]}}""")]
    public void Reads_what_other_writers_may_write(string header) =>
        Assert.Equal("a: Float32 [1]", Weights.Read(Weights.File(header, 4)).First().ToString());

    [Fact]
    public void Needs_no_seeking_and_leaves_what_follows_unread()
    {
        WeightSet weights = Weights.OfAllTypes();
        byte[] file = Weights.Written(weights);
        var stream = new TrickleStream([.. file, 7, 7, 7]);

        Weights.AssertEqual(weights, SafeTensors.Read(stream, file.Length));
        Assert.Equal(3, stream.Left);
    }

    [Fact]
    public void Reads_from_the_middle_of_a_stream()
    {
        byte[] file = Weights.Written(Weights.Small());
        var stream = new MemoryStream([9, 9, .. file, 9]) { Position = 2 };
        Weights.AssertEqual(Weights.Small(), SafeTensors.Read(stream, file.Length));
        Assert.Equal(file.Length + 2, stream.Position);
    }

    [Fact]
    public void Never_writes_what_it_would_refuse_to_read()
    {
        WeightSet many = [];
        for (int i = 0; i <= 100_000; i++)
            many.Add(NamedTensor.Of("t" + i, Array.Empty<byte>(), 0));
        Assert.Throws<ArgumentException>(() => SafeTensors.Write(Stream.Null, many));

        WeightSet wordy = [];
        for (int i = 0; i < 17_000; i++)
            wordy.Add(NamedTensor.Of(i.ToString("D1000", null), Array.Empty<byte>(), 0));
        Assert.Throws<ArgumentException>(() => SafeTensors.Write(Stream.Null, wordy));
    }
}
