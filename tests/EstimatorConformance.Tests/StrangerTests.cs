using MlNetMlp.Conformance.Tests.Mocks;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Conformance.Tests;

/// <summary>The suite over a stranger's trainer, which is also the trainer that the mocks are made from.</summary>
public sealed class StrangerTests
{
    private static readonly ConformanceSuite Suite = ConformanceSuite.Of(typeof(StrangerTests).Assembly, typeof(StrangerTests).Assembly);

    public static IEnumerable<object[]> Cases => Suite.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Keeps(string estimator, EstimatorTask task, string check) => Suite.Run(estimator, task, check);

    /// <summary>The same network scored by libtorch, which holds memory that managed code does not.</summary>
    [Theory]
    [InlineData(24)]
    [InlineData(25)]
    [InlineData(26)]
    [InlineData(28)]
    [InlineData(30)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(36)]
    public void Keeps_what_depends_on_how_it_scores(int check)
    {
        foreach (var task in new[] { EstimatorTask.Binary, EstimatorTask.Multiclass })
            Check.All.Single(c => c.Number == check).Run(new Faulty(task) { Options = options => (PlainMlp.Options)options with { IsDense = false } });
    }
}
