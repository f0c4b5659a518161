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

/// <summary>What is done once before a release: its models are kept, so that every later version can be held to them.</summary>
public sealed class ReleaseTests
{
    private const string Version = "MLNETMLP_WRITE_RELEASE";

    [ReleaseFact]
    public void Write_the_models_of_a_release()
    {
        var files = ConformanceTests.Suite.WriteReleases(Environment.GetEnvironmentVariable(Version)!);

        Assert.NotEmpty(files);
        Assert.All(files, file => Assert.True(File.Exists(file)));
    }

    private sealed class ReleaseFactAttribute : FactAttribute
    {
        public ReleaseFactAttribute()
        {
            if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable(Version)))
                Skip = $"Set {Version} to the version whose models are to be written to tests/Releases.";
        }
    }
}
