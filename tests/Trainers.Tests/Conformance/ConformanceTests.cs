using MlNetMlp.Conformance;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Conformance;

/// <summary>Every check over every estimator of the library. A method's own part in it is its <see cref="ConformanceProfile"/>.</summary>
public sealed class ConformanceTests : IClassFixture<ConformanceTests.Table>
{
    internal static ConformanceSuite Suite { get; } = ConformanceSuite.Of(typeof(Microsoft.ML.ScaledMlpCatalog).Assembly, typeof(ConformanceTests).Assembly);

    public static IEnumerable<object[]> Cases => Half(0);

    /// <summary>Every other estimator: cases of one class run one after the other, and there are cores for two.</summary>
    internal static IEnumerable<object[]> Half(int which)
    {
        var order = Suite.Subjects.Select((subject, i) => ((subject.Name, subject.Task), i)).ToDictionary(pair => pair.Item1, pair => pair.i);
        return Suite.Cases.Where(test => order[((string)test[0], (EstimatorTask)test[1])] % 2 == which);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Keeps(string estimator, EstimatorTask task, string check) => Suite.Run(estimator, task, check);

    /// <summary>Writes the table of estimators by checks when all are through.</summary>
    public sealed class Table : IDisposable
    {
        public void Dispose() => ConformanceTable.WriteRun(Suite, Repository.At("artifacts", "conformance.md"));
    }
}

/// <summary>The other half of the estimators.</summary>
public sealed class OtherConformanceTests : IClassFixture<ConformanceTests.Table>
{
    public static IEnumerable<object[]> Cases => ConformanceTests.Half(1);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Keeps(string estimator, EstimatorTask task, string check) => ConformanceTests.Suite.Run(estimator, task, check);
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
