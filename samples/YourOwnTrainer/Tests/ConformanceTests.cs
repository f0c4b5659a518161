using MlNetMlp.Conformance;

namespace YourOwnTrainer.Tests;

/// <summary>Everything that users expect of a trainer, over every trainer of the assembly.</summary>
public sealed class ConformanceTests
{
    private static readonly ConformanceSuite Suite = ConformanceSuite.Of(typeof(QuadraticNetwork).Assembly, typeof(ConformanceTests).Assembly);

    public static IEnumerable<object[]> Cases => Suite.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Keeps(string estimator, EstimatorTask task, string check) => Suite.Run(estimator, task, check);
}

/// <summary>What the suite has to know of <see cref="QuadraticNetwork"/>: options with which a fit takes a moment, and that batches are drawn at random.</summary>
public sealed class QuadraticNetworkProfile() : ConformanceProfile(nameof(QuadraticNetwork))
{
    public override Traits Traits { get; } = new() { Weights = WeightSemantics.Statistical, IsClassOrderExact = false };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (QuadraticNetwork.Options)defaults with { Units = 8, Epochs = 40, BatchSize = 16, LearningRate = 0.02 };
}
