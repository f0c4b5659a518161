using Microsoft.ML;
using Microsoft.ML.Runtime;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using MlNetMlp.Training;

namespace MlNetMlp.Interop;

/// <summary>
/// Trains a network to forecast time series, or to give features of their windows. Rows are read in time order, of one series or of several that a key tells apart. Made by the catalog
/// methods of the single trainers, or by <see cref="NetworkTrainerCatalog"/>.
/// </summary>
/// <remarks>It keeps no state: several threads may fit it at once, and each gets the same model for the same data.</remarks>
public sealed class ForecastEstimator : IEstimator<ForecastTransformer>
{
    private readonly MethodTraining _training;
    private readonly ForecastOptions _series;

    internal ForecastEstimator(IHostEnvironment env, INetworkMethod method, ForecastOptions series, bool givesFeatures = false)
    {
        ArgumentNullException.ThrowIfNull(series);
        _training = new MethodTraining(env, method);
        _training.CheckSeries(series, givesFeatures);
        _series = series;
    }

    /// <summary>The columns after the transformation.</summary>
    /// <param name="inputSchema">The columns before.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a type that cannot be used.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        MethodTraining.CheckFeature(inputSchema, null, null, _series.Columns);
        return inputSchema.With([.. _series.Outputs.Select(output => SchemaShapes.VectorOfSingle(output.Name, hasNames: true))]);
    }

    /// <summary>
    /// Trains the network on all windows of the series. The last part of each, the option <see cref="NetworkOptions.ValidationFraction"/> of its rows, is held out
    /// to judge training by, and has no part in how the numbers are scaled.
    /// </summary>
    /// <param name="input">Rows, those of each series in time order.</param>
    /// <returns>The model.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a type that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">No series is long enough, the rows do not fit the memory budget, or a value cannot be used.</exception>
    /// <exception cref="OperationCanceledException">Training was cancelled.</exception>
    /// <exception cref="TrainingDivergedException">The loss became NaN or infinite.</exception>
    /// <exception cref="LibTorchException">libtorch does not load.</exception>
    public ForecastTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return new(_training.Host, _training.RunSeries(_series, input), _series);
    }
}
