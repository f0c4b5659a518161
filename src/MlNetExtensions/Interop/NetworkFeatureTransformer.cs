using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;

[assembly: LoadableClass(
    typeof(NetworkFeatureTransformer), null, typeof(SignatureLoadModel), "Features of a network", NetworkFeatureTransformer.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>
/// Adds the activations that the last layer of a trained network reads as a column, for other trainers to learn from. Data views are scored in
/// blocks of rows, and only where the column is asked for.
/// </summary>
/// <remarks>One transformer serves any number of threads, and still works after <see cref="Dispose"/>.</remarks>
public sealed class NetworkFeatureTransformer : ITransformer, IDisposable
{
    internal const string LoaderSignature = "MlNetMlpFeatures";

    private readonly IHost _host;

    internal NetworkFeatureTransformer(IHostEnvironment env, TrainedNetwork body, string outputColumnName, string? inputColumnName)
    {
        _host = env.Register("NetworkFeatures");
        (Network, OutputColumnName, InputColumnName) = (body, outputColumnName, inputColumnName);
    }

    /// <summary>The network without its last layer.</summary>
    public TrainedNetwork Network { get; }

    /// <summary>Name of the column that is added: a vector of Single with a slot for each activation.</summary>
    public string OutputColumnName { get; }

    /// <summary>
    /// Name of the feature column that the network reads: a vector of numbers of the size that it was trained on; null where it reads other columns only.
    /// </summary>
    public string? InputColumnName { get; }

    bool ITransformer.IsRowToRowMapper => true;

    /// <summary>The columns after the transformation.</summary>
    /// <param name="inputSchema">The columns before.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or of another type or width.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        return RowToRowMapperTransform.GetOutputSchema(inputSchema, new NetworkFeatureMapper(this, inputSchema));
    }

    /// <summary>Adds the features. They are computed when rows are read.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The data with one more column.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or of another type or width.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return new BatchedScoreView(_host, input, RowWise(input), Network, new(InputColumnName, Network.Sets, Network.Layout));
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) => RowWise(new EmptyDataView(_host, inputSchema));

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(GetVersionInfo());
        ctx.SaveNonEmptyString(OutputColumnName);
        ctx.SaveStringOrNull(InputColumnName);
        NetworkStorage.Save(ctx, Network);
    }

    /// <summary>Gives native memory back. Others may share the network, so it still works: whoever scores next has the memory taken again.</summary>
    public void Dispose() => Network.Release();

    /// <summary>The body of a network, which may be one already.</summary>
    internal static TrainedNetwork BodyOf(TrainedNetwork network) => network.Head is FeatureHead
        ? network
        : network.CreateBody() ?? throw new InvalidOperationException($"The network of {network.MethodName} has no last layer to take away, so it has no features to give.");

    /// <summary>Adds the column of features to a schema.</summary>
    internal static SchemaShape AddTo(SchemaShape schema, string outputColumnName) => schema.With(SchemaShapes.VectorOfSingle(outputColumnName, hasNames: true));

    private static NetworkFeatureTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.CheckAtModel(GetVersionInfo());
        var (output, input) = (ctx.LoadNonEmptyString(), ctx.LoadStringOrNull());
        var network = NetworkStorage.Load(ctx);
        CheckFeatureColumn(network, input);
        return network.Head is FeatureHead
            ? new(env, network, output, input)
            : throw new ModelFormatException($"{TrainedNetworkFile.HeaderEntryName}: the task is {network.Head.GetType().Name}, but the model is one for {nameof(FeatureHead)}.");
    }

    // Data can only be told what column is missing where its name is known.
    private static void CheckFeatureColumn(TrainedNetwork network, string? name)
    {
        if (string.IsNullOrEmpty(name) && network.Layout is not { FeatureWidth: 0 })
            throw new ModelFormatException("The model file names no feature column, but its network reads one.");
    }

    private RowToRowMapperTransform RowWise(IDataView input) =>
        new(_host, input, new NetworkFeatureMapper(this, input.Schema), schema => new NetworkFeatureMapper(this, schema));

    private static VersionInfo GetVersionInfo() => new(
        modelSignature: "MLPFEATU",
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(NetworkFeatureTransformer).Assembly.FullName!);
}

/// <summary>A <see cref="NetworkFeatureTransformer"/> bound to the columns of some data. A row that brings its scores along is believed.</summary>
internal sealed class NetworkFeatureMapper : IRowMapper
{
    private readonly NetworkFeatureTransformer _transformer;
    private readonly FeatureColumns _columns;
    private readonly HashSet<int> _inputs;

    public NetworkFeatureMapper(NetworkFeatureTransformer transformer, DataViewSchema schema)
    {
        _transformer = transformer;
        _columns = new(transformer.InputColumnName, transformer.Network.Sets, transformer.Network.Layout);
        _inputs = [.. _columns.Find(schema, transformer.Network.Inputs).Select(column => column.Index)];
    }

    public DataViewSchema.DetachedColumn[] GetOutputColumns()
    {
        var outputs = _transformer.Network.Outputs;
        var names = _transformer.Network.Definition.OutputNames;
        var annotations = new DataViewSchema.Annotations.Builder();
        NamedSlots.Add(annotations, [.. names ?? Enumerable.Range(0, outputs).Select(slot => string.Create(CultureInfo.InvariantCulture, $"Feature{slot}"))]);
        return [new(_transformer.OutputColumnName, new VectorDataViewType(NumberDataViewType.Single, outputs), annotations.ToAnnotations())];
    }

    public Func<int, bool> GetDependencies(Func<int, bool> activeOutput) => activeOutput(0) ? _inputs.Contains : _ => false;

    public Delegate?[] CreateGetters(DataViewRow input, Func<int, bool> activeOutput, out Action? disposer)
    {
        disposer = null;
        return [activeOutput(0) ? RowScores.Of(input, _columns, _transformer.Network).VectorGetter() : null];
    }

    public ITransformer GetTransformer() => _transformer;

    void ICanSaveModel.Save(ModelSaveContext ctx) => ((ICanSaveModel)_transformer).Save(ctx);
}
