using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>The mini-batch loop that all methods trained by gradients share, and its full-batch twin for L-BFGS.</summary>
internal sealed class TrainingLoop : IDisposable
{
    // Share of the validation loss that an epoch has to bring for the learning rate to stay.
    private const double LeastGain = 1e-4;

    private const int MostEvaluationRows = 4096;

    // Values of the widest layer of a block of rows held out.
    private const long EvaluationValues = 1 << 23;

    // Arithmetic of a step below which handing parts of it to other threads costs more than it saves, above all on a busy machine.
    private const double OneThreadOperations = 1e8;

    private readonly TrainingRun _run;
    private readonly Network _network;
    private readonly TrainingSet _data;
    private readonly TaskHead _head;
    private readonly DescentSettings _settings;
    private readonly BatchLoss _loss;
    private readonly BatchLoss? _heldLoss;
    private readonly FlatParameters _parameters;
    private readonly RowAdam[] _tables;
    private readonly IReplacesWeights[] _replacing;
    private readonly TrainingMonitor _monitor;
    private double _plateau = 1;

    public TrainingLoop(TrainingRun run, Network network, TrainingSet data, TaskHead head, DescentSettings settings, BatchLoss? loss, BatchLoss? heldLoss)
    {
        (_run, _network, _data, _head, _settings, _heldLoss) = (run, network, data, head, settings, heldLoss);
        _loss = loss ?? ((net, batch) => head.Loss(net.call(batch.Features), batch.Labels, batch.Weights, settings.LabelSmoothing));
        data.MoveTo(run.Device);
        _parameters = new FlatParameters(network);
        _replacing = [.. network.modules().OfType<IReplacesWeights>()];
        _tables = [.. network.modules().OfType<RowTable>().Select(table => new RowAdam(table))];
        _monitor = run.Watch(head, settings.Epochs, data.RowCount, settings.Patience);
    }

    public LearningCurve Run()
    {
        using var threads = TorchThreads.Limit(IsSmall ? 1 : get_num_threads());
        string reason;
        try
        {
            reason = _settings.Optimizer == OptimizerKind.Lbfgs ? RunFullBatch() : RunMiniBatches();
        }
        catch (OperationCanceledException) when (_monitor.KeepsBest)
        {
            reason = "Cancelled; the best so far is kept.";
        }

        if (_monitor.BestEpoch > 0)
            _parameters.Restore();
        if (!IsFinite(_parameters.Values) || !_network.modules().OfType<RowTable>().All(table => IsFinite(table.Weight)))
            throw new TrainingDivergedException(_monitor.Epoch, _monitor.Step, "a weight");
        _network.eval();
        return _monitor.Finish(reason);
    }

    public void Dispose()
    {
        _parameters.Dispose();
        Array.ForEach(_tables, table => table.Dispose());
    }

    /// <summary>Whether a step is small: forward and backward take about six operations for each multiplication and row.</summary>
    private bool IsSmall =>
        6.0 * Math.Max(_parameters.Count, _network.Definition.MultiplicationsPerRow) * (_settings.Optimizer == OptimizerKind.Lbfgs ? Math.Min(EvaluationRows, _data.RowCount) : _settings.BatchSize) < OneThreadOperations;

    /// <summary>Rows that are judged at once.</summary>
    private int EvaluationRows => (int)Math.Clamp(EvaluationValues / Math.Max(1, _network.Definition.WidestLayer), 1, MostEvaluationRows);

    private string RunMiniBatches()
    {
        using var optimizer = CreateOptimizer();
        using var noise = _settings.GradientNoise is { } wanted ? new GradientNoiseSource(wanted, _parameters, _run.Random.Seed) : null;
        var stepsPerEpoch = (_data.RowCount + _settings.BatchSize - 1) / _settings.BatchSize;
        var steps = stepsPerEpoch * _settings.Epochs;
        var memory = _run.Checkpoint is { } checkpoint ? new LoopMemory(checkpoint, _run, _network, _parameters, optimizer, noise, _tables, _monitor) : null;
        _plateau = memory?.Resume() ?? _plateau;
        for (var epoch = _monitor.Epoch; epoch <= _settings.Epochs; epoch++)
        {
            _network.train();
            foreach (var batch in _data.Batches(_settings.BatchSize, epoch))
            {
                using (batch)
                {
                    _run.CheckCancelled();
                    var loss = Gradient(batch);
                    if (!double.IsFinite(loss))
                        throw new TrainingDivergedException(epoch, _monitor.Step + 1, "the loss");
                    Array.ForEach(_tables, table => table.AddPenalty(_settings.RowTableDecay));
                    if (_settings.GradientClipNorm > 0)
                        Clip(_settings.GradientClipNorm);
                    noise?.Apply();
                    var rate = Math.Max(_plateau * _settings.LearningRate, Math.Min(_settings.LearningRate, _settings.PlateauFloor)) * _settings.Schedule.At(_monitor.Step, steps);
                    optimizer.Step(rate);
                    Array.ForEach(_tables, table => table.Step(rate));
                    Array.ForEach(_replacing, part => Replace(part, optimizer));
                    _monitor.OnStep(loss, batch.Rows);
                }
            }

            _parameters.ThrowIfDetached();
            if (EndEpoch())
                return _monitor.HasStalled ? $"The validation loss has not fallen for {_settings.Patience} epochs." : "The validation loss falls no more at the least learning rate.";
            if (epoch < _settings.Epochs)
                memory?.WriteWhereDue(_plateau);
        }

        return "All epochs are done.";
    }

    private string RunFullBatch()
    {
        if (_tables.Length > 0)
            throw new InvalidOperationException("L-BFGS cannot train tables of which each batch uses some rows.");
        var stalled = false;
        _network.train();
        var result = LbfgsMinimizer.Minimize(
            _parameters.Values,
            FullGradient,
            new LbfgsSettings { MaxIterations = _settings.Epochs, MaxEvaluations = 3 * _settings.Epochs },
            progress =>
            {
                _monitor.OnStep(progress.Value, _data.RowCount);
                stalled = EndEpoch();
                _network.train();
                return !stalled;
            });
        return stalled ? $"The validation loss has not fallen for {_settings.Patience} iterations." : $"L-BFGS stopped: {result.Reason}.";
    }

    /// <summary>Computes the gradient of one batch, in parts where it is too large to go through the network at once.</summary>
    private double Gradient(RowBlock batch)
    {
        _parameters.ZeroGradient();
        Array.ForEach(_tables, table => table.Clear());
        var part = _settings.MicroBatchSize;
        if (part == 0 || part >= batch.Rows)
            return Backward(batch, 1);
        double total = 0;
        for (long start = 0; start < batch.Rows; start += part)
        {
            var rows = Math.Min(part, batch.Rows - start);
            using var micro = batch.Slice(start, rows);
            total += Backward(micro, (double)rows / batch.Rows);
            _run.CheckCancelled();
        }

        return total;
    }

    private double Backward(RowBlock batch, double share)
    {
        using var scope = NewDisposeScope();
        var placed = _data.IsStreamed && _run.Device.type != TorchSharp.DeviceType.CPU ? ToDevice(batch) : batch;
        var loss = _loss(_network, placed);
        if (share != 1)
            loss = loss.Times(share);
        loss.backward();
        Array.ForEach(_tables, table => table.Collect());
        return loss.cpu().item<float>();
    }

    /// <summary>Loss and gradient over all rows, with the weight decay as a penalty: ½·λ·‖w‖².</summary>
    private double FullGradient(Tensor gradient)
    {
        _parameters.ZeroGradient();
        double value = 0;
        foreach (var block in _data.Blocks(EvaluationRows))
        {
            using (block)
            {
                _run.CheckCancelled();
                value += Backward(block, (double)block.Rows / _data.RowCount);
            }
        }

        if (_settings.WeightDecay > 0)
            value += _parameters.AddPenalty(_settings.WeightDecay);
        gradient.copy_(_parameters.Gradient);
        return value;
    }

    private void Replace(IReplacesWeights part, FlatOptimizer optimizer)
    {
        if (part.Replace(_run.Random.Training) is not var (parameter, replaced))
            return;
        using (replaced)
            optimizer.Forget(parameter, replaced);
    }

    private bool EndEpoch()
    {
        var (held, before) = (Validate(), _monitor.BestLoss);
        if (_monitor.OnEpoch(held))
            _parameters.Snapshot();
        if (_settings.PlateauFactor == 1 || held is not { } judged || judged.Loss + (LeastGain * Math.Abs(judged.Loss)) < before)
            return _monitor.HasStalled;

        // At a small rate the loss falls a little in every epoch, and for ever.
        var isAtFloor = _plateau * _settings.LearningRate <= _settings.PlateauFloor;
        _plateau *= _settings.PlateauFactor;
        return _monitor.HasStalled || isAtFloor;
    }

    private (double Loss, double Metric)? Validate()
    {
        if (_data.HeldCount == 0)
            return null;
        _network.eval();
        using var noGradient = no_grad();
        double loss = 0, metric = 0;
        long rows = 0;
        foreach (var block in _data.HeldBlocks(EvaluationRows))
        {
            using (block)
            {
                _run.CheckCancelled();
                using var scope = NewDisposeScope();
                rows += block.Rows;

                // Without labels there is nothing but the method's own loss to judge by.
                var outputs = _head is FeatureHead ? null : _network.call(block.Features);
                var sum = (_heldLoss?.Invoke(_network, block) ?? _head.Loss(outputs ?? block.Features, block.Labels, block.Weights)).cpu().item<float>() * block.Rows;
                loss += sum;
                metric += outputs is null ? sum : _head.MetricSum(outputs, block.Labels);
            }
        }

        return double.IsFinite(loss)
            ? (loss / rows, _head.Metric(metric / rows))
            : throw new TrainingDivergedException(_monitor.Epoch, _monitor.Step, "the validation loss");
    }

    private void Clip(double most)
    {
        if (_tables.Length == 0)
        {
            _parameters.ClipGradient(most);
            return;
        }

        var norm = Math.Sqrt(Math.Pow(_parameters.GradientNorm(), 2) + _tables.Sum(table => table.SquaredNorm()));
        if (norm <= most)
            return;
        _parameters.Gradient.Scale(most / norm);
        Array.ForEach(_tables, table => table.Scale(most / norm));
    }

    private static bool IsFinite(Tensor values) => values.isfinite().all().cpu().item<bool>();

    private FlatOptimizer CreateOptimizer() => _settings.Optimizer switch
    {
        OptimizerKind.AdamW => new Adam(_parameters, weightDecay: _settings.WeightDecay),
        OptimizerKind.Adam => new Adam(_parameters, weightDecay: _settings.WeightDecay, decoupledWeightDecay: false),
        OptimizerKind.Sgd => new Sgd(_parameters, _settings.Momentum, weightDecay: _settings.WeightDecay),
        _ => new Lion(_parameters, weightDecay: _settings.WeightDecay),
    };

    private RowBlock ToDevice(RowBlock batch) =>
        new(batch.Features.to(_run.Device), batch.Labels.to(_run.Device), batch.Weights?.to(_run.Device));
}
