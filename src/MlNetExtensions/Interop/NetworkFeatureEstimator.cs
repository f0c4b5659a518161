using Microsoft.ML;
using Microsoft.ML.Runtime;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using MlNetMlp.Training;

namespace MlNetMlp.Interop;

/// <summary>
/// Trains a method's network on a label and takes its last layer away: what remains turns features into better ones for other trainers. The
/// type of the label says what is learned: a number or a vector of numbers regression, Boolean and a key classification. Methods that learn without labels
/// (<see cref="INetworkMethod.ReadsLabels"/>) put out features themselves, and the columns that they add. Made by the catalog methods of the single featurisers, or by <see cref="NetworkTrainerCatalog"/>.
/// </summary>
/// <remarks>It keeps no state: several threads may fit it at once, and each gets the same transformer for the same data.</remarks>
public sealed class NetworkFeatureEstimator : IEstimator<NetworkFeatureTransformer>
{
    private readonly MethodTraining _training;
    private readonly string _outputColumnName;

    internal NetworkFeatureEstimator(IHostEnvironment env, INetworkMethod method, string outputColumnName)
    {
        ArgumentException.ThrowIfNullOrEmpty(outputColumnName);
        _training = new MethodTraining(env, method);
        _outputColumnName = outputColumnName;
    }

    /// <summary>The columns after the transformation.</summary>
    /// <param name="inputSchema">The columns before.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a type that cannot be used.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        if (_training.ReadsLabels)
            _training.CheckColumns(inputSchema, _training.FindTask(inputSchema));
        else
            _training.CheckColumns(inputSchema);
        return NetworkFeatureTransformer.AddTo(inputSchema, _outputColumnName, _training.ReadsLabels ? [] : _training.AddedColumns);
    }

    /// <summary>Trains the network. Rows are held out to judge it by as the options say.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The transformer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a type that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">
    /// The data hold no rows to train on, one class only, or values that cannot be used; or the method's network has no features to give.
    /// </exception>
    /// <exception cref="OperationCanceledException">Training was cancelled.</exception>
    /// <exception cref="TrainingDivergedException">The loss became NaN or infinite.</exception>
    /// <exception cref="LibTorchException">libtorch does not load.</exception>
    public NetworkFeatureTransformer Fit(IDataView input) => Train(input, null);

    /// <summary>Trains the network, judged by other data than it is trained on.</summary>
    /// <param name="trainData">The data to train on, all rows of it.</param>
    /// <param name="validationData">The data to judge by, with the same columns.</param>
    /// <returns>The transformer.</returns>
    /// <inheritdoc cref="Fit(IDataView)" path="/exception"/>
    public NetworkFeatureTransformer Fit(IDataView trainData, IDataView validationData)
    {
        ArgumentNullException.ThrowIfNull(validationData);
        return Train(trainData, validationData);
    }

    private NetworkFeatureTransformer Train(IDataView data, IDataView? validation)
    {
        ArgumentNullException.ThrowIfNull(data);
        var network = _training.ReadsLabels
            ? _training.Run(_training.FindTask(SchemaShape.Create(data.Schema)), data, validation)
            : _training.RunWithoutLabels(data, validation);
        return new(_training.Host, NetworkFeatureTransformer.BodyOf(network), _outputColumnName, _training.Options.FeatureColumnName);
    }
}
