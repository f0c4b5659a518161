using System.Globalization;
using System.Text;

namespace MlNetMlp.Conformance;

/// <summary>The table of estimators by checks, as Markdown.</summary>
public static class ConformanceTable
{
    /// <summary>Writes the table.</summary>
    /// <param name="suite">The suite.</param>
    /// <param name="outcome">What to show of a check on an estimator.</param>
    /// <returns>Markdown.</returns>
    public static string Write(ConformanceSuite suite, Func<Subject, Check, Outcome> outcome)
    {
        var text = new StringBuilder("| check |");
        foreach (var subject in suite.Subjects)
            text.Append(CultureInfo.InvariantCulture, $" {subject.Name} {Short(subject.Task)} |");
        text.Append("\n| --- |").Insert(text.Length, " :---: |", suite.Subjects.Count).Append('\n');
        foreach (var check in Check.All)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {check.Number}. {check.Promise}{(check.IsSlow ? " (slow)" : "")} |");
            foreach (var subject in suite.Subjects)
                text.Append(CultureInfo.InvariantCulture, $" {Symbol(outcome(subject, check))} |");
            text.Append('\n');
        }

        var known = suite.Subjects.SelectMany(subject => subject.Profile.KnownFailures(subject.Task).Select(failure => (subject, failure))).ToArray();
        if (known.Length > 0)
            text.Append("\nKnown to fail, and why:\n\n");
        foreach (var reason in known.GroupBy(k => (k.failure.Key, k.failure.Value)).OrderBy(group => group.Key.Key))
        {
            var names = string.Join(", ", reason.Select(k => $"{k.subject.Name} {Short(k.subject.Task)}"));
            text.Append(CultureInfo.InvariantCulture, $"- {reason.Key.Key}, {names}: {reason.Key.Value}\n");
        }

        return text.ToString();
    }

    /// <summary>Writes what came of a run, with the seconds that it took.</summary>
    /// <param name="suite">The suite.</param>
    /// <param name="path">The file; its folder is made where there is none.</param>
    public static void WriteRun(ConformanceSuite suite, string path)
    {
        var text = new StringBuilder(Write(suite, suite.OutcomeOf)).Append("\n| estimator | seconds | of these in slow checks |\n| --- | ---: | ---: |\n");
        foreach (var subject in suite.Subjects)
            text.Append(CultureInfo.InvariantCulture, $"| {subject} | {suite.SecondsOf(subject):F1} | {suite.SecondsOf(subject, slowOnly: true):F1} |\n");
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        File.WriteAllText(path, text.ToString());
    }

    private static string Short(EstimatorTask task) => task switch
    {
        EstimatorTask.Regression => "R",
        EstimatorTask.MultiOutput => "MO",
        EstimatorTask.Binary => "B",
        EstimatorTask.Causal => "C",
        EstimatorTask.Forecasting => "F",
        _ => "M",
    };

    private static string Symbol(Outcome outcome) => outcome switch
    {
        Outcome.Passed => "passed",
        Outcome.Failed => "**failed**",
        Outcome.KnownFailure => "*failed*",
        Outcome.Skipped => "skipped",
        _ => "–",
    };
}
