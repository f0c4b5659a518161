using System.Reflection;

namespace MlNetMlp.Tests.PublicApi;

/// <summary>The types that a public type makes its users read.</summary>
internal static class Signatures
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    /// <summary>
    /// Every type in the signatures of a type and of its members that others can use. Interfaces that it implements are left out: ML.NET's public <c>ITransformer</c> has a hidden one itself.
    /// </summary>
    public static IEnumerable<(string Where, Type Type)> Of(Type type)
    {
        if (type.BaseType is { } parent)
            yield return ("base", parent);
        foreach (var constraint in type.GetGenericArguments().Where(argument => argument.IsGenericParameter).SelectMany(argument => argument.GetGenericParameterConstraints()))
            yield return ("constraint", constraint);
        foreach (var member in type.GetMembers(Declared))
        {
            foreach (var named in Named(member, type))
                yield return (member.Name, named);
        }
    }

    /// <summary>Whether any program could name a type, and those that it is made of.</summary>
    public static bool IsPublic(Type type) => type.HasElementType ? IsPublic(type.GetElementType()!) : type.IsGenericParameter || type.IsVisible;

    private static IEnumerable<Type> Named(MemberInfo member, Type type) => member switch
    {
        MethodInfo method when IsForOthers(method, type) =>
        [
            method.ReturnType,
            .. method.GetParameters().Select(parameter => parameter.ParameterType),
            .. method.GetGenericArguments().SelectMany(argument => argument.GetGenericParameterConstraints()),
        ],
        ConstructorInfo constructor when IsForOthers(constructor, type) => constructor.GetParameters().Select(parameter => parameter.ParameterType),
        FieldInfo field when field.IsPublic || (!type.IsSealed && (field.IsFamily || field.IsFamilyOrAssembly)) => [field.FieldType],
        _ => [],
    };

    private static bool IsForOthers(MethodBase method, Type type) => method.IsPublic || (!type.IsSealed && (method.IsFamily || method.IsFamilyOrAssembly));
}
