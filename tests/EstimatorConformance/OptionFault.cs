using System.Globalization;

namespace MlNetMlp.Conformance;

/// <summary>Options with one value that must be refused, made from the declared ranges.</summary>
/// <param name="Options">The options.</param>
/// <param name="Name">Name of the option.</param>
/// <param name="Value">The value.</param>
/// <param name="Says">What the refusal has to say besides the name.</param>
internal sealed record OptionFault(object Options, string Name, object? Value, IReadOnlyList<string> Says)
{
    /// <summary>Just outside of each bound, NaN, infinities, null, and numbers that stand for no name.</summary>
    /// <param name="options">Options that are right.</param>
    /// <returns>The options that are wrong.</returns>
    public static IEnumerable<OptionFault> Of(object options)
    {
        foreach (var row in OptionRow.Of(options).Where(row => !row.Name.Contains('.', StringComparison.Ordinal)))
        {
            foreach (var (value, says) in BadValues(row))
                yield return new(OptionValues.With(options, (row.Name, value)), row.Name, value, [.. says, Text(value)]);
            if ((OptionValues.Get(options, row.Name) ?? OptionValues.Example(row.Member)) is not { } part || !OptionValues.HasOptions(part.GetType()))
                continue;
            foreach (var inner in Of(part))
                yield return inner with { Options = OptionValues.With(options, (row.Name, inner.Options)), Name = row.Name + "." + inner.Name };
        }
    }

    private static IEnumerable<(object? Value, string[] Says)> BadValues(OptionRow row)
    {
        if (row.IsNumber)
            return BadNumbers(row);
        if (row.Type.IsEnum)
            return [(Enum.ToObject(row.Type, 1000), Enum.GetNames(row.Type))];
        return row.Type.IsValueType || row.IsNullable ? [] : row.Type == typeof(string) ? [(null, ["given"]), ("", ["given"])] : [(null, ["given"])];
    }

    private static IEnumerable<(object? Value, string[] Says)> BadNumbers(OptionRow row)
    {
        var isReal = row.Type == typeof(double) || row.Type == typeof(float);
        var all = row.Bounds.Select(bound => Text(bound)).ToArray();
        if (isReal)
        {
            foreach (var value in new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity })
                yield return (Convert.ChangeType(value, row.Type, CultureInfo.InvariantCulture), all);
        }

        // An option that says nothing of its range is no less in need of one.
        if (row.Range is not { } range)
        {
            if (!isReal)
                yield return (Convert.ChangeType(row.Type == typeof(long) ? long.MinValue : int.MinValue, row.Type, CultureInfo.InvariantCulture), []);
            yield break;
        }

        var (low, high) = (Convert.ToDouble(range.Minimum, CultureInfo.InvariantCulture), Convert.ToDouble(range.Maximum, CultureInfo.InvariantCulture));
        var (below, above) = isReal ? (Math.BitDecrement(low), Math.BitIncrement(high)) : (low - 1, high + 1);
        if (Fits(row, range.MinimumIsExclusive ? low : below) is { } tooSmall)
            yield return (tooSmall, [Text(low)]);
        if (Fits(row, range.MaximumIsExclusive ? high : above) is { } tooLarge)
            yield return (tooLarge, [Text(high)]);
    }

    private static object? Fits(OptionRow row, double value)
    {
        var (least, most) = ((IConvertible)row.Type.GetField("MinValue")!.GetValue(null)!, (IConvertible)row.Type.GetField("MaxValue")!.GetValue(null)!);
        var fits = value >= least.ToDouble(CultureInfo.InvariantCulture) && value <= most.ToDouble(CultureInfo.InvariantCulture) && Math.Abs(value) < long.MaxValue;
        return fits || (row.Type == typeof(double) && double.IsFinite(value)) ? Convert.ChangeType(value, row.Type, CultureInfo.InvariantCulture) : null;
    }

    private static string Text(object? value) => value switch
    {
        null => "null",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => $"'{value}'",
    };
}
