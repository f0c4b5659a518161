using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Methods;

namespace MlNetMlp.Interop;

/// <summary>A transformer around one network.</summary>
internal interface INetworkHolder
{
    /// <summary>The network.</summary>
    TrainedNetwork Network { get; }

    /// <summary>The same transformer around another network for the same columns.</summary>
    /// <param name="network">The network.</param>
    /// <returns>The other transformer.</returns>
    ITransformer With(TrainedNetwork network);
}

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
            case NetworkPredictionTransformer<TreatmentModel> treated:
                return treated.With(env, new(network));
        }

        // Find came here through a chain, in which the last network is the one.
        return InChain(model, part => NetworkModel.Find(part) is null ? null : Replace(env, part, network))!;
    }

    /// <summary>The model with another network in the place of the last one that can be changed.</summary>
    /// <param name="model">The model, alone or a chain; it stays as it is.</param>
    /// <param name="change">Gives the other network, or null where a network is not to be changed.</param>
    /// <returns>The other model, of the same type; null where nothing was changed.</returns>
    public static ITransformer? Change(ITransformer model, Func<TrainedNetwork, TrainedNetwork?> change) => model switch
    {
        INetworkHolder holder => change(holder.Network) is { } other ? holder.With(other) : null,
        ITransformerChainAccessor => InChain(model, part => Change(part, change)),
        _ => null,
    };

    private static ITransformer? InChain(ITransformer model, Func<ITransformer, ITransformer?> change)
    {
        var chain = (ITransformerChainAccessor)model;
        ITransformer[] transformers = [.. chain.Transformers];
        for (var i = transformers.Length - 1; i >= 0; i--)
        {
            if (change(transformers[i]) is not { } other)
                continue;
            transformers[i] = other;
            return (ITransformer)Activator.CreateInstance(model.GetType(), transformers, chain.Scopes)!;
        }

        return null;
    }
}
