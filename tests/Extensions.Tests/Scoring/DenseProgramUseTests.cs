using MlNetMlp.Scoring;
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
    public void Nothing_is_allocated_after_the_first_call()
    {
        (DenseProgram program, float[] rows) = Network(rows: 130);
        var scores = new float[130];
        program.Score(rows, scores);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            program.Score(rows, scores);
            program.Score(rows.AsSpan(0, 28), scores.AsSpan(0, 1));
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
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
