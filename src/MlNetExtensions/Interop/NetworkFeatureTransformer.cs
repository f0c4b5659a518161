using System.Globalization;
using System.Text.Json;
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
/// Adds what a network puts out as a column: the activations that the last layer of a trained network reads, for other trainers to learn from, or the
/// numbers that a network predicts; and the columns that the network itself adds. Data views are scored in blocks of rows, and only where the column is asked for.
/// </summary>
/// <remarks>One transformer serves any number of threads, and still works after <see cref="Dispose"/>.</remarks>
public sealed class NetworkFeatureTransformer : ITransformer, INetworkHolder, IDisposable
{
    internal const string LoaderSignature = "MlNetMlpFeatures";
    private const string BlocksEntryName = "columns.json";

    private readonly IHost _host;
    private readonly IReadOnlyList<OutputBlock> _blocks;

    internal NetworkFeatureTransformer(IHostEnvironment env, TrainedNetwork body, string outputColumnName, string? inputColumnName)
        : this(env, body, [new OutputBlock(outputColumnName, 0)], inputColumnName)
    {
    }

    /// <summary>Shows blocks of the network's outputs as columns of their own.</summary>
    internal NetworkFeatureTransformer(IHostEnvironment env, TrainedNetwork body, IReadOnlyList<OutputBlock> blocks, string? inputColumnName)
    {
        _host = env.Register("NetworkFeatures");
        (Network, _blocks, InputColumnName) = (body, blocks, inputColumnName);
    }

    /// <summary>The network: without its last layer, or one that predicts several numbers.</summary>
    public TrainedNetwork Network { get; }

    /// <summary>
    /// Name of the column that is added: a vector of Single with a slot for each number that the network puts out. Forecasts with quantiles have columns of these beside it.
    /// </summary>
    public string OutputColumnName => _blocks[0].Name;

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
        return RowToRowMapperTransform.GetOutputSchema(inputSchema, Mapper(inputSchema));
    }

    /// <summary>Adds the features. They are computed when rows are read.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The data with one more column.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or of another type or width.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return new BatchedScoreView(_host, input, RowWise(input), Network, Columns);
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) => RowWise(new EmptyDataView(_host, inputSchema));

    ITransformer INetworkHolder.With(TrainedNetwork network) => new NetworkFeatureTransformer(_host, network, _blocks, InputColumnName);

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(GetVersionInfo());
        ctx.SaveNonEmptyString(OutputColumnName);
        ctx.SaveStringOrNull(InputColumnName);
        if (_blocks.Count > 1)
            ctx.SaveBinaryStream(BlocksEntryName, writer => writer.Write(JsonSerializer.SerializeToUtf8Bytes(_blocks, StrictJson.Settings)));
        NetworkStorage.Save(ctx, Network);
    }

    /// <summary>Gives native memory back. Others may share the network, so it still works: whoever scores next has the memory taken again.</summary>
    public void Dispose() => Network.Release();

    /// <summary>The body of a network, which may be one already.</summary>
    internal static TrainedNetwork BodyOf(TrainedNetwork network) => network.Head is FeatureHead
        ? network
        : network.CreateBody() ?? throw new InvalidOperationException($"The network of {network.MethodName} has no last layer to take away, so it has no features to give.");

    /// <summary>Names of the numbers that a network puts out, of a forecast with quantiles those of the means.</summary>
    internal static string[] NamesOf(TrainedNetwork network) =>
    [
        .. QuantileRegressionHead.MeanOf(network.Head)?.LabelNames ?? network.Definition.OutputNames
            ?? Enumerable.Range(0, network.Outputs).Select(slot => string.Create(CultureInfo.InvariantCulture, $"Feature{slot}")),
    ];

    /// <summary>Adds the column of features, and those that the network adds, to a schema.</summary>
    internal static SchemaShape AddTo(SchemaShape schema, string outputColumnName, IReadOnlyList<AddedColumn> added) =>
        schema.With([SchemaShapes.VectorOfSingle(outputColumnName, hasNames: true), .. added.Shapes()]);

    private static NetworkFeatureTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.CheckAtModel(GetVersionInfo());
        var (output, input) = (ctx.LoadNonEmptyString(), ctx.LoadStringOrNull());
        var network = NetworkStorage.Load(ctx);
        CheckFeatureColumn(network, input);
        return network.Head switch
        {
            FeatureHead or MultiOutputRegressionHead => new(env, network, output, input),
            QuantileRegressionHead quantiles => new(env, network, ReadBlocks(JsonEntry.Read(ctx, BlocksEntryName), output, quantiles), input),
            _ => throw new ModelFormatException($"{TrainedNetworkFile.HeaderEntryName}: the task is {network.Head.GetType().Name}, but the model is one for {nameof(FeatureHead)}."),
        };
    }

    private static OutputBlock[] ReadBlocks(byte[] json, string first, QuantileRegressionHead head)
    {
        try
        {
            var blocks = JsonSerializer.Deserialize<OutputBlock[]>(json, StrictJson.Settings) ?? throw new JsonException("it is null.");
            return blocks.Length > 0 && blocks.All(block => block is { Name.Length: > 0, Block: >= 0 } && block.Block <= head.Quantiles.Count)
                && blocks.DistinctBy(block => block.Name).Count() == blocks.Length && blocks[0] == new OutputBlock(first, 0)
                ? blocks
                : throw new JsonException($"its columns are not those of a forecast '{first}' with {head.Quantiles.Count} quantiles.");
        }
        catch (JsonException e)
        {
            throw new ModelFormatException($"{BlocksEntryName}: {e.Message}", e);
        }
    }

    // Data can only be told what column is missing where its name is known.
    private static void CheckFeatureColumn(TrainedNetwork network, string? name)
    {
        if (string.IsNullOrEmpty(name) && network.Layout is not { FeatureWidth: 0 })
            throw new ModelFormatException("The model file names no feature column, but its network reads one.");
    }

    private FeatureColumns Columns => Network.Columns(InputColumnName);

    private VectorMapper Mapper(DataViewSchema schema)
    {
        var names = NamesOf(Network);
        return new(this, Columns, Network, [.. _blocks.Select(block => new VectorColumn(block.Name, block.Block * names.Length, names))], schema, Network.Definition.AddedColumns);
    }

    private RowToRowMapperTransform RowWise(IDataView input) =>
        new(_host, input, Mapper(input.Schema), Mapper);

    private static VersionInfo GetVersionInfo() => new(
        modelSignature: "MLPFEATU",
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(NetworkFeatureTransformer).Assembly.FullName!);
}
