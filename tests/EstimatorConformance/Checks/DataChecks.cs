using System.Text.RegularExpressions;
using Microsoft.ML;

namespace MlNetMlp.Conformance.Checks;

/// <summary>Data of which there is too little, or which hold values that cannot be learned from.</summary>
internal static class DataChecks
{
    private const int BadRow = 37;

    [Check(12, "No rows are refused by Fit and give no rows when scored")]
    public static void NoRows(Trial trial)
    {
        var nothing = trial.View([]);
        Trial.Refused(() => trial.Fit(nothing), "no rows", "row|instance|example|empty");
        var none = ScoredRows.Of(trial.Model, nothing);
        Assert.True(none.Count == 0, $"{none.Count} rows come out where none goes in");
    }

    [Check(13, "One row, one feature, few rows, a feature or label that never changes: trains, or refuses and says which")]
    public static void LittleDataAreEnoughOrRefused(Trial trial)
    {
        var rows = trial.Rows;
        TrainsOrRefuses("one row", trial.View(rows.Take(1)));
        TrainsOrRefuses("one feature", Samples.View(trial.Ml, trial.Task, rows.Select(row => row.With(r => r.Features = [r.Features[0]])), 1));
        var hasBatches = OptionValues.Has(trial.Subject.OptionsType, "BatchSize");
        TrainsOrRefuses("fewer rows than a batch", trial.View(rows.Take(20)), hasBatches ? [("BatchSize", 64)] : []);
        TrainsOrRefuses("a constant feature", trial.View(rows.Select(row => row.With(r => r.Features[1] = 1.5f))));
        TrainsOrRefuses("constant features", trial.View(rows.Select(row => row.With(r => Array.Fill(r.Features, -2.5f)))));
        TrainsOrRefuses("a constant label", trial.View(rows.Select(row => row.With(r => (r.Number, r.Flag, r.Kind) = (4, true, "medium")))));

        void TrainsOrRefuses(string what, IDataView data, params (string, object?)[] changes)
        {
            ITransformer? model = null;
            if (Trial.Catch(() => model = trial.Fit(data, changes)) is { } error)
                Trial.Refused(error, what, "row|instance|example|feature|class|label");
            else
                ScoredRows.Of(model!, data).ShouldBeFinite(what, trial.FirstScored);
        }
    }

    [Check(14, "One class only, or one that weights leave: it is always predicted, or refused by name", Tasks = EstimatorTask.Classification)]
    public static void OneClass(Trial trial)
    {
        var (name, predicted) = trial.Task == EstimatorTask.Binary ? ("true", bool.TrueString) : ("medium", "2");
        var one = trial.View(trial.Rows.Select(row => row.With(r => (r.Flag, r.Kind) = (true, "medium"))));
        PredictsOrRefuses("one class", one);
        var isBinary = trial.Task == EstimatorTask.Binary;
        var weighted = trial.View(trial.Rows.Select(row => row.With(r => r.Weight = (isBinary ? r.Flag : r.Kind == "medium") ? 1 : 0)));
        if (trial.Subject.TakesWeights)
            PredictsOrRefuses("one class with weights above 0", weighted, ("ExampleWeightColumnName", "Weight"));

        void PredictsOrRefuses(string what, IDataView data, params (string, object?)[] changes)
        {
            ITransformer? model = null;
            if (Trial.Catch(() => model = trial.Fit(data, changes)) is { } error)
                Trial.Refused(error, what, name);
            else
                Assert.True(trial.Score(model!).Predicted!.All(label => label == predicted), $"{what}: another class than '{name}' is predicted");
        }
    }

    [Check(15, "A feature that is NaN or infinite is refused with column and row in training and in scoring, where it is no value like others")]
    public static void BadFeaturesAreNoNumbers(Trial trial)
    {
        foreach (var bad in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
        {
            var (rows, others) = (With(trial.Rows, bad), With(trial.OtherRows, bad));
            if (trial.Traits.AcceptsMissingValues)
            {
                var model = trial.Fit(trial.View(rows));
                ScoredRows.Of(model, trial.View(others)).ShouldBeFinite($"a model that accepts {bad}", trial.FirstScored);
                continue;
            }

            Trial.Refused(() => trial.Fit(trial.View(rows)), $"training on a feature of {bad}", "Features", $"row {BadRow}");
            Trial.Refused(() => ScoredRows.Of(trial.Model, trial.View(others)), $"scoring a feature of {bad}", "Features", $"row {BadRow}");
            if (trial.ScoresSingleRows)
                Trial.Refused(() => Engine.Scores(trial, trial.Model, [others[BadRow]]), $"scoring a single row with a feature of {bad}", "Features");
        }

        static SampleRow[] With(IReadOnlyList<SampleRow> rows, float bad) =>
            [.. rows.Select(row => row.With(r => r.Features[1] = r.Id == BadRow ? bad : r.Features[1]))];
    }

    [Check(16, "A row without a label is skipped and counted in the log; no label at all is refused", Tasks = EstimatorTask.Labelled)]
    public static void MissingLabelsAreSkipped(Trial trial)
    {
        var without = Unlabelled(trial, row => row.Id < BadRow);
        if (trial.Task == EstimatorTask.Binary && Trial.Catch(() => trial.Trainer().GetOutputSchema(Trial.Shape(without.Schema))) is { } error)
        {
            // A Boolean cannot be missing, and the trainer takes nothing else.
            Trial.Refused(error, "a number as label", "Label", "Boolean");
            return;
        }

        var messages = new List<string>();
        trial.Ml.Log += (_, log) => messages.Add(log.Message);
        var model = trial.Fit(without);
        messages.RemoveAll(message => message.Contains("Kind=Trace", StringComparison.Ordinal));
        var labelled = trial.Fit(trial.View(trial.Rows.Skip(BadRow)));
        trial.Score(model).ShouldBe(trial.Score(labelled), $"with {BadRow} rows without a label, which should be skipped");
        var isCounted = messages.Any(message => Regex.IsMatch(message, $@"(?<![\d.]){BadRow}(?!\d)"));
        Assert.True(isCounted, $"the log does not say that {BadRow} rows were skipped: {string.Join(" / ", messages)}");
        Trial.Refused(() => trial.Fit(Unlabelled(trial, _ => true)), "no label at all", "Label");
    }

    [Check(18, "A class of the key that no row is of: scores are finite, and probabilities sum to one", Tasks = EstimatorTask.Multiclass)]
    public static void ClassWithoutRows(Trial trial)
    {
        foreach (var missing in Samples.Kinds)
        {
            var scored = trial.Score(trial.Fit(trial.View(trial.Rows.Where(row => row.Kind != missing))));
            scored.ShouldBeFinite($"without rows of '{missing}'");
            var isWhole = scored.Scores.All(row => row.Length == Samples.Kinds.Count && Math.Abs(row.Sum() - 1) < 1e-5);
            Assert.True(isWhole, $"without rows of '{missing}': the probabilities do not sum to one");
        }
    }

    private static IDataView Unlabelled(Trial trial, Func<SampleRow, bool> isMissing)
    {
        var rows = trial.Rows.Select(row => row.With(r =>
        {
            if (isMissing(row))
                (r.Number, r.Kind) = (float.NaN, "none of them");
            else if (trial.Task == EstimatorTask.Binary)
                r.Number = r.Flag ? 1 : 0;
        }));
        return trial.Task == EstimatorTask.Binary ? Trial.Changed(trial.View(rows), trial.Ml.Transforms.CopyColumns("Label", "Number")) : trial.View(rows);
    }
}
