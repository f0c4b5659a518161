using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Training;

public sealed class TemperatureScalingTests
{
    [Fact]
    public void The_loss_is_never_above_that_without_and_the_factor_is_that_which_the_logits_lack()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(2);
        var logits = empty(4000, 3).normal_(0, 2, random);
        var labels = logits.softmax(1).multinomial(1, generator: random).squeeze(1);
        foreach (var wrong in new[] { 0.4, 1, 3 })
        {
            var given = logits.div(wrong);
            var (factor, loss) = TemperatureScaling.Fit(given, labels, null);
            Assert.Equal(Math.Log(wrong), Math.Log(factor), 0.11);
            Assert.True(loss <= nn.functional.cross_entropy(given, labels).item<float>() + 1e-6);
            Assert.Equal(nn.functional.cross_entropy(given.mul(factor), labels).item<float>(), loss, 1e-5);
        }
    }

    [Fact]
    public void Weights_count_rows_and_what_cannot_be_told_changes_nothing()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        var logits = empty(60, 2).normal_(0, 1, random);
        var labels = randint(0, 2, 60, ScalarType.Int64, generator: random);
        var weights = cat([full(20, 2f), full(40, 1f)]);
        var repeated = cat([logits, logits.narrow(0, 0, 20)]);
        var expected = TemperatureScaling.Fit(repeated, cat([labels, labels.narrow(0, 0, 20)]), null);
        var (factor, loss) = TemperatureScaling.Fit(logits, labels, weights);
        Assert.Equal(expected.Factor, factor, 1e-12);
        Assert.Equal(expected.Loss, loss, 1e-6);
        Assert.Equal(1, TemperatureScaling.Fit(zeros(5, 2), zeros(5, ScalarType.Int64), null).Factor);
    }
}
