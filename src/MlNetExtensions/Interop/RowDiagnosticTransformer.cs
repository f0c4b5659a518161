using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Methods;
using MlNetMlp.Persistence;

namespace MlNetMlp.Interop;

/// <summary>
/// Adds columns that tell something about a model's prediction of each row. It holds the model, of which the last predictor counts, and is saved with it. Data views are computed in blocks of rows,
/// and only where the columns are asked for; a row without the predictor's feature column goes through what the model applies before it.
/// </summary>
/// <remarks>One transformer serves any number of threads.</remarks>
public abstract class RowDiagnosticTransformer : ITransformer, IDisposable
{
    private const string ModelDirectory = "Model";

    private readonly ITransformer _model;
    private readonly Lock _gate = new();
    private IBlockModel? _computing;

    private protected RowDiagnosticTransformer(IHost host, ITransformer model)
    {
        (Host, _model) = (host, model);
        Explained = ExplainedModel.Find(model) ?? throw new ModelFormatException($"{ModelDirectory}: the model that is explained holds no predictor of a feature column.");
    }

    /// <summary>Name of the column that the model reads.</summary>
    public string FeatureColumnName => Explained.FeatureColumnName;

    bool ITransformer.IsRowToRowMapper => true;

    internal ExplainedModel Explained { get; }

    /// <summary>What computes the columns; made when it is first asked for.</summary>
    internal IBlockModel Computing
    {
        get
        {
            lock (_gate)
                return _computing ??= CreateComputing();
        }
    }

    private protected IHost Host { get; }

    private protected abstract VersionInfo Version { get; }

    /// <summary>The columns after the transformation.</summary>
    /// <param name="inputSchema">The columns before: the feature column, or what the model makes it of; and the label, where it is read.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type or width.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        return Explained.NeedsBefore(inputSchema)
            ? Chain().GetOutputSchema(inputSchema)
            : RowToRowMapperTransform.GetOutputSchema(inputSchema, CreateMapper(inputSchema));
    }

    /// <summary>Adds the columns. They are computed when rows are read.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The data with more columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type or width.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var data = Explained.Prepare(input);
        return new BatchedScoreView(Host, data, RowWise(data), Computing, new(FeatureColumnName));
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) => Explained.NeedsBefore(inputSchema)
        ? ((ITransformer)Chain()).GetRowToRowMapper(inputSchema)
        : RowWise(new EmptyDataView(Host, inputSchema));

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(Version);
        SaveState(ctx);
        ctx.SaveModel(_model, ModelDirectory);
    }

    /// <summary>Gives native memory back; whoever asks for a row next takes it again. No other thread may be reading rows.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            (_computing as IDisposable)?.Dispose();
            _computing = null;
        }

        GC.SuppressFinalize(this);
    }

    private protected static ITransformer LoadModel(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.LoadModel<ITransformer, SignatureLoadModel>(env, out var model, ModelDirectory);
        return model;
    }

    private protected abstract IBlockModel CreateComputing();

    private protected abstract IRowMapper CreateMapper(DataViewSchema schema);

    /// <summary>The same of the predictor alone, without what is applied before it.</summary>
    private protected abstract RowDiagnosticTransformer OfPredictor();

    private protected abstract void SaveState(ModelSaveContext ctx);

    private TransformerChain<ITransformer> Chain() => new([.. Explained.Before, OfPredictor()]);

    private RowToRowMapperTransform RowWise(IDataView input) => new(Host, input, CreateMapper(input.Schema), CreateMapper);
}
