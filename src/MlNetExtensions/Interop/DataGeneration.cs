using Microsoft.ML;

namespace MlNetMlp.Interop;

/// <summary>
/// Makes data of options: what a method offers to be tried on, as a member of a catalog that is called like a method. The method itself only
/// makes rows.
/// </summary>
/// <typeparam name="TOptions">The options.</typeparam>
/// <param name="options">The options; null for the defaults.</param>
/// <returns>The data, the same for the same options.</returns>
/// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
public delegate IDataView DataGeneration<in TOptions>(TOptions? options = default);
