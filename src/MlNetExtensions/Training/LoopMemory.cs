using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>Everything that a training by mini-batches remembers at the end of an epoch, so that it can go on from there as if it had never stopped.</summary>
internal sealed class LoopMemory
{
    private readonly TrainingCheckpoint _checkpoint;
    private readonly FlatParameters _parameters;
    private readonly TrainingMonitor _monitor;
    private readonly (string Name, Tensor Tensor)[] _tensors;
    private readonly (string Name, Generator Generator)[] _generators;
    private readonly (string Name, IKeepsTrainingState Part)[] _parts;
    private readonly TrainingCount[] _counts;

    public LoopMemory(
        TrainingCheckpoint checkpoint, TrainingRun run, Network network, FlatParameters parameters, FlatOptimizer optimizer, GradientNoiseSource? noise, RowAdam[] tables, TrainingMonitor monitor)
    {
        (_checkpoint, _parameters, _monitor) = (checkpoint, parameters, monitor);
        _tensors =
        [
            .. network.state_dict().Select(pair => ($"network.{pair.Key}", pair.Value)),
            .. optimizer.State.Select((tensor, i) => (FormattableString.Invariant($"optimizer.{i}"), tensor)),
            .. tables.SelectMany((table, i) => table.State.Select((tensor, j) => (FormattableString.Invariant($"table.{i}.{j}"), tensor))),
        ];
        _generators = noise is null ? [("training", run.Random.Training)] : [("training", run.Random.Training), ("noise", noise.Generator)];
        _parts = [.. network.named_modules().Where(named => named.module is IKeepsTrainingState).Select(named => (named.name, (IKeepsTrainingState)named.module))];
        _counts =
        [
            new("optimizer", () => optimizer.StepCount, count => optimizer.StepCount = count),
            .. tables.Select((table, i) => new TrainingCount(FormattableString.Invariant($"table.{i}"), () => table.StepCount, count => table.StepCount = count)),
            .. noise is null ? [] : new[] { new TrainingCount("noise", () => noise.StepCount, count => noise.StepCount = count) },
            .. run.Counts.Select(count => count with { Name = $"method.{count.Name}" }),
        ];
    }

    /// <summary>Writes a checkpoint, where it is time for one.</summary>
    /// <param name="plateau">What the learning rate is multiplied by for losses that no longer fall.</param>
    public void WriteWhereDue(double plateau)
    {
        if (!_checkpoint.IsDue)
            return;
        var tensors = new WeightSet();
        foreach (var (name, tensor) in _tensors.Concat(Best))
            tensors.Add(StoredTensors.Of(name, tensor));
        foreach (var (name, generator) in _generators)
        {
            using var state = generator.get_state();
            tensors.Add(StoredTensors.Of($"random.{name}", state));
        }

        foreach (var (name, part) in _parts)
        {
            foreach (var tensor in part.ReadTrainingState())
                tensors.Add(tensor.Renamed($"{PrefixOf(name)}{tensor.Name}"));
        }

        _checkpoint.Write(new() { Phase = 0, Plateau = plateau, Monitor = _monitor.State, Counts = _counts.ToDictionary(count => count.Name, count => count.Read()) }, tensors);
    }

    /// <summary>Goes back to the checkpoint that was found, if there is one.</summary>
    /// <returns>What the learning rate is multiplied by for losses that no longer fall; null where there is no checkpoint.</returns>
    /// <exception cref="ModelFormatException">The checkpoint does not fit the training.</exception>
    public double? Resume()
    {
        if (_checkpoint.TakeFound() is not var (state, tensors))
            return null;
        try
        {
            if (!_counts.Select(count => count.Name).Order(StringComparer.Ordinal).SequenceEqual(state.Counts.Keys.Order(StringComparer.Ordinal)))
                throw new ModelFormatException("Its header counts other things than this training does.");
            if (state.Monitor.Points.Count >= _monitor.Epochs)
                throw new ModelFormatException("Its header tells of more epochs than there are to be.");
            Write(tensors, state.Monitor.BestEpoch > 0);
        }
        catch (ModelFormatException e)
        {
            throw _checkpoint.Wrong(e);
        }

        foreach (var count in _counts)
            count.Write(state.Counts[count.Name]);
        _monitor.State = state.Monitor;
        return state.Plateau;
    }

    private IEnumerable<(string Name, Tensor Tensor)> Best => _parameters.Best.Select((tensor, i) => (FormattableString.Invariant($"best.{i}"), tensor));

    private static string PrefixOf(string part) => $"part.{part}/";

    private void Write(WeightSet tensors, bool hasBest)
    {
        tensors.CheckFinite();
        if (hasBest)
            _parameters.Snapshot();
        var known = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, tensor) in _tensors.Concat(Best))
            Take(name).CopyTo(tensor);
        foreach (var (name, generator) in _generators)
        {
            using var now = generator.get_state();
            var state = Take($"random.{name}");
            state.CopyTo(now);
            if (!GeneratorState.IsPossible(state.Bytes, generator.device.type))
                throw new ModelFormatException($"The tensor 'random.{name}' is no state of a generator of random numbers.");
            generator.set_state(now);
        }

        foreach (var (name, part) in _parts)
        {
            var prefix = PrefixOf(name);
            var own = tensors.Where(tensor => tensor.Name.StartsWith(prefix, StringComparison.Ordinal)).ToArray();
            known.UnionWith(own.Select(tensor => tensor.Name));
            if (own.Any(tensor => tensor.Name.Length == prefix.Length))
                throw new ModelFormatException($"The part '{name}' has a tensor without a name.");
            part.WriteTrainingState([.. own.Select(tensor => tensor.Renamed(tensor.Name[prefix.Length..]))]);
        }

        if (tensors.FirstOrDefault(tensor => !known.Contains(tensor.Name)) is { } unknown)
            throw new ModelFormatException($"The training does not know a tensor '{unknown.Name}'.");

        NamedTensor Take(string name)
        {
            known.Add(name);
            return tensors.TryGet(name, out var found) ? found : throw new ModelFormatException($"There is no tensor '{name}'.");
        }
    }
}
