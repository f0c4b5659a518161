using MlNetMlp.Conformance;

namespace MlNetMlp.Tests.Support;

/// <summary>The repository that the tests are a part of.</summary>
internal static class Repository
{
    /// <summary>Its root folder.</summary>
    public static string Root { get; } = Find();

    /// <summary>The path of a file or folder in it.</summary>
    public static string At(params string[] parts) => Path.Combine([Root, .. parts]);

    /// <summary>The text of a file in it, with \n at the end of lines.</summary>
    public static string Read(params string[] parts) => File.ReadAllText(At(parts)).ReplaceLineEndings("\n");

    private static string Find()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "MlNetMlp.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The repository's root was not found.");
        return folder;
    }
}

/// <summary>What a method of this repository says of itself to the conformance suite.</summary>
/// <param name="name">Name of the catalog method.</param>
public abstract class HouseProfile(string name) : ConformanceProfile(name)
{
    /// <inheritdoc/>
    public override string? Repository => Support.Repository.Root;
}
