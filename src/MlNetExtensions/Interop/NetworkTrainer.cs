using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Training;

namespace MlNetMlp.Interop;

/// <summary>
/// An ML.NET trainer around a method: it goes into pipelines, cross-validation and everything else that takes ML.NET's own trainers. Made by
/// the catalog methods of the single trainers, or by <see cref="NetworkTrainerCatalog"/>.
/// </summary>
/// <typeparam name="TModel">The model parameters of the task.</typeparam>
/// <remarks>It keeps no state: several threads may fit it at once, and each gets the same model for the same data.</remarks>
public sealed class NetworkTrainer<TModel> : ITrainerEstimator<NetworkPredictionTransformer<TModel>, TModel>
    where TModel : NetworkModel
{
    private readonly IHost _host;
    private readonly INetworkMethod _method;
    private readonly TaskAdapter<TModel> _task;
    private readonly int _seed;

    internal NetworkTrainer(IHostEnvironment env, INetworkMethod method, TaskAdapter<TModel> task)
    {
        ArgumentNullException.ThrowIfNull(method);
        _host = env.Register(method.Name);
        _method = method;
        _task = task;
        OptionRanges.Check(method.Options, method.Name);
        if (!task.Kind.IsClassification() && method.Options.ClassWeights is not null)
            throw DataErrors.ClassWeightsOfRegression(method.Name);

        // Drawn here and not in a fit, so that every fit of one trainer gives the same model.
        _seed = method.Options.Seed ?? _host.Rand.Next();
    }

    /// <summary>What the trainer wants of its data: it neither needs normalised features nor a cache.</summary>
    public TrainerInfo Info { get; } = new(normalization: false, caching: false, supportValid: true, supportIncrementalTrain: true);

    private NetworkOptions Options => _method.Options;

    /// <summary>The columns after the trained model has been applied.</summary>
    /// <param name="inputSchema">The columns before.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a type that cannot be used.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        var label = CheckColumns(inputSchema);
        var columns = inputSchema.ToDictionary(column => column.Name);
        foreach (var column in _task.Outputs(label))
            columns[column.Name] = column;
        return new SchemaShape(columns.Values);
    }

    /// <summary>Trains a model. Rows are held out to judge it by as the options say.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The model.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a type that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">The data hold no rows to train on, one class only, or values that cannot be used.</exception>
    /// <exception cref="OperationCanceledException">Training was cancelled.</exception>
    /// <exception cref="TrainingDivergedException">The loss became NaN or infinite.</exception>
    /// <exception cref="LibTorchException">libtorch does not load.</exception>
    public NetworkPredictionTransformer<TModel> Fit(IDataView input) => Train(input, null);

    /// <summary>Trains a model, judged by other data than it is trained on.</summary>
    /// <param name="trainData">The data to train on, all rows of it.</param>
    /// <param name="validationData">The data to judge by, with the same columns.</param>
    /// <returns>The model.</returns>
    /// <inheritdoc cref="Fit(IDataView)" path="/exception"/>
    public NetworkPredictionTransformer<TModel> Fit(IDataView trainData, IDataView validationData)
    {
        ArgumentNullException.ThrowIfNull(validationData);
        return Train(trainData, validationData);
    }

    private NetworkPredictionTransformer<TModel> Train(IDataView data, IDataView? validation)
    {
        ArgumentNullException.ThrowIfNull(data);
        CheckColumns(SchemaShape.Create(data.Schema));
        var classNames = _task.ClassNames(data.Schema[Options.LabelColumnName]);
        if ((validation ?? Options.ValidationData) is { } held)
            CheckValidation(data.Schema, held.Schema);
        var initial = FindInitial();

        using var channel = _host.Start("Fit");
        var environment = (IHostEnvironmentInternal)_host;
        var libTorch = LibTorch.Load();
        var device = ComputeDevice.Choose(environment.GpuDeviceId, environment.FallbackToCpu, out var description);
        channel.Info($"{_method.Name} trains on {description}, up to {TorchSharp.torch.get_num_threads()} threads, {libTorch}, seed {_seed}.");

        var observer = new TrainingObserver(channel.Info, Options.Progress, () => _host.CheckAlive(), Options.KeepBestWhenCancelled, Options.CancellationToken);
        var network = new NetworkFit(_method, _task.Kind, classNames, _seed, device, observer).Run(data, validation, initial);
        return new(_host, _task.CreateTransformer(_host, network, data.Schema, Options.FeatureColumnName, Options.LabelColumnName));
    }

    private TrainedNetwork? FindInitial() => Options.InitialModel is null
        ? null
        : NetworkModel.Find(Options.InitialModel)
            ?? throw new InvalidOperationException("The option 'InitialModel' holds no network of this library.");

    private SchemaShape.Column CheckColumns(SchemaShape schema)
    {
        var feature = Find(schema, "feature", Options.FeatureColumnName);
        if (feature.Kind == SchemaShape.Column.VectorKind.VariableVector)
            throw DataErrors.UnknownSize(feature.Name, feature.GetTypeString());
        if (feature.Kind != SchemaShape.Column.VectorKind.Vector || feature.IsKey || !VectorReader.IsNumber(feature.ItemType))
            throw DataErrors.WrongType("feature", feature.Name, VectorReader.Expected, feature.GetTypeString());
        var label = Find(schema, "label", Options.LabelColumnName);
        if (!_task.Accepts(label))
            throw DataErrors.WrongType("label", label.Name, _task.Labels, label.GetTypeString());
        CheckNumber(schema, "example weight", Options.ExampleWeightColumnName);
        CheckNumber(schema, "validation", Options.ValidationColumnName);
        return label;
    }

    private void CheckValidation(DataViewSchema schema, DataViewSchema held)
    {
        CheckColumns(SchemaShape.Create(held));
        _task.CheckValidation(schema[Options.LabelColumnName], held[Options.LabelColumnName]);
    }

    private static void CheckNumber(SchemaShape schema, string role, string? name)
    {
        if (name is not null && Find(schema, role, name) is var column
            && (column.Kind != SchemaShape.Column.VectorKind.Scalar || column.IsKey || !VectorReader.IsNumber(column.ItemType)))
        {
            throw DataErrors.WrongType(role, name, "a number or Boolean", column.GetTypeString());
        }
    }

    private static SchemaShape.Column Find(SchemaShape schema, string role, string name) =>
        schema.TryFindColumn(name, out var column) ? column : throw DataErrors.MissingColumn(role, name, schema.Select(c => c.Name));
}
