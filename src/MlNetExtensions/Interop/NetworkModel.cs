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

    /// <summary>The columns that the model computes, with their annotations: those of the task, and those that the network adds.</summary>
    internal DataViewSchema ScoreSchema => field ??= TaskSchema.With(Network.Definition.AddedColumns);

    /// <summary>The columns of the task, with their annotations.</summary>
    private protected abstract DataViewSchema TaskSchema { get; }

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

    /// <summary>A model like another, in which a network computes something else from the same weights: with parts of it switched off, say.</summary>
    /// <typeparam name="TModel">The type of the model, which the other one has too.</typeparam>
    /// <param name="model">A fitted or loaded model, alone or in a chain; it stays as it is.</param>
    /// <param name="change">
    /// Gives the other definition, for the same inputs and outputs and tensors; null where a network is not to be changed. The last network that is, is the one.
    /// </param>
    /// <returns>The other model; null where no network of the model is to be changed.</returns>
    public static TModel? WithDefinition<TModel>(TModel model, Func<NetworkDefinition, NetworkDefinition?> change)
        where TModel : class, ITransformer
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(change);
        return (TModel?)NetworkReplacement.Change(model, network => change(network.Definition) is { } other ? network.WithDefinition(other) : null);
    }

    /// <summary>Finds the network in a fitted or loaded model of this library that another training may begin with: one that predicts, or one that gives features.</summary>
    /// <param name="model">The model, alone or in a chain.</param>
    /// <returns>The last network in it, or null where there is none.</returns>
    public static TrainedNetwork? FindPretrained(ITransformer? model) => model switch
    {
        NetworkFeatureTransformer features => features.Network,
        IEnumerable<ITransformer> chain => chain.Reverse().Select(FindPretrained).FirstOrDefault(found => found is not null),
        _ => Find(model),
    };

    /// <summary>Gives back what native memory the networks of a model have taken to score; they take it again with the next row.</summary>
    /// <param name="model">The model, alone or in a chain.</param>
    internal static void Release(ITransformer model)
    {
        foreach (var part in model as IEnumerable<ITransformer> ?? [])
            Release(part);
        FindPretrained(model)?.Release();
    }

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
    /// <param name="input">The columns of the data.</param>
    /// <returns>A <see cref="ValueGetter{TValue}"/> of the column's type.</returns>
    internal Delegate Getter(int column, RowScores scores, DataViewSchema input) => column < TaskSchema.Count
        ? CreateGetter(column, scores, input)
        : Network.Definition.AddedColumns.Getter(column - TaskSchema.Count, Network.Outputs, scores);

    /// <summary>Makes the getter of a column of the task.</summary>
    /// <param name="column">Index in <see cref="TaskSchema"/>.</param>
    /// <param name="scores">Where the scores of the current row come from.</param>
    /// <returns>A <see cref="ValueGetter{TValue}"/> of the column's type.</returns>
    private protected abstract Delegate CreateGetter(int column, RowScores scores);

    /// <summary>Makes the getter of a column of the task from data that may lack columns that are optional.</summary>
    /// <param name="column">Index in <see cref="TaskSchema"/>.</param>
    /// <param name="scores">Where the scores of the current row come from.</param>
    /// <param name="input">The columns of the data.</param>
    /// <returns>A <see cref="ValueGetter{TValue}"/> of the column's type.</returns>
    private protected virtual Delegate CreateGetter(int column, RowScores scores, DataViewSchema input) => CreateGetter(column, scores);

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
