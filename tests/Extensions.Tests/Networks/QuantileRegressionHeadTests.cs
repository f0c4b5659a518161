using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Networks;

public class QuantileRegressionHeadTests
{
    private static readonly MultiOutputRegressionHead Mean = new() { LabelMeans = [1, -2], LabelScales = [0.5, 4] };
    private static readonly QuantileRegressionHead Head = new() { Mean = Mean, Quantiles = [0.1, 0.5, 0.9] };

    static QuantileRegressionHeadTests() => LibTorch.Load();

    [Fact]
    public void The_loss_is_that_of_the_means_and_the_pinball_loss_of_the_quantiles()
    {
        using var scope = NewDisposeScope();
        var (outputs, labels) = (Draw(1, 6, 8), Draw(2, 6, 2));
        var (o, y) = (TensorMemory.ToFloats(outputs), TensorMemory.ToFloats(labels));
        double[] rows =
        [
            .. Enumerable.Range(0, 6).Select(row =>
                Enumerable.Range(0, 2).Average(k => Math.Pow(o[(row * 8) + k] - y[(row * 2) + k], 2))
                + Enumerable.Range(0, 6).Average(i => Pinball(Head.Quantiles[i / 2], y[(row * 2) + (i % 2)] - o[(row * 8) + 2 + i]))),
        ];

        Assert.Equal(rows.Average(), Head.Loss(outputs, labels).ToDouble(), 1e-5);

        // A weight of 2 counts a row twice.
        Assert.Equal(rows[3..].Average(), Head.Loss(outputs, labels, tensor(new float[] { 0, 0, 0, 2, 2, 2 })).ToDouble(), 1e-5);
        Assert.Equal(Mean.MetricSum(outputs.narrow(1, 0, 2), labels), Head.MetricSum(outputs, labels));

        static double Pinball(double level, double error) => Math.Max(level * error, (level - 1) * error);
    }

    [Fact]
    public void The_best_constants_are_the_mean_and_the_quantiles_of_the_labels()
    {
        using var scope = NewDisposeScope();
        var head = Head with { Mean = new() { LabelMeans = [0], LabelScales = [1] } };

        // 0, 1, …, 100 squared: quantiles are known, and the mean is none of them.
        var labels = tensor(Enumerable.Range(0, 101).Select(i => (float)(i * i) / 1000).ToArray(), [101, 1]);
        float[] best = [3.35f, 0.1f, 2.5f, 8.1f];
        double Loss(float[] constants) => head.Loss(tensor(constants).expand(101, 4), labels).ToDouble();

        foreach (var (i, move) in Enumerable.Range(0, 4).SelectMany(i => new[] { (i, -0.15f), (i, 0.15f) }))
        {
            var moved = best.ToArray();
            moved[i] += move;
            Assert.True(Loss(moved) > Loss(best), $"{i} is better by {move}");
        }
    }

    [Fact]
    public void Scores_are_in_the_units_of_the_labels_and_quantiles_do_not_cross()
    {
        float[] outputs = [2, 0.25f, 3, 1, -1, 2, 1, 0];

        Head.Finish(outputs);

        // Means, and the quantiles of each label in order.
        Assert.Equal([2, -1, 0.5f, -2, 1.5f, 2, 2.5f, 6], outputs);
    }

    [Fact]
    public void Heads_are_equal_when_their_values_are_and_impossible_ones_are_refused()
    {
        Assert.Equal(Head, new() { Mean = Mean with { LabelMeans = [1, -2] }, Quantiles = [0.1, 0.5, 0.9] });
        Assert.NotEqual(Head, Head with { Quantiles = [0.1, 0.5] });
        OptionRanges.Check(Head, "head");
        foreach (var quantiles in new ValueList<double>[] { [], [0], [1], [0.5, 0.5], [0.9, 0.1], [double.NaN] })
            Refused(Head with { Quantiles = quantiles }, "'Quantiles'");
        Refused(Head with { Mean = Mean with { LabelScales = [1, 0] } }, "'LabelScales'");
    }

    private static void Refused(QuantileRegressionHead head, string message) => Assert.Contains(
        message, Assert.Throws<ArgumentOutOfRangeException>(() => OptionRanges.Check(head, "head")).Message, StringComparison.Ordinal);

    private static Tensor Draw(ulong seed, int rows, int columns)
    {
        var random = new DeterministicRandom(seed);
        return tensor(Enumerable.Range(0, rows * columns).Select(_ => (float)((random.NextDouble() * 4) - 2)).ToArray(), [rows, columns]);
    }
}
