using System.ComponentModel.DataAnnotations;
using System.Reflection;

namespace MlNetMlp.Conformance;

/// <summary>Options of any type, by name: records with init-only properties as well as ML.NET's classes with public fields.</summary>
internal static class OptionValues
{
    private const BindingFlags Public = BindingFlags.Public | BindingFlags.Instance;

    private static readonly MethodInfo MemberwiseCopy = typeof(object).GetMethod("MemberwiseClone", BindingFlags.NonPublic | BindingFlags.Instance)!;

    /// <summary>The options of a type: public properties that can be set, and public fields.</summary>
    /// <param name="type">The type.</param>
    /// <returns>The members.</returns>
    public static IReadOnlyList<MemberInfo> Members(Type type) =>
        [.. type.GetProperties(Public).Where(p => p.SetMethod is not null), .. type.GetFields(Public).Where(f => !f.IsInitOnly)];

    /// <summary>Whether options of a type have an option.</summary>
    /// <param name="type">The type.</param>
    /// <param name="name">Name of the option.</param>
    /// <returns>Whether.</returns>
    public static bool Has(Type type, string name) => Members(type).Any(member => member.Name == name);

    /// <summary>Whether values of a type are options themselves: classes some of whose members have declared ranges.</summary>
    /// <param name="type">The type.</param>
    /// <returns>Whether.</returns>
    public static bool HasOptions(Type type) => type.IsClass && Members(type).Any(member => member.IsDefined(typeof(ValidationAttribute)));

    /// <summary>A value that an option could have whose default is null.</summary>
    /// <param name="member">The option.</param>
    /// <returns>The value, or null where its type cannot be made of nothing.</returns>
    public static object? Example(MemberInfo member)
    {
        var type = member is PropertyInfo property ? property.PropertyType : ((FieldInfo)member).FieldType;
        return type is { IsClass: true, IsAbstract: false } && HasOptions(type) && type.GetConstructor([]) is { } make ? make.Invoke(null) : null;
    }

    /// <summary>The value of an option.</summary>
    /// <param name="options">The options.</param>
    /// <param name="name">Name of the option.</param>
    /// <returns>The value.</returns>
    public static object? Get(object options, string name) =>
        Members(options.GetType()).First(member => member.Name == name) switch
        {
            PropertyInfo property => property.GetValue(options),
            FieldInfo field => field.GetValue(options),
            _ => null,
        };

    /// <summary>A copy of options with some of them changed.</summary>
    /// <param name="options">The options, which stay as they are.</param>
    /// <param name="changes">Name and value of the options that differ; a name that the options do not have is an error.</param>
    /// <returns>The copy.</returns>
    public static object With(object options, params (string Name, object? Value)[] changes)
    {
        var copy = MemberwiseCopy.Invoke(options, null)!;
        foreach (var (name, value) in changes)
            Set(copy, name, value);
        return copy;
    }

    /// <summary>Sets an option where it is, also an init-only one.</summary>
    /// <param name="options">The options.</param>
    /// <param name="name">Name of the option.</param>
    /// <param name="value">The value.</param>
    /// <exception cref="ArgumentException">There is no such option.</exception>
    public static void Set(object options, string name, object? value)
    {
        // The property of the most derived class, where one hides another.
        switch (Members(options.GetType()).FirstOrDefault(member => member.Name == name))
        {
            case PropertyInfo property:
                property.SetValue(options, value);
                break;
            case FieldInfo field:
                field.SetValue(options, value);
                break;
            default:
                throw new ArgumentException($"{options.GetType()} has no option '{name}'.", nameof(name));
        }
    }
}
