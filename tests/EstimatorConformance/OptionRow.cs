using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;

namespace MlNetMlp.Conformance;

/// <summary>An option as a user meets it: name, type, range, default and documentation.</summary>
/// <param name="Name">Name, with the names of the options that it lies within before it.</param>
/// <param name="Member">The property or field.</param>
/// <param name="Default">Its value in new options.</param>
/// <param name="Documentation">What its documentation says, and that of the type of the options, or of those that these lie within, where it names the option.</param>
public sealed partial record OptionRow(string Name, MemberInfo Member, object? Default, string Documentation)
{
    /// <summary>Type of the value; without the question mark of a nullable one.</summary>
    public Type Type { get; } = Nullable.GetUnderlyingType(TypeOf(Member)) ?? TypeOf(Member);

    /// <summary>The declared range of a number, or null.</summary>
    public RangeAttribute? Range => Member.GetCustomAttribute<RangeAttribute>();

    /// <summary>Whether the option is a number.</summary>
    public bool IsNumber => Type.GetTypeCode(Type) is >= TypeCode.SByte and <= TypeCode.Double && !Type.IsEnum;

    /// <summary>Whether null is a value of the option.</summary>
    public bool IsNullable => Nullable.GetUnderlyingType(TypeOf(Member)) is not null
        || (!Type.IsValueType && Member is PropertyInfo property && new NullabilityInfoContext().Create(property).WriteState == NullabilityState.Nullable);

    /// <summary>Whether the option can only be set when options are made.</summary>
    public bool IsInitOnly => Member is PropertyInfo { SetMethod: { } setter }
        && setter.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit));

    /// <summary>Whether what may be given is said as data: a range, a list of names, or that something must be given.</summary>
    public bool IsDeclared => IsNumber ? Range is not null : Type.IsValueType || IsNullable || Member.IsDefined(typeof(RequiredAttribute));

    /// <summary>The bounds that the documentation has to name: all that are not just the greatest number there is.</summary>
    public IEnumerable<double> Bounds => Range is null
        ? []
        : new[] { Range.Minimum, Range.Maximum }.Select(bound => Convert.ToDouble(bound, CultureInfo.InvariantCulture)).Where(bound => Math.Abs(bound) < int.MaxValue);

    /// <summary>Whether the documentation names a number, in any of the usual ways to write it.</summary>
    /// <param name="number">The number.</param>
    /// <returns>Whether.</returns>
    public bool Says(double number) => Numbers().Matches(Documentation).Any(match => IsValue(match, number));

    /// <summary>Whether the documentation says what the default is.</summary>
    public bool SaysDefault => Documentation.Contains("default", StringComparison.Ordinal) && Default switch
    {
        null => Documentation.Contains("null", StringComparison.OrdinalIgnoreCase),
        bool or Enum or string => Documentation.Contains(Default.ToString()!, StringComparison.OrdinalIgnoreCase),
        IConvertible number => Says(number.ToDouble(CultureInfo.InvariantCulture)),
        _ => true,
    };

    /// <summary>The options of a type with those that lie within them.</summary>
    /// <param name="options">Options as they are by default.</param>
    /// <returns>The options, in the order of their declaration.</returns>
    public static IEnumerable<OptionRow> Of(object options) => Of(options, "", []);

    private static IEnumerable<OptionRow> Of(object options, string prefix, string[] around)
    {
        string[] types = [XmlDocs.Text(XmlDocs.Of(options.GetType())), .. around];
        foreach (var member in OptionValues.Members(options.GetType()))
        {
            var value = OptionValues.Get(options, member.Name);
            var about = XmlDocs.Text(XmlDocs.Of(member));
            yield return new(prefix + member.Name, member, value, string.Join(' ', types.Where(type => type.Contains(member.Name, StringComparison.Ordinal)).Prepend(about)));
            if ((value ?? OptionValues.Example(member)) is { } part && OptionValues.HasOptions(part.GetType()))
            {
                foreach (var row in Of(part, prefix + member.Name + ".", types))
                    yield return row;
            }
        }
    }

    /// <summary>The options that a type declares, without those that lie within them.</summary>
    /// <param name="options">Options as they are by default.</param>
    /// <param name="declaring">The type; null for that of the options and those of its base types that are of the same assembly.</param>
    /// <returns>The options, in the order of their declaration.</returns>
    public static IEnumerable<OptionRow> Own(object options, Type? declaring = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        return Of(options).Where(row => (declaring is null ? row.Member.DeclaringType!.Assembly == options.GetType().Assembly : row.Member.DeclaringType == declaring) && !row.Name.Contains('.', StringComparison.Ordinal));
    }

    /// <summary>The options that a type declares as a table in Markdown.</summary>
    /// <param name="options">Options as they are by default.</param>
    /// <param name="declaring">The type; null for that of the options and those of its base types that are of the same assembly.</param>
    /// <returns>Markdown.</returns>
    public static string Markdown(object options, Type? declaring = null)
    {
        var text = new StringBuilder("| option | default | range | what it does |\n| --- | --- | --- | --- |\n");
        foreach (var row in Own(options, declaring))
            text.Append(CultureInfo.InvariantCulture, $"| `{row.Name}` | {row.DefaultText} | {row.RangeText} | {XmlDocs.Text(XmlDocs.Of(row.Member)).Replace("|", "\\|", StringComparison.Ordinal)} |\n");
        return text.ToString();
    }

    /// <summary>The default as a table has it.</summary>
    public string DefaultText => Default switch
    {
        null => "null",
        bool flag => flag ? "true" : "false",
        string text => $"\"{text}\"",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        System.Collections.IEnumerable => Default.ToString()!,
        _ => Default.GetType().Name,
    };

    private string RangeText => Range is null
        ? Type.IsEnum ? string.Join(", ", Enum.GetNames(Type)) : ""
        : Bounds.Count() < 2
        ? string.Create(CultureInfo.InvariantCulture, $"{(Range.MinimumIsExclusive ? "above" : "at least")} {Range.Minimum}")
        : string.Create(CultureInfo.InvariantCulture, $"{(Range.MinimumIsExclusive ? '(' : '[')}{Range.Minimum}, {Range.Maximum}{(Range.MaximumIsExclusive ? ')' : ']')}");

    // 65,536 and 65536 and 2^16, 0.001 and 1e-3, 1/3.
    [GeneratedRegex(@"(?<base>\d+)\^(?<power>\d+)|(?<top>\d+)/(?<bottom>\d+)|(?<number>[-−]?\d[\d,]*(\.\d+)?([eE][-+]?\d+)?)")]
    private static partial Regex Numbers();

    private static bool IsValue(Match match, double number)
    {
        var value = match switch
        {
            { Groups: var g } when g["base"].Success => Math.Pow(Parse(g["base"]), Parse(g["power"])),
            { Groups: var g } when g["top"].Success => Parse(g["top"]) / Parse(g["bottom"]),
            _ => Parse(match.Groups["number"]),
        };
        return Math.Abs(value - number) <= 1e-9 * Math.Abs(number);
    }

    private static double Parse(Group group) => double.Parse(group.Value.TrimEnd(',').Replace('−', '-'), NumberStyles.Float | NumberStyles.AllowThousands, CultureInfo.InvariantCulture);

    private static Type TypeOf(MemberInfo member) => member is PropertyInfo property ? property.PropertyType : ((FieldInfo)member).FieldType;
}
