using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Networks;

public class MultiOutputRegressionHeadTests
{
    private static readonly MultiOutputRegressionHead Head = new() { LabelMeans = [1, -2, 100], LabelScales = [0.5, 4, 10] };

    static MultiOutputRegressionHeadTests() => LibTorch.Load();

    [Fact]
    public void The_loss_is_the_mean_over_rows_and_columns_with_and_without_weights()
    {
        using var scope = NewDisposeScope();
        var (outputs, labels) = (Draw(1, 8, 3), Draw(2, 8, 3));
        var expected = Pairs(outputs, labels).Average(pair => Math.Pow(pair.Output - pair.Label, 2));

        Assert.Equal(expected, Head.Loss(outputs, labels).ToDouble(), 1e-5);
        Assert.Equal(expected, Head.Loss(outputs, labels, ones(8)).ToDouble(), 1e-5);

        // A weight of 2 counts a row twice.
        var weights = tensor(new float[] { 0, 0, 0, 0, 2, 2, 2, 2 });
        Assert.Equal(
            Head.Loss(outputs.narrow(0, 4, 4), labels.narrow(0, 4, 4)).ToDouble(), Head.Loss(outputs, labels, weights).ToDouble(), 1e-5);
    }

    [Fact]
    public void With_one_column_it_is_plain_regression()
    {
        using var scope = NewDisposeScope();
        var plain = new RegressionHead { LabelMean = 3, LabelScale = 7 };
        var one = new MultiOutputRegressionHead { LabelMeans = [3], LabelScales = [7] };
        var (outputs, labels, weights) = (Draw(1, 50, 1), Draw(2, 50, 1), Draw(3, 50, 1).abs().flatten());
        Assert.Equal(plain.Loss(outputs, labels.flatten()).ToSingle(), one.Loss(outputs, labels).ToSingle());
        Assert.Equal(plain.Loss(outputs, labels.flatten(), weights).ToSingle(), one.Loss(outputs, labels, weights).ToSingle());
        Assert.Equal(plain.Metric(plain.MetricSum(outputs, labels.flatten()) / 50), one.Metric(one.MetricSum(outputs, labels) / 50), 1e-6);
        float[] a = [1.25f], b = [1.25f];
        plain.Finish(a);
        one.Finish(b);
        Assert.Equal(a, b);
    }

    [Fact]
    public void The_measure_is_the_root_mean_squared_error_in_the_units_of_the_labels()
    {
        using var scope = NewDisposeScope();
        var (outputs, labels) = (Draw(1, 20, 3), Draw(2, 20, 3));
        var expected = Math.Sqrt(Pairs(outputs, labels).Select((pair, i) => Math.Pow((pair.Output - pair.Label) * Head.LabelScales[i % 3], 2)).Average());
        var halves = Head.MetricSum(outputs.narrow(0, 0, 8), labels.narrow(0, 0, 8)) + Head.MetricSum(outputs.narrow(0, 8, 12), labels.narrow(0, 8, 12));
        Assert.Equal(expected, Head.Metric(halves / 20), 1e-5);
    }

    [Fact]
    public void Scores_are_in_the_units_of_the_labels()
    {
        float[] outputs = [2, 0.25f, -1];
        Head.Finish(outputs);
        Assert.Equal([2, -1, 90], outputs);
    }

    [Fact]
    public void Heads_are_equal_when_their_values_are()
    {
        Assert.Equal(Head, Head with { LabelMeans = [1, -2, 100] });
        Assert.Equal(Head.GetHashCode(), (Head with { LabelMeans = [1, -2, 100] }).GetHashCode());
        Assert.NotEqual(Head, Head with { LabelMeans = [1, -2, 101] });
        Assert.NotEqual(Head, Head with { LabelScales = [0.5, 4, 11] });
        Assert.NotEqual(Head, Head with { LabelNames = ["a", "b", "c"] });
        Assert.Equal(Head with { LabelNames = ["a", "b", "c"] }, Head with { LabelNames = ["a", "b", "c"] });
    }

    [Fact]
    public void Values_that_cannot_be_are_refused()
    {
        OptionRanges.Check(Head, "head");
        Refused(new() { LabelMeans = [], LabelScales = [] }, "'LabelMeans'");
        Refused(Head with { LabelMeans = [1, double.PositiveInfinity, 2] }, "'LabelMeans'");
        Refused(Head with { LabelScales = [1, 2] }, "'LabelScales' must be 3 finite numbers");
        Refused(Head with { LabelScales = [1, 2, 0] }, "'LabelScales'");
        Refused(Head with { LabelScales = [1, 2, double.NaN] }, "'LabelScales'");
        Refused(Head with { LabelNames = ["a"] }, "'LabelNames' must be 3 names");
        Refused(Head with { LabelNames = ["a", null!, "c"] }, "'LabelNames' must be 3 names");
    }

    private static void Refused(MultiOutputRegressionHead head, string message) => Assert.Contains(
        message, Assert.Throws<ArgumentOutOfRangeException>(() => OptionRanges.Check(head, "head")).Message, StringComparison.Ordinal);

    private static Tensor Draw(ulong seed, int rows, int columns)
    {
        var random = new DeterministicRandom(seed);
        return tensor(Enumerable.Range(0, rows * columns).Select(_ => (float)((random.NextDouble() * 4) - 2)).ToArray(), [rows, columns]);
    }

    private static IEnumerable<(double Output, double Label)> Pairs(Tensor outputs, Tensor labels) =>
        TensorMemory.Floats(outputs).ToArray().Zip(TensorMemory.Floats(labels).ToArray(), (output, label) => ((double)output, (double)label));
}
