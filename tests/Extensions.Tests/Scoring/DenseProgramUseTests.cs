using MlNetMlp.Scoring;
using MlNetMlp.Tests.Support;
using Register = MlNetMlp.Tests.Scoring.ReferenceProgram.Register;

namespace MlNetMlp.Tests.Scoring;

public class DenseProgramUseTests
{
    [Fact]
    public void Eight_threads_get_the_scores_of_one()
    {
        (DenseProgram program, float[] rows) = Network(rows: 150);
        float[] expected = program.ScoreAll(rows);
        using var start = new Barrier(8);
        var failures = new System.Collections.Concurrent.ConcurrentQueue<Exception>();
        Thread[] threads = [.. Enumerable.Range(0, 8).Select(number => new Thread(() =>
        {
            try
            {
                start.SignalAndWait();
                for (int round = 0; round < 200; round++)
                {
                    int first = ((round * 7) + number) % 100, count = 1 + ((round + (number * 11)) % 50);
                    Bits.Equal(expected.AsSpan(first, count), program.ScoreAll(rows.AsSpan(first * 28, count * 28)));
                }
            }
            catch (Exception e)
            {
                failures.Enqueue(e);
            }
        }))];
        Array.ForEach(threads, t => t.Start());
        Array.ForEach(threads, t => t.Join());
        Assert.Empty(failures);
    }

    [Theory]
    [InlineData(64)]
    [InlineData(700)]
    public void Weights_given_as_memory_are_laid_out_when_the_first_row_comes(int width)
    {
        var random = new Random(3);
        float[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
        float[] first = Draw(width * 28), second = Draw(width * width), last = Draw(width), bias = Draw(width), rows = Draw(40 * 28);
        DenseProgram copied = Build(kept: false), kept = Build(kept: true);
        float[] expected = copied.ScoreAll(rows);
        Array.Reverse(second);
        DenseProgram late = Build(kept: true);
        Array.Reverse(second);
        using var start = new Barrier(4);
        float[][] together = new float[4][];
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(i => new Thread(() =>
        {
            start.SignalAndWait();
            together[i] = kept.ScoreAll(rows);
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());

        Assert.All(together, scores => Bits.Equal(expected, scores));
        Bits.Equal(expected, late.ScoreAll(rows));

        DenseProgram Build(bool kept)
        {
            var builder = new DenseProgramBuilder(28);
            DenseRegister h = kept ? builder.Dense(builder.Input, first.AsMemory(), bias, width, Activation.Relu) : builder.Dense(builder.Input, first, bias, width, Activation.Relu);
            DenseRegister g = kept ? builder.Dense(h, second.AsMemory(), [], width, Activation.Gelu) : builder.Dense(h, second, [], width, Activation.Gelu);
            if (kept)
                builder.AddDense(g, h, second.AsMemory(), bias);
            else
                builder.AddDense(g, h, second, bias);
            return builder.Build(kept ? builder.Dense(g, last.AsMemory(), [], 1) : builder.Dense(g, last, [], 1));
        }
    }

    [Fact]
    public void Weights_given_as_a_function_are_made_when_the_first_row_comes()
    {
        var random = new Random(4);
        float[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
        float[] first = Draw(96 * 28), second = Draw(96 * 96), last = Draw(96 * 32), bias = Draw(96), rows = Draw(40 * 28);
        int made = 0;
        var copied = new DenseProgramBuilder(28);
        DenseRegister h = copied.Dense(copied.Input, first, bias, 96, Activation.Relu), g = copied.Dense(h, second, [], 96, Activation.Gelu);
        copied.AddDense(g, h, second, bias);
        float[] expected = copied.Build(copied.Dense(g, last, [], 32)).ScoreAll(rows);

        var later = new DenseProgramBuilder(28);
        h = later.Dense(later.Input, Made(first), bias, 96, Activation.Relu);
        g = later.Dense(h, Made(second), [], 96, Activation.Gelu);
        later.AddDense(g, h, Made(second), bias);
        DenseProgram program = later.Build(later.Dense(g, Made(last), [], 32));

        Assert.Equal(0, made);
        Bits.Equal(expected, program.ScoreAll(rows));
        Bits.Equal(expected, program.ScoreAll(rows));
        Assert.Equal(4, made);

        Func<ReadOnlyMemory<float>> Made(float[] weights) => () =>
        {
            made++;
            return weights;
        };
    }

    [Fact]
    public void Weights_made_in_another_size_are_told_with_the_first_row()
    {
        var builder = new DenseProgramBuilder(28);
        DenseProgram program = builder.Build(builder.Dense(builder.Input, () => new float[27], [], 96));

        var thrown = Assert.Throws<InvalidOperationException>(() => program.ScoreAll(new float[28]));
        Assert.Contains("hold 27 values, expected 2688: 96 outputs x 28 inputs", thrown.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>(() => builder.Dense(builder.Input, (Func<ReadOnlyMemory<float>>)null!, [], 96));
    }

    [Fact]
    public void Nothing_is_allocated_after_the_first_call()
    {
        (DenseProgram program, float[] rows) = Network(rows: 130);
        var scores = new float[130];
        program.Score(rows, scores);
        Assert.Equal(0, Allocations.Of(() =>
        {
            for (int i = 0; i < 100; i++)
            {
                program.Score(rows, scores);
                program.Score(rows.AsSpan(0, 28), scores.AsSpan(0, 1));
            }
        }));
    }

    [Fact]
    public void Programs_that_take_turns_on_a_thread_do_not_disturb_each_other()
    {
        (DenseProgram small, float[] rows) = Network(rows: 20);
        float[] expected = small.ScoreAll(rows);
        var wide = new ReferenceProgram(28, seed: 12);
        DenseProgram large = wide.Builder.Build(wide.Dense(wide.Dense(wide.Input, 700), 1).Handle);
        for (int i = 0; i < 3; i++)
        {
            large.ScoreAll(rows);
            Bits.Equal(expected, small.ScoreAll(rows));
        }
    }

    private static (DenseProgram Program, float[] Rows) Network(int rows)
    {
        var network = new ReferenceProgram(28, seed: 11);
        Register h = network.Dense(network.Affine(network.Input), 64, Activation.Relu);
        network.AddDense(h, network.Dense(network.LayerNorm(h), 96, Activation.Gelu));
        return (network.Builder.Build(network.Dense(h, 1).Handle), network.Values(rows * 28, 1));
    }
}
