using MlNetMlp.Conformance;

namespace MyTrainerLibrary.Tests;

/// <summary>Everything that users expect of a trainer, over every trainer of the assembly.</summary>
public sealed class ConformanceTests
{
    private static readonly ConformanceSuite Suite = ConformanceSuite.Of(typeof(MyTrainer).Assembly, typeof(ConformanceTests).Assembly);

    public static IEnumerable<object[]> Cases => Suite.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Keeps(string estimator, EstimatorTask task, string check) => Suite.Run(estimator, task, check);
}

/// <summary>What the suite has to know of <see cref="MyTrainer"/>: options with which a fit takes a moment, and that batches are drawn at random.</summary>
public sealed class MyTrainerProfile() : ConformanceProfile(nameof(MyTrainer))
{
    public override Traits Traits { get; } = new() { Weights = WeightSemantics.Statistical, IsClassOrderExact = false };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        (MyTrainer.Options)defaults with { Units = 16, Epochs = 40, BatchSize = 16, LearningRate = 0.02 };
}
