using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Training;

namespace MlNetMlp.Interop;

/// <summary>What all estimators around a method share: the checks of its options and of the columns, and the way from data to a network.</summary>
internal sealed class MethodTraining
{
    private const string AnyLabel = "a number or a vector of numbers (regression), Boolean (binary classification) or a key (multiclass classification)";

    private readonly IHost _host;
    private readonly INetworkMethod _method;
    private readonly int _seed;

    public MethodTraining(IHostEnvironment env, INetworkMethod method)
    {
        ArgumentNullException.ThrowIfNull(method);
        _host = env.Register(method.Name);
        _method = method;
        OptionRanges.Check(method.Options, method.Name);
        if (!method.ReadsLabels && method.Options.ClassWeights is not null)
            throw DataErrors.ClassWeightsWithoutLabels(method.Name);
        if (method.Columns.Count > 0 && method.Sets is not null)
            throw new ArgumentException($"{method.Name} cannot read both sets and other columns.", nameof(method));
        if (method.Options.FeatureColumnName is null && method.Columns.Count == 0)
            throw DataErrors.NoFeatureColumn(method.Name);

        // Drawn here and not in a fit, so that every fit of one trainer gives the same model.
        _seed = method.Options.Seed ?? _host.Rand.Next();
    }

    public IHost Host => _host;

    public NetworkOptions Options => _method.Options;

    public IReadOnlyList<AddedColumn> AddedColumns => _method.AddedColumns;

    /// <summary>Refuses a method whose models tools cannot score that hand over single vectors.</summary>
    /// <param name="tool">Name of the tool.</param>
    public void CheckSingleVectors(string tool)
    {
        if (_method.Columns.Count > 0 || _method.Sets is { ContextColumnNames.Count: > 0 } or { CountColumnName: not null })
            throw new ArgumentException($"{_method.Name} reads several columns of a row, so {tool} cannot score its models: it hands over single vectors.");
    }

    /// <summary>Checks that the options suit a task.</summary>
    /// <param name="task">The task.</param>
    public void CheckOptions(TaskAdapter task)
    {
        if (!ReadsLabels)
            throw DataErrors.NoLabels(_method.Name);
        if (!task.Kind.IsClassification() && Options.ClassWeights is not null)
            throw DataErrors.ClassWeightsOfRegression(_method.Name);
    }

    /// <summary>Whether the method learns from labels.</summary>
    public bool ReadsLabels => _method.ReadsLabels;

    /// <summary>Finds the task that the type of the label column stands for.</summary>
    /// <param name="schema">The columns.</param>
    /// <returns>The task.</returns>
    public TaskAdapter FindTask(SchemaShape schema)
    {
        var label = Find(schema, "label", Options.LabelColumnName);
        var task = TaskAdapter.ForLabel(label) ?? throw DataErrors.WrongType("label", label.Name, AnyLabel, label.GetTypeString());
        CheckOptions(task);
        return task;
    }

    /// <summary>Checks all columns.</summary>
    /// <param name="schema">The columns.</param>
    /// <param name="task">The task.</param>
    /// <returns>The label column.</returns>
    public SchemaShape.Column CheckColumns(SchemaShape schema, TaskAdapter task)
    {
        CheckColumns(schema);
        task.CheckColumns(schema);
        var label = Find(schema, "label", Options.LabelColumnName);
        return task.Accepts(label) ? label : throw DataErrors.WrongType("label", label.Name, task.Labels, label.GetTypeString());
    }

    /// <summary>Checks all columns of a method that reads no label.</summary>
    /// <param name="schema">The columns.</param>
    public void CheckColumns(SchemaShape schema)
    {
        CheckFeature(schema, Options.FeatureColumnName, _method.Sets, _method.Columns);
        CheckNumber(schema, "example weight", Options.ExampleWeightColumnName);
        CheckNumber(schema, "validation", Options.ValidationColumnName);
    }

    /// <summary>Trains a network without labels.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="validation">Rows held out, or null to take those that the options say.</param>
    /// <returns>The network, which puts out features.</returns>
    public TrainedNetwork RunWithoutLabels(IDataView data, IDataView? validation)
    {
        CheckColumns(SchemaShape.Create(data.Schema));
        if ((validation ?? Options.ValidationData) is { } held)
        {
            CheckColumns(SchemaShape.Create(held.Schema));
            CheckKeys(data, held);
        }

        return Train(TaskKind.Features, [], fit => fit.Run(data, validation, FindInitial()));
    }

    /// <summary>Trains a network.</summary>
    /// <param name="task">The task.</param>
    /// <param name="data">The rows.</param>
    /// <param name="validation">Rows held out, or null to take those that the options say.</param>
    /// <param name="initial">A network to go on from; null for that of the options, if any.</param>
    /// <returns>The network.</returns>
    public TrainedNetwork Run(TaskAdapter task, IDataView data, IDataView? validation, TrainedNetwork? initial = null)
    {
        CheckColumns(SchemaShape.Create(data.Schema), task);
        var classNames = task.ClassNames(data.Schema[Options.LabelColumnName]);
        if ((validation ?? Options.ValidationData) is { } held)
        {
            CheckColumns(SchemaShape.Create(held.Schema), task);
            task.CheckValidation(data.Schema[Options.LabelColumnName], held.Schema[Options.LabelColumnName]);
            CheckKeys(data, held);
        }

        return Train(
            task.KindOf(data.Schema[Options.LabelColumnName]), classNames,
            fit => (fit with { ArmNames = ArmNames(data.Schema) }).Run(data, validation, initial ?? FindInitial()));
    }

    /// <summary>Checks the options of what is forecast, and that a method can do it.</summary>
    /// <param name="series">What is forecast from what.</param>
    /// <param name="givesFeatures">Whether features of windows are wanted, and no forecasts.</param>
    public void CheckSeries(ForecastOptions series, bool givesFeatures)
    {
        OptionRanges.Check(series, _method.Name);
        if (ReadsLabels && givesFeatures)
            throw new ArgumentException($"{_method.Name} learns from labels: it gives forecasts, and no features of windows.", nameof(givesFeatures));
        if (!ReadsLabels && !givesFeatures)
            throw DataErrors.NoLabels(_method.Name);
        if (_method.Columns.Count > 0 || _method.Sets is not null)
            throw new ArgumentException($"{_method.Name} reads sets or other columns, and windows of series are vectors of known size.", nameof(series));
        if (series.Levels.Count > 0 && (givesFeatures || !_method.PredictsQuantiles))
        {
            throw new ArgumentException(
                $"{_method.Name} {(givesFeatures ? "forecasts nothing" : "trains by the squared error alone")}, so it has no quantiles: leave the option 'Quantiles' empty and the columns of bounds null.", nameof(series));
        }

        var unused = new[]
        {
            (nameof(Options.ExampleWeightColumnName), Options.ExampleWeightColumnName is not null), (nameof(Options.ValidationColumnName), Options.ValidationColumnName is not null),
            (nameof(Options.ValidationData), Options.ValidationData is not null), (nameof(Options.ClassWeights), Options.ClassWeights is not null),
        };
        if (Array.Find(unused, option => option.Item2) is { Item1: { } name })
            throw new ArgumentOutOfRangeException(nameof(series), $"{_method.Name}: option '{name}' must be null for forecasts: the last part of every series, 'ValidationFraction' of its rows, is held out.");
    }

    /// <summary>Trains a network that forecasts.</summary>
    /// <param name="series">What is forecast from what.</param>
    /// <param name="data">Rows, those of each series in time order.</param>
    /// <returns>The network.</returns>
    public TrainedNetwork RunSeries(ForecastOptions series, IDataView data)
    {
        CheckFeature(SchemaShape.Create(data.Schema), null, null, series.Columns);
        var columns = FeatureColumns.OfSeries(data.Schema, series.Columns, series.SeriesColumnName is not null);
        return Train(ReadsLabels ? TaskKind.MultiOutputRegression : TaskKind.Features, [], fit => fit.RunSeries(data, series, columns, FindInitial()));
    }

    private void CheckKeys(IDataView data, IDataView held)
    {
        foreach (var column in _method.Columns)
            KeyNames.CheckSame(data.Schema[column.Name], held.Schema[column.Name]);
    }

    private TrainedNetwork Train(TaskKind task, IReadOnlyList<string> classNames, Func<NetworkFit, TrainedNetwork> run)
    {
        using var channel = _host.Start("Fit");
        var environment = (IHostEnvironmentInternal)_host;
        var libTorch = LibTorch.Load();
        var device = ComputeDevice.Choose(environment.GpuDeviceId, environment.FallbackToCpu, out var description);
        channel.Info($"{_method.Name} trains on {description}, up to {TorchSharp.torch.get_num_threads()} threads, {libTorch}, seed {_seed}.");

        var observer = new TrainingObserver(channel.Info, Options.Progress, () => _host.CheckAlive(), Options.KeepBestWhenCancelled, Options.CancellationToken);
        return run(new(_method, task, classNames, _seed, device, observer));
    }

    /// <summary>Names of the treatments that a method tells apart; null where it has no treatments, or a dose.</summary>
    private IReadOnlyList<string>? ArmNames(DataViewSchema schema) => _method is not ITreatmentMethod causal
        ? null
        : schema[causal.Treatment.ColumnName] is var column && column.Type is KeyDataViewType { Count: <= RowLayout.MostKeys } key
            ? KeyNames.Of(column, (int)key.Count) ?? [.. Enumerable.Range(1, (int)key.Count).Select(number => number.ToString(CultureInfo.InvariantCulture))]
            : column.Type is BooleanDataViewType ? ["false", "true"] : null;

    /// <summary>Checks a feature column and those that are read with it.</summary>
    /// <param name="schema">The columns.</param>
    /// <param name="name">The name; null for none.</param>
    /// <param name="sets">What the method says of sets; null for a vector of known size.</param>
    /// <param name="columns">What the method reads beside the features.</param>
    /// <param name="takesImages">Whether the feature column may hold images, where rows are plain vectors.</param>
    public static void CheckFeature(SchemaShape schema, string? name, SetInput? sets, IReadOnlyList<InputColumn> columns, bool takesImages = true)
    {
        var isImage = takesImages && sets is null && columns.Count == 0 && name is not null && Find(schema, "feature", name) is var feature && ImageColumn.IsImage(feature.ItemType);
        if (name is not null && !isImage)
            CheckFeature(schema, name, sets);
        foreach (var wanted in columns)
            CheckColumn(schema, wanted);
    }

    private static void CheckColumn(SchemaShape schema, InputColumn wanted)
    {
        var column = Find(schema, wanted.Role, wanted.Name);
        var isWanted = column.IsKey
            ? wanted.Types.HasFlag(InputColumnTypes.Keys)
            : wanted.Types.HasFlag(InputColumnTypes.Numbers) && VectorReader.IsNumber(column.ItemType) && column.Kind != SchemaShape.Column.VectorKind.VariableVector;
        if (!isWanted)
            throw DataErrors.WrongType(wanted.Role, wanted.Name, wanted.Expected, column.GetTypeString());
    }

    private static void CheckFeature(SchemaShape schema, string name, SetInput? sets)
    {
        var feature = Find(schema, "feature", name);
        if (feature.Kind == SchemaShape.Column.VectorKind.Scalar || feature.IsKey || !VectorReader.IsNumber(feature.ItemType))
            throw DataErrors.WrongType("feature", feature.Name, VectorReader.Expected, feature.GetTypeString());
        var isOfUnknownSize = feature.Kind == SchemaShape.Column.VectorKind.VariableVector;
        if (isOfUnknownSize && sets is null)
            throw DataErrors.UnknownSize(feature.Name, feature.GetTypeString());
        if (isOfUnknownSize && sets is { ItemWidth: null, ContextColumnNames.Count: 0 })
            throw DataErrors.UnknownItemWidth(feature.Name, feature.GetTypeString(), sets.ItemWidthOption);
        foreach (var context in sets?.ContextColumnNames ?? [])
        {
            var column = Find(schema, "context", context);
            if (column.Kind == SchemaShape.Column.VectorKind.VariableVector || column.IsKey || !VectorReader.IsNumber(column.ItemType))
                throw DataErrors.WrongType("context", context, "a number or a vector of numbers of known size", column.GetTypeString());
        }

        CheckNumber(schema, "count", sets?.CountColumnName);
    }

    /// <summary>Checks the columns that a trained network reads.</summary>
    /// <param name="schema">The columns.</param>
    /// <param name="name">The feature column; null for none.</param>
    /// <param name="network">The network.</param>
    public static void CheckFeature(SchemaShape schema, string? name, TrainedNetwork network) => CheckFeature(
        schema,
        name,
        network.Sets is not { } sets
            ? null
            : new SetInput(sets.IsOneItem ? null : sets.ItemWidth, [.. sets.Context.Select(column => column.Name)], sets.CountColumnName),
        [.. network.Layout?.Columns.Where(column => !column.IsOptional || schema.TryFindColumn(column.Name, out _)).Select(InputColumn.Of) ?? []],
        takesImages: network.Images is not null);

    private TrainedNetwork? FindInitial() => Options.InitialModel is null
        ? null
        : (ReadsLabels ? NetworkModel.Find(Options.InitialModel) : NetworkModel.FindPretrained(Options.InitialModel))
            ?? throw new InvalidOperationException("The option 'InitialModel' holds no network of this library.");

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
