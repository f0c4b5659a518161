using MlNetMlp.Tests.Support;

namespace MlNetMlp.Conformance.Tests.Mocks;

internal static class DocumentationMocks
{
    [Mock(40, "lacks: ### Input and output columns")]
    public static Subject IsNotDocumented() => new Faulty(EstimatorTask.Regression, new PublishedProfile());

    private sealed class PublishedProfile() : ConformanceProfile(nameof(PlainMlp))
    {
        public override string? Repository => AppContext.BaseDirectory;
    }
}
