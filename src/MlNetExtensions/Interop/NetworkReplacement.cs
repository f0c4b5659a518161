using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Methods;

namespace MlNetMlp.Interop;

/// <summary>Puts another network in the place of the last one of a model, alone or in a chain.</summary>
internal static class NetworkReplacement
{
    /// <summary>Finds the transformer of the last network.</summary>
    /// <param name="model">The model.</param>
    /// <returns>The transformer, and what makes the data that it reads of the data that the model reads; null where there is none.</returns>
    public static (ISingleFeaturePredictionTransformer<NetworkModel> Transformer, Func<IDataView, IDataView> Before)? Find(ITransformer model) =>
        ChainSearch.Last<ISingleFeaturePredictionTransformer<NetworkModel>>(model) is var (network, before) ? (network, before.Apply) : null;

    /// <summary>The model with another network.</summary>
    /// <param name="env">The environment.</param>
    /// <param name="model">A model in which there is a network; it stays as it is.</param>
    /// <param name="network">The other network, for the same features and task.</param>
    /// <returns>The other model, of the same type.</returns>
    public static ITransformer Replace(IHostEnvironment env, ITransformer model, TrainedNetwork network)
    {
        switch (model)
        {
            case NetworkPredictionTransformer<RegressionNetworkModel> regression:
                return regression.With(env, new(network));
            case NetworkPredictionTransformer<BinaryNetworkModel> binary:
                return binary.With(env, new(network));
            case NetworkPredictionTransformer<MulticlassNetworkModel> multiclass:
                return multiclass.With(env, new(network));
            case NetworkPredictionTransformer<MultiOutputRegressionNetworkModel> several:
                return several.With(env, new(network));
        }

        // Find came here through a chain, in which the last network is the one.
        var chain = (ITransformerChainAccessor)model;
        ITransformer[] transformers = [.. chain.Transformers];
        var last = Array.FindLastIndex(transformers, part => NetworkModel.Find(part) is not null);
        transformers[last] = Replace(env, transformers[last], network);
        return (ITransformer)Activator.CreateInstance(model.GetType(), transformers, chain.Scopes)!;
    }
}
