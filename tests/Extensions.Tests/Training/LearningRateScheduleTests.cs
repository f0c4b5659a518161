using MlNetMlp.Training;

namespace MlNetMlp.Tests.Training;

public class LearningRateScheduleTests
{
    [Fact]
    public void ConstantIsOne() => Assert.All(Enumerable.Range(0, 120), t => Assert.Equal(1, LearningRateSchedule.Constant().At(t, 100)));

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.1)]
    public void CosineFollowsItsFormula(double final)
    {
        var schedule = LearningRateSchedule.Cosine(final);
        for (var t = 0; t <= 200; t++)
            Assert.Equal(final + (1 - final) * 0.5 * (1 + Math.Cos(Math.PI * t / 200)), schedule.At(t, 200), 1e-15);
        Assert.Equal(1, schedule.At(0, 200));
        Assert.Equal(final, schedule.At(200, 200), 1e-15);
        Assert.Equal(final, schedule.At(1_000_000, 200), 1e-15);
    }

    [Fact]
    public void StepDropsAtWholeFractions()
    {
        var thirds = LearningRateSchedule.Step(1.0 / 3, 0.1);
        var epochs = LearningRateSchedule.StepEpochs(10, 30, 0.1);
        StepSchedule steps = new() { EverySteps = 100, Factor = 0.1 };
        for (var t = 0; t < 300; t++)
        {
            var expected = Math.Pow(0.1, t / 100);
            Assert.Equal(expected, thirds.At(t, 300), 1e-15);
            Assert.Equal(expected, epochs.At(t, 300), 1e-15);
            Assert.Equal(expected, steps.At(t, 300), 1e-15);
        }
        Assert.Equal(0.01, thirds.At(300, 300), 1e-15);
        Assert.Equal(1, LearningRateSchedule.StepEpochs(40, 30, 0.1).At(299, 300));
    }

    [Fact]
    public void WarmUpRisesFromTheFirstStepAndShiftsTheShape()
    {
        var fraction = LearningRateSchedule.Cosine() with { WarmUpFraction = 0.1 };
        var steps = LearningRateSchedule.Cosine() with { WarmUpSteps = 20, WarmUpFraction = 0.9 };
        for (var t = 0; t < 200; t++)
        {
            var expected = t < 20 ? (t + 1) / 20.0 : 0.5 * (1 + Math.Cos(Math.PI * (t - 20) / 180));
            Assert.Equal(expected, fraction.At(t, 200), 1e-15);
            Assert.Equal(expected, steps.At(t, 200), 1e-15);
        }
        Assert.Equal(0.5, (LearningRateSchedule.Constant() with { WarmUpFraction = 1 }).At(4, 10));
    }

    [Fact]
    public void TimesOutsideTheTrainingAreRefused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => LearningRateSchedule.Constant().At(-1, 10));
        Assert.Throws<ArgumentOutOfRangeException>(() => LearningRateSchedule.Constant().At(0, 0));
    }

    [Fact]
    public void Bumps_come_to_rest_at_a_fifteenth_a_fifth_and_seven_fifteenths()
    {
        var schedule = LearningRateSchedule.Bumps();
        foreach (var rest in (long[])[0, 1, 3, 7, 15])
            Assert.Equal(0, schedule.At(100 * rest, 1500), 1e-9);

        // Between them it is once at its full height: where log2(1 + 15t) is half a number above a whole one.
        for (var bump = 0; bump < 4; bump++)
            Assert.Equal(1, schedule.At((long)Math.Round(1_500_000 * (Math.Pow(2, bump + 0.5) - 1) / 15), 1_500_000), 1e-6);
    }
}
