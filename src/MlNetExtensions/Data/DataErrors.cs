using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Data;

/// <summary>Everything that is said about unusable data: the column or row, what was found, what was expected, what to do.</summary>
internal static class DataErrors
{
    public static ArgumentOutOfRangeException MissingColumn(string role, string name, IEnumerable<string> available) =>
        Schema($"There is no column '{name}' to be the {role} column. Columns are: {string.Join(", ", available.Distinct().Select(c => $"'{c}'"))}.");

    public static ArgumentOutOfRangeException WrongType(string role, string name, string expected, string found) =>
        Schema($"The {role} column '{name}' must be {expected}, but is {found}.");

    public static ArgumentOutOfRangeException UnknownSize(string name, string found) =>
        Schema($"The feature column '{name}' must be a vector of known size, but is {found}. Concatenate single columns with "
            + "Transforms.Concatenate, or fix the size where the data are loaded.");

    public static ArgumentOutOfRangeException UnknownImageSize(string name) =>
        Schema($"The feature column '{name}' holds images of any size. Trainers of images take the option 'ImageShape', a size that images are brought to; for all others "
            + "put Transforms.ResizeImages before.");

    public static ArgumentOutOfRangeException ImageChannels(string name, int channels) =>
        Schema($"The feature column '{name}' holds images, which become 1 channel (grey), 3 (red, green, blue) or 4 (alpha first), but {channels} are asked for.");

    public static InvalidOperationException NoImage(string column, long row) =>
        new($"Column '{column}', row {row} holds no image. Drop the row (Transforms.FilterByCustomPredicate), or give it an image that stands for none.");

    public static ArgumentOutOfRangeException WidthMismatch(string name, int expected, int found) =>
        Schema($"The feature column '{name}' has {found} slots, but the model was trained on {expected}.");

    public static ArgumentOutOfRangeException UnknownItemWidth(string name, string found, string option) =>
        Schema($"The feature column '{name}' is {found}, a vector of unknown size: give the option '{option}', the number of values of one item.");

    public static ArgumentOutOfRangeException SetWidthMismatch(string name, int found, int itemWidth) =>
        Schema($"The feature column '{name}' has {found} slots, which is no whole number of items of {itemWidth}.");

    public static ArgumentOutOfRangeException ContextWidthMismatch(string name, int expected, int found) =>
        Schema($"The context column '{name}' has {found} slots, but the model was trained on {expected}.");

    public static ArgumentOutOfRangeException ColumnWidthMismatch(string name, int expected, int found) =>
        Schema($"The column '{name}' has {found} values, but the model was trained on {expected}.");

    public static ArgumentOutOfRangeException TooManyKeys(string role, string name, ulong count, int most) =>
        Schema($"The {role} column '{name}' is a key of {count} values; at most {most} can be told apart. Hash to fewer bits (Transforms.Conversion.Hash with "
            + "numberOfBits of at most 23), or give rare values one key.");

    public static ArgumentOutOfRangeException OtherKeys(string column) =>
        Schema($"The keys of column '{column}' stand for other values, or the same in another order, in the validation data than in the training data. "
            + "Fit the MapValueToKey that makes them once, and apply it to both.");

    public static InvalidOperationException SetLength(string column, long row, int length, int itemWidth) =>
        new($"Column '{column}', row {row} has {length} values, which is no whole number of items of {itemWidth}.");

    public static InvalidOperationException SetCount(string column, long row, float count, string items, int most) =>
        new($"The count column '{column}' is {count.ToString(System.Globalization.CultureInfo.InvariantCulture)} in row {row}; it must be a whole number from 0 to {most}, "
            + $"the number of items in '{items}'.");

    public static InvalidOperationException EmptySet(string column, long row) =>
        new($"Column '{column}', row {row} has no items, so there is nothing to tell from: drop the row, or give it an item that stands for none.");

    public static InvalidOperationException LongerSet(string column, long row) =>
        new($"Column '{column}', row {row} has more items than when the data were read before: they must be the same each time.");

    public static InvalidOperationException OtherLength(string column, long row, int expected, int found) =>
        new($"Column '{column}', row {row} has {found} values, but the type of the column says that there are {expected}.");

    public static InvalidOperationException OtherRows(long expected, long found) =>
        new($"The data had {expected} rows to train on when they were read before, and {(found < expected ? found.ToString(System.Globalization.CultureInfo.InvariantCulture) : "more")} now: they must be the same each time. "
            + "Copy them first (Data.Cache), or raise the option 'MemoryBudget' so that they are read once.");

    public static InvalidOperationException NonFiniteFeature(string column, long row, int slot, string? slotName, float value) =>
        new($"Column '{column}', row {row}, slot {slot}{(slotName is null ? "" : $" ('{slotName}')")} is {value.ToString(System.Globalization.CultureInfo.InvariantCulture)}. "
            + "Features must be finite: replace missing values first, for instance with Transforms.ReplaceMissingValues, or drop the row.");

    public static InvalidOperationException NonFiniteScore(long row) =>
        new($"The model's score of row {row} is not finite: its features lie too far outside of those that the model was trained on.");

    public static InvalidOperationException NonFiniteLabel(string column, long row, ReadOnlySpan<float> label)
    {
        var slot = Runtime.Finite.IndexOfNonFinite(label);
        return new($"The label column '{column}' is {label[slot].ToString(System.Globalization.CultureInfo.InvariantCulture)} in row {row}{(label.Length > 1 ? $", slot {slot}" : "")}; it must be finite.");
    }

    public static ArgumentOutOfRangeException LabelWidthMismatch(string name, int expected, int found) =>
        Schema($"The label column '{name}' has {found} slots in the validation data, but {expected} in the training data.");

    public static ArgumentOutOfRangeException ChannelMismatch(IEnumerable<string> names, int expected, int found) =>
        Schema($"The series columns {string.Join(", ", names.Select(name => $"'{name}'"))} have {found} numbers, but the model was trained on {expected} channels.");

    public static InvalidOperationException NoSeries(string column, long row) =>
        new($"The series column '{column}' has no value in row {row}: every row has to say which series it belongs to. Drop the row, or give it a series.");

    public static InvalidOperationException ShortSeries(int contextLength, int horizon, long longest, long held) =>
        new($"No series has a window to train on: a window of {contextLength} rows and the {horizon} rows that follow it need {contextLength + horizon} rows, and the longest series has "
            + $"{longest}{(held > 0 ? $", {held} of them held out for validation" : "")}. Give more rows, or lower 'ContextLength', 'Horizon' or 'ValidationFraction'.");

    public static InvalidOperationException LargeSeries(int channels, long budget, long most) =>
        new($"The series have more than the {most} rows of {channels} channels that fit the memory budget of {Runtime.MemoryBudget.Format(budget)}, and series are not streamed. "
            + "Raise the option 'MemoryBudget', or train on fewer rows.");

    public static InvalidOperationException BadWeight(string column, long row, float value) =>
        new($"The example weight column '{column}' is {value.ToString(System.Globalization.CultureInfo.InvariantCulture)} in row {row}; a weight must be finite and not negative.");

    public static InvalidOperationException BadPropensity(string column, long row, float value) =>
        new($"The propensity column '{column}' is {value.ToString(System.Globalization.CultureInfo.InvariantCulture)} in row {row}; a probability of treatment must be above 0 and below 1.");

    public static InvalidOperationException NoRows(string labelColumn, long missingLabels, long zeroWeights) =>
        new((missingLabels, zeroWeights) switch
        {
            (0, 0) => "There are no rows to train on.",
            (_, 0) => $"There are no rows to train on: the label '{labelColumn}' is missing in all {missingLabels} rows.",
            (0, _) => $"There are no rows to train on: the example weight is 0 in all {zeroWeights} rows.",
            _ => $"There are no rows to train on: the label '{labelColumn}' is missing in {missingLabels} rows and the example weight is 0 in {zeroWeights}.",
        });

    public static InvalidOperationException NoTrainingRows(string column) =>
        new($"The validation column '{column}' is true in all rows: none is left to train on.");

    public static InvalidOperationException UnknownClass(string column, float label, int classes) =>
        new($"The label column '{column}' holds the class {label + 1}, but its type has {classes} classes.");

    public static InvalidOperationException NotBinary(string column, float label) =>
        new($"The label column '{column}' is {label.ToString(System.Globalization.CultureInfo.InvariantCulture)} in a row; for binary classification a number must be 0 or 1.");

    public static ArgumentOutOfRangeException OtherClasses(string column) =>
        Schema($"The label column '{column}' has other classes, or the same in another order, in the validation data than in the training data. "
            + "Fit the MapValueToKey that makes it once, and apply it to both.");

    public static InvalidOperationException OneClass(string labelColumn, string className, long rows) =>
        new($"The label '{labelColumn}' is {className} in all {rows} rows that can be used; a classifier needs at least two classes.");

    public static ArgumentOutOfRangeException ClassWeightCount(int classes, int weights) =>
        OutOfRange("options", $"The option 'ClassWeights' must have one weight for each of the {classes} classes, but has {weights}.");

    public static ArgumentOutOfRangeException NoFeatureColumn(string method) =>
        OutOfRange("options", $"{method}: option 'FeatureColumnName' must be given, but was null: {method} reads no other columns.");

    public static ArgumentOutOfRangeException ClassWeightsOfRegression(string method) =>
        OutOfRange("options", $"{method}: option 'ClassWeights' must be null for regression, which has no classes.");

    public static ArgumentOutOfRangeException ClassWeightsWithoutLabels(string method) =>
        OutOfRange("options", $"{method}: option 'ClassWeights' must be null: no label is read, so there are no classes.");

    public static ArgumentException NoLabels(string method) =>
        new($"{method} learns without labels and predicts nothing: it is made by Transforms.CreateFeaturizer.", nameof(method));

    // ML.NET writes a vector of unknown size like one of which nothing is said, except in the shapes that estimators are given.
    public static string Describe(DataViewType type) =>
        (type is VectorDataViewType { IsKnownSize: false } ? "Var" : "") + (type.ToString() ?? type.GetType().Name);

    private static ArgumentOutOfRangeException Schema(string message) => OutOfRange("schema", message);

    private static ArgumentOutOfRangeException OutOfRange(string parameter, string message) => new(parameter, message);
}
