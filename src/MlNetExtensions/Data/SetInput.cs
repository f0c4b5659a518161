namespace MlNetMlp.Data;

/// <summary>
/// What a method says whose rows are sets or sequences of items: the feature column is a vector of known or unknown size that holds them one
/// after the other. Items whose numbers are all NaN are missing and are passed over; a row without items is refused.
/// </summary>
/// <param name="ItemWidth">
/// Numbers of an item; null for as many as the context has, or without a context for the whole vector, which then has to be of known size.
/// </param>
/// <param name="ContextColumnNames">Columns that are read beside the items, vectors of known size or numbers; empty for none.</param>
/// <param name="CountColumnName">
/// A column of numbers that says how many items of the row count, the others being there to fill the row up; null where all do.
/// </param>
/// <param name="ItemWidthOption">Name of the option behind <paramref name="ItemWidth"/>, for errors.</param>
public sealed record SetInput(int? ItemWidth, IReadOnlyList<string> ContextColumnNames, string? CountColumnName, string ItemWidthOption = nameof(SetInput.ItemWidth));
