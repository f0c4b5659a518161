using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Boosting;

/// <summary>One fit of a <see cref="GradientBoostedNetwork"/>: F and its residuals stay in memory, features pass block by block.</summary>
internal sealed class GradientBoostedNetworkFit : IDisposable
{
    private const int BlockRows = 8192;
    private const double LeastResidual = 1e-12;
    private const double AdamRate = 0.05;

    // Arithmetic of an evaluation below which tensor operations are quicker on one thread.
    private const double OneThreadOperations = 1e8;

    private readonly TrainingSet _data;
    private readonly TaskHead _head;
    private readonly TrainingRun _run;
    private readonly GradientBoostedNetwork.Options _options;
    private readonly BoostingLoss _loss;
    private readonly HiddenLayerBuilder _builder;
    private readonly HiddenLayerLeastSquares _step;
    private readonly Tensor _labels;
    private readonly Tensor? _weights;
    private readonly Tensor _f;
    private readonly Tensor? _heldF;
    private readonly long _sampleRows;
    private readonly int _earlierSteps;
    private long[]? _sample;

    public GradientBoostedNetworkFit(TrainingSet data, TaskHead head, TrainingRun run, GradientBoostedNetwork.Options options)
    {
        (_data, _head, _run, _options, _loss) = (data, head, run, options, BoostingLoss.For(head));
        _sampleRows = SampleRows();
        var activation = options.Activation.ToActivation();
        (float[], float[])? standardization = options.StandardizeInputs
            ? ([.. data.Statistics.Mean], [.. data.Statistics.Scale().Select(scale => 1 / scale)])
            : null;
        (_labels, _weights) = ReadLabels();
        if (run.Initial is { } initial)
        {
            _builder = Continue(initial);
            _earlierSteps = _builder.Steps;
            standardization = _builder.Standardization;
            _f = Outputs(initial, data.Blocks(BlockRows));
            _heldF = data.Validation is { } held ? Outputs(initial, [held]) : null;
        }
        else
        {
            var constant = _loss.Constant(_labels, _weights, head.Outputs);
            _builder = new HiddenLayerBuilder(data.FeatureCount, options.UnitsPerStep, activation, constant, _loss.OutputScale, standardization);
            _f = Rows(constant, data.RowCount);
            _heldF = data.Validation is { } held ? Rows(constant, held.Rows) : null;
        }

        _step = new HiddenLayerLeastSquares(
            data.FeatureCount, options.UnitsPerStep, head.Outputs, activation, options.L2, _sampleRows, run.Device, standardization);
    }

    private LbfgsSettings Settings => new()
    {
        MaxIterations = _options.StepIterations,
        MaxEvaluations = 3 * _options.StepIterations,
        GradientTolerance = _options.Tolerance,
        RelativeTolerance = 0,
    };

    private bool IsSmall => 6.0 * _sampleRows * _options.UnitsPerStep * (_data.FeatureCount + _head.Outputs) < OneThreadOperations;

    public Network Run()
    {
        using var threads = TorchThreads.Limit(IsSmall ? 1 : get_num_threads());
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
            _run.Log($"{active * _options.UnitsPerStep} of {_builder.Steps * _options.UnitsPerStep} units are active: more did not lower the validation loss.");
        return _builder.Build(active);
    }

    public void Dispose()
    {
        _step.Dispose();
        _labels.Dispose();
        _weights?.Dispose();
        _f.Dispose();
        _heldF?.Dispose();
    }

    private string Boost(int steps, TrainingMonitor monitor)
    {
        DrawSample();
        using (Sweep(predict: false))
        {
            // Only the rows of the first step are taken.
        }

        for (var t = 1; t <= steps; t++)
        {
            using var scope = NewDisposeScope();
            var residuals = _loss.Residuals(_labels, _f);                                   // R = −∂L/∂F: [N, K]
            if (residuals.square().mean().cpu().item<float>() < LeastResidual)
                return $"The residuals have vanished after {_builder.Steps} steps: there is nothing left to learn.";
            Solve(residuals);                                                               // h_t
            var heldH = _data.Validation is { } held ? _step.Predict(held.Features) : null;
            DrawSample();
            var h = Sweep(predict: true);                                                   // h_t(X): [N, K]
            if (_loss.StepSize(residuals, h, _weights) is not { } rho)
                return $"The loss has no curvature left after {_builder.Steps} steps: there is nothing left to learn.";
            rho *= _options.LearningRate;                                                   // η·ρ_t
            _f.AddScaled(h, rho);                                                           // F ← F + η·ρ_t·h_t
            if (heldH is not null)
                _heldF!.AddScaled(heldH, rho);
            _builder.Add(_step.ToStep(), rho);

            var loss = Loss(_f, _labels, _weights);
            if (!double.IsFinite(loss))
                throw new TrainingDivergedException(monitor.Epoch, monitor.Step + 1, "the loss");
            monitor.OnStep(loss, _data.RowCount);
            monitor.OnEpoch(Validate());
            if (monitor.HasStalled)
                return $"The validation loss has not fallen for {_options.EarlyStoppingRounds} steps.";
        }

        return "All steps are done.";
    }

    /// <summary>Fits h_t to the residuals of the sample.</summary>
    private void Solve(Tensor residuals)
    {
        using var scope = NewDisposeScope();
        var (targets, weights) = (residuals, _weights);
        if (_sample is not null)
        {
            var index = tensor(_sample).to(_run.Device);
            (targets, weights) = (residuals.index_select(0, index), _weights?.index_select(0, index));
        }

        _step.SetTargets(targets, weights);
        Initialize(_step.Parameters);
        var loss = _options.Solver == GradientBoostedNetworkSolver.Adam
            ? _step.Descend(AdamRate, _options.StepIterations, _options.Tolerance, _run.CheckCancelled)
            : _step.Minimize(Settings, _run.CheckCancelled).Value;

        // NOTE[DIFF]: the original takes whatever comes of a fit. One that is no better than h = 0 is solved again for C and c, which are
        // linear: then no step with ρ ≤ 1 can raise a squared training loss.
        var squares = targets.square().sum(1);
        var lossOfZero = (weights is null ? squares.mean() : squares.mul(weights).sum().div(weights.sum())).cpu().item<float>() / 2;
        if (!(loss < lossOfZero))
            _step.SolveOutputs();
    }

    /// <summary>U(−√(f/(inputs + outputs)), √(f/(inputs + outputs))) for weights and biases of both layers.</summary>
    private void Initialize(double[] parameters)
    {
        var f = _options.Activation == GradientBoostedNetworkActivation.Logistic ? 2.0 : 6.0;
        var (d, j, k) = (_data.FeatureCount, _options.UnitsPerStep, _head.Outputs);
        var (hidden, output) = (Math.Sqrt(f / (d + j)), Math.Sqrt(f / (j + k)));
        using var uniform = empty(parameters.Length, ScalarType.Float64).uniform_(-1, 1, _run.Random.Weights);
        uniform.data<double>().CopyTo(parameters);
        for (var i = 0; i < parameters.Length; i++)
            parameters[i] *= i < (d + 1) * j ? hidden : output;
    }

    /// <summary>Chooses the rows of the next step.</summary>
    private void DrawSample()
    {
        if (_sampleRows == _data.RowCount)
            return;
        using var scope = NewDisposeScope();
        _sample = [.. randperm(_data.RowCount, generator: _run.Random.Rows).narrow(0, 0, _sampleRows).sort().Values.data<long>()];
    }

    /// <summary>One pass over all rows: computes h, where it is wanted, and takes the rows of the next step.</summary>
    private Tensor Sweep(bool predict)
    {
        // All rows are taken already, and stay.
        if (_sample is null && predict)
            return _step.PredictRows();
        using var scope = NewDisposeScope();
        var parts = new List<Tensor>();
        long start = 0;
        var place = 0;
        foreach (var block in _data.Blocks(BlockRows))
        {
            using var rows = block;
            using var inner = NewDisposeScope();
            _run.CheckCancelled();
            var features = block.Features.to(_run.Device);
            if (predict)
                parts.Add(_step.Predict(features).MoveToOuterDisposeScope());
            var end = start + block.Rows;
            if (_sample is null)
            {
                _step.PutRows(start, features);
            }
            else
            {
                var first = place;
                while (place < _sample.Length && _sample[place] < end)
                    place++;
                if (place > first)
                    _step.PutRows(first, features.index_select(0, tensor(_sample[first..place]).sub_(start).to(_run.Device)));
            }

            start = end;
        }

        return (parts.Count > 0 ? cat(parts) : empty(0)).MoveToOuterDisposeScope();
    }

    private (double Loss, double Metric)? Validate()
    {
        if (_data.Validation is not { } held)
            return null;
        using var outputs = _heldF!.Times(_loss.OutputScale);
        return (Loss(_heldF!, held.Labels, held.Weights), _head.Metric(_head.MetricSum(outputs, held.Labels) / held.Rows));
    }

    private double Loss(Tensor f, Tensor labels, Tensor? weights)
    {
        using var scope = NewDisposeScope();
        return _head.Loss(f.Times(_loss.OutputScale), labels, weights).cpu().item<float>();
    }

    private (Tensor Labels, Tensor? Weights) ReadLabels()
    {
        var (labels, weights) = (new List<Tensor>(), new List<Tensor>());
        using var scope = NewDisposeScope();
        foreach (var block in _data.Blocks(BlockRows))
        {
            _run.CheckCancelled();
            labels.Add(block.Labels.to(_run.Device));
            if (block.Weights is not null)
                weights.Add(block.Weights.to(_run.Device));
            block.Features.Dispose();
        }

        return (cat(labels).MoveToOuterDisposeScope(), weights.Count > 0 ? cat(weights).MoveToOuterDisposeScope() : null);
    }

    private HiddenLayerBuilder Continue(Network initial)
    {
        var builder = HiddenLayerBuilder.From(initial, _loss.OutputScale);
        var activation = _options.Activation.ToActivation();
        return builder is not null && builder.Inputs == _data.FeatureCount && builder.UnitsPerStep == _options.UnitsPerStep && builder.Activation == activation
            ? builder
            : throw new InvalidOperationException(
                $"The option 'InitialModel' holds another network than the options ask for: {initial.Definition} has not {_data.FeatureCount} inputs and"
                + $" steps of {_options.UnitsPerStep} units of {activation}.");
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

        if (wanted <= _data.BufferRows)
            return wanted;
        _run.Log($"Each step is fitted to {_data.BufferRows} rows drawn at random and not to {wanted}, to stay within the memory budget.");
        return _data.BufferRows;
    }
}
