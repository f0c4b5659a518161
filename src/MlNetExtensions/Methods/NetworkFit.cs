using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Methods;

/// <summary>One fit of a method, from a data view to a trained network.</summary>
/// <param name="Method">The method.</param>
/// <param name="Task">The task.</param>
/// <param name="ClassNames">Names of the classes; empty for regression.</param>
/// <param name="Seed">Decides everything random.</param>
/// <param name="Device">Where the network is trained.</param>
/// <param name="Observer">Who hears of the training and who may end it.</param>
internal sealed record NetworkFit(
    INetworkMethod Method, TaskKind Task, IReadOnlyList<string> ClassNames, int Seed, Device Device, TrainingObserver Observer)
{
    /// <summary>Names of the treatments of a method that tells some apart; null where it has none, or a dose.</summary>
    public IReadOnlyList<string>? ArmNames { get; init; }

    /// <summary>Trains.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="validation">Rows held out, or null to take those that the options say.</param>
    /// <param name="initial">A network to go on from, or null.</param>
    /// <returns>The trained network.</returns>
    public TrainedNetwork Run(IDataView data, IDataView? validation, TrainedNetwork? initial)
    {
        var options = Method.Options;
        var label = Method.ReadsLabels ? options.LabelColumnName : null;
        validation ??= options.ValidationData;

        // Reading a large set takes its time, and whoever watches should see something within a second.
        Observer.Progress?.Report(TrainingProgress.Reading);
        var features = initial?.MethodName == Method.Name && initial.Layout is { } known && initial.Sets is null && Method.Columns.Count > 0
            ? Continued(FeatureColumns.Of(data.Schema, options.FeatureColumnName, null, Method.Columns), known)
            : FeatureColumns.Of(data.Schema, options.FeatureColumnName, Method.Sets, Method.Columns, Method.ImageShape ?? initial?.Images)
                .Measured(validation is null ? [data] : [data, validation], CheckCancelled);
        var loader = new TrainingSetLoader(
            new LoadSettings(
                Task,
                new ColumnNames(features, label, options.ExampleWeightColumnName, validation is null ? options.ValidationColumnName : null),
                ClassNames,
                options.ClassWeights,
                Method.HoldsOutRows ? 0 : options.ValidationFraction,
                options.MemoryBudget ?? MemoryBudget.Default,
                Method.AcceptsMissingValues,
                Seed),
            Observer.Log,
            CheckCancelled);

        // Everything that is made below is released at the end: what lives on is in managed memory.
        using var scope = NewDisposeScope();
        using var start = initial?.CreateNetwork();
        CheckInitial(initial, features.Sets, RowReader.LabelWidth(data.Schema, label));
        var (set, outcome) = loader.Load(data, validation, OutcomeOf(initial));
        var head = Method is ITreatmentMethod causal
            ? new TreatmentHead { Outcome = outcome, Treatments = TreatmentSurvey.Of(set, causal, ArmNames, (initial?.Head as TreatmentHead)?.Treatments) }
            : outcome;
        return Fit(set, head, start, initial);
    }

    /// <summary>Trains a network that forecasts series.</summary>
    /// <param name="data">Rows, those of each series in time order.</param>
    /// <param name="series">What is forecast from what.</param>
    /// <param name="columns">The columns to read.</param>
    /// <param name="initial">A network to go on from, or null.</param>
    /// <returns>The trained network: its features are windows, its outputs the steps that follow.</returns>
    public TrainedNetwork RunSeries(IDataView data, ForecastOptions series, FeatureColumns columns, TrainedNetwork? initial)
    {
        var options = Method.Options;
        Observer.Progress?.Report(TrainingProgress.Reading);
        using var scope = NewDisposeScope();
        using var start = initial?.CreateNetwork();
        var table = SeriesTable.Read(data, columns, series.SeriesColumnName is not null, options.MemoryBudget ?? MemoryBudget.Default, CheckCancelled);
        var layout = new SeriesLayout(series.ContextLength, series.Horizon, table.ChannelNames);
        CheckInitial(initial, null, layout.Horizon * layout.Channels, series.Levels);
        var (set, head) = SeriesWindows.Cut(
            table, layout, Method.HoldsOutRows ? 0 : options.ValidationFraction, Seed, initial is null ? null : QuantileRegressionHead.MeanOf(initial.Head));
        Observer.Log($"{table.Series.Count} series of {table.Values.shape[0]} rows and {layout.Channels} channels in all: {set.RowCount} windows to train on, {set.HeldCount} held out for validation.");
        TaskHead task = Task == TaskKind.Features ? new FeatureHead { Width = set.FeatureCount }
            : series.Levels is { Count: > 0 } levels ? new QuantileRegressionHead { Mean = head, Quantiles = levels }
            : head;
        return Fit(set, task, start, initial);
    }

    private TrainedNetwork Fit(TrainingSet set, TaskHead head, Network? start, TrainedNetwork? initial)
    {
        using (set)
        using (var run = new TrainingRun(Device, Seed, Observer, start, initial?.LearningCurve, initial?.State) { Checkpoint = MakeCheckpoint() })
        using (var network = FitNetwork(set, head, run))
        {
            run.State?.CheckFinite();
            if (!Equals(network.Definition.Layout, set.Layout))
                throw new InvalidOperationException($"{Method.Name} was given rows of {set.Layout}, but the layout of its network's definition is {network.Definition.Layout}.");
            if (!network.Definition.AddedColumns.Select(column => column.Name).SequenceEqual(Method.AddedColumns.Select(column => column.Name)))
                throw new InvalidOperationException($"{Method.Name} promises other columns than those that its network computes.");
            var trained = new TrainedNetwork(network.Definition, network.ReadWeights(), head is FeatureHead ? new FeatureHead { Width = network.Definition.Outputs } : head)
            {
                MethodName = Method.Name,
                OptionsJson = Method.Options.ToJson(),
                AcceptsMissingValues = Method.AcceptsMissingValues,
                FeatureNames = set.SlotNames,
                Sets = set.Sets,
                Images = set.Images,
                LearningCurve = run.Curve,
                State = run.State,
                DiagnosticsJson = run.DiagnosticsJson ?? initial?.DiagnosticsJson,
            };
            EndCheckpoint(run.Checkpoint);
            return trained;
        }
    }

    private Network FitNetwork(TrainingSet set, TaskHead head, TrainingRun run)
    {
        try
        {
            var network = Method.Fit(set, head, run);
            run.Checkpoint?.CheckTaken();
            return network;
        }
        catch
        {
            run.Abandon();
            throw;
        }
    }

    private TrainingCheckpoint? MakeCheckpoint() => Method.Options is GradientTrainedOptions { CheckpointFile: { } file } options
        ? new(new(file, TimeSpan.FromSeconds(options.CheckpointSeconds), Method.Name, options.ToJson()), Observer.Log)
        : null;

    private void EndCheckpoint(TrainingCheckpoint? checkpoint)
    {
        if (checkpoint is { IsUsed: false })
            Observer.Log($"{Method.Name} did not train by gradients, so that nothing was written to the option 'CheckpointFile'.");

        // Who is given the best so far may want to go on.
        if (!Observer.Cancellation.IsCancellationRequested)
            checkpoint?.Delete();
    }

    /// <summary>The columns as the earlier model reads them: keys that are new to it are out of its vocabulary.</summary>
    private static FeatureColumns Continued(FeatureColumns found, RowLayout known) =>
        found.Layout!.Columns.Select(column => column.Name).SequenceEqual(known.Columns.Select(column => column.Name)) && found.Name is null == (known.FeatureWidth == 0)
            ? found with { Layout = known }
            : throw new InvalidOperationException($"The option 'InitialModel' holds a model of rows of {known}, which cannot go on from rows of {found.Layout}.");

    /// <summary>What an earlier model predicts, under whatever treatment.</summary>
    private static TaskHead? OutcomeOf(TrainedNetwork? initial) => initial?.Head is TreatmentHead treated ? treated.Outcome : initial?.Head;

    private void CheckInitial(TrainedNetwork? initial, SetLayout? sets, int labelWidth, ValueList<double>? quantiles = null)
    {
        if (initial is null)
            return;
        if (initial.MethodName == Method.Name && !Equals(initial.Sets, sets))
            throw new InvalidOperationException($"The option 'InitialModel' holds a model of {initial.Sets}, which cannot go on from rows of {sets}.");
        var fits = (Task, OutcomeOf(initial)) switch
        {
            (TaskKind.Regression, RegressionHead) or (TaskKind.Binary, BinaryHead) => true,
            (TaskKind.Features, FeatureHead) => true,
            (TaskKind.Multiclass, MulticlassHead head) => head.Classes == ClassNames.Count,
            (TaskKind.MultiOutputRegression, MultiOutputRegressionHead head) => head.Outputs == labelWidth && quantiles is null or { Count: 0 },
            (TaskKind.MultiOutputRegression, QuantileRegressionHead head) => head.Mean.Outputs == labelWidth && head.Quantiles.Equals(quantiles),
            _ => false,
        };
        if (!fits || initial.MethodName != Method.Name)
        {
            throw new InvalidOperationException(
                $"The option 'InitialModel' holds a {initial.MethodName} for {initial.Head}, which a {Method.Name} for {Task}"
                + $"{(ClassNames.Count > 0 ? $" of {ClassNames.Count} classes" : labelWidth > 1 ? $" of {labelWidth} outputs" : "")} cannot go on from.");
        }
    }

    private void CheckCancelled()
    {
        Observer.CheckHost();
        Observer.Cancellation.ThrowIfCancellationRequested();
    }
}
