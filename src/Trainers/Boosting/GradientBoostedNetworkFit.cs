using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Boosting;

/// <summary>One fit of a <see cref="GradientBoostedNetwork"/>: it leads the members, whose mean is the network, and passes rows to them block by block.</summary>
internal sealed class GradientBoostedNetworkFit : IDisposable
{
    private const string BiasesName = "member.biases";
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
    private readonly Tensor? _heldLabels;
    private readonly Tensor? _heldWeights;
    private readonly int _earlierSteps;

    // Output biases [steps + 1, R, K] of the members, of which the network has the mean: a fit that goes on from this one wants each of them.
    private readonly List<float> _memberBiases = [];
    private readonly int _threads = get_num_threads();

    public GradientBoostedNetworkFit(TrainingSet data, TaskHead head, TrainingRun run, GradientBoostedNetwork.Options options)
    {
        (_data, _head, _run, _options) = (data, head, run, options);
        var loss = BoostingLoss.For(head);
        _loss = loss;
        var knotCount = run.Initial is null ? options.InputKnots : 0;
        var (labels, weights, knots) = ReadLabels(knotCount);
        (float[], float[])? standardization = options.StandardizeInputs
            ? ([.. data.Statistics.Mean], [.. data.Statistics.Scale().Select(scale => 1 / scale)])
            : null;
        using var scope = NewDisposeScope();
        var start = new (Tensor F, Tensor? HeldF)[options.Restarts];
        if (run.Initial is { } initial)
        {
            _builder = Continue(initial);
            _earlierSteps = _builder.Steps;
            (standardization, knots) = (_builder.Standardization, _builder.Knots);
            for (var r = 0; r < start.Length; r++)
            {
                using var part = EarlierPart(r);
                start[r] = r > 0 && part is null
                    ? (start[0].F.clone(), start[0].HeldF?.clone())
                    : (Outputs(part ?? initial, data.Blocks(BlockRows)), data.Validation is { } held ? Outputs(part ?? initial, [held]) : null);
            }
        }
        else
        {
            var constant = loss.Constant(labels, weights, head.Outputs);
            _builder = new HiddenLayerBuilder(data.FeatureCount, StepUnits, options.Activation.ToActivation(), constant, loss.OutputScale, standardization, knots);
            for (var r = 0; r < start.Length; r++)
            {
                start[r] = (Rows(constant, data.RowCount), data.Validation is { } held ? Rows(constant, held.Rows) : null);
                if (start.Length > 1)
                    _memberBiases.AddRange(constant.Select(value => (float)(value * loss.OutputScale)));
            }
        }

        // The steps see [x, q(x)], of which q needs no standardisation.
        var width = knots is null ? data.FeatureCount : 2 * data.FeatureCount;
        if (knots is not null && standardization is var (mean, factor))
            standardization = ([.. mean, .. new float[mean.Length]], [.. factor, .. Enumerable.Repeat(1f, factor.Length)]);
        var heldOut = HoldOut(labels);
        var sampleRows = SampleRows(data.RowCount - heldOut.Max(rows => rows.Length));
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
            _members[r] = new(_problem, own, start[r].F.DetachFromDisposeScope(), start[r].HeldF?.DetachFromDisposeScope(), heldOut[r], r);
        }

        (_heldLabels, _heldWeights) = data.Validation is { } block
            ? (block.Labels.alias(), block.Weights?.alias())
            : heldOut[0].Length > 0 ? (OfHeldRows(labels), weights is null ? null : OfHeldRows(weights)) : (null, null);
        _heldLabels?.DetachFromDisposeScope();
        _heldWeights?.DetachFromDisposeScope();

        Tensor OfHeldRows(Tensor values) => cat([.. _members.Select(member => values.index_select(0, member.HeldRows!))]);
    }

    private int StepUnits => _options.Restarts * _options.UnitsPerStep;

    private bool IsSmall => 6.0 * _problem.SampleRows * _options.UnitsPerStep * (_problem.Inputs + _head.Outputs) < OneThreadOperations;

    public Network Run()
    {
        using var threads = TorchThreads.Limit(IsSmall && _members.Length == 1 ? 1 : _threads);
        var steps = _options.TotalUnits / _options.UnitsPerStep;
        var monitor = _run.Watch(_head, _earlierSteps + steps, _data.RowCount, _options.EarlyStoppingRounds, _earlierSteps, "step");
        monitor.OnStart(TrainingLoss(), Validate());
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
        if (_memberBiases.Count > 0)
            _run.KeepState([NamedTensor.Of(BiasesName, [.. _memberBiases], _builder.Steps + 1, _members.Length, _head.Outputs)]);
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
        _heldLabels?.Dispose();
        _heldWeights?.Dispose();
    }

    private string Boost(int count, TrainingMonitor monitor)
    {
        foreach (var member in _members)
            member.DrawSample();
        Sweep(_problem.TakesAllRows ? _members[..1] : _members, predict: false);
        for (var t = 1; t <= count; t++)
        {
            ForEach(_members, member => member.Solve());                                    // h_t
            if (_members.All(member => member.HasVanished))
                return $"The residuals have vanished after {_builder.Steps} steps: there is nothing left to learn.";
            if (!_problem.TakesAllRows)
                Sweep(_members, predict: true);
            ForEach(_members, member => member.Advance());                                  // F ← F + η·ρ_t·h_t
            if (_members.All(member => member.StepSize is null))
                return $"The loss has no curvature left after {_builder.Steps} steps: there is nothing left to learn.";
            HiddenLayerStep[] steps = [.. _members.Select(member => member.Step)];
            double[] sizes = [.. _members.Select(member => member.StepSize ?? 0)];
            _builder.AddMean(steps, sizes);
            NoteBiases(steps, sizes);

            var loss = TrainingLoss();
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

        TorchThreads.ForEach(members.Length, _threads, r => work(members[r]));
    }

    private (double Loss, double Metric)? Validate()
    {
        if (_heldLabels is null)
            return null;
        using var scope = NewDisposeScope();
        var outputs = _data.Validation is not null
            ? Outputs(member => member.HeldF!)
            : cat([.. _members.Select(member => member.F.index_select(0, member.HeldRows!))]).Times(_loss.OutputScale);
        return (Loss(outputs, _heldLabels, _heldWeights), _head.Metric(_head.MetricSum(outputs, _heldLabels) / _heldLabels.shape[0]));
    }

    private double TrainingLoss()
    {
        using var outputs = Outputs(member => member.F);
        return Loss(outputs, _problem.Labels, _problem.Weights);
    }

    private double Loss(Tensor outputs, Tensor labels, Tensor? weights)
    {
        using var scope = NewDisposeScope();
        return _head.Loss(outputs, labels, weights).cpu().item<float>();
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

    /// <summary>Member r of the earlier network; null where only the whole of it is known.</summary>
    private Network? EarlierPart(int r)
    {
        var (members, outputs) = (_options.Restarts, _head.Outputs);
        if (members > 1 && _run.InitialState is { } state && state.TryGet(BiasesName, out var biases)
            && biases.Shape is [var rows, var parts, var width] && rows > _builder.Steps && parts == members && width == outputs)
        {
            if (r == 0)
                _memberBiases.AddRange(biases.Floats[..((_builder.Steps + 1) * members * outputs)]);
            if (_builder.Steps > 0)
                return _builder.BuildPart(r, members, biases.Floats.Slice(((_builder.Steps * members) + r) * outputs, outputs).ToArray());
        }

        if (r == 1 && _memberBiases.Count == 0)
            _run.Log("The earlier model does not tell its sums apart. Each goes on from the whole of it, which may have learned the rows that are held out.");
        return null;
    }

    private void NoteBiases(HiddenLayerStep[] steps, double[] sizes)
    {
        if (_memberBiases.Count == 0)
            return;
        var last = _memberBiases.Count - (steps.Length * _head.Outputs);
        for (var r = 0; r < steps.Length; r++)
        {
            for (var k = 0; k < _head.Outputs; k++)
                _memberBiases.Add(_memberBiases[last + (r * _head.Outputs) + k] + (float)(_loss.OutputScale * sizes[r] * steps[r].OutputBias[k]));
        }
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

    /// <summary>The rows that each member holds out, where the user does not say which are.</summary>
    private long[][] HoldOut(Tensor labels)
    {
        var (fraction, members) = (_data.Validation is null ? _options.ValidationFraction : 0, _options.Restarts);
        var classes = new int[_data.RowCount];
        using var scope = NewDisposeScope();
        if (_head is BinaryHead or MulticlassHead)
            labels.to(ScalarType.Int32).cpu().data<int>().CopyTo(classes);
        var heldOut = HeldOutParts.Choose(classes, fraction, members, _run.Random.Seed);
        if (heldOut[0].Length > 0)
            _run.Log(members == 1 ? $"{heldOut[0].Length} rows are held out." : $"Each of the {members} sums holds out {heldOut[0].Length} rows of its own.");
        else if (fraction > 0)
            _run.Log($"No rows are held out: {fraction:P0} of {_data.RowCount} are none. All units will be active.");
        return heldOut;
    }

    private long SampleRows(long fitted)
    {
        var wanted = (long)Math.Floor(_options.Subsample * fitted);
        if (wanted == 0)
        {
            throw new InvalidOperationException(
                $"The option 'Subsample' is {_options.Subsample}, which leaves none of the {fitted} training rows for a step. Raise it to at least {1.0 / fitted:G2}.");
        }

        // Members that take all rows share them, also those that they hold out; samples are each member's own.
        var isInMemory = _data.BufferRows >= _data.RowCount;
        if (isInMemory && wanted == fitted)
            return _data.RowCount;
        var room = isInMemory ? wanted : Math.Max(1, _data.BufferRows / _options.Restarts);
        if (wanted <= room)
            return wanted;
        _run.Log($"Each step is fitted to {room} rows drawn at random and not to {wanted}, to stay within the memory budget.");
        return room;
    }
}
