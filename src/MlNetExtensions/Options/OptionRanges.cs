using System.Collections.Concurrent;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;

namespace MlNetMlp.Options;

/// <summary>
/// Checks options against the ranges that stand as data (<see cref="RangeAttribute"/>, <see cref="RequiredAttribute"/>) on their properties,
/// and against the rules between options (<see cref="IValidatableObject"/>); nested options are checked too.
/// </summary>
public static class OptionRanges
{
    private static readonly ConcurrentDictionary<Type, PropertyInfo[]> Properties = new();

    /// <summary>Throws when an option is out of its range; the message lists every fault with the option's name, range and value.</summary>
    /// <param name="options">The options to check.</param>
    /// <param name="owner">What the options belong to, as the user knows it: the first words of the message.</param>
    /// <exception cref="ArgumentOutOfRangeException">At least one option is out of its range.</exception>
    public static void Check(object options, string owner)
    {
        ArgumentNullException.ThrowIfNull(options);
        var faults = new List<string>();
        Collect(options, "", faults);
        if (faults.Count == 1)
            throw new ArgumentOutOfRangeException(nameof(options), $"{owner}: {faults[0]}.");
        if (faults.Count > 1)
            throw new ArgumentOutOfRangeException(nameof(options), $"{owner}: {faults.Count} options are out of range: {string.Join("; ", faults)}.");
    }

    private static void Collect(object options, string prefix, List<string> faults)
    {
        var before = faults.Count;
        foreach (var property in Properties.GetOrAdd(options.GetType(), type => type.GetProperties(BindingFlags.Public | BindingFlags.Instance)))
        {
            // What is computed of options is none, and may not be there before these are known to be in range.
            if (property.SetMethod is null || property.GetIndexParameters().Length > 0)
                continue;
            var value = property.GetValue(options);
            var name = prefix + property.Name;
            foreach (var rule in property.GetCustomAttributes<ValidationAttribute>())
            {
                if (!Allows(rule, value))
                    faults.Add($"option '{name}' must be {Describe(rule)}, but was {Text(value)}");
            }

            var type = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
            if (type.IsEnum && value is not null && !Enum.IsDefined(type, value))
                faults.Add($"option '{name}' must be one of {string.Join(", ", Enum.GetNames(type))}, but was {Text(value)}");
            if (value is not null and not string && HasRules(value.GetType()))
                Collect(value, name + ".", faults);
            var items = value as IReadOnlyList<object> ?? [];
            for (var i = 0; i < items.Count; i++)
            {
                if (items[i] is { } item and not string && HasRules(item.GetType()))
                    Collect(item, $"{name}[{i}].", faults);
            }
        }

        // Rules between options assume that each is within its own range.
        if (faults.Count == before && options is IValidatableObject rules)
            faults.AddRange(rules.Validate(new ValidationContext(options)).Select(result => prefix + result.ErrorMessage));
    }

    // The attribute's own check rounds a real number to an integer where its bounds were written as integers.
    private static bool Allows(ValidationAttribute rule, object? value)
    {
        if (rule is not RangeAttribute range || value is null)
            return rule.IsValid(value);
        var number = Convert.ToDouble(value, CultureInfo.InvariantCulture);
        var (low, high) = (Convert.ToDouble(range.Minimum, CultureInfo.InvariantCulture), Convert.ToDouble(range.Maximum, CultureInfo.InvariantCulture));
        return (range.MinimumIsExclusive ? number > low : number >= low) && (range.MaximumIsExclusive ? number < high : number <= high);
    }

    private static bool HasRules(Type type) =>
        type.IsClass && (typeof(IValidatableObject).IsAssignableFrom(type)
            || Properties.GetOrAdd(type, t => t.GetProperties(BindingFlags.Public | BindingFlags.Instance))
                .Any(p => p.IsDefined(typeof(ValidationAttribute))));

    private static string Describe(ValidationAttribute rule) => rule switch
    {
        RangeAttribute range => Describe(range),
        RequiredAttribute => "given",
        _ => rule.FormatErrorMessage("the value"),
    };

    private static string Describe(RangeAttribute range)
    {
        var low = IsUnbounded(range.Minimum) ? null : (range.MinimumIsExclusive ? "greater than " : "at least ") + Text(range.Minimum);
        var high = IsUnbounded(range.Maximum) ? null : (range.MaximumIsExclusive ? "less than " : "at most ") + Text(range.Maximum);
        return (low, high) switch
        {
            (not null, not null) => $"{low} and {high}",
            (null, null) => "a finite number",
            _ => low ?? high!,
        };
    }

    private static bool IsUnbounded(object bound) =>
        bound is double.MaxValue or double.MinValue or int.MaxValue or int.MinValue or (double)long.MaxValue;

    private static string Text(object? value) => value switch
    {
        null => "null",
        string text => $"'{text}'",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString() ?? "",
    };
}
