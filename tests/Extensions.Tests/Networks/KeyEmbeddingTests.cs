using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Networks;

/// <summary>Vectors of keys in one table.</summary>
public sealed class KeyEmbeddingTests
{
    private const int Width = 4;

    // Two features, a key, a number, three keys of one kind, and a key.
    private static readonly RowLayout Layout = new()
    {
        FeatureWidth = 2,
        Columns = [new("a", 1, 5, false), new("dose", 1, 0, false), new("tags", 3, 7, true), new("b", 1, 2, false)],
    };

    private static readonly int[] Keys = [0, 2, 3];

    [Fact]
    public void One_table_gives_what_a_table_for_each_column_gives()
    {
        using var scope = NewDisposeScope();
        using var embedding = Create();
        var rows = tensor(new float[,]
        {
            { 9, 9, 1, 9, 1, 2, 7, 1 },
            { 9, 9, 5, 9, 3, 0, 0, 2 },
            { 9, 9, 6, 9, 0, 8, 8, 3 },
            { 9, 9, 0, 9, 0, 0, 0, 0 },
        });
        var weights = TensorMemory.ToFloats(embedding.Table.Weight);
        var actual = TensorMemory.ToFloats(embedding.call(rows));
        var expected = new List<float>();
        int[] first = [0, 7, 16];
        float[][][] keys = [[[1], [1, 2, 7], [1]], [[5], [3], [2]], [[6], [8, 8], [3]], [[], [], []]];
        foreach (var row in keys)
        {
            for (var column = 0; column < 3; column++)
            {
                for (var j = 0; j < Width; j++)
                    expected.Add(row[column].Length == 0 ? 0 : row[column].Average(key => weights[((first[column] + (int)key) * Width) + j]));
            }
        }

        Assert.Equal(20, embedding.Table.Rows);
        Assert.Equal(expected, actual, (x, y) => Math.Abs(x - y) < 1e-6);
        Assert.Equal(4, embedding.call(rows).shape[0]);
        Assert.Equal(KeyEmbedding.WeightCountOf(embedding.Columns, Width, false), embedding.state_dict().Values.Sum(t => t.numel()));
    }

    [Fact]
    public void Keys_beyond_the_count_are_out_of_vocabulary_and_rare_ones_too()
    {
        using var scope = NewDisposeScope();
        using var embedding = new KeyEmbedding(Layout, [0], Width, CPU, hasRare: true);
        using var random = new Generator(1);
        embedding.Initialize(random, 1);
        var rows = tensor(new float[,] { { 0, 0, 6, 0, 0, 0, 0, 0 }, { 0, 0, 1000, 0, 0, 0, 0, 0 }, { 0, 0, 2, 0, 0, 0, 0, 0 }, { 0, 0, 3, 0, 0, 0, 0, 0 } });
        var before = TensorMemory.ToFloats(embedding.call(rows));
        Assert.Equal(before[..Width], before[Width..(2 * Width)]);
        Assert.NotEqual(before[..Width], before[(2 * Width)..(3 * Width)]);
        embedding.SetRare(0, [2]);
        var after = TensorMemory.ToFloats(embedding.call(rows));
        Assert.Equal(before[..Width], after[(2 * Width)..(3 * Width)]);
        Assert.Equal(before[(3 * Width)..], after[(3 * Width)..]);
        Assert.Equal(KeyEmbedding.WeightCountOf(embedding.Columns, Width, true), embedding.state_dict().Values.Sum(t => t.numel()));
    }

    [Fact]
    public void The_gradient_of_a_lookup_is_that_of_a_dense_table()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(2);
        using var embedding = new KeyEmbedding(Layout, Keys, Width, CPU, type: ScalarType.Float64);
        embedding.Initialize(random, 1);
        embedding.Table.IsRecording = true;
        var rows = tensor(new float[,] { { 0, 0, 1, 0, 1, 1, 2, 1 }, { 0, 0, 1, 0, 3, 0, 0, 2 }, { 0, 0, 6, 0, 0, 8, 8, 3 }, { 0, 0, 0, 0, 0, 0, 0, 0 } });
        var target = randn([4, 3 * Width], dtype: ScalarType.Float64, generator: random);
        var sums = new double[embedding.Table.Rows * Width];
        Loss().backward();
        embedding.Table.TakeGradients((index, gradient) =>
        {
            var (places, values) = (index.data<long>().ToArray(), gradient.data<double>().ToArray());
            for (var i = 0; i < values.Length; i++)
                sums[(places[i / Width] * Width) + (i % Width)] += values[i];
        });
        embedding.Table.IsRecording = false;
        using var noGradient = no_grad();
        var flat = embedding.Table.Weight.view(-1);
        const double step = 1e-6;
        for (var i = 0; i < sums.Length; i++)
        {
            // Vectors of missing keys have a gradient as a matter of calculus, which nobody follows.
            if (embedding.FirstRows.Contains(i / Width))
                continue;
            var value = flat[i].item<double>();
            flat[i] = value + step;
            var above = Loss().item<double>();
            flat[i] = value - step;
            var below = Loss().item<double>();
            flat[i] = value;
            Assert.Equal((above - below) / (2 * step), sums[i], 1e-7);
        }

        Tensor Loss() => embedding.call(rows).flatten(1).sub(target).square().sum();
    }

    private static KeyEmbedding Create()
    {
        var embedding = new KeyEmbedding(Layout, Keys, Width, CPU);
        using var random = new Generator(1);
        embedding.Initialize(random, 1);
        return embedding;
    }
}
