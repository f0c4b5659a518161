using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Layers;

/// <summary><see cref="MultiHeadAttention"/> against a loop over rows, heads, queries and tokens.</summary>
public sealed class MultiHeadAttentionTests
{
    private const int Rows = 3;
    private const int Queries = 2;
    private const int Tokens = 4;
    private const int Width = 6;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Is_a_softmax_over_tokens_in_each_head(int heads)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(5);
        using var attention = new MultiHeadAttention(Width, heads, CPU);
        attention.Initialize(random);
        using (no_grad())
        {
            foreach (var map in attention.Maps)
                map.Bias.normal_(0, 1, random);
        }

        var (query, tokens) = (empty(Rows, Queries, Width).normal_(0, 1, random), empty(Rows, Tokens, Width).normal_(0, 1, random));
        var read = TensorMemory.ToFloats(attention.call(query, tokens));
        var weights = TensorMemory.ToFloats(attention.Weights(query, tokens));
        var (qs, xs) = (TensorMemory.ToFloats(query), TensorMemory.ToFloats(tokens));
        var part = Width / heads;
        for (var row = 0; row < Rows; row++)
        {
            double[][] keys = [.. Enumerable.Range(0, Tokens).Select(k => Map(attention.Maps[1], xs.AsSpan(((row * Tokens) + k) * Width, Width)))];
            double[][] values = [.. Enumerable.Range(0, Tokens).Select(k => Map(attention.Maps[2], xs.AsSpan(((row * Tokens) + k) * Width, Width)))];
            for (var m = 0; m < Queries; m++)
            {
                var q = Map(attention.Maps[0], qs.AsSpan(((row * Queries) + m) * Width, Width));
                var joined = new float[Width];
                for (var head = 0; head < heads; head++)
                {
                    double[] scores = [.. keys.Select(key => Math.Exp(Enumerable.Range(head * part, part).Sum(i => q[i] * key[i]) / Math.Sqrt(part)))];
                    var sum = 0.0;
                    for (var k = 0; k < Tokens; k++)
                    {
                        var weight = scores[k] / scores.Sum();
                        Assert.Equal(weight, weights[(((((row * heads) + head) * Queries) + m) * Tokens) + k], 1e-5);
                        sum += weights[(((((row * heads) + head) * Queries) + m) * Tokens) + k];
                        for (var i = head * part; i < (head + 1) * part; i++)
                            joined[i] += (float)(weight * values[k][i]);
                    }

                    Assert.Equal(1, sum, 1e-6);
                }

                var expected = Map(attention.Maps[3], joined);
                for (var i = 0; i < Width; i++)
                    Assert.Equal(expected[i], read[(((row * Queries) + m) * Width) + i], 1e-4);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Causal_attention_reads_what_a_row_of_the_tokens_so_far_would(int heads)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(6);
        using var attention = new MultiHeadAttention(Width, heads, CPU);
        attention.Initialize(random);
        var tokens = empty(Rows, Tokens, Width).normal_(0, 1, random);
        var later = MultiHeadAttention.Later(Tokens, CPU);
        Assert.Equal(Enumerable.Range(0, Tokens * Tokens).Select(i => i % Tokens > i / Tokens), later.flatten().data<bool>().ToArray());
        var (read, joined) = (attention.Heads(tokens, tokens, later), attention.Read(tokens, tokens, later));
        Assert.Equal(TensorMemory.ToFloats(joined), TensorMemory.ToFloats(attention.Join(read)));
        for (var t = 0; t < Tokens; t++)
        {
            var expected = attention.Heads(tokens.narrow(1, t, 1), tokens.narrow(1, 0, t + 1));
            Assert.Equal(TensorMemory.ToFloats(expected), TensorMemory.ToFloats(read.narrow(1, t, 1)), (a, b) => Math.Abs(a - b) < 1e-5);
        }

        // A mask of each row's own, for all of its queries, is the same as one by query.
        var hidden = tensor(new[] { false, true, false, false, false, false, true, true, true, false, false, true }, Rows, Tokens);
        Assert.Equal(TensorMemory.ToFloats(attention.Read(tokens, tokens, hidden)), TensorMemory.ToFloats(attention.Read(tokens, tokens, hidden.unsqueeze(1).expand(-1, Tokens, -1))));
    }

    [Fact]
    public void Has_as_many_weights_as_it_says_and_heads_must_divide_the_width()
    {
        using var attention = new MultiHeadAttention(Width, 2, CPU);
        Assert.Equal(MultiHeadAttention.WeightCountOf(Width), attention.parameters().Sum(parameter => parameter.numel()));
        Assert.Throws<ArgumentOutOfRangeException>(() => new MultiHeadAttention(Width, 4, CPU));
    }

    private static double[] Map(Dense map, ReadOnlySpan<float> x)
    {
        var (weight, bias) = (TensorMemory.ToFloats(map.Weight), TensorMemory.ToFloats(map.Bias));
        var y = new double[Width];
        for (var i = 0; i < Width; i++)
        {
            y[i] = bias[i];
            for (var j = 0; j < Width; j++)
                y[i] += (double)weight[(i * Width) + j] * x[j];
        }

        return y;
    }
}
