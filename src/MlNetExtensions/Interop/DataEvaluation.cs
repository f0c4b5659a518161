using Microsoft.ML;

namespace MlNetMlp.Interop;

/// <summary>
/// Finds something out about data: what a method offers beside its trainers, as a member of a catalog that is called like a method. The method
/// itself never sees a data view: it trains a network whose diagnostics are the report.
/// </summary>
/// <typeparam name="TOptions">The options.</typeparam>
/// <typeparam name="TReport">What is found out.</typeparam>
/// <param name="data">The data; the options name the columns.</param>
/// <param name="options">The options; null for the defaults.</param>
/// <returns>The report.</returns>
/// <exception cref="ArgumentOutOfRangeException">An option is out of its range, or a column is missing or of a type that cannot be used.</exception>
/// <exception cref="InvalidOperationException">The data hold no rows, or values that cannot be used.</exception>
public delegate TReport DataEvaluation<in TOptions, out TReport>(IDataView data, TOptions? options = default);
