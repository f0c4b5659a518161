using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>
/// Adds the features of a network that is trained already: fitting it learns nothing. Made by the catalog methods of the single featurisers, or
/// by <see cref="NetworkTrainerCatalog"/>.
/// </summary>
public sealed class PretrainedFeatureEstimator : IEstimator<NetworkFeatureTransformer>
{
    private readonly IHostEnvironment _env;
    private readonly TrainedNetwork _body;
    private readonly string _outputColumnName;
    private readonly string? _inputColumnName;

    internal PretrainedFeatureEstimator(IHostEnvironment env, string outputColumnName, ITransformer pretrained, string? inputColumnName, string? methodName, Func<NetworkDefinition, NetworkDefinition?>? part = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(outputColumnName);
        ArgumentNullException.ThrowIfNull(pretrained);
        var (network, column) = Find(pretrained) ?? throw new ArgumentException("The pretrained model holds no network of this library.", nameof(pretrained));
        if (methodName is not null && network.MethodName != methodName)
            throw new ArgumentException($"The pretrained model holds a {network.MethodName}, not a {methodName}.", nameof(pretrained));
        (_env, _outputColumnName, _inputColumnName) = (env, outputColumnName, inputColumnName ?? column);
        _body = part is null ? NetworkFeatureTransformer.BodyOf(network)
            : part(network.Definition) is { } wanted ? network.CreatePart(wanted)
            : throw new InvalidOperationException($"The network of {network.MethodName} has no such part.");
    }

    /// <summary>The columns after the transformation.</summary>
    /// <param name="inputSchema">The columns before.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or of a type that cannot be used.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        MethodTraining.CheckFeature(inputSchema, _inputColumnName, _body);
        return NetworkFeatureTransformer.AddTo(inputSchema, _outputColumnName, _body.Definition.AddedColumns);
    }

    /// <summary>Gives the transformer, after a look at the columns.</summary>
    /// <param name="input">Data of the kind that the transformer is to be applied to.</param>
    /// <returns>The transformer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or of another type or width.</exception>
    public NetworkFeatureTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var transformer = new NetworkFeatureTransformer(_env, _body, _outputColumnName, _inputColumnName);
        transformer.GetOutputSchema(input.Schema);
        return transformer;
    }

    private static (TrainedNetwork Network, string? Column)? Find(ITransformer model) => model switch
    {
        NetworkFeatureTransformer features => (features.Network, features.InputColumnName),
        ISingleFeaturePredictionTransformer<NetworkModel> predictions => (predictions.Model.Network, predictions.FeatureColumnName),
        IEnumerable<ITransformer> chain => chain.Reverse().Select(Find).FirstOrDefault(found => found is not null),
        _ => null,
    };
}
