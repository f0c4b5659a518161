using System.Text.Json;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>Who hears of a training and who may end it.</summary>
/// <param name="Log">Gets lines for a person to read.</param>
/// <param name="Progress">Gets figures for a program, or null.</param>
/// <param name="CheckHost">Throws <see cref="OperationCanceledException"/> when the host wants the end.</param>
/// <param name="KeepBestWhenCancelled">Whether the best weights so far are kept when <paramref name="Cancellation"/> ends the training.</param>
/// <param name="Cancellation">Ends the training.</param>
internal sealed record TrainingObserver(
    Action<string> Log, IProgress<TrainingProgress>? Progress, Action CheckHost, bool KeepBestWhenCancelled, CancellationToken Cancellation);

/// <summary>A number that changes from step to step of a training.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Read">Reads it.</param>
/// <param name="Write">Sets it.</param>
internal sealed record TrainingCount(string Name, Func<long> Read, Action<long> Write);

/// <summary>One fit as a method sees it: the device, the streams of random numbers, the shared training loop, and ways to report and to be stopped.</summary>
public sealed class TrainingRun : IDisposable
{
    private readonly Network? _initial;
    private readonly List<TrainingCount> _counts = [];
    private readonly List<Network> _created = [];

    internal TrainingRun(Device device, int seed, TrainingObserver observer, Network? initial, LearningCurve? initialCurve = null, WeightSet? initialState = null)
    {
        InitialState = initialState;
        InitialCurve = initialCurve ?? LearningCurve.Empty;
        Device = device;
        Random = new RandomStreams(seed, device);
        Observer = observer;
        _initial = initial;
    }

    /// <summary>Where the network is trained.</summary>
    public Device Device { get; }

    /// <summary>The random numbers of this fit.</summary>
    public RandomStreams Random { get; }

    /// <summary>The losses of the training that ended last.</summary>
    public LearningCurve Curve { get; private set; } = LearningCurve.Empty;

    /// <summary>Whether the fit goes on from an earlier model: its scaling of the inputs is kept then.</summary>
    public bool IsContinued => _initial is not null;

    /// <summary>The network of the earlier model that the fit goes on from, on the CPU, to be left as it is; or null.</summary>
    public Network? Initial => _initial;

    /// <summary>The losses of the earlier model's training.</summary>
    public LearningCurve InitialCurve { get; }

    /// <summary>What the earlier model's training left by <see cref="KeepState"/>; null where it left nothing or there is no earlier model.</summary>
    public WeightSet? InitialState { get; }

    /// <summary>What a training that goes on from this one will find as <see cref="InitialState"/>.</summary>
    public WeightSet? State { get; private set; }

    /// <summary>What <see cref="KeepDiagnostics"/> was given, as JSON.</summary>
    internal string? DiagnosticsJson { get; private set; }

    internal TrainingObserver Observer { get; }

    /// <summary>Where <see cref="Minimize"/> keeps checkpoints; null for nowhere.</summary>
    internal TrainingCheckpoint? Checkpoint { get; init; }

    /// <summary>What the method counts from step to step.</summary>
    internal IReadOnlyList<TrainingCount> Counts => _counts;

    /// <summary>
    /// Tells of a number that the method changes from step to step, such as one of rows seen: a training that goes on from a checkpoint (<see cref="Methods.GradientTrainedOptions.CheckpointFile"/>)
    /// sets it to what it was. To be called before <see cref="Minimize"/>. What a layer remembers is told by <see cref="IKeepsTrainingState"/>; weights, buffers and
    /// <see cref="Random"/> need not be told of.
    /// </summary>
    /// <param name="name">A name for it, of which there is one in a fit.</param>
    /// <param name="read">Reads the number, at least 0.</param>
    /// <param name="write">Sets it.</param>
    /// <exception cref="ArgumentException">There is one of that name.</exception>
    public void Remember(string name, Func<long> read, Action<long> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(write);
        if (_counts.Exists(count => count.Name == name))
            throw new ArgumentException($"There is a number '{name}' already.", nameof(name));
        _counts.Add(new(name, read, write));
    }

    /// <summary>Keeps what the weights do not tell, for a training that goes on from this one. It is part of the model and its file.</summary>
    /// <param name="state">Tensors of any type, all finite.</param>
    public void KeepState(WeightSet state) => State = state;

    /// <summary>Keeps what the method found out about the data. It is part of the model and its file; that of an earlier model stays otherwise.</summary>
    /// <typeparam name="TDiagnostics">A type that JSON can hold, all of whose members are set when it is made.</typeparam>
    /// <param name="diagnostics">The findings, all numbers finite; the trained network's <c>GetDiagnostics</c> gives them back.</param>
    public void KeepDiagnostics<TDiagnostics>(TDiagnostics diagnostics)
        where TDiagnostics : class => DiagnosticsJson = JsonSerializer.Serialize(diagnostics, StrictJson.Settings);

    /// <summary>Writes a line to the log.</summary>
    /// <param name="message">The line.</param>
    public void Log(string message) => Observer.Log(message);

    /// <summary>Call it at least every 200 ms.</summary>
    /// <exception cref="OperationCanceledException">The fit is to end.</exception>
    public void CheckCancelled()
    {
        Observer.CheckHost();
        Observer.Cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>Builds a network on <see cref="Device"/>: with random weights, or with those of the model that the fit goes on from.</summary>
    /// <param name="definition">The network to build.</param>
    /// <returns>The network; the caller owns it.</returns>
    /// <exception cref="InvalidOperationException">The earlier model has another network.</exception>
    public Network Create(NetworkDefinition definition)
    {
        if (_initial is not null && !_initial.Definition.Equals(definition))
        {
            throw new InvalidOperationException(
                $"The option 'InitialModel' holds another network than the options ask for: {_initial.Definition} is not {definition}.");
        }

        var network = definition.Build(CPU);
        if (_initial is null)
        {
            using var noGradient = no_grad();
            network.Initialize(Random.Weights);
        }
        else
        {
            network.WriteWeights(_initial.ReadWeights());
        }

        network.to(Device);
        _created.Add(network);
        return network;
    }

    /// <summary>Releases the networks of a fit that came to nothing: modules keep some of their tensors out of the scopes of their callers.</summary>
    internal void Abandon() => _created.ForEach(network => network.Dispose());

    /// <summary>Trains a network by mini-batches (or by L-BFGS) with everything that the settings say; the best weights stand in it after.</summary>
    /// <param name="network">The network, on <see cref="Device"/>.</param>
    /// <param name="data">The rows.</param>
    /// <param name="head">The task.</param>
    /// <param name="settings">How to train.</param>
    /// <param name="loss">The loss of a batch; null for that of the task.</param>
    /// <param name="heldLoss">The mean loss of rows held out, which the best epoch is chosen by, with the network in evaluation mode; null for that of the task.</param>
    /// <returns>The losses, epoch by epoch.</returns>
    /// <exception cref="TrainingDivergedException">The loss or a weight is no longer finite.</exception>
    /// <exception cref="OperationCanceledException">The fit was cancelled and the best so far is not wanted, or there is none.</exception>
    public LearningCurve Minimize(Network network, TrainingSet data, TaskHead head, DescentSettings settings, BatchLoss? loss = null, BatchLoss? heldLoss = null)
    {
        if (Checkpoint?.Begin(network, data, head, settings) == false)
            return Curve;
        using var loop = new TrainingLoop(this, network, data, head, settings, loss, heldLoss);
        return loop.Run();
    }

    /// <summary>Watches a training of one's own: keeps its curve, reports, and judges by the rows held out.</summary>
    /// <param name="head">The task.</param>
    /// <param name="epochs">Number of epochs planned.</param>
    /// <param name="rowsPerEpoch">Rows that an epoch goes through.</param>
    /// <param name="patience">Epochs without a new least validation loss after which training has stalled, 0 for never.</param>
    /// <param name="earlier">Epochs of the earlier model's curve that are kept, and counted among the epochs.</param>
    /// <param name="epochName">What an epoch is called in what the user reads, such as "step" in boosting.</param>
    /// <returns>The watcher; its <see cref="TrainingMonitor.Finish"/> sets <see cref="Curve"/>.</returns>
    public TrainingMonitor Watch(TaskHead head, int epochs, long rowsPerEpoch, int patience, int earlier = 0, string epochName = "epoch") =>
        new(Observer, head, epochs, rowsPerEpoch, patience, epochName, earlier > 0 ? InitialCurve.Start : null, InitialCurve.Points.Take(earlier), curve => Curve = curve);

    // A method is lent the run; whoever started it ends it.
    void IDisposable.Dispose() => Random.Dispose();
}
