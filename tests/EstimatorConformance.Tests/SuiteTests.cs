using MlNetMlp.Conformance.Tests.Mocks;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Conformance.Tests;

/// <summary>What the suite does with the outcomes of its checks.</summary>
public sealed class SuiteTests
{
    private const string Reason = "nobody has got round to it";

    private static string Name(int number) => Check.All.Single(check => check.Number == number).Name;

    [Fact]
    public void Checks_are_numbered_without_a_gap() => Assert.Equal(Enumerable.Range(1, 42), Check.All.Select(check => check.Number));

    [Fact]
    public void A_known_failure_that_passes_breaks_the_run()
    {
        var suite = new ConformanceSuite([new Faulty(EstimatorTask.Binary, new Resigned(2))]);

        var error = Assert.ThrowsAny<Exception>(() => suite.Run(nameof(PlainMlp), EstimatorTask.Binary, Name(2)));

        Assert.Contains(Reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_known_failure_is_shown_with_its_reason()
    {
        var suite = new ConformanceSuite([new Faulty(EstimatorTask.Regression, new Resigned(3)) { Defaults = () => new OptionMocks.Terse() }]);
        suite.Run(nameof(PlainMlp), EstimatorTask.Regression, Name(3));

        Assert.Equal(Outcome.KnownFailure, suite.OutcomeOf(suite.Subjects[0], Check.All.Single(check => check.Number == 3)));
        Assert.Equal(Outcome.Skipped, suite.OutcomeOf(suite.Subjects[0], Check.All.Single(check => check.Number == 27)));
        Assert.Contains($"3, {nameof(PlainMlp)} R: {Reason}", ConformanceTable.Write(suite, suite.OutcomeOf), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, 5, new[] { 4, 6 })]
    [InlineData(true, 16, new[] { 9, 25 })]
    public void Other_widths_are_those_that_a_method_could_have_been_trained_on(bool needsImages, int count, int[] others) =>
        Assert.Equal(others, new Traits { NeedsImages = needsImages, FeatureCount = count }.OtherFeatureCounts);

    private sealed class Resigned(int check) : ConformanceProfile(nameof(PlainMlp))
    {
        public override IReadOnlyDictionary<int, string> KnownFailures(EstimatorTask task) => new Dictionary<int, string> { [check] = Reason };
    }
}
