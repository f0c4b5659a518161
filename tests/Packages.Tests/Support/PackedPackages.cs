using System.Reflection;

namespace MlNetMlp.Tests.Support;

/// <summary>
/// The packages, packed once, and a folder for solutions that know nothing else of this repository. No feed is asked: what the packages stand on comes from the folder of packages that these
/// tests were built with, and the packed ones never get into it.
/// </summary>
public sealed class PackedPackages : IDisposable
{
    /// <summary>How a solution is built so that libtorch (500 MB) is found in the package folder and not copied beside each program.</summary>
    internal static readonly string[] Build = ["build", "-c", "Release", "-p:CopyLocalLockFileAssemblies=false", "-p:GenerateRuntimeConfigDevFile=true"];

    private static readonly string[] Projects = ["src/MlNetExtensions", "src/Trainers", "src/Pictures", "tests/EstimatorConformance", "templates", "tools/Doctor"];

    private readonly string _root = Directory.CreateTempSubdirectory("mlnetmlp-packages-").FullName;
    private readonly Dictionary<string, string?> _environment;

    public PackedPackages()
    {
        _environment = new()
        {
            ["NUGET_PACKAGES"] = Path.Combine(_root, "cache"),
            ["NUGET_FALLBACK_PACKAGES"] = PackagesOfOthers(),
            ["DOTNET_CLI_HOME"] = _root,
            ["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1",
            ["DOTNET_NOLOGO"] = "1",
        };
        var pack = new Dotnet(Repository.Root, new Dictionary<string, string?>());
        foreach (var project in Projects)
            pack.Run("pack", Repository.At(project), "--no-build", "-c", BuiltWith("Configuration"), "-o", Folder);
    }

    private string Folder => Path.Combine(_root, "artifacts", "packages");

    /// <summary>The file of a package.</summary>
    internal string File(string package) => Directory.GetFiles(Folder, package + ".*.nupkg").Single();

    /// <summary>A place beside the packages.</summary>
    internal string At(params string[] place) => Path.Combine([_root, .. place]);

    /// <summary>The one file of a name below a folder beside the packages.</summary>
    internal string Only(string folder, string name) => Directory.GetFiles(At(folder), name, SearchOption.AllDirectories).Single();

    /// <summary>The texts of the files in a folder beside the packages, without what was built in it.</summary>
    internal IEnumerable<string> Texts(params string[] folder) => Sources(At(folder)).Select(System.IO.File.ReadAllText);

    /// <summary>The command <c>dotnet</c> in a folder beside the packages.</summary>
    internal Dotnet In(params string[] folder)
    {
        var path = At(folder);
        Directory.CreateDirectory(path);
        System.IO.File.WriteAllText(
            Path.Combine(path, "nuget.config"),
            $"""<configuration><packageSources><clear /><add key="packed" value="{Folder}" /></packageSources></configuration>""");
        return new(path, _environment);
    }

    /// <summary>Copies a folder of the repository to the same place beside the packages, without what was built in it.</summary>
    internal string Copy(params string[] folder)
    {
        var (from, to) = (Repository.At(folder), At(folder));
        foreach (var file in Sources(from))
        {
            var copy = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            System.IO.File.Copy(file, copy);
        }

        return to;
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    // Whoever has run the sample by hand has packages of ours among the others, which NuGet would take rather than those packed now.
    private string PackagesOfOthers()
    {
        var all = BuiltWith("NuGetPackageRoot");
        if (OperatingSystem.IsWindows())
            return all;
        var others = Directory.CreateDirectory(At("others")).FullName;
        foreach (var package in Directory.GetDirectories(all).Where(folder => !Path.GetFileName(folder).StartsWith("mlnetmlp.", StringComparison.OrdinalIgnoreCase)))
            Directory.CreateSymbolicLink(Path.Combine(others, Path.GetFileName(package)), package);
        return others;
    }

    private static IEnumerable<string> Sources(string folder) => Directory.GetFiles(folder, "*", SearchOption.AllDirectories)
        .Where(file => !Path.GetRelativePath(folder, file).Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj"));

    /// <summary>What these tests were built with.</summary>
    internal static string BuiltWith(string name) =>
        typeof(PackedPackages).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == name).Value!;
}
