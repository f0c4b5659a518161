using MlNetMlp.Conformance;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Conformance;

/// <summary>Every check over every estimator of the library. A method's own part in it is its <see cref="ConformanceProfile"/>.</summary>
public sealed class ConformanceTests : IClassFixture<ConformanceTests.Table>
{
    internal static ConformanceSuite Suite { get; } = ConformanceSuite.Of(typeof(Microsoft.ML.ScaledMlpCatalog).Assembly, typeof(ConformanceTests).Assembly);

    public static IEnumerable<object[]> Cases => Suite.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Keeps(string estimator, EstimatorTask task, string check) => Suite.Run(estimator, task, check);

    /// <summary>Writes the table of estimators by checks when all are through.</summary>
    public sealed class Table : IDisposable
    {
        public void Dispose() => ConformanceTable.WriteRun(Suite, Repository.At("artifacts", "conformance.md"));
    }
}
