using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Interop;

[assembly: LoadableClass(
    typeof(ISingleFeaturePredictionTransformer<object>), typeof(NetworkPredictionTransformerLoader), null, typeof(SignatureLoadModel),
    "Network prediction transformer", NetworkPredictionTransformerLoader.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>
/// Adds a network's predictions to data: <c>Score</c>, and for classification <c>PredictedLabel</c> and <c>Probability</c>. It is ML.NET's own
/// prediction transformer of the task (columns, annotations, threshold, file), except that data views are scored in blocks of rows. For
/// multi-output regression, for which ML.NET has none, <c>Score</c> is a vector.
/// </summary>
/// <typeparam name="TModel">The model parameters.</typeparam>
/// <remarks>One transformer serves any number of threads, and still works after <see cref="Dispose"/>.</remarks>
public sealed class NetworkPredictionTransformer<TModel> : ISingleFeaturePredictionTransformer<TModel>, ISingleFeaturePredictionTransformer, INetworkHolder, IDisposable
    where TModel : NetworkModel
{
    private readonly IHost _host;

    internal NetworkPredictionTransformer(IHostEnvironment env, SingleFeaturePredictionTransformerBase<TModel> inner)
    {
        _host = env.Register("NetworkPrediction");
        Inner = inner;
    }

    /// <summary>The model parameters.</summary>
    public TModel Model => Inner.Model;

    /// <summary>Name of the feature column.</summary>
    public string FeatureColumnName => Inner.FeatureColumnName;

    /// <summary>Type of the feature column.</summary>
    public DataViewType FeatureColumnType => Inner.FeatureColumnType;

    bool ITransformer.IsRowToRowMapper => true;

    Methods.TrainedNetwork INetworkHolder.Network => Model.Network;

    internal SingleFeaturePredictionTransformerBase<TModel> Inner { get; }

    /// <summary>The columns after the transformation.</summary>
    /// <param name="inputSchema">The columns before.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature column is missing or of another type or width.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        CheckColumns(inputSchema);

        // ML.NET's own transformer has it that the feature column is of the very type that it was trained on.
        return Inner.Transform(new EmptyDataView(_host, inputSchema)).Schema;
    }

    /// <summary>Adds the predictions. They are computed when rows are read, and only the columns that are asked for.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The data with more columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature column is missing or of another type or width.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        CheckColumns(input.Schema);
        return new BatchedScoreView(_host, input, Inner.Transform(input), Model.Network, Columns);
    }

    /// <summary>The same predictions by another model.</summary>
    internal NetworkPredictionTransformer<TModel> With(IHostEnvironment env, TModel model) => new(env, (object)Inner switch
    {
        RegressionPredictionTransformer<TModel> inner => new RegressionPredictionTransformer<TModel>(env, model, inner.TrainSchema, inner.FeatureColumnName),
        BinaryPredictionTransformer<TModel> inner => new BinaryPredictionTransformer<TModel>(
            env, model, inner.TrainSchema, inner.FeatureColumnName, inner.Threshold, inner.ThresholdColumn),
        MulticlassPredictionTransformer<TModel> inner => new MulticlassPredictionTransformer<TModel>(
            env, model, inner.TrainSchema, inner.FeatureColumnName, inner._trainLabelColumn),
        MultiOutputRegressionPredictionTransformer inner => (SingleFeaturePredictionTransformerBase<TModel>)(object)
            new MultiOutputRegressionPredictionTransformer(env, (MultiOutputRegressionNetworkModel)(object)model, inner.TrainSchema, inner.FeatureColumnName),
        TreatmentPredictionTransformer inner => (SingleFeaturePredictionTransformerBase<TModel>)(object)
            new TreatmentPredictionTransformer(env, (TreatmentModel)(object)model, inner.TrainSchema, inner.FeatureColumnName),
        _ => throw new InvalidOperationException($"{Inner.GetType()} is no transformer of a network."),
    });

    ITransformer INetworkHolder.With(Methods.TrainedNetwork network) => NetworkReplacement.Replace(_host, this, network);

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema)
    {
        CheckColumns(inputSchema);
        return ((ITransformer)Inner).GetRowToRowMapper(inputSchema);
    }

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(NetworkPredictionTransformerLoader.GetVersionInfo());
        ctx.SaveModel(Inner, NetworkPredictionTransformerLoader.InnerDirectory);
    }

    /// <summary>Gives native memory back. Others may share the model, so it still works: whoever scores next has the memory taken again.</summary>
    public void Dispose() => Model.Network.Release();

    private FeatureColumns Columns => Model.Network.Columns(FeatureColumnName);

    // ML.NET's own transformer says of a column that is missing only that it is missing, under the name of its role.
    private void CheckColumns(DataViewSchema schema)
    {
        ArgumentNullException.ThrowIfNull(schema);
        Columns.Find(schema, Model.Network.Inputs);
    }
}

/// <summary>Loads a <see cref="NetworkPredictionTransformer{TModel}"/>. Not generic, since ML.NET cannot register generic classes.</summary>
internal static class NetworkPredictionTransformerLoader
{
    public const string LoaderSignature = "MlNetMlpPrediction";
    public const string InnerDirectory = "Inner";

    public static VersionInfo GetVersionInfo() => new(
        modelSignature: "MLPTRANS",
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(NetworkPredictionTransformerLoader).Assembly.FullName!);

    public static ISingleFeaturePredictionTransformer<object> Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.CheckAtModel(GetVersionInfo());
        ctx.LoadModel<ITransformer, SignatureLoadModel>(env, out var inner, InnerDirectory);
        return inner switch
        {
            SingleFeaturePredictionTransformerBase<RegressionNetworkModel> regression => new NetworkPredictionTransformer<RegressionNetworkModel>(env, regression),
            SingleFeaturePredictionTransformerBase<BinaryNetworkModel> binary => new NetworkPredictionTransformer<BinaryNetworkModel>(env, binary),
            SingleFeaturePredictionTransformerBase<MulticlassNetworkModel> multiclass => new NetworkPredictionTransformer<MulticlassNetworkModel>(env, multiclass),
            SingleFeaturePredictionTransformerBase<MultiOutputRegressionNetworkModel> several => new NetworkPredictionTransformer<MultiOutputRegressionNetworkModel>(env, several),
            SingleFeaturePredictionTransformerBase<TreatmentModel> treated => new NetworkPredictionTransformer<TreatmentModel>(env, treated),
            _ => throw new Persistence.ModelFormatException($"The model file holds a network's predictions by a {inner.GetType().Name}, which is none of a network."),
        };
    }
}
