using Microsoft.ML.Trainers.FastTree;
using Microsoft.ML.Trainers.LightGbm;

namespace MlNetMlp.Conformance.Tests.Controls;

/// <summary>The suite over two trainers that ML.NET's users know, so that what it asks for is known to be meant.</summary>
public sealed class ControlTests
{
    private static readonly IReadOnlyList<ConformanceProfile> Profiles = [new FastTreeProfile(), new LightGbmProfile()];

    private static readonly ConformanceSuite Suite = new(
        new[] { typeof(FastTreeRegressionTrainer).Assembly, typeof(LightGbmRegressionTrainer).Assembly }
            .SelectMany(assembly => CatalogSubject.Find(assembly, Profiles))
            .Where(subject => Profiles.Contains(subject.Profile)));

    public static IEnumerable<object[]> Cases => Suite.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Keeps(string estimator, EstimatorTask task, string check) => Suite.Run(estimator, task, check);
}
