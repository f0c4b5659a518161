using Microsoft.ML.Data;

namespace MlNetMlp.Methods;

/// <summary>What computes some numbers of each row, many rows at a time: a network its scores, or what is told about them.</summary>
internal interface IBlockModel
{
    /// <summary>Number of features of a row; of sets, of the longest row of the training.</summary>
    int Inputs { get; }

    /// <summary>Number of values that are computed of a row.</summary>
    int Outputs { get; }

    /// <summary>Whether features may be NaN or infinite.</summary>
    bool AcceptsMissingValues { get; }

    /// <summary>Names of the features, or null.</summary>
    IReadOnlyList<string>? FeatureNames { get; }

    /// <summary>The column of labels that are read beside the features; null where none are.</summary>
    string? LabelColumnName { get; }

    /// <summary>Computes the values. A row's values do not depend on the rows that come with it. Safe for all threads at once.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="values">Room for [n, <see cref="Outputs"/>] values.</param>
    /// <returns>Index of the first row with a value that is not finite, or -1.</returns>
    int Compute(in ModelRows rows, Span<float> values);
}

/// <summary>Some rows of data.</summary>
/// <param name="features">Features, row after row.</param>
/// <param name="labels">A label for each row, as classes from 0 where it is a key; empty where none are read.</param>
/// <param name="ids">The rows' ids, which do not depend on who reads them.</param>
internal readonly ref struct ModelRows(ReadOnlySpan<float> features, ReadOnlySpan<float> labels, ReadOnlySpan<DataViewRowId> ids)
{
    public ReadOnlySpan<float> Features { get; } = features;

    public ReadOnlySpan<float> Labels { get; } = labels;

    public ReadOnlySpan<DataViewRowId> Ids { get; } = ids;

    public int Count => Ids.Length;
}
