using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Layers;

/// <summary>Layers of several networks at once.</summary>
public sealed class BatchedLayerTests
{
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(2, 16, 16)]
    [InlineData(3, 37, 5)]
    public void The_kernel_of_the_periodic_functions_agrees_with_torch_in_doubles(int networks, int numbers, int frequencies)
    {
        using var scope = NewDisposeScope();
        using var single = new PeriodicEmbedding(networks, numbers, frequencies, CPU);
        using var exact = new PeriodicEmbedding(networks, numbers, frequencies, CPU, ScalarType.Float64);
        using var random = new Generator(3);
        single.Initialize(random, 0.5);
        using (no_grad())
        {
            foreach (var (one, other) in single.parameters().Zip(exact.parameters()))
                other.copy_(one);
        }

        // One number more than is read, as where others stand behind.
        var z = empty(networks, 19, numbers + 1).normal_(0, 1, random);
        var expected = exact.call(z.to(ScalarType.Float64));
        Near(single.call(z), expected, 2e-5);
        using (no_grad())
            Near(single.call(z), expected, 2e-5);
    }

    [Fact]
    public void A_program_computes_them_too_whatever_the_registers_and_the_rows()
    {
        var random = new Random(1);
        foreach (var (slots, frequencies, sums) in new[] { (1, 1, 1), (5, 3, 3), (16, 4, 2), (33, 16, 3) })
        {
            float[] w = Draw(frequencies * slots), b = Draw(frequencies * slots), a = Draw(sums * frequencies * slots), c = Draw(sums * slots);
            const int rows = 11;
            var (inputs, x) = (slots + 2, Draw(rows * (slots + 2)));
            float[]? first = null;
            foreach (var path in Enum.GetValues<VectorPath>())
            {
                var builder = new DenseProgramBuilder(inputs);
                var program = builder.Build(builder.CosineSums(builder.Input, w, b, a, c, slots), path);
                var y = new float[rows * sums * slots];
                program.Score(x, y);
                Assert.Equal(first ??= y, y);
                var alone = new float[sums * slots];
                program.Score(x.AsSpan(4 * inputs, inputs), alone);
                Assert.Equal(y.AsSpan(4 * sums * slots, sums * slots).ToArray(), alone);
            }

            for (var row = 0; row < rows; row++)
            {
                for (var i = 0; i < sums * slots; i++)
                {
                    var (sum, slot) = (i / slots, i % slots);
                    double expected = c[i];
                    for (var f = 0; f < frequencies; f++)
                        expected += a[(((sum * frequencies) + f) * slots) + slot] * Math.Cos(((double)w[(f * slots) + slot] * x[(row * inputs) + slot]) + b[(f * slots) + slot]);
                    Assert.Equal(expected, first![(row * sums * slots) + i], 2e-5);
                }
            }
        }

        float[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)((4 * random.NextDouble()) - 2))];
    }

    [Fact]
    public void Dense_layers_fitted_to_rows_spread_by_one_and_bend_among_the_rows()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        using var layer = new BatchedDense(3, 6, 40, CPU, ScalarType.Float64);
        layer.Initialize(random);
        var x = empty([3, 200, 6], ScalarType.Float64).normal_(2, 5, random);
        using var noGradient = no_grad();
        var y = layer.FitTo(x, random);
        Near(layer.call(x), y, 1e-10);
        Near(y.std(1L, unbiased: false), ones(3, 40, ScalarType.Float64), 1e-10);

        // 0 is a mixture of the values of rows, so it is within them.
        Assert.True(y.amin([1L]).le(zeros(1, ScalarType.Float64)).all().item<bool>() && y.amax([1L]).ge(zeros(1, ScalarType.Float64)).all().item<bool>());

        // Each network by itself, and rows that are all the same.
        for (var i = 0; i < 3; i++)
            Near(x[i].matmul(layer.Weight[i]).div(Math.Sqrt(6)).add(layer.Bias[i]), y[i], 1e-6);
        using var same = new BatchedDense(1, 2, 3, CPU);
        same.Initialize(random);
        Assert.True(same.FitTo(ones(1, 10, 2), random).isfinite().all().item<bool>());
        Assert.True(same.Weight.abs().max().item<float>() < 10);
    }

    [Fact]
    public void A_pool_leaves_out_the_share_that_it_is_told_and_keeps_the_mean()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        using var pool = new DropoutPool(10_000, random, 7) { Share = 0.3 };
        var values = ones(50, 200);
        var (first, second) = (pool.LeaveOut(values), pool.LeaveOut(values));
        Assert.Equal(0.3, first.eq(zeros(1)).to(ScalarType.Float32).mean().item<float>(), 0.02);
        Assert.Equal(1, first.mean().item<float>(), 0.03);
        Assert.NotEqual(TensorMemory.ToFloats(first), TensorMemory.ToFloats(second));
        pool.Share = 0;
        Assert.Equal(TensorMemory.ToFloats(values), TensorMemory.ToFloats(pool.LeaveOut(values)));
    }

    private static void Near(Tensor first, Tensor second, double tolerance)
    {
        var difference = first.to(ScalarType.Float64).sub(second.to(ScalarType.Float64)).abs().max().item<double>();
        Assert.True(difference <= tolerance, $"{difference} is more than {tolerance}");
    }
}
