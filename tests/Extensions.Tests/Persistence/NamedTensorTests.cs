using MlNetMlp.Persistence;

namespace MlNetMlp.Tests.Persistence;

public class NamedTensorTests
{
    [Fact]
    public void Knows_its_type_shape_and_sizes()
    {
        NamedTensor tensor = NamedTensor.Of("w", new float[6], 2, 3);

        Assert.Equal("w", tensor.Name);
        Assert.Equal(TensorType.Float32, tensor.Type);
        Assert.Equal([2L, 3L], tensor.Shape.ToArray());
        Assert.Equal(6, tensor.ElementCount);
        Assert.Equal(24, tensor.ByteCount);
        Assert.Equal("w: Float32 [2, 3]", tensor.ToString());
        Assert.Equal("s: Float64 []", NamedTensor.Of("s", [1.0]).ToString());
    }

    [Fact]
    public void Reading_as_another_type_names_both()
    {
        NamedTensor tensor = NamedTensor.Of("w", [1L, 2L], 2);

        Assert.Equal([1L, 2L], tensor.Integers.ToArray());
        var e = Assert.Throws<InvalidOperationException>(() => tensor.Floats.Length);
        Assert.Equal("Tensor 'w' is Int64, but was read as Float32.", e.Message);
        Assert.Throws<InvalidOperationException>(() => tensor.Doubles.Length);
        Assert.Throws<InvalidOperationException>(() => tensor.Bytes.Length);
    }

    [Fact]
    public void Keeps_its_shape_when_the_caller_changes_the_array()
    {
        long[] shape = [2];
        NamedTensor tensor = NamedTensor.Of("w", new float[2], shape);
        shape[0] = 7;
        Assert.Equal([2L], tensor.Shape.ToArray());
    }

    [Theory]
    [InlineData(5, new long[] { 2, 3 })]
    [InlineData(2, new long[0])]
    [InlineData(0, new long[0])]
    [InlineData(1, new long[] { -1, -1 })]
    [InlineData(0, new long[] { 0, long.MaxValue })]
    [InlineData(0, new long[] { 1L << 32, 1L << 32 })]
    [InlineData(0, new long[] { 65536, 65536, 65536, 65536 })]
    [InlineData(1, new long[] { 1, 1, 1, 1, 1, 1, 1, 1, 1 })]
    public void Refuses_a_shape_that_is_not_valid_or_does_not_fit(int values, long[] shape)
    {
        var e = Assert.Throws<ArgumentException>(() => NamedTensor.Of("layer.w", new float[values], shape));
        Assert.Contains("'layer.w'", e.Message, StringComparison.Ordinal);
        Assert.Contains("[" + string.Join(", ", shape) + "]", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_zero_anywhere_makes_a_shape_empty()
    {
        Assert.Equal(0, NamedTensor.Of("a", Array.Empty<byte>(), 0, 100_000, 100_000).ElementCount);
        Assert.Equal(0, NamedTensor.Of("a", Array.Empty<byte>(), 100_000, 100_000, 0).ElementCount);
    }

    [Theory]
    [InlineData("")]
    [InlineData("__metadata__")]
    [InlineData("line\nbreak")]
    [InlineData("\u0085")]
    public void Refuses_a_name_that_cannot_be_written_or_printed(string name) =>
        Assert.Throws<ArgumentException>(() => NamedTensor.Of(name, [1f], 1));

    // Not inline data, as attributes are stored as UTF-8, which has no half surrogate pairs.
    [Fact]
    public void Refuses_a_name_with_half_a_surrogate_pair()
    {
        Assert.Throws<ArgumentException>(() => NamedTensor.Of("half \ud83d", [1f], 1));
        Assert.Throws<ArgumentException>(() => NamedTensor.Of("\ude00\ud83d", [1f], 1));
        Assert.Equal("whole \ud83d\ude00", NamedTensor.Of("whole \ud83d\ude00", [1f], 1).Name);
    }

    [Fact]
    public void Names_have_up_to_a_thousand_characters()
    {
        Assert.Equal(1000, NamedTensor.Of(new string('x', 1000), [1f]).Name.Length);
        Assert.Throws<ArgumentException>(() => NamedTensor.Of(new string('x', 1001), [1f]));
    }

    [Fact]
    public void Refuses_null()
    {
        Assert.Throws<ArgumentNullException>(() => NamedTensor.Of(null!, [1f]));
        Assert.Throws<ArgumentNullException>(() => NamedTensor.Of("a", (float[])null!));
        Assert.Throws<ArgumentNullException>(() => NamedTensor.Of("a", [1f], null!));
    }
}
