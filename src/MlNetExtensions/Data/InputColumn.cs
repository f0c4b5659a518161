namespace MlNetMlp.Data;

/// <summary>What a column may hold that is read beside the features.</summary>
[Flags]
public enum InputColumnTypes
{
    /// <summary>A key, a vector of keys of known size, or one of unknown size.</summary>
    Keys = 1,

    /// <summary>A number, a Boolean, or a vector of them of known size.</summary>
    Numbers = 2,
}

/// <summary>A column that a method reads beside the feature column. Rows are then laid out as <see cref="TrainingSet.Layout"/> says.</summary>
/// <param name="Name">Name of the column.</param>
/// <param name="Types">What it may hold.</param>
/// <param name="Role">What it is to the method, for errors: "There is no column 'x' to be the … column".</param>
/// <param name="IsOptionalInScoring">Whether data that are scored may lack the column; its place in a row is then 0.</param>
public sealed record InputColumn(
    string Name, InputColumnTypes Types = InputColumnTypes.Keys, string Role = InputColumn.Categorical, bool IsOptionalInScoring = false)
{
    internal const string Categorical = "categorical";

    /// <summary>What the column must be, for an error.</summary>
    internal string Expected => Types switch
    {
        InputColumnTypes.Keys => "a key or a vector of keys, such as Transforms.Conversion.MapValueToKey makes",
        InputColumnTypes.Numbers => "a number, a Boolean, or a vector of them of known size",
        _ => "a key, a number, a Boolean, or a vector of one of them",
    };

    /// <summary>What the column of a trained model has to be.</summary>
    internal static InputColumn Of(Networks.RowColumn column) =>
        column.IsKey ? new(column.Name) : new(column.Name, InputColumnTypes.Numbers, "input");
}
