using System.Buffers;
using System.Reflection;

namespace MlNetMlp.Persistence;

/// <summary>Finds the type that a file names, and nothing but a public sealed one of a kind that its assembly has on purpose.</summary>
internal static class KnownTypes
{
    private const int LongestName = 500;

    private static readonly SearchValues<char> NoAssembly = SearchValues.Create("/\\,=:\0");
    private static readonly SearchValues<char> NoType = SearchValues.Create("[]*&,\0");

    /// <summary>Finds a type.</summary>
    /// <param name="assemblyName">Name of the assembly.</param>
    /// <param name="typeName">Full name of the type.</param>
    /// <param name="kind">What the type must derive from.</param>
    /// <param name="refuse">Makes the exception for a name that is none.</param>
    /// <returns>The type.</returns>
    /// <exception cref="ModelFormatException">The assembly is not there.</exception>
    public static Type Find(string assemblyName, string typeName, Type kind, Func<string, Exception> refuse)
    {
        var ours = typeof(KnownTypes).Assembly.GetName().Name;
        if (assemblyName.Length > LongestName || typeName.Length > LongestName)
            throw refuse($"a name of an assembly or type has more than {LongestName} characters");
        if (string.IsNullOrWhiteSpace(assemblyName) || assemblyName.AsSpan().ContainsAny(NoAssembly))
            throw refuse($"'{assemblyName.Replace('\0', '?')}' is not the name of an assembly");
        Assembly assembly;
        try
        {
            assembly = Assembly.Load(new AssemblyName(assemblyName));
        }
        catch (Exception e) when (e is IOException or BadImageFormatException)
        {
            throw new ModelFormatException($"The model's network comes from the assembly '{assemblyName}', which is not beside this program. Reference the package that brings it.", e);
        }

        if (assembly.GetName().Name != ours && assembly.GetReferencedAssemblies().All(a => a.Name != ours))
            throw refuse($"the assembly '{assemblyName}' does not use {ours}, so it has no networks");

        // A name may say more than a name: arguments, which come from assemblies of their own, arrays and pointers.
        var type = typeName.Length > 0 && !typeName.AsSpan().ContainsAny(NoType) ? assembly.GetType(typeName) : null;
        return type is { IsSealed: true, IsVisible: true, IsGenericType: false } && type.IsSubclassOf(kind)
            ? type
            : throw refuse($"'{typeName}' in '{assemblyName}' is not a public sealed {kind.Name}");
    }
}
