using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Model;
using Microsoft.ML.Runtime;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>The model parameters of a network: what a prediction transformer holds as its <c>Model</c>.</summary>
public abstract class NetworkModel : IPredictor, ISchemaBindableMapper, ICanSaveModel
{
    private protected NetworkModel(TrainedNetwork network)
    {
        Network = network;
    }

    /// <summary>The network: weights, learning curve, feature names and options.</summary>
    public TrainedNetwork Network { get; }

    /// <summary>The columns that the model computes, with their annotations.</summary>
    internal abstract DataViewSchema ScoreSchema { get; }

    PredictionKind IPredictor.PredictionKind => Kind;

    private protected abstract PredictionKind Kind { get; }

    private protected abstract VersionInfo Version { get; }

    /// <summary>Finds the network in a fitted or loaded model of this library, alone or in a chain.</summary>
    /// <param name="model">The model.</param>
    /// <returns>The last network in it, or null where there is none.</returns>
    public static TrainedNetwork? Find(ITransformer? model) => model switch
    {
        IPredictionTransformer<NetworkModel> network => network.Model.Network,
        ForecastTransformer forecasts => forecasts.Network,
        IEnumerable<ITransformer> chain => chain.Reverse().Select(Find).FirstOrDefault(found => found is not null),
        _ => null,
    };

    /// <summary>Finds the network in a fitted or loaded model of this library that another training may begin with: one that predicts, or one that gives features.</summary>
    /// <param name="model">The model, alone or in a chain.</param>
    /// <returns>The last network in it, or null where there is none.</returns>
    public static TrainedNetwork? FindPretrained(ITransformer? model) => model switch
    {
        NetworkFeatureTransformer features => features.Network,
        IEnumerable<ITransformer> chain => chain.Reverse().Select(FindPretrained).FirstOrDefault(found => found is not null),
        _ => Find(model),
    };

    ISchemaBoundMapper ISchemaBindableMapper.Bind(IHostEnvironment env, RoleMappedSchema schema) => new BoundNetwork(this, schema);

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(Version);
        NetworkStorage.Save(ctx, Network);
    }

    /// <summary>Makes the getter of a computed column.</summary>
    /// <param name="column">Index in <see cref="ScoreSchema"/>.</param>
    /// <param name="scores">Where the scores of the current row come from.</param>
    /// <returns>A <see cref="ValueGetter{TValue}"/> of the column's type.</returns>
    internal abstract Delegate CreateGetter(int column, RowScores scores);

    /// <summary>Makes the getter of a computed column of data that may lack columns that are optional.</summary>
    /// <param name="column">Index in <see cref="ScoreSchema"/>.</param>
    /// <param name="scores">Where the scores of the current row come from.</param>
    /// <param name="input">The columns of the data.</param>
    /// <returns>A <see cref="ValueGetter{TValue}"/> of the column's type.</returns>
    internal virtual Delegate CreateGetter(int column, RowScores scores, DataViewSchema input) => CreateGetter(column, scores);

    private protected static VersionInfo MakeVersion(string signature, string loader) => new(
        modelSignature: signature,
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderSignature: loader,
        loaderAssemblyName: typeof(NetworkModel).Assembly.FullName!);

    private protected static TrainedNetwork Load<THead>(ModelLoadContext ctx, VersionInfo version)
        where THead : TaskHead
    {
        ctx.CheckAtModel(version);
        var network = NetworkStorage.Load(ctx);
        return network.Head is THead
            ? network
            : throw new Persistence.ModelFormatException($"{TrainedNetworkFile.HeaderEntryName}: the task is {network.Head.GetType().Name}, but the model is one for {typeof(THead).Name}.");
    }

    /// <summary>What ML.NET's generic mapper interfaces are told of the vectors to map.</summary>
    private protected VectorDataViewType MappedType => Network.Sets switch
    {
        null => new(NumberDataViewType.Single, Network.Layout?.FeatureWidth ?? Network.Inputs),
        { IsOneItem: true } one => new(NumberDataViewType.Single, one.ItemWidth),
        _ => new(NumberDataViewType.Single),
    };

    /// <summary>Checks what ML.NET's generic mapper interfaces are asked for, and makes what scores one row at a time.</summary>
    private protected VectorScorer CreateVectorScorer<TSource>() => typeof(TSource) == typeof(VBuffer<float>)
        ? new(Network)
        : throw new InvalidOperationException($"The model maps vectors of Single, not {typeof(TSource)}.");
}
