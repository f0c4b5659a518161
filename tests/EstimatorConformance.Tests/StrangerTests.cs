namespace MlNetMlp.Conformance.Tests;

/// <summary>The suite over a stranger's trainer, which is also the trainer that the mocks are made from.</summary>
public sealed class StrangerTests
{
    private static readonly ConformanceSuite Suite = ConformanceSuite.Of(typeof(StrangerTests).Assembly, typeof(StrangerTests).Assembly);

    public static IEnumerable<object[]> Cases => Suite.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Keeps(string estimator, EstimatorTask task, string check) => Suite.Run(estimator, task, check);
}
