using Microsoft.ML.Trainers.FastTree;
using Microsoft.ML.Trainers.LightGbm;

namespace MlNetMlp.Conformance.Tests.Controls;

/// <summary>The suite over two trainers that ML.NET's users know, so that what it asks for is known to be meant.</summary>
public sealed class ControlTests : IClassFixture<ControlTests.Table>
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

    [Fact]
    public void What_they_fail_is_written_down() =>
        DocumentTable.Check(Path.Combine(Root(), "docs", "conformance.md"), "controls", ConformanceTable.Write(Suite, ConformanceSuite.Expected));

    private static string Root()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "MlNetMlp.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The repository's root was not found.");
        return folder;
    }

    /// <summary>Writes the table of the controls by checks when all are through.</summary>
    public sealed class Table : IDisposable
    {
        public void Dispose() => ConformanceTable.WriteRun(Suite, Path.Combine(Root(), "artifacts", "conformance-controls.md"));
    }
}
