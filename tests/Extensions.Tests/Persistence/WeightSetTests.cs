using MlNetMlp.Persistence;

namespace MlNetMlp.Tests.Persistence;

public class WeightSetTests
{
    [Fact]
    public void Keeps_the_order_and_counts_bytes()
    {
        WeightSet weights = Weights.OfAllTypes();

        Assert.Equal(["bytes", "dense.weight", "empty", "scalar", "Größe+1"], weights.Select(t => t.Name));
        Assert.Equal(5, weights.Count);
        Assert.Equal(3 + 24 + 0 + 8 + 24, weights.ByteCount);
        Assert.True(weights.TryGet("scalar", out NamedTensor? scalar));
        Assert.Equal(0.1, scalar.Doubles[0]);
        Assert.False(weights.TryGet("Scalar", out _));
    }

    [Fact]
    public void Refuses_a_second_tensor_of_a_name()
    {
        WeightSet weights = [NamedTensor.Of("a", [1f])];
        var e = Assert.Throws<ArgumentException>(() => weights.Add(NamedTensor.Of("a", [2f])));
        Assert.Contains("'a'", e.Message, StringComparison.Ordinal);
        weights.Add(NamedTensor.Of("A", [2f]));
        Assert.Equal(2, weights.Count);
    }

    [Fact]
    public void Takes_every_type_and_finishes()
    {
        WeightReader reader = Weights.OfAllTypes().Read();

        Assert.Equal(3.5f, reader.Take("dense.weight", 2, 3).Span[2]);
        Assert.Equal(0, reader.Take("empty", 4, 0).Length);
        Assert.Equal(0.1, reader.TakeDoubles("scalar").Span[0]);
        Assert.Equal(-1, reader.TakeIntegers("Größe+1", 3, 1, 1).Span[1]);
        Assert.Equal(255, reader.TakeBytes("bytes", 3).Span[2]);
        Assert.Equal(255, reader.TakeBytes("bytes", 3).Span[2]);
        reader.Finish();
    }

    [Fact]
    public void Missing_tensor_is_named()
    {
        var e = Assert.Throws<ModelFormatException>(() => Weights.Small().Read().Take("hidden.0.weight", 64, 28));
        Assert.Equal("weights.safetensors: tensor 'hidden.0.weight' is missing; the network needs it as Float32 [64, 28].", e.Message);
    }

    [Fact]
    public void Wrong_shape_or_type_names_expected_and_found()
    {
        WeightReader reader = Weights.Small().Read();

        var shape = Assert.Throws<ModelFormatException>(() => reader.Take("a", 1, 2));
        Assert.Equal("weights.safetensors: tensor 'a' is Float32 [2]; the network needs it as Float32 [1, 2].", shape.Message);
        var type = Assert.Throws<ModelFormatException>(() => reader.TakeDoubles("a", 2));
        Assert.Equal("weights.safetensors: tensor 'a' is Float32 [2]; the network needs it as Float64 [2].", type.Message);
        Assert.Throws<ModelFormatException>(reader.Finish);
    }

    [Fact]
    public void Unknown_tensors_are_named_but_not_by_the_thousand()
    {
        WeightSet weights = [];
        for (int i = 0; i < 1000; i++)
            weights.Add(NamedTensor.Of("t" + i, [1f]));

        WeightReader reader = weights.Read();
        reader.Take("t0");
        var e = Assert.Throws<ModelFormatException>(reader.Finish);
        Assert.Equal(
            "weights.safetensors: the network does not know 999 of the 1000 tensors: 't1', 't2', 't3', 't4', 't5', ....", e.Message);
    }

    [Fact]
    public void Many_threads_rebuild_from_one_set()
    {
        WeightSet weights = [];
        for (int i = 0; i < 100; i++)
            weights.Add(NamedTensor.Of("t" + i, [i, i + 1f], 2));

        Parallel.For(0, 200, _ =>
        {
            WeightReader reader = weights.Read();
            for (int i = 0; i < 100; i++)
                Assert.Equal(i + 1f, reader.Take("t" + i, 2).Span[1]);
            reader.Finish();
        });
    }

    [Theory]
    [InlineData(float.NaN, "NaN")]
    [InlineData(float.PositiveInfinity, "Infinity")]
    [InlineData(float.NegativeInfinity, "-Infinity")]
    public void First_element_that_is_not_finite_is_named(float offender, string text)
    {
        // Every position of a few vectors and of the rest behind them.
        for (int i = 0; i < 100; i++)
        {
            float[] values = new float[100];
            values.AsSpan().Fill(float.MaxValue);
            values.AsSpan(i).Fill(offender);
            WeightSet weights = [NamedTensor.Of("sound", [1f]), NamedTensor.Of("layer.w", values, 10, 10)];

            var e = Assert.Throws<ModelFormatException>(weights.CheckFinite);
            Assert.Equal(
                $"weights.safetensors: tensor 'layer.w' holds {text} at index {i} of 100; weights must be finite numbers.", e.Message);

            WeightSet doubles = [NamedTensor.Of("d", Array.ConvertAll(values, v => (double)v), 100)];
            e = Assert.Throws<ModelFormatException>(doubles.CheckFinite);
            Assert.Contains($"{text} at index {i} of", e.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Finite_numbers_of_every_size_pass()
    {
        WeightSet weights = Weights.OfAllTypes();
        weights.Add(NamedTensor.Of("extremes", [double.MaxValue, double.MinValue, double.Epsilon, -0.0, 1e-300], 5));
        weights.Add(NamedTensor.Of("bits of NaN", [0x7FF8_0000_0000_0000L, -1L], 2));
        weights.CheckFinite();
    }
}
