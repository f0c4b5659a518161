using System.Globalization;
using System.Text;

namespace MlNetMlp.Tuning;

/// <summary>What a search found.</summary>
/// <typeparam name="TOptions">The options.</typeparam>
/// <param name="best">The options with the least loss.</param>
/// <param name="bestTrial">Their evaluation on all training rows.</param>
/// <param name="trials">All evaluations, in their order.</param>
/// <param name="dimensions">Names of the dimensions.</param>
/// <param name="measure">What was minimised.</param>
public sealed class TuningResult<TOptions>(TOptions best, TuningTrial bestTrial, IReadOnlyList<TuningTrial> trials, IReadOnlyList<string> dimensions, string measure)
    where TOptions : class
{
    /// <summary>The options with the least mean loss among those that were trained on all rows; train a model with them on all data.</summary>
    public TOptions Best => best;

    /// <summary>Their evaluation.</summary>
    public TuningTrial BestTrial => bestTrial;

    /// <summary>All evaluations, in their order; settings stand here once for each share of the rows that they were trained on.</summary>
    public IReadOnlyList<TuningTrial> Trials => trials;

    /// <summary>Names of the dimensions, in the order of <see cref="TuningTrial.Values"/>.</summary>
    public IReadOnlyList<string> Dimensions => dimensions;

    /// <summary>What was minimised.</summary>
    public string Measure => measure;

    /// <summary>The evaluations as a table in markdown: those on most rows first, the best at the top.</summary>
    /// <returns>A line for each evaluation.</returns>
    public override string ToString()
    {
        var text = new StringBuilder($"| trial | {string.Concat(dimensions.Select(name => $"{name} | "))}rows | {measure} | seconds |\n|{string.Concat(dimensions.Select(_ => " --- |"))} --- | --- | --- | --- |\n");
        foreach (var trial in trials.OrderByDescending(trial => trial.Share).ThenBy(trial => trial.Loss))
        {
            var values = trial.Values.Count > 0 ? trial.Values : [.. dimensions.Select(_ => "as given")];
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {trial.Number} | {string.Concat(values.Select(value => $"{value} | "))}{trial.Share:P0} | {(trial.Failure is null ? trial.Loss.ToString("G5", CultureInfo.InvariantCulture) : "failed: " + trial.Failure)} | {trial.Seconds:F1} |\n");
        }

        return text.ToString();
    }
}
