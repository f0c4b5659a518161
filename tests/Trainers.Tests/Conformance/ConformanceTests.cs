using MlNetMlp.Conformance;
using MlNetMlp.Tabular;

namespace MlNetMlp.Tests.Conformance;

/// <summary>Every check over every estimator of the library. A method's own part in it is its <see cref="ConformanceProfile"/>.</summary>
public sealed class ConformanceTests
{
    private static readonly ConformanceSuite Suite = ConformanceSuite.Of(typeof(Microsoft.ML.ScaledMlpCatalog).Assembly, typeof(ConformanceTests).Assembly);

    public static IEnumerable<object[]> Cases => Suite.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Keeps(string estimator, EstimatorTask task, string check) => Suite.Run(estimator, task, check);
}
