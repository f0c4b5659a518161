using System.Diagnostics;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tabular;

/// <summary>One fit of a <see cref="TabularNetwork"/>: it prepares the rows, leads the groups of members through the epochs, and puts the network together.</summary>
internal sealed class TabularNetworkFit : IDisposable
{
    // Members of a group: more of them share the price of an operation, fewer of them can use more processors, of which two are nearly everywhere.
    private const int MostInGroup = 2;
    private const int BlockRows = 4096;

    // Steps between two looks at the clock and two reports.
    private const int MostStepsAtOnce = 16;

    private const int WarmSteps = 3;
    private const int TimedSteps = 20;
    private const double UsedShare = 0.9;
    private const int FewestEpochs = 8;

    // What judging a row costs of what training by it does.
    private const double JudgedShare = 0.4;

    // On rows held out a mean of two members beats either even where ensembles of them hardly differ: with less gain than this the better trial alone is kept.
    private const double GainOfBoth = 0.04;

    private readonly TrainingSet _data;
    private readonly TaskHead _head;
    private readonly TrainingRun _run;
    private readonly TabularNetwork.Options _options;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly int _threads = get_num_threads();
    private readonly DisposeScope _scope;
    private readonly TabularNetworkDefinition _definition;
    private readonly TabularJudge? _judge;
    private readonly Tensor? _judgedPlaces;
    private readonly bool _passes;
    private readonly int _batch;
    private readonly TabularRows _rows;
    private readonly TabularMembers _initial;
    private readonly TabularRows _heldData;
    private readonly long[][] _training;
    private readonly long[][] _filled;
    private readonly TabularTrial[] _trials;
    private readonly LearningRateSchedule _schedule = LearningRateSchedule.Bumps();
    private readonly int _judgedRows;
    private readonly long[][] _heldRows = [];
    private TabularEnsemble _network;
    private TabularMemberGroup[] _groups = [];
    private int _stepsPerEpoch;
    private int _epochs;
    private int _planned;

    public TabularNetworkFit(TrainingSet data, TaskHead head, TrainingRun run, TabularNetwork.Options options)
    {
        (_data, _head, _run, _options) = (data, head, run, options);
        using var all = ReadRows();
        var weights = all.Weights is null || all.Weights.eq(ones_like(all.Weights)).all().item<bool>() ? null : all.Weights;
        TabularInputs? inputs = null;
        if (run.Initial is null)
        {
            inputs = new TabularInputs(TensorMemory.Floats(all.Features), weights is null ? null : TensorMemory.ToFloats(weights), data.FeatureCount, data.Layout, options.NumericScaling, run.CheckCancelled);
            _definition = inputs.Define(options, data, head);
        }
        else
        {
            var earlier = (TabularNetworkDefinition)run.Initial.Definition;
            _definition = TabularInputs.Complete(options, head, earlier);

            // Of an earlier fit the members of both trials may have been kept.
            if (earlier.Members == 2 * _definition.Members)
                _definition = _definition with { Members = earlier.Members };
        }

        _passes = TabularPasses.Serve(_definition, run.Device);
        _network = (TabularEnsemble)run.Create(_definition);
        _network.to(CPU);

        // The network outlives the fit.
        _scope = NewDisposeScope();
        if (inputs is not null)
            _network.SetInputs(inputs);

        var rows = Prepare(all, weights);
        SetRange(rows.Labels);
        var (training, held) = Deal(rows.Labels);
        var heldRows = data.Validation is { } validation ? Prepare(validation, weights is null ? null : validation.Weights) : rows;
        var fewest = training.Min(part => part.Length);
        _batch = Math.Min(fewest, options.BatchSize ?? ChooseBatch(fewest));
        _stepsPerEpoch = fewest / _batch;
        _epochs = options.Epochs ?? Math.Max(1, (int)Math.Round(options.Effort * ChooseEpochs(fewest) / (TabularInputs.HasMoreMembers(options, head, all.Rows) ? 2 : 1)));
        var most = _judgedRows = held.Max(part => part.Length);
        if (most > 0)
        {
            _heldRows = held;
            _judgedPlaces = tensor(held.SelectMany((part, member) => Enumerable.Range(0, part.Length).Select(i => ((long)member * most) + i)).ToArray());
            var places = tensor(held.SelectMany(part => part).ToArray());
            _judge = new TabularJudge(head, _definition.Classes, options.Selection, heldRows.Labels.index_select(0, places), heldRows.Weights?.index_select(0, places));
        }

        _rows = ToDevice(rows);
        _heldData = ReferenceEquals(rows, heldRows) ? _rows : ToDevice(heldRows);
        (_training, _filled) = (training, [.. held.Select(part => Filled(part, most))]);
        var first = new TabularTrial(_definition, options.FrequencyScale ?? TabularNetwork.DefaultFrequencyScale, options.Dropout);
        _trials = inputs is null || options.FrequencyScale is not null || _judge is null || options.Selection == EpochSelection.Last
            ? [first]
            : [first, new(_definition, TabularNetwork.HighFrequencyScale, dropout: 0)];
        _initial = new TabularMembers(_definition, _definition.Members, CPU);
        _initial.Exchange(_network.Members, 0, isTarget: false);
    }

    private bool IsTimeOver => _clock.Elapsed > _options.MaxTrainingTime;

    /// <summary>Whether the network is trained once more, on all rows.</summary>
    private bool Repeats => _options.TrainOnAllRows && _judge is not null && _data.Validation is null;

    public Network Run()
    {
        _planned = _trials.Length;
        var monitor = _run.Watch(_head, _epochs * _planned, (long)_stepsPerEpoch * _batch, patience: 0);
        var (reason, isCancelled, begun) = ("", false, 0);
        try
        {
            while (begun < _planned && !(begun > 0 && IsTimeOver))
            {
                var trial = _trials[begun++];
                BeginAnew(trial, _training, _filled);
                reason = Train(trial, monitor, isPlanned: _options.MaxTrainingTime is null || begun > 1);
                Collect(trial, monitor);
            }
        }
        catch (OperationCanceledException) when (monitor.KeepsBest)
        {
            (reason, isCancelled) = ("Cancelled; the best so far is kept.", true);
            Collect(_trials[begun - 1], monitor);
        }

        var kept = Choose();
        if (Repeats && !isCancelled)
            TrainAgain(kept, monitor);
        Assemble(kept);
        monitor.Finish(reason);
        _network.eval();
        return _network;
    }

    public void Dispose()
    {
        foreach (var group in _groups)
            group.Dispose();
        foreach (var trial in _trials)
            trial.Dispose();
        _initial.Dispose();
        _scope.Dispose();
    }

    private string Train(TabularTrial trial, TrainingMonitor monitor, bool isPlanned)
    {
        var (step, warm, isOver) = (0, TimeSpan.Zero, false);
        for (var epoch = 1; epoch <= _epochs; epoch++)
        {
            BeginEpoch(trial, epoch);
            for (var first = 0; first < _stepsPerEpoch && !isOver;)
            {
                var count = Math.Min(_stepsPerEpoch - first, !isPlanned && step < WarmSteps ? WarmSteps : MostStepsAtOnce);
                var loss = Steps(first, count, step);
                if (!double.IsFinite(loss))
                    throw new TrainingDivergedException(epoch, step + count, "the loss");
                (first, step) = (first + count, step + count);
                monitor.OnStep(loss, (long)count * _batch);
                if (step == WarmSteps)
                    warm = _clock.Elapsed;
                if (!isPlanned && step >= WarmSteps + TimedSteps)
                {
                    Plan((_clock.Elapsed - warm) / (step - WarmSteps), (double)step / _stepsPerEpoch);
                    (monitor.Epochs, isPlanned) = (_epochs * _planned, true);
                }

                isOver = IsTimeOver;
            }

            Judge(trial, epoch, monitor);
            if (isOver)
                return $"The time of {_options.MaxTrainingTime} is over.";
        }

        return "All epochs are done.";
    }

    /// <summary>
    /// Fits the number of epochs to the time that is left: a schedule that is stopped ends at a high rate, a short one does not. So early that it has hardly begun.
    /// </summary>
    private void Plan(TimeSpan perStep, double done)
    {
        var epoch = perStep * _stepsPerEpoch * (1 + (JudgedShare * _judgedRows / ((double)_stepsPerEpoch * _batch)));
        var time = _options.MaxTrainingTime!.Value * (Repeats ? UsedShare / 2 : UsedShare);

        // Frequencies of the second kind are tried where there is time enough for both.
        if (_planned > 1 && Fits(_planned) < Math.Min(FewestEpochs, _epochs))
            _planned = 1;
        var fits = Math.Max(1, Fits(_planned));
        if (fits < Math.Min(FewestEpochs, _epochs))
            _run.Log($"Warning: only {fits} epochs of {epoch.TotalSeconds:F1} s fit the time of {_options.MaxTrainingTime}; with less than {FewestEpochs} the network is far from what it could be.");
        _epochs = Math.Min(_epochs, fits);

        int Fits(int trials) => (int)Math.Floor(done + (((time - _clock.Elapsed) / epoch) - ((trials - 1) * done)) / trials);
    }

    /// <summary>Members begin anew, with the frequencies of a trial.</summary>
    private void BeginAnew(TabularTrial trial, long[][] training, long[][] held)
    {
        Array.ForEach(_groups, group => group.Dispose());
        _groups = [];
        using var start = new TabularMembers(_definition, _definition.Members, CPU);
        start.Exchange(_initial, 0, isTarget: false);
        if (_run.Initial is null && start.Embedding is { } embedding)
            Scale(embedding.Frequency, trial.FrequencyScale / TabularNetwork.DefaultFrequencyScale);
        _groups = Groups(start, trial.Dropout, training, held);
    }

    private TabularMemberGroup[] Groups(TabularMembers start, double dropout, long[][] training, long[][] held)
    {
        var size = _passes ? 1 : _run.Device.type == DeviceType.CPU ? Math.Clamp(_definition.Members / 2, 1, MostInGroup) : _definition.Members;
        return [.. Enumerable.Range(0, _definition.Members).Chunk(size).Select(part => new TabularMemberGroup(
            _definition, start, part[0], [.. part.Select(member => training[member])], [.. part.Select(member => held[member])], _rows, _heldData, _batch, _options, dropout, _run.Random.Seed,
            fits: _run.Initial is null))];
    }

    /// <summary>Puts the best weights of the groups into the trial.</summary>
    private void Collect(TabularTrial trial, TrainingMonitor monitor)
    {
        foreach (var group in _groups)
        {
            group.Restore();
            if (!group.IsFinite())
                throw new TrainingDivergedException(monitor.Epoch, monitor.Step, "a weight");
            group.Members.to(CPU);
            group.Members.Exchange(trial.Members, group.First, isTarget: true);
        }
    }

    /// <summary>The trials whose members are kept: the better one, or both where these together are clearly better than it.</summary>
    private TabularTrial[] Choose()
    {
        var judged = _trials.Where(trial => trial.Outputs is not null).OrderBy(trial => trial.Criterion).ToArray();
        if (judged.Length < 2)
            return [judged.Length == 0 ? _trials[0] : judged[0]];
        using var scope = NewDisposeScope();
        var together = _judge!.Judge(_judge.Together(stack(judged.Select(trial => trial.Outputs!)))).Criterion;
        var kept = together < (1 - GainOfBoth) * judged[0].Criterion ? judged : judged[..1];
        _run.Log($"Of {string.Join(" and ", judged.Select(Say))}, {string.Join(" and ", kept.Select(Say))} is judged best and kept.");
        return kept;

        static string Say(TabularTrial trial) => FormattableString.Invariant($"frequencies around {trial.FrequencyScale} with dropout {trial.Dropout}");
    }

    /// <summary>Makes the network of the members of trials.</summary>
    private void Assemble(TabularTrial[] trials)
    {
        if (trials.Length > 1)
        {
            var narrow = _network;
            _network = (TabularEnsemble)_run.Create(_definition with { Members = trials.Length * _definition.Members });
            _network.to(CPU);
            _network.CopyInputs(narrow);
            narrow.Dispose();

            // It outlives the fit.
            foreach (var tensor in _network.state_dict().Values)
                tensor.DetachFromDisposeScope();
        }

        for (var i = 0; i < trials.Length; i++)
            trials[i].Members.Exchange(_network.Members, i * _definition.Members, isTarget: true);
        if (trials[0].Outputs is null)
            return;
        using var scope = NewDisposeScope();
        var outputs = stack(trials.Select(trial => trial.Outputs!));
        if (_options.Calibrate && _definition.Classes > 0)
            _network.InverseTemperature = (float)_judge!.InverseTemperature(outputs);
        if (_options.OutOfFold)
            KeepOutOfFold(outputs);
    }

    /// <summary>The same schedule on all rows, up to the epoch that was best.</summary>
    private void TrainAgain(TabularTrial[] trials, TrainingMonitor monitor)
    {
        long[] every = [.. Enumerable.Range(0, (int)_rows.X.shape[0]).Select(row => (long)row)];
        _stepsPerEpoch = every.Length / _batch;
        try
        {
            foreach (var trial in trials)
            {
                _run.Log($"All rows train the network once more, for {trial.Epoch} epochs.");
                BeginAnew(trial, [.. Enumerable.Repeat(every, _definition.Members)], [.. Enumerable.Repeat(Array.Empty<long>(), _definition.Members)]);
                for (var (epoch, step) = (1, 0); epoch <= trial.Epoch; epoch++)
                {
                    BeginEpoch(trial, epoch);
                    for (var first = 0; first < _stepsPerEpoch; first += MostStepsAtOnce)
                    {
                        var count = Math.Min(MostStepsAtOnce, _stepsPerEpoch - first);
                        monitor.OnStep(Steps(first, count, step), (long)count * _batch);
                        step += count;
                    }
                }

                Collect(trial, monitor);
            }
        }
        catch (OperationCanceledException) when (monitor.KeepsBest)
        {
            _run.Log("Cancelled; what the rows held out have judged is kept.");
        }
    }

    private void BeginEpoch(TabularTrial trial, int epoch)
    {
        var dropout = trial.Dropout * Late((epoch - 1.0) / _epochs);
        if (!_passes)
        {
            Array.ForEach(_groups, group => group.BeginEpoch(_stepsPerEpoch, dropout));
            return;
        }

        ForEachGroup(g => _groups[g].BeginEpoch(_stepsPerEpoch, dropout));
    }

    /// <summary>The scores of all rows by the members that did not train on them.</summary>
    /// <param name="outputs">What these put out [trials, rows, outputs].</param>
    private void KeepOutOfFold(Tensor outputs)
    {
        using var scope = NewDisposeScope();
        var width = _head.Outputs;
        var raw = TensorMemory.ToFloats(_network.FromMembers(outputs));
        var scores = new float[raw.Length];
        var from = 0;
        foreach (var row in _heldRows.SelectMany(rows => rows))
        {
            var score = scores.AsSpan((int)row * width, width);
            raw.AsSpan(from, width).CopyTo(score);
            _head.Finish(score);
            from += width;
        }

        _run.KeepState([NamedTensor.Of(TabularNetwork.OutOfFoldName, scores, scores.Length / width, width)]);
    }

    /// <summary>Some steps of all members.</summary>
    private double Steps(int first, int count, int step)
    {
        var total = (long)_stepsPerEpoch * _epochs;
        var losses = new double[_groups.Length];
        ForEachGroup(g =>
        {
            for (var i = 0; i < count; i++)
            {
                _run.CheckCancelled();
                var rate = LearningRate * _schedule.At(step + i, total);
                losses[g] += _groups[g].Step(first + i, new(rate, Late((double)(step + i) / total)));
            }
        });
        return losses.Select((loss, g) => loss * _groups[g].Members.Count).Sum() / (count * _definition.Members);
    }

    /// <summary>Lets the groups work side by side, each on one thread.</summary>
    private void ForEachGroup(Action<int> work)
    {
        if (_run.Device.type != DeviceType.CPU)
        {
            for (var g = 0; g < _groups.Length; g++)
                work(g);
            return;
        }

        TorchThreads.ForEach(_groups.Length, _threads, work);
    }

    private void Judge(TabularTrial trial, int epoch, TrainingMonitor monitor)
    {
        if (_judge is null || _judgedPlaces is null)
        {
            monitor.OnEpoch(null);
            return;
        }

        using var scope = NewDisposeScope();
        using var all = empty(_definition.Members, _judgedRows, _definition.MemberOutputs);
        ForEachGroup(g =>
        {
            _run.CheckCancelled();
            using var own = NewDisposeScope();
            using var part = _groups[g].Judged();
            all.narrow(0, _groups[g].First, _groups[g].Members.Count).copy_(part);
        });
        var outputs = all.view(-1, _definition.MemberOutputs).index_select(0, _judgedPlaces);
        if (!outputs.isfinite().all().item<bool>())
            throw new TrainingDivergedException(monitor.Epoch, monitor.Step, "an output");
        var judged = _judge.Judge(outputs);
        var isLast = _options.Selection == EpochSelection.Last;

        // Of equal ones the later is kept.
        monitor.OnEpoch((judged.Loss, judged.Metric), isLast || judged.Criterion <= _trials.Min(other => other.Criterion));
        if (!isLast && judged.Criterion > trial.Criterion)
            return;
        trial.Keep(epoch, judged.Criterion, outputs);
        Array.ForEach(_groups, group => group.Snapshot());
    }

    private double LearningRate => _options.LearningRate ?? (_definition.Classes > 0 ? 0.04 : 0.2);

    /// <summary>What decay and dropout are multiplied by after a share of the training: 1 in its first half, then half a cosine down to 0.</summary>
    private static double Late(double share) => share < 0.5 ? 1 : (1 + Math.Cos(Math.PI * ((2 * share) - 1))) / 2;

    private static int ChooseBatch(int rows) => Math.Min(256, Math.Max(32, 1 << (int)Math.Round(Math.Log2(Math.Max(1, rows / 16.0)))));

    private static int ChooseEpochs(int rows) => Math.Clamp(560_000 / rows, 16, 256);

    // NOTE[DIFF]: of a set that does not fit the memory budget, as many rows as half of it holds are drawn at random: members read rows in orders of their own, again and again.
    private RowBlock ReadRows()
    {
        if (!_data.IsStreamed)
            return _data.All();
        var count = (int)Math.Clamp(_data.BufferRows / 2, 1, _data.RowCount);
        _run.Log($"Warning: {_data.RowCount} rows do not fit the memory budget: {count} of them, drawn at random, train the network. Raise the option 'MemoryBudget' to use more.");
        return _data.Sample(count);
    }

    private TabularRows Prepare(RowBlock block, Tensor? weights)
    {
        using var noGradient = no_grad();
        Tensor? plain = null, keys = null;
        for (long start = 0; start < block.Rows; start += BlockRows)
        {
            _run.CheckCancelled();
            using var scope = NewDisposeScope();
            var count = Math.Min(BlockRows, block.Rows - start);
            var (x, places) = _network.Prepare(block.Features.narrow(0, start, count).cpu());
            Put(x, ref plain);
            if (places is not null)
                Put(places, ref keys);

            void Put(Tensor part, ref Tensor? all)
            {
                all ??= empty([block.Rows, part.shape[1]], part.dtype).MoveToOuterDisposeScope();
                all.narrow(0, start, count).copy_(part);
            }
        }

        var labels = _definition.Classes > 0 ? block.Labels.cpu().to(ScalarType.Int64) : block.Labels.cpu();
        return new(plain!, keys, labels.alias(), weights?.cpu().alias());
    }

    private TabularRows ToDevice(TabularRows rows) => _run.Device.type == DeviceType.CPU
        ? rows
        : new(rows.X.to(_run.Device), rows.Keys?.to(_run.Device), rows.Labels.to(_run.Device), rows.Weights?.to(_run.Device));

    private void SetRange(Tensor labels)
    {
        if (_definition.Classes == 0 && _options.ClipPredictions)
            _network.SetRange(labels.min().item<float>(), labels.max().item<float>());
    }

    /// <summary>For each member the rows that it trains on and those that it is judged by.</summary>
    private (long[][] Training, long[][] Held) Deal(Tensor labels)
    {
        var count = (int)labels.shape[0];
        long[] every = [.. Enumerable.Range(0, count).Select(row => (long)row)];
        var members = _definition.Members;
        if (_data.Validation is { } validation)
            return (Same(every), Same([.. Enumerable.Range(0, (int)validation.Rows).Select(row => (long)row)]));
        var classes = _definition.Classes > 0 ? [.. labels.data<long>().ToArray().Select(label => (int)label)] : Ranks(labels.data<float>().ToArray());
        if (_options.TrainOnAllRows && _definition.Classes == 0 && !_options.OutOfFold)
            return (Same(every), Same([]));
        if (_options.Folds == 1)
        {
            var shared = HeldOutParts.Choose(classes, _options.ValidationFraction, 1, _run.Random.Seed)[0];
            return (Same(Without(shared)), Same(shared));
        }

        // Of fewer rows than folds some would have nothing to be judged by.
        if (count < 2 * _options.Folds)
            return (Same(every), Same([]));
        var folds = HeldOutParts.Deal(classes, _options.Folds, _run.Random.Seed);
        long[][] held = [.. Enumerable.Range(0, members).Select(member => folds[member % folds.Length])];
        return ([.. held.Select(Without)], held);

        long[][] Same(long[] places) => [.. Enumerable.Repeat(places, members)];

        long[] Without(long[] places)
        {
            var isHeld = new bool[count];
            foreach (var place in places)
                isHeld[place] = true;
            return [.. every.Where(row => !isHeld[row])];
        }
    }

    private static int[] Ranks(float[] values)
    {
        int[] order = [.. Enumerable.Range(0, values.Length)];
        Array.Sort((float[])values.Clone(), order);
        var ranks = new int[values.Length];
        for (var i = 1; i < order.Length; i++)
            ranks[order[i]] = ranks[order[i - 1]] + (values[order[i]] > values[order[i - 1]] ? 1 : 0);
        return ranks;
    }

    private static long[] Filled(long[] places, int count) => [.. places, .. Enumerable.Repeat(0L, count - places.Length)];

    private static void Scale(Tensor tensor, double factor)
    {
        using var noGradient = no_grad();
        if (factor != 1)
            tensor.Scale(factor);
    }
}
