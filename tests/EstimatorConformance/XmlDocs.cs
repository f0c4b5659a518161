using System.Collections.Concurrent;
using System.Reflection;
using System.Xml.Linq;

namespace MlNetMlp.Conformance;

/// <summary>The XML documentation of public members, from the files that lie beside their assemblies.</summary>
internal static class XmlDocs
{
    private static readonly ConcurrentDictionary<Assembly, IReadOnlyDictionary<string, XElement>> Files = new();

    /// <summary>The documentation of a type.</summary>
    /// <param name="type">The type.</param>
    /// <returns>Its documentation, or null where it has none.</returns>
    public static XElement? Of(Type type) => Find(type.Assembly, "T:" + Name(type));

    /// <summary>The documentation of a property or field.</summary>
    /// <param name="member">The member.</param>
    /// <returns>Its documentation, or null where it has none.</returns>
    public static XElement? Of(MemberInfo member) =>
        Find(member.DeclaringType!.Assembly, (member is FieldInfo ? "F:" : "P:") + Name(member.DeclaringType) + "." + member.Name);

    /// <summary>The documentation of a method, whatever its parameters are.</summary>
    /// <param name="method">The method.</param>
    /// <returns>Its documentation, or null where it has none.</returns>
    public static XElement? Of(MethodInfo method)
    {
        var name = "M:" + Name(method.DeclaringType!) + "." + method.Name;
        var file = Files.GetOrAdd(method.DeclaringType!.Assembly, Read);
        return file.Where(member => member.Key == name || member.Key.StartsWith(name + "(", StringComparison.Ordinal))
            .OrderBy(member => Math.Abs(member.Key.Count(c => c == ',') - Math.Max(0, method.GetParameters().Length - 1))).FirstOrDefault().Value;
    }

    /// <summary>Documentation as a reader sees it: references by the last part of their name, white space as single spaces.</summary>
    /// <param name="documentation">The documentation, or a part of it.</param>
    /// <returns>The text.</returns>
    public static string Text(XElement? documentation) => documentation is null
        ? ""
        : string.Join(' ', string.Concat(documentation.DescendantNodes().Select(Text)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    private static string Text(XNode node) => node switch
    {
        XText text => text.Value,
        XElement { Name.LocalName: "see" or "paramref" } reference => Last((reference.Attribute("cref") ?? reference.Attribute("langword") ?? reference.Attribute("name"))!.Value),
        _ => "",
    };

    private static string Last(string reference) => reference.Split('(')[0].Split('.', ':')[^1];

    private static string Name(Type type) => (type.IsConstructedGenericType ? type.GetGenericTypeDefinition() : type).FullName!.Replace('+', '.');

    private static XElement? Find(Assembly assembly, string name) => Files.GetOrAdd(assembly, Read).GetValueOrDefault(name);

    private static IReadOnlyDictionary<string, XElement> Read(Assembly assembly)
    {
        var path = Path.ChangeExtension(assembly.Location, ".xml");
        return File.Exists(path)
            ? XDocument.Load(path).Descendants("member").ToDictionary(member => member.Attribute("name")!.Value)
            : new Dictionary<string, XElement>();
    }
}
