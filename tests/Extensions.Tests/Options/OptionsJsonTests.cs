using System.Text.Json;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;

namespace MlNetMlp.Tests.Options;

public sealed class OptionsJsonTests
{
    [Fact]
    public void Options_come_back_equal()
    {
        var options = new PlainMlp.Options
        {
            Hidden = 7,
            ExampleWeightColumnName = "Weight",
            ClassWeights = ClassWeights.Of(1, 2.5f),
            Schedule = LearningRateSchedule.Cosine(0.1) with { WarmUpSteps = 5 },
            GradientNoise = new GradientNoise { Eta = 0.01 },
            Optimizer = OptimizerKind.Sgd,
            Seed = 3,
        };

        Assert.Equal(options, NetworkOptions.FromJson<PlainMlp.Options>(options.ToJson()));
        Assert.Equal(options with { ClassWeights = ClassWeights.Balanced }, NetworkOptions.FromJson<PlainMlp.Options>((options with { ClassWeights = ClassWeights.Balanced }).ToJson()));
    }

    [Fact]
    public void What_is_left_out_keeps_its_default() =>
        Assert.Equal(new PlainMlp.Options { Hidden = 5 }, NetworkOptions.FromJson<PlainMlp.Options>("""{ "hidden": 5 }"""));

    [Theory]
    [InlineData("""{ "hiden": 5 }""", "hiden")]
    [InlineData("""{ "hidden": "many" }""", "hidden")]
    [InlineData("""{ "hidden": 5, "hidden": 6 }""", "hidden")]
    [InlineData("""{ "optimizer": 7 }""", "optimizer")]
    [InlineData("""{ "labelColumnName": null }""", "labelColumnName")]
    [InlineData("null", "null")]
    public void What_is_no_option_is_refused_by_name(string json, string name)
    {
        var error = Assert.Throws<JsonException>(() => NetworkOptions.FromJson<PlainMlp.Options>(json));

        Assert.Contains(name, error.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("""{ "classWeights": { "values": [1, -2] } }""", "class 1")]
    [InlineData("""{ "classWeights": { "values": [0, 0] } }""", "greater than 0")]
    public void Class_weights_are_checked_like_others(string json, string says)
    {
        var error = Assert.ThrowsAny<Exception>(() => NetworkOptions.FromJson<PlainMlp.Options>(json));

        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }
}
