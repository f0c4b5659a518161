using System.Reflection;

namespace MlNetMlp.Tests.PublicApi;

/// <summary>The assemblies that packages bring, by the name of the package.</summary>
internal static class PublicAssemblies
{
    public static SortedDictionary<string, Assembly> All { get; } = new(StringComparer.Ordinal)
    {
        ["MlNetMlp.Conformance"] = typeof(Conformance.ConformanceSuite).Assembly,
        ["MlNetMlp.Extensions"] = typeof(Methods.INetworkMethod).Assembly,
        ["MlNetMlp.Pictures"] = typeof(Pictures.ExplanationPicture).Assembly,
        ["MlNetMlp.Trainers"] = typeof(Tabular.ScaledMlp).Assembly,
    };
}
