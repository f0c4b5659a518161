using System.Globalization;
using MlNetMlp.Runtime;

namespace MlNetMlp.Tuning;

/// <summary>
/// What a search may choose: dimensions, each with a name, values and a function that puts a value into options. The space is immutable: each method gives a space with one dimension more.
/// </summary>
/// <typeparam name="TOptions">The options, such as <c>MyMethod.Options</c>; those of anybody else's trainer will do, if the functions give new ones or change what <c>Tune</c> is given.</typeparam>
public sealed class SearchSpace<TOptions>
    where TOptions : class
{
    private readonly Dimension[] _dimensions;

    /// <summary>Creates a space without dimensions.</summary>
    public SearchSpace() => _dimensions = [];

    private SearchSpace(Dimension[] dimensions) => _dimensions = dimensions;

    private sealed record Dimension(string Name, string Values, Func<DeterministicRandom, (string Text, Func<TOptions, TOptions> Apply)> Draw);

    /// <summary>Names of the dimensions, in the order in which they were added.</summary>
    public IReadOnlyList<string> Names => [.. _dimensions.Select(dimension => dimension.Name)];

    /// <summary>What may be chosen, as text: two spaces with the same text draw the same.</summary>
    internal IReadOnlyList<string> Description => [.. _dimensions.Select(dimension => $"{dimension.Name}: {dimension.Values}")];

    /// <summary>Adds a dimension of real numbers.</summary>
    /// <param name="name">Its name in tables.</param>
    /// <param name="minimum">The least number, finite.</param>
    /// <param name="maximum">The greatest number, finite and above <paramref name="minimum"/>.</param>
    /// <param name="apply">Gives options with a number: <c>(options, rate) => options with { LearningRate = rate }</c>.</param>
    /// <param name="isLogarithmic">Whether each power of ten is as likely as the next, as fits rates and decays; both numbers must then be above 0.</param>
    /// <returns>The space with this dimension.</returns>
    /// <exception cref="ArgumentException">There is a dimension of this name.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The numbers are no range.</exception>
    public SearchSpace<TOptions> Between(string name, double minimum, double maximum, Func<TOptions, double, TOptions> apply, bool isLogarithmic = false)
    {
        ArgumentNullException.ThrowIfNull(apply);
        CheckRange(name, minimum, maximum, isLogarithmic);
        return With(name, $"{Text(minimum)} to {Text(maximum)}{Kind(isLogarithmic)}", random =>
        {
            var value = At(minimum, maximum, random.NextDouble(), isLogarithmic);
            return (Text(value), options => apply(options, value));
        });
    }

    /// <summary>Adds a dimension of whole numbers.</summary>
    /// <param name="name">Its name in tables.</param>
    /// <param name="minimum">The least number.</param>
    /// <param name="maximum">The greatest number, above <paramref name="minimum"/>.</param>
    /// <param name="apply">Gives options with a number.</param>
    /// <param name="isLogarithmic">Whether each doubling is as likely as the next, as fits widths; both numbers must then be above 0.</param>
    /// <returns>The space with this dimension.</returns>
    /// <exception cref="ArgumentException">There is a dimension of this name.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The numbers are no range.</exception>
    public SearchSpace<TOptions> Between(string name, int minimum, int maximum, Func<TOptions, int, TOptions> apply, bool isLogarithmic = false)
    {
        ArgumentNullException.ThrowIfNull(apply);
        CheckRange(name, minimum, maximum, isLogarithmic);
        return With(name, $"whole {Text(minimum)} to {Text(maximum)}{Kind(isLogarithmic)}", random =>
        {
            // Half a step beyond both ends, so that these are drawn as often as any other number.
            var value = (int)Math.Clamp(Math.Round(At(minimum - 0.5, maximum + 0.5, random.NextDouble(), isLogarithmic)), minimum, maximum);
            return (Text(value), options => apply(options, value));
        });
    }

    /// <summary>Adds a dimension of some values, each as likely as the others.</summary>
    /// <typeparam name="TValue">Type of the values.</typeparam>
    /// <param name="name">Its name in tables.</param>
    /// <param name="values">At least two values, each once, with texts that differ.</param>
    /// <param name="apply">Gives options with a value.</param>
    /// <returns>The space with this dimension.</returns>
    /// <exception cref="ArgumentException">There is a dimension of this name, or there are fewer than two values, or two with the same text.</exception>
    public SearchSpace<TOptions> Choose<TValue>(string name, IReadOnlyList<TValue> values, Func<TOptions, TValue, TOptions> apply)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(apply);
        string[] texts = [.. values.Select(value => Convert.ToString(value, CultureInfo.InvariantCulture) is { Length: > 0 } text ? text : "null")];
        if (texts.Distinct().Count() is var distinct && (distinct < 2 || distinct < texts.Length))
            throw new ArgumentException($"Dimension '{name}' must have at least two values with different texts, but has {string.Join(", ", texts)}.", nameof(values));
        return With(name, string.Join(" or ", texts), random =>
        {
            var place = random.Next(texts.Length);
            return (texts[place], options => apply(options, values[place]));
        });
    }

    /// <summary>Draws a value in each dimension.</summary>
    /// <param name="random">Where numbers come from.</param>
    /// <returns>The values as texts, in the order of <see cref="Names"/>, and what puts them into options.</returns>
    internal (string[] Values, Func<TOptions, TOptions> Apply) Draw(DeterministicRandom random)
    {
        var drawn = _dimensions.Select(dimension => dimension.Draw(random)).ToArray();
        return ([.. drawn.Select(pair => pair.Text)], options => drawn.Aggregate(options, (changed, pair) => pair.Apply(changed)));
    }

    private SearchSpace<TOptions> With(string name, string values, Func<DeterministicRandom, (string Text, Func<TOptions, TOptions> Apply)> draw)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return Names.Contains(name)
            ? throw new ArgumentException($"There is a dimension '{name}' already.", nameof(name))
            : new([.. _dimensions, new(name, values, draw)]);
    }

    private static void CheckRange(string name, double minimum, double maximum, bool isLogarithmic)
    {
        if (!double.IsFinite(minimum) || !double.IsFinite(maximum) || minimum >= maximum)
            throw new ArgumentOutOfRangeException(nameof(maximum), $"Dimension '{name}' must go up from a finite number to another, but goes from {Text(minimum)} to {Text(maximum)}.");
        if (isLogarithmic && minimum <= 0)
            throw new ArgumentOutOfRangeException(nameof(minimum), $"Dimension '{name}' is logarithmic and must start above 0, but starts at {Text(minimum)}.");
    }

    private static double At(double minimum, double maximum, double share, bool isLogarithmic) => isLogarithmic
        ? Math.Exp(Math.Log(minimum) + (share * (Math.Log(maximum) - Math.Log(minimum))))
        : minimum + (share * (maximum - minimum));

    private static string Kind(bool isLogarithmic) => isLogarithmic ? ", logarithmic" : "";

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);
}
