using System.Buffers.Binary;
using System.IO.Compression;
using MlNetMlp.Persistence;

namespace MlNetMlp.Tests.Persistence;

public class SafeTensorsHostileTests
{
    private const string F32 = "\"dtype\":\"F32\"";
    private const string One = "\"shape\":[1],\"data_offsets\":[0,4]";

    /// <summary>Headers in front of 8 bytes of data, each with the word that its message must hold.</summary>
    public static TheoryData<string, string> Headers => new()
    {
        { "{" + Weights.Tensor("a", "[2]", 0, 8) + "," + Weights.Tensor("b", "[1]", 4, 8) + "}", "'b' overlaps" },
        { "{" + Weights.Tensor("a", "[2]", 0, 8) + "," + Weights.Tensor("b", "[2]", 0, 8) + "}", "overlaps" },
        { "{" + Weights.Tensor("a", "[2]", 0, 8) + "," + Weights.Tensor("b", "[0]", 4, 4) + "}", "overlaps" },
        { "{" + Weights.Tensor("a", "[1]", 4, 8) + "}", "'a' leaves a gap" },
        { "{" + Weights.Tensor("a", "[1]", 0, 4) + "}", "take 4 bytes, but 8" },
        { "{}", "take 0 bytes, but 8" },
        { "{" + Weights.Tensor("a", "[16777216,16777216]", 0, 8) + "}", "[16777216, 16777216]: more than" },
        { "{" + Weights.Tensor("a", "[4294967296,4294967296]", 0, 0) + "}", "outside 0 to" },
        { "{" + Weights.Tensor("a", "[65536,65536,65536,65536]", 0, 0) + "}", "more than" },
        { "{" + Weights.Tensor("a", "[9223372036854775807,4]", 0, 8) + "}", "outside 0 to" },
        { "{" + Weights.Tensor("a", "[9223372036854775808]", 0, 8) + "}", "64-bit whole numbers as shape" },
        { "{" + Weights.Tensor("a", "[-2]", 0, 8) + "}", "dimension of -2" },
        { "{" + Weights.Tensor("a", "[-1,-2]", 0, 8) + "}", "dimension of -1" },
        { "{" + Weights.Tensor("a", "[2.0]", 0, 8) + "}", "64-bit whole numbers as shape" },
        { "{" + Weights.Tensor("a", "[2e0]", 0, 8) + "}", "64-bit whole numbers as shape" },
        { "{" + Weights.Tensor("a", "[\"2\"]", 0, 8) + "}", "64-bit whole numbers as shape" },
        { "{" + Weights.Tensor("a", "[[2]]", 0, 8) + "}", "header is not valid JSON" },
        { "{" + Weights.Tensor("a", "2", 0, 8) + "}", "has a Number as shape" },
        { "{" + Weights.Tensor("a", "null", 0, 8) + "}", "has a Null as shape" },
        { "{" + Weights.Tensor("a", "[2,1,1,1,1,1,1,1,1]", 0, 8) + "}", "more than 8 numbers as shape" },
        { "{" + Weights.Tensor("a", "[" + string.Join(',', Enumerable.Repeat(1, 50_000)) + "]", 0, 8) + "}", "more than 8 numbers" },
        { "{" + Weights.Tensor("a", "[2]", 0, 9) + "}", "outside the 8 bytes" },
        { "{" + Weights.Tensor("a", "[2]", 0, 94371840) + "}", "outside the 8 bytes" },
        { "{" + Weights.Tensor("a", "[2]", -8, 0) + "}", "outside the 8 bytes" },
        { "{" + Weights.Tensor("a", "[2]", 8, 0) + "}", "outside the 8 bytes" },
        { "{" + Weights.Tensor("a", "[2]", long.MaxValue, long.MinValue) + "}", "outside the 8 bytes" },
        { "{" + Weights.Tensor("a", "[2]", long.MinValue, 8) + "}", "outside the 8 bytes" },
        { "{" + Weights.Tensor("a", "[1]", 0, 8) + "}", "takes 8 bytes of data, but Float32 [1] needs 4" },
        { "{" + Weights.Tensor("a", "[1]", 0, 4) + "," + Weights.Tensor("a", "[1]", 4, 8) + "}", "'a' appears twice" },
        { "{" + Weights.Tensor("a", "[1]", 0, 4) + "," + Weights.Tensor("\\u0061", "[1]", 4, 8) + "}", "'a' appears twice" },
        { "{\"__metadata__\":{},\"__metadata__\":{}," + Weights.Tensor("a", "[2]", 0, 8) + "}", "appears twice" },
        { "{\"__metadata__\":{\"k\":{}}," + Weights.Tensor("a", "[2]", 0, 8) + "}", "strings only" },
        { "{\"__metadata__\":3," + Weights.Tensor("a", "[2]", 0, 8) + "}", "not an object" },
        { "{" + Weights.Tensor("", "[2]", 0, 8) + "}", "name of 0 characters" },
        { "{" + Weights.Tensor("a\\nb", "[2]", 0, 8) + "}", "control character" },
        { "{" + Weights.Tensor("\\ud83d", "[2]", 0, 8) + "}", "header is not valid JSON" },
        { "{" + Weights.Tensor(new string('x', 1001), "[2]", 0, 8) + "}", "name of 1001 characters" },
        { "{" + Weights.Tensor(new string('x', 100_000), "[2]", 0, 8) + "}", "name of 100000 bytes" },
        { $"{{\"a\":{{{F32},{F32},{One}}}}}", "repeated or unknown member" },
        { $"{{\"a\":{{{F32},{One},\"shape\":[1]}}}}", "repeated or unknown member" },
        { $"{{\"a\":{{{F32},{One},\"strides\":[1]}}}}", "repeated or unknown member" },
        { $"{{\"a\":{{{One}}}}}", "lacks its dtype" },
        { $"{{\"a\":{{{F32},\"shape\":[1]}}}}", "lacks its dtype, its shape or its two data_offsets" },
        { $"{{\"a\":{{{F32},\"shape\":[1],\"data_offsets\":[4]}}}}", "lacks its dtype" },
        { $"{{\"a\":{{{F32},\"shape\":[1],\"data_offsets\":[0,4,8]}}}}", "more than 2 numbers as data_offsets" },
        { $"{{\"a\":{{\"dtype\":\"F16\",{One}}}}}", "dtype 'F16', which is none of F32, F64, I64, U8" },
        { $"{{\"a\":{{\"dtype\":\"f32\",{One}}}}}", "dtype 'f32'" },
        { $"{{\"a\":{{\"dtype\":32,{One}}}}}", "has a Number as dtype" },
        { "{\"a\":[]}", "described by a StartArray" },
        { "{\"a\":null}", "described by a Null" },
        { "[]", "begins with byte 0x5B" },
        { " {}", "begins with byte 0x20" },
        { "\ufeff{}", "begins with byte 0xEF" },
        { "\"a\"", "begins with byte 0x22" },
        { "{", "header is not valid JSON" },
        { "{\"a\":{\"dtype\":\"F32\"", "header is not valid JSON" },
        { "{}{}", "header is not valid JSON" },
        { "{}\0\0\0", "header is not valid JSON" },
        { "{},", "header is not valid JSON" },
        { "{" + Weights.Tensor("a", "[2]", 0, 8) + ",}", "header is not valid JSON" },
        { "{/**/}", "header is not valid JSON" },
        { "{\"a\":" + new string('[', 5_000), "described by a StartArray" },
        { "{\"__metadata__\":" + string.Concat(Enumerable.Repeat("{\"a\":", 5_000)), "strings only" },
    };

    [Theory]
    [MemberData(nameof(Headers))]
    public void A_hostile_header_is_refused_before_memory_is_taken(string header, string message) =>
        AssertRefused(Weights.File(header, 8), message);

    [Theory]
    [InlineData(1L << 62)]
    [InlineData(-1L)]
    [InlineData(long.MinValue)]
    [InlineData(0L)]
    [InlineData(90L << 20)]
    [InlineData((16L << 20) + 1)]
    public void A_wrong_header_length_is_refused(long declared) =>
        AssertRefused(Weights.File("{}      ", 8, declared), "the header is said to be " + declared);

    [Fact]
    public void A_header_above_the_limit_is_refused_even_when_it_is_there() =>
        AssertRefused(Weights.File(new string('{', (16 << 20) + 1), 0), "outside 1 to 16777216");

    [Fact]
    public void A_header_length_that_reaches_into_the_data_is_refused()
    {
        string header = "{" + Weights.Tensor("a", "[2]", 0, 8) + "}";
        AssertRefused(Weights.File(header, 8, header.Length + 8), "tensor 'a' lies at 0 to 8, outside the 0 bytes of data");
        AssertRefused(Weights.File(header, 16, header.Length + 8), "the header is not valid JSON");
    }

    [Fact]
    public void Too_many_tensors_are_refused()
    {
        string header = "{" + string.Join(',', Enumerable.Range(0, 100_001).Select(i => Weights.Tensor("" + i, "[0]", 0, 0))) + "}";
        var e = Assert.Throws<ModelFormatException>(() => Weights.Read(Weights.File(header, 0)));
        Assert.Contains("more than 100000 tensors", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_cut_at_any_byte_is_refused()
    {
        byte[] file = Weights.Written(Weights.OfAllTypes());
        for (int length = 0; length < file.Length; length++)
        {
            byte[] cut = file[..length];
            AssertRefused(cut, "weights.safetensors: ");
            AssertRefused(() => SafeTensors.Read(new MemoryStream(cut), file.Length), $"bytes were expected, {length} are there");
            AssertRefused(() => SafeTensors.Read(new TrickleStream(cut), file.Length), "bytes were expected");
        }
    }

    [Fact]
    public void A_file_cut_inside_a_tensor_names_it()
    {
        byte[] file = Weights.Written(Weights.Small());
        AssertRefused(
            () => SafeTensors.Read(new TrickleStream(file[..^1]), file.Length),
            "ends inside tensor 'a': 8 bytes were expected, 7 are there");
    }

    [Fact]
    public void Damaged_compressed_data_is_named()
    {
        var packed = new MemoryStream();
        using (var deflate = new DeflateStream(packed, CompressionLevel.Optimal, leaveOpen: true))
            deflate.Write(Weights.Written(Weights.Small()));
        byte[] bytes = packed.ToArray();
        Array.Fill(bytes, (byte)0xFF, 0, 4);

        using var damaged = new DeflateStream(new MemoryStream(bytes), CompressionMode.Decompress);
        AssertRefused(() => SafeTensors.Read(damaged, 1000), "is damaged");
    }

    /// <summary>Whatever bits change, the answer is weights or a refusal, never another exception and never much memory.</summary>
    [Fact]
    public void Random_damage_gives_weights_or_a_refusal()
    {
        byte[] sound = Weights.Written(Weights.OfAllTypes());
        int end = sizeof(long) + (int)BinaryPrimitives.ReadInt64LittleEndian(sound);
        var random = new Random(20240917);
        int read = 0, refused = 0;
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 5_000; i++)
        {
            byte[] file = [.. sound];
            for (int flips = random.Next(1, 4); flips > 0; flips--)
            {
                int at = random.Next(end);
                file[at] = random.Next(2) == 0 ? (byte)(file[at] ^ (1 << random.Next(8))) : (byte)random.Next(' ', 127);
            }

            try
            {
                WeightSet weights = Weights.Read(file);
                Assert.Equal(sound.Length - end, weights.ByteCount);
                weights.Read();
                read++;
            }
            catch (ModelFormatException e)
            {
                Assert.StartsWith("weights.safetensors: ", e.Message, StringComparison.Ordinal);
                refused++;
            }
        }

        // Both must be frequent, or the damage tests nothing: a changed letter of a name is harmless, a changed figure is not.
        Assert.InRange(read, 100, 4_900);
        Assert.InRange(refused, 100, 4_900);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 5_000L * 64 * 1024);
    }

    [Fact]
    public void Refuses_arguments_that_are_not_valid()
    {
        Assert.Throws<ArgumentNullException>(() => SafeTensors.Read(null!, 8));
        Assert.Throws<ArgumentOutOfRangeException>(() => SafeTensors.Read(Stream.Null, -1));
        Assert.Throws<ArgumentNullException>(() => SafeTensors.Write(null!, []));
        Assert.Throws<ArgumentNullException>(() => SafeTensors.Write(Stream.Null, null!));
    }

    private static void AssertRefused(byte[] file, string message)
    {
        AssertRefused(() => SafeTensors.Read(new MemoryStream(file), file.Length), message);
        AssertRefused(() => SafeTensors.Read(new TrickleStream(file), file.Length), message);
    }

    private static void AssertRefused(Func<WeightSet> read, string message)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        var e = Assert.Throws<ModelFormatException>(read);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.StartsWith("weights.safetensors: ", e.Message, StringComparison.Ordinal);
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
        Assert.InRange(e.Message.Length, 30, 1_500);
        Assert.InRange(allocated, 0, 2 << 20);
    }
}
