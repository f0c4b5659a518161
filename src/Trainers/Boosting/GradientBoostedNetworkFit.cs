using System.Diagnostics.CodeAnalysis;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Boosting;

/// <summary>One fit of a <see cref="GradientBoostedNetwork"/>: it leads the members, whose mean is the network, and passes rows to them block by block.</summary>
internal sealed class GradientBoostedNetworkFit : IDisposable
{
    private const int BlockRows = 8192;

    // Rows that quantiles are taken from: their error is then below a hundredth of a normal score but for the extremes.
    private const int QuantileRows = 20_000;

    // Arithmetic of an evaluation below which tensor operations are quicker on one thread.
    private const double OneThreadOperations = 1e8;

    private readonly TrainingSet _data;
    private readonly TaskHead _head;
    private readonly TrainingRun _run;
    private readonly GradientBoostedNetwork.Options _options;
    private readonly BoostingLoss _loss;
    private readonly BoostingProblem _problem;
    private readonly HiddenLayerBuilder _builder;
    private readonly GradientBoostedNetworkMember[] _members;
    private readonly int _earlierSteps;
    private readonly int _threads = get_num_threads();

    public GradientBoostedNetworkFit(TrainingSet data, TaskHead head, TrainingRun run, GradientBoostedNetwork.Options options)
    {
        (_data, _head, _run, _options) = (data, head, run, options);
        var (loss, sampleRows) = (BoostingLoss.For(head), SampleRows());
        _loss = loss;
        var knotCount = run.Initial is null ? options.InputKnots : 0;
        var (labels, weights, knots) = ReadLabels(knotCount);
        (float[], float[])? standardization = options.StandardizeInputs
            ? ([.. data.Statistics.Mean], [.. data.Statistics.Scale().Select(scale => 1 / scale)])
            : null;
        using var scope = NewDisposeScope();
        Tensor f;
        Tensor? heldF;
        if (run.Initial is { } initial)
        {
            _builder = Continue(initial);
            _earlierSteps = _builder.Steps;
            (standardization, knots) = (_builder.Standardization, _builder.Knots);
            f = Outputs(initial, data.Blocks(BlockRows));
            heldF = data.Validation is { } held ? Outputs(initial, [held]) : null;
        }
        else
        {
            var constant = loss.Constant(labels, weights, head.Outputs);
            _builder = new HiddenLayerBuilder(data.FeatureCount, StepUnits, options.Activation.ToActivation(), constant, loss.OutputScale, standardization, knots);
            f = Rows(constant, data.RowCount);
            heldF = data.Validation is { } held ? Rows(constant, held.Rows) : null;
        }

        // The steps see [x, q(x)], of which q needs no standardisation.
        var width = knots is null ? data.FeatureCount : 2 * data.FeatureCount;
        if (knots is not null && standardization is var (mean, factor))
            standardization = ([.. mean, .. new float[mean.Length]], [.. factor, .. Enumerable.Repeat(1f, factor.Length)]);
        _problem = new(data, width, Expand(data.Validation?.Features)?.DetachFromDisposeScope(), head.Outputs, labels, weights, loss, sampleRows, options, run);

        // Threads that the members leave over serve within them.
        using var threads = TorchThreads.Limit(Math.Max(1, _threads / options.Restarts));
        var step = new HiddenLayerLeastSquares(
            width, options.UnitsPerStep, head.Outputs, _builder.Activation, options.L2, sampleRows, run.Device, standardization);
        _members = new GradientBoostedNetworkMember[options.Restarts];
        for (var r = 0; r < _members.Length; r++)
        {
            var own = r == 0 ? step : _problem.TakesAllRows ? step.ShareRows() : new HiddenLayerLeastSquares(
                width, options.UnitsPerStep, head.Outputs, _builder.Activation, options.L2, sampleRows, run.Device, standardization);
            _members[r] = new(_problem, own, f.clone().DetachFromDisposeScope(), heldF?.clone().DetachFromDisposeScope(), r);
        }
    }

    private int StepUnits => _options.Restarts * _options.UnitsPerStep;

    private bool IsSmall => 6.0 * _problem.SampleRows * _options.UnitsPerStep * (_problem.Inputs + _head.Outputs) < OneThreadOperations;

    public Network Run()
    {
        using var threads = TorchThreads.Limit(IsSmall && _members.Length == 1 ? 1 : _threads);
        var steps = _options.TotalUnits / _options.UnitsPerStep;
        var monitor = _run.Watch(_head, _earlierSteps + steps, _data.RowCount, _options.EarlyStoppingRounds, _earlierSteps);
        if (Validate() is { } atStart)
            monitor.OnStart(atStart.Loss);
        string reason;
        try
        {
            reason = Boost(steps, monitor);
        }
        catch (OperationCanceledException) when (monitor.KeepsBest)
        {
            reason = "Cancelled; the best so far is kept.";
        }

        monitor.Finish(reason);
        var active = monitor.IsJudged ? monitor.BestEpoch : _builder.Steps;
        if (active < _builder.Steps)
            _run.Log($"{active * StepUnits} of {_builder.Steps * StepUnits} units are active: more did not lower the validation loss.");
        return _builder.Build(active);
    }

    public void Dispose()
    {
        foreach (var member in _members)
            member.Dispose();
        _problem.Labels.Dispose();
        _problem.Weights?.Dispose();
        _problem.HeldFeatures?.Dispose();
    }

    private string Boost(int steps, TrainingMonitor monitor)
    {
        foreach (var member in _members)
            member.DrawSample();
        Sweep(_problem.TakesAllRows ? _members[..1] : _members, predict: false);
        for (var t = 1; t <= steps; t++)
        {
            ForEach(_members, member => member.Solve());                                    // h_t
            if (_members.All(member => member.HasVanished))
                return $"The residuals have vanished after {_builder.Steps} steps: there is nothing left to learn.";
            if (!_problem.TakesAllRows)
                Sweep(_members, predict: true);
            ForEach(_members, member => member.Advance());                                  // F ← F + η·ρ_t·h_t
            if (_members.All(member => member.StepSize is null))
                return $"The loss has no curvature left after {_builder.Steps} steps: there is nothing left to learn.";
            _builder.AddMean([.. _members.Select(member => member.Step)], [.. _members.Select(member => member.StepSize ?? 0)]);

            var loss = Loss(member => member.F, _problem.Labels, _problem.Weights);
            if (!double.IsFinite(loss))
                throw new TrainingDivergedException(monitor.Epoch, monitor.Step + 1, "the loss");
            monitor.OnStep(loss, _data.RowCount);
            monitor.OnEpoch(Validate());
            if (monitor.HasStalled)
                return $"The validation loss has not fallen for {_options.EarlyStoppingRounds} steps.";
        }

        return "All steps are done.";
    }

    /// <summary>One pass over all rows: members compute h, where it is wanted, and take the rows of their next step.</summary>
    private void Sweep(GradientBoostedNetworkMember[] members, bool predict)
    {
        long start = 0;
        foreach (var block in _data.Blocks(BlockRows))
        {
            using var rows = block;
            using var scope = NewDisposeScope();
            _run.CheckCancelled();
            var (first, features) = (start, Expand(block.Features.to(_run.Device)));
            ForEach(members, member => member.Take(first, features, predict));
            start += block.Rows;
        }
    }

    /// <summary>Lets members work side by side, each on one thread of libtorch, so that no sum depends on how many threads there are.</summary>
    private void ForEach(GradientBoostedNetworkMember[] members, Action<GradientBoostedNetworkMember> work)
    {
        if (_members.Length == 1)
        {
            work(members[0]);
            return;
        }

        var parallel = new ParallelOptions { MaxDegreeOfParallelism = _threads };
        try
        {
            Parallel.ForEach(members, parallel, member =>
            {
                using var threads = TorchThreads.Limit(1, _threads);
                work(member);
            });
        }
        catch (AggregateException failures)
        {
            ExceptionDispatchInfo.Throw(failures.InnerExceptions[0]);
        }
    }

    private (double Loss, double Metric)? Validate()
    {
        if (_data.Validation is not { } held)
            return null;
        using var scope = NewDisposeScope();
        var outputs = Outputs(member => member.HeldF!);
        return (Loss(member => member.HeldF!, held.Labels, held.Weights), _head.Metric(_head.MetricSum(outputs, held.Labels) / held.Rows));
    }

    private double Loss(Func<GradientBoostedNetworkMember, Tensor> f, Tensor labels, Tensor? weights)
    {
        using var scope = NewDisposeScope();
        return _head.Loss(Outputs(f), labels, weights).cpu().item<float>();
    }

    /// <summary>What the network puts out: the mean of the members.</summary>
    private Tensor Outputs(Func<GradientBoostedNetworkMember, Tensor> f)
    {
        var sum = f(_members[0]).clone();
        foreach (var member in _members[1..])
            sum.AddScaled(f(member));
        sum.Scale(_loss.OutputScale / _members.Length);
        return sum;
    }

    /// <summary>[x, q(x)], or x where there is no q.</summary>
    [return: NotNullIfNotNull(nameof(features))]
    private Tensor? Expand(Tensor? features) =>
        features is null ? null : _builder.Knots is { } knots ? cat([features, knots.Map(features)], 1) : features.alias();

    private (Tensor Labels, Tensor? Weights, InputKnots? Knots) ReadLabels(int knots)
    {
        var (labels, weights) = (new List<Tensor>(), new List<Tensor>());
        var (sample, sampleWeights) = (new List<float>(), new List<float>());
        var (stride, row) = (((_data.RowCount - 1) / QuantileRows) + 1, 0L);
        using var scope = NewDisposeScope();
        foreach (var block in _data.Blocks(BlockRows))
        {
            _run.CheckCancelled();
            labels.Add(block.Labels.to(_run.Device));
            if (block.Weights is not null)
                weights.Add(block.Weights.to(_run.Device));
            if (knots > 0)
                TakeEvery(stride, row, block, sample, sampleWeights);
            row += block.Rows;
            block.Features.Dispose();
        }

        return (
            cat(labels).MoveToOuterDisposeScope(),
            weights.Count > 0 ? cat(weights).MoveToOuterDisposeScope() : null,
            knots > 0 ? InputKnots.AtQuantiles(CollectionsMarshal.AsSpan(sample), CollectionsMarshal.AsSpan(sampleWeights), _data.FeatureCount, knots) : null);
    }

    private void TakeEvery(long stride, long start, RowBlock block, List<float> sample, List<float> sampleWeights)
    {
        using var scope = NewDisposeScope();
        ReadOnlySpan<float> features = block.Features.cpu().contiguous().data<float>().ToArray();
        var weights = block.Weights?.cpu().data<float>().ToArray();
        for (var i = (int)((stride - (start % stride)) % stride); i < block.Rows; i += (int)stride)
        {
            sample.AddRange(features.Slice(i * _data.FeatureCount, _data.FeatureCount));
            sampleWeights.Add(weights?[i] ?? 1);
        }
    }

    private HiddenLayerBuilder Continue(Network initial)
    {
        var builder = HiddenLayerBuilder.From(initial, _loss.OutputScale);
        var activation = _options.Activation.ToActivation();
        return builder is not null && builder.Inputs == _data.FeatureCount && builder.UnitsPerStep == StepUnits && builder.Activation == activation
            ? builder
            : throw new InvalidOperationException(
                $"The option 'InitialModel' holds another network than the options ask for: {initial.Definition} has not {_data.FeatureCount} inputs and"
                + $" steps of {StepUnits} units of {activation}.");
    }

    /// <summary>F of an earlier network.</summary>
    private Tensor Outputs(Network network, IEnumerable<RowBlock> blocks)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var parts = new List<Tensor>();
        foreach (var block in blocks)
        {
            _run.CheckCancelled();
            parts.Add(network.call(block.Features.cpu()).Times(1 / _loss.OutputScale).to(_run.Device));
        }

        return cat(parts).MoveToOuterDisposeScope();
    }

    private Tensor Rows(double[] constant, long rows)
    {
        using var row = tensor([.. constant.Select(c => (float)c)], [1, constant.Length]);
        using var onDevice = row.to(_run.Device);
        return onDevice.repeat(rows, 1);
    }

    private long SampleRows()
    {
        var wanted = (long)Math.Floor(_options.Subsample * _data.RowCount);
        if (wanted == 0)
        {
            throw new InvalidOperationException(
                $"The option 'Subsample' is {_options.Subsample}, which leaves none of the {_data.RowCount} training rows for a step. Raise it to at least {1.0 / _data.RowCount:G2}.");
        }

        // Members that take all rows share them; samples are each member's own.
        var room = _data.BufferRows >= _data.RowCount ? wanted : Math.Max(1, _data.BufferRows / _options.Restarts);
        if (wanted <= room)
            return wanted;
        _run.Log($"Each step is fitted to {room} rows drawn at random and not to {wanted}, to stay within the memory budget.");
        return room;
    }
}
