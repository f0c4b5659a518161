using System.Reflection;
using System.Reflection.Emit;
using MlNetMlp.Conformance;
using MlNetMlp.Tests.Support;
using PublicApiGenerator;

namespace MlNetMlp.Tests.PublicApi;

/// <summary>What the packages promise to those who build on them: their public members are written down, and nobody changes one without seeing it.</summary>
public sealed class PublicApiTests
{
    public static TheoryData<string> Packages => [.. PublicAssemblies.All.Keys];

    [Theory]
    [MemberData(nameof(Packages))]
    public void Public_members_are_those_written_down(string package)
    {
        var file = Repository.At("tests", "Packages.Tests", "PublicApi", package + ".txt");
        var found = PublicAssemblies.All[package].GeneratePublicApi(new ApiGeneratorOptions
        {
            IncludeAssemblyAttributes = false,
            DenyNamespacePrefixes = [],
        }).ReplaceLineEndings("\n");
        if (Environment.GetEnvironmentVariable(DocumentTable.WriteVariable) == "1")
            File.WriteAllText(file, found);

        var difference = LineDifference.Of(File.Exists(file) ? File.ReadAllText(file).ReplaceLineEndings("\n") : "", found);
        Assert.True(
            difference.Length == 0,
            $"The public members of {package} are not those in {file}:\n\n{difference}\nWhere that is meant, run this test with {DocumentTable.WriteVariable}=1, which writes the file, "
            + "and tell users in CHANGELOG.md what changed.");
    }

    /// <summary>
    /// The seam is compiled against copies of ML.NET's assemblies whose members are all public; whoever uses it is not, and could not name a type that
    /// ML.NET keeps to itself.
    /// </summary>
    [Theory]
    [MemberData(nameof(Packages))]
    public void Signatures_name_public_types_only(string package)
    {
        var hidden = PublicAssemblies.All[package].GetExportedTypes()
            .SelectMany(type => Signatures.Of(type).Where(part => !Signatures.IsPublic(part.Type)).Select(part => $"{type}, {part.Where}: {part.Type}"))
            .ToArray();
        Assert.True(hidden.Length == 0, string.Join('\n', hidden));
    }

    [Fact]
    public void A_hidden_type_in_a_signature_is_found()
    {
        var found = Signatures.Of(ShowsWhatIsHidden).Where(part => !Signatures.IsPublic(part.Type)).Select(part => part.Where).ToArray();
        Assert.Equal(["Given", "Held", "Told"], found.Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_difference_is_told_with_the_type_that_it_is_in()
    {
        Assert.Equal("", LineDifference.Of("class A\n{\n    int X;\n}\n", "class A\n{\n    int X;\n}\n"));
        Assert.Equal(
            "  class B\n-     int X;\n+     long X;\n",
            LineDifference.Of("class A\n{\n    int X;\n}\nclass B\n{\n    int X;\n}\n", "class A\n{\n    int X;\n}\nclass B\n{\n    long X;\n}\n"));
    }

    // The compiler refuses such a class, and makes one of code that overrides what an opened copy of ML.NET shows.
    private static Type ShowsWhatIsHidden
    {
        get
        {
            var type = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("Shows"), AssemblyBuilderAccess.Run).DefineDynamicModule("Shows")
                .DefineType("Shows", TypeAttributes.Public | TypeAttributes.Abstract);
            var hidden = typeof(Hidden);
            const MethodAttributes Open = MethodAttributes.Abstract | MethodAttributes.Virtual;
            type.DefineMethod("Told", MethodAttributes.Public | Open, typeof(List<>).MakeGenericType(hidden), []);
            type.DefineMethod("Given", MethodAttributes.Family | Open, typeof(void), [hidden.MakeArrayType()]);
            type.DefineMethod("Kept", MethodAttributes.Assembly | Open, hidden, []);
            type.DefineMethod("Plain", MethodAttributes.Public | Open, typeof(List<int>), [typeof(string)]);
            type.DefineField("Held", hidden, FieldAttributes.Public);
            return type.CreateType();
        }
    }

    private sealed class Hidden;
}
