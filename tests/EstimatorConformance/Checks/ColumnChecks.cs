using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance.Checks;

/// <summary>Which columns are used, what is said of those that cannot be, and what the new ones say of themselves.</summary>
internal static class ColumnChecks
{
    // In quotes, since messages also speak of features and labels as such.
    private const string Features = "'Features'|\"Features\"";
    private const string Label = "'Label'|\"Label\"";

    [Check(8, "Renamed columns are obeyed; unrelated, hidden and reordered ones change nothing and pass through")]
    public static void OnlyNamedColumnsMatter(Trial trial)
    {
        var (ml, expected) = (trial.Ml, trial.Score(trial.Model));
        (string, object?)[] names = [("LabelColumnName", "y"), ("FeatureColumnName", "x")];
        var renamed = ml.Transforms.CopyColumns("x", "Features").Append(ml.Transforms.CopyColumns("y", "Label"));
        var few = renamed.Append(ml.Transforms.SelectColumns([.. trial.Subject.ColumnsBeside, "y", "x"]));
        var model = trial.Fit(Trial.Changed(trial.Data, few), names);
        var unlabelled = Trial.Changed(trial.OtherData, renamed.Append(ml.Transforms.SelectColumns(["x", .. trial.Subject.ColumnsBeside])));
        ScoredRows.Of(model, unlabelled).ShouldBe(expected, "with other names, in another order and without other columns");

        // The last of several columns of one name is the one that is meant; the others are hidden.
        var hiding = renamed.Append(ml.Transforms.CopyColumns("Features", "Text")).Append(ml.Transforms.CopyColumns("Label", "Text"))
            .Append(ml.Transforms.CopyColumns("Score", "Text")).Append(ml.Transforms.CopyColumns("PredictedLabel", "Id"))
            .Append(ml.Transforms.CopyColumns("Label", "y")).Append(ml.Transforms.CopyColumns("Features", "x"));
        var scored = trial.Fit(Trial.Changed(trial.Data, hiding)).Transform(Trial.Changed(trial.OtherData, hiding));
        ScoredRows.Read(scored).ShouldBe(expected, "with hidden columns and unrelated ones");
        foreach (var (before, after) in Lines(ml, Trial.Changed(trial.OtherData, hiding)).Zip(Lines(ml, scored)))
            Assert.True(IsPartOf(before, after), $"columns do not pass through: '{string.Join(' ', before)}' becomes '{string.Join(' ', after)}'");
    }

    [Check(9, "A column that is missing or of another type is refused alike by GetOutputSchema, Fit and Transform, naming it, what it must be and what it is")]
    public static void WrongColumnsAreRefusedAlike(Trial trial)
    {
        foreach (var (what, change, parts) in WrongFeatures(trial).Concat(WrongLabels(trial)))
        {
            var errors = Attempts(trial, Trial.Changed(trial.Data, change), parts[0] == Features);
            foreach (var (way, error) in errors)
                Trial.Refused(error, $"{what}, {way}", parts);
            var kinds = errors.Select(e => $"{e.Way} with {e.Error!.GetType().Name}");
            Assert.True(errors.Select(e => e.Error!.GetType()).Distinct().Count() == 1, $"{what}: refused by {string.Join(", ", kinds)}");
        }

        var doubles = trial.Ml.Transforms.Conversion.ConvertType("Features", outputKind: DataKind.Double);
        var data = Trial.Changed(trial.Data, doubles);
        var outcomes = Attempts(trial, data, isFeature: true);
        if (outcomes.All(o => o.Error is null))
            ScoredRows.Of(trial.Fit(data), Trial.Changed(trial.OtherData, doubles)).ShouldBe(trial.Score(trial.Model), "with features of type Double");
        else
            Assert.All(outcomes, o => Trial.Refused(o.Error, $"features of type Double, {o.Way}", Features, "Double", "Single"));
    }

    [Check(10, "Rows of another width than those that the model was trained on are refused with both widths")]
    public static void OtherWidthsAreRefused(Trial trial)
    {
        var width = trial.Traits.FeatureCount;
        foreach (var other in trial.Traits.OtherFeatureCounts)
        {
            var data = Samples.View(trial.Ml, trial.Task, Samples.Make(5, other), other);
            string[] parts = ["feature", $"{width}", $"{other}"];
            Trial.Refused(() => trial.Model.Transform(data), $"{other} features in place of {width}", parts);
            Trial.Refused(() => trial.Model.GetOutputSchema(data.Schema), $"a schema of {other} features in place of {width}", parts);
            if (trial.ScoresSingleRows)
                Trial.Refused(() => trial.Model.GetRowToRowMapper(data.Schema), $"single rows of {other} features in place of {width}", parts);
        }
    }

    [Check(11, "Score says its kind and names its slots, PredictedLabel names its values, and Probability is marked as normalized", Tasks = EstimatorTask.Predicted)]
    public static void NewColumnsSayWhatTheyAre(Trial trial)
    {
        var schema = trial.Model.Transform(trial.OtherData).Schema;
        var expected = trial.Task switch
        {
            EstimatorTask.Regression => "Regression",
            EstimatorTask.MultiOutput => "MultiOutputRegression",
            _ => $"{trial.Task}Classification",
        };
        foreach (var column in schema.Skip(trial.OtherData.Schema.Count))
        {
            var (task, value) = (Text(column, "ScoreColumnKind"), Text(column, "ScoreValueKind"));
            Assert.True(task == expected, $"the ScoreColumnKind of {column.Name} is '{task}' and not '{expected}'");
            Assert.True(value == column.Name, $"the ScoreValueKind of {column.Name} is '{value}'");
        }

        if (trial.Task == EstimatorTask.Binary)
            Assert.True(schema["Probability"].IsNormalized(), "Probability is not marked as normalized");
        if (trial.Task is EstimatorTask.Multiclass or EstimatorTask.MultiOutput)
            Assert.Equal(trial.Task == EstimatorTask.Multiclass ? Samples.Kinds : ["Number", "Opposite"], Names((ref VBuffer<ReadOnlyMemory<char>> names) => schema["Score"].GetSlotNames(ref names)));
        if (trial.Task == EstimatorTask.Multiclass)
            Assert.Equal(Samples.Kinds, Names((ref VBuffer<ReadOnlyMemory<char>> names) => schema["PredictedLabel"].GetKeyValues(ref names)));
    }

    private static IEnumerable<string> Names(ValueGetter<VBuffer<ReadOnlyMemory<char>>> read)
    {
        VBuffer<ReadOnlyMemory<char>> names = default;
        read(ref names);
        return names.DenseValues().Select(name => name.ToString());
    }

    private static IEnumerable<(string What, IEstimator<ITransformer> Change, string[] Parts)> WrongFeatures(Trial trial) => trial.Task == EstimatorTask.Forecasting
        ? WrongVectors(trial.Ml)
        : [.. WrongVectors(trial.Ml), ("a single number as features", trial.Ml.Transforms.CopyColumns("Features", "Number"), [Features, "vector", "Single"])];

    private static IEnumerable<(string What, IEstimator<ITransformer> Change, string[] Parts)> WrongVectors(MLContext ml) =>
    [
        ("no features", ml.Transforms.DropColumns("Features"), [Features]),
        ("a text as features", ml.Transforms.CopyColumns("Features", "Text"), [Features, "vector", "String"]),
        ("texts as features", ml.Transforms.Conversion.ConvertType("Features", outputKind: DataKind.String), [Features, "vector", "String"]),
        (
            "a vector of unknown size as features",
            ml.Transforms.Text.TokenizeIntoWords("Features", "Text").Append(ml.Transforms.Conversion.ConvertType("Features")),
            [Features, "vector", "Vector<Single>"]),
    ];

    private static IEnumerable<(string What, IEstimator<ITransformer> Change, string[] Parts)> WrongLabels(Trial trial)
    {
        if (trial.Task == EstimatorTask.Forecasting)
            return [];
        var right = trial.Task switch
        {
            EstimatorTask.Regression or EstimatorTask.Causal => "Single",
            EstimatorTask.MultiOutput => "vector",
            EstimatorTask.Binary => "Boolean",
            _ => "key",
        };
        return
        [
            ("no label", trial.Ml.Transforms.DropColumns("Label"), [Label]),
            ("a text as label", trial.Ml.Transforms.CopyColumns("Label", "Text"), [Label, right, "String"]),
            trial.Task == EstimatorTask.MultiOutput
                ? ("a single number as label", trial.Ml.Transforms.CopyColumns("Label", "Number"), [Label, right, "Single"])
                : ("a vector as label", trial.Ml.Transforms.CopyColumns("Label", "Features"), [Label, right, "Vector"]),
        ];
    }

    /// <summary>What comes of data in all places that look at columns; a model does not ask for labels.</summary>
    private static (string Way, Exception? Error)[] Attempts(Trial trial, IDataView data, bool isFeature)
    {
        (string Way, Exception? Error)[] trainer =
        [
            ("GetOutputSchema", Trial.Catch(() => trial.Trainer().GetOutputSchema(Trial.Shape(data.Schema)))),
            ("Fit", Trial.Catch(() => trial.Fit(data))),
        ];
        return isFeature ? [.. trainer, ("Transform", Trial.Catch(() => trial.Model.Transform(data)))] : trainer;
    }

    private static string Text(DataViewSchema.Column column, string annotation)
    {
        ReadOnlyMemory<char> value = default;
        if (column.Annotations.Schema.GetColumnOrNull(annotation) is not null)
            column.Annotations.GetValue(annotation, ref value);
        return value.ToString();
    }

    /// <summary>All columns of all rows as texts, hidden ones too.</summary>
    private static IEnumerable<string[]> Lines(MLContext ml, IDataView data)
    {
        using var stream = new MemoryStream();
        ml.Data.SaveAsText(data, stream, headerRow: false, schema: false, keepHidden: true, forceDense: true);
        return Encoding.UTF8.GetString(stream.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.TrimEnd('\r').Split('\t'));
    }

    // A new column stands right behind the one of its name that it hides.
    private static bool IsPartOf(string[] before, string[] after)
    {
        var next = 0;
        return before.All(text => (next = Array.IndexOf(after, text, next) + 1) > 0);
    }
}
