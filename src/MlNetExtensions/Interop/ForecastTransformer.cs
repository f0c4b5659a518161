using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Persistence;

[assembly: LoadableClass(typeof(ForecastTransformer), null, typeof(SignatureLoadModel), "Forecasts of time series", ForecastTransformer.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>
/// Adds forecasts to rows in time order: for each the <see cref="ForecastOptions.Horizon"/> steps that follow it, from the <see cref="ForecastOptions.ContextLength"/> rows of its
/// series up to it, with quantiles and bounds where <see cref="ForecastOptions"/> ask for them; or the features of that window, where its network learned without labels. Where fewer were
/// there, the forecast is NaN. <see cref="OverWindows"/> forecasts from windows that stand in a column; <see cref="CreateForecaster(IDataView?)"/> takes
/// observations one by one.
/// </summary>
/// <remarks>
/// One transformer serves any number of threads. A row's forecast needs the rows before it, so data are read in their order by one cursor, from the first row on, and there is no
/// prediction engine over it; take a <see cref="Forecaster"/>, or an engine over <see cref="OverWindows"/>.
/// </remarks>
public sealed class ForecastTransformer : ITransformer, IDisposable
{
    internal const string LoaderSignature = "MlNetMlpForecast";
    private const string EntryName = "forecast.json";

    private readonly IHost _host;

    internal ForecastTransformer(IHostEnvironment env, TrainedNetwork network, ForecastOptions options)
    {
        _host = env.Register("Forecast");
        (Network, Options) = (network, options);
    }

    /// <summary>The network: its features are windows, its outputs the steps that follow, in the unit of the series.</summary>
    public TrainedNetwork Network { get; }

    /// <summary>What is forecast from what.</summary>
    public ForecastOptions Options { get; }

    /// <summary>C, number of channels.</summary>
    public int Channels => Network.Inputs / Options.ContextLength;

    bool ITransformer.IsRowToRowMapper => false;

    /// <summary>The columns after the transformation.</summary>
    /// <param name="inputSchema">The columns before.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column of the series is missing or of another type or width.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        return RowToRowMapperTransform.GetOutputSchema(inputSchema, Mapper(inputSchema));
    }

    /// <summary>Adds the forecasts. They are computed when rows are read.</summary>
    /// <param name="input">Rows, those of each series in time order.</param>
    /// <returns>The data with one more column.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column of the series is missing or of another type or width.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return new BatchedScoreView(
            _host, input, new RowToRowMapperTransform(_host, input, Mapper(input.Schema), Mapper), new WindowModel(Network), Columns(input.Schema, asWindows: true));
    }

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) =>
        throw new InvalidOperationException("A forecast needs the rows before its own: take CreateForecaster, or OverWindows.");

    /// <summary>
    /// The same model over a column of windows, for rows in any order and for prediction engines: the numbers of all C channels at the first of
    /// <see cref="ForecastOptions.ContextLength"/> steps, then those at the second, and so on.
    /// </summary>
    /// <param name="windowColumnName">The column: a vector of ContextLength · C numbers.</param>
    /// <param name="outputColumnName">
    /// The column to add; null for <see cref="ForecastOptions.OutputColumnName"/>. Columns of quantiles follow its name, those of bounds keep theirs.
    /// </param>
    /// <returns>The transformer; it can be saved by itself.</returns>
    public NetworkFeatureTransformer OverWindows(string windowColumnName, string? outputColumnName = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(windowColumnName);
        var options = Options with { OutputColumnName = outputColumnName ?? Options.OutputColumnName };
        OptionRanges.Check(options, nameof(OverWindows));
        return new(_host, Network, options.Outputs, windowColumnName);
    }

    /// <summary>Makes what takes observations one by one and forecasts from those that it has seen.</summary>
    /// <param name="history">Rows to begin with, those of each series in time order; null (the default) for none.</param>
    /// <returns>The forecaster.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column of the series is missing or of another type or width.</exception>
    /// <exception cref="InvalidOperationException">A value of the history cannot be used, or the model gives features and no forecasts.</exception>
    public Forecaster CreateForecaster(IDataView? history = null)
    {
        if (Network.Head is FeatureHead)
            throw new InvalidOperationException($"The model of {Network.MethodName} gives features of windows, and forecasts nothing.");
        var forecaster = new Forecaster(Network, Options);
        if (history is null)
            return forecaster;
        var columns = Columns(history.Schema, asWindows: false);
        using var cursor = history.GetRowCursor(columns.Find(history.Schema));
        var reader = new SeriesRowReader(cursor, columns, Options.SeriesColumnName is not null);
        while (cursor.MoveNext())
        {
            reader.Read(cursor.Position);
            forecaster.Observe(reader.Values, reader.Series);
        }

        return forecaster;
    }

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ctx.CheckAtModel();
        ctx.SetVersionInfo(GetVersionInfo());
        ctx.SaveBinaryStream(EntryName, writer => writer.Write(JsonSerializer.SerializeToUtf8Bytes(Options, StrictJson.Settings)));
        NetworkStorage.Save(ctx, Network);
    }

    /// <summary>Gives native memory back; whoever forecasts next takes it again.</summary>
    public void Dispose() => Network.Release();

    private static ForecastTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.CheckAtModel(GetVersionInfo());
        var options = ReadOptions(JsonEntry.Read(ctx, EntryName));
        var network = NetworkStorage.Load(ctx);
        var channels = network.Inputs / options.ContextLength;
        var isForecast = QuantileRegressionHead.MeanOf(network.Head) is { LabelNames: not null } mean && mean.Outputs == (long)channels * options.Horizon;
        if ((!isForecast && network.Head is not FeatureHead) || (long)channels * options.ContextLength != network.Inputs || network.Layout is not null || network.Sets is not null)
        {
            throw new ModelFormatException($"{EntryName}: the network forecasts {network.Outputs} numbers from {network.Inputs}, which are not {options.Horizon} steps from {options.ContextLength}.");
        }

        return ((network.Head as QuantileRegressionHead)?.Quantiles ?? []).Equals(options.Levels)
            ? new(env, network, options)
            : throw new ModelFormatException($"{EntryName}: the columns need the quantiles {options.Levels}, which are not those of the network.");
    }


    private static ForecastOptions ReadOptions(byte[] json)
    {
        try
        {
            var options = JsonSerializer.Deserialize<ForecastOptions>(json, StrictJson.Settings) ?? throw new JsonException("it is null.");
            OptionRanges.Check(options, EntryName);
            return options;
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            throw new ModelFormatException($"{EntryName}: {e.Message}", e);
        }
    }

    private FeatureColumns Columns(DataViewSchema schema, bool asWindows)
    {
        var hasSeries = Options.SeriesColumnName is not null;
        var columns = FeatureColumns.OfSeries(schema, Options.Columns, hasSeries);
        var channels = columns.Layout!.Width - (hasSeries ? 1 : 0);
        if (channels != Channels)
            throw DataErrors.ChannelMismatch(Options.InputColumnNames, Channels, channels);
        return asWindows ? columns with { Windows = new(Options.ContextLength, hasSeries) } : columns;
    }

    private VectorMapper Mapper(DataViewSchema schema)
    {
        var names = NetworkFeatureTransformer.NamesOf(Network);
        return new(
            this, Columns(schema, asWindows: true), new WindowModel(Network),
            [.. Options.Outputs.Select(output => new VectorColumn(output.Name, output.Block * names.Length, names))], schema);
    }

    private static VersionInfo GetVersionInfo() => new(
        modelSignature: "MLPFORCS",
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(ForecastTransformer).Assembly.FullName!);
}
