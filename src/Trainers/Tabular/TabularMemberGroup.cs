using MlNetMlp.Layers;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tabular;

/// <summary>Prepared rows: numbers, places of keys, labels and weights.</summary>
/// <param name="X">Numbers [rows, plain inputs].</param>
/// <param name="Keys">Places of keys Int64 [rows, slots], or null.</param>
/// <param name="Labels">Single for numbers, Int64 for classes [rows].</param>
/// <param name="Weights">Weights of mean 1 [rows]; null where all are 1.</param>
internal sealed record TabularRows(Tensor X, Tensor? Keys, Tensor Labels, Tensor? Weights);

/// <summary>What a step of training needs to know beside its rows.</summary>
/// <param name="Rate">Learning rate.</param>
/// <param name="DecayFactor">What the weight decay is multiplied by.</param>
internal readonly record struct TabularStep(double Rate, double DecayFactor);

/// <summary>
/// Some members that are trained as one batched network, each on rows and in an order of its own. Groups do not know of each other, so that they can be trained side by side.
/// </summary>
internal sealed class TabularMemberGroup : IDisposable
{
    private const int FittedRows = 1024;
    private const double Beta1 = 0.9;
    private const double Beta2 = 0.95;
    private const double ScaleFactor = 6;
    private const double SmallFactor = 0.1;
    private const int MostJudgedRows = 2048;

    private readonly TabularNetwork.Options _options;
    private readonly TabularRows _rows;
    private readonly TabularRows _heldRows;
    private readonly long[][] _training;
    private readonly Tensor _held;
    private readonly Generator[] _random;
    private readonly int _batch;
    private readonly int _classes;
    private readonly FlatParameters _parameters;
    private readonly Adam _adam;
    private readonly RowAdam? _rowAdam;
    private readonly DropoutPool? _dropout;
    private readonly TabularPasses? _passes;
    private Tensor? _order;
    private long[] _places = [];

    /// <param name="definition">The whole network.</param>
    /// <param name="all">Its members, of which the group takes the weights.</param>
    /// <param name="first">The first member of the group.</param>
    /// <param name="training">For each member of the group the rows that it trains on.</param>
    /// <param name="held">For each member the rows that it is judged by, all as many; filled up with others.</param>
    /// <param name="rows">The rows to train on.</param>
    /// <param name="heldRows">The rows to judge by.</param>
    /// <param name="batch">Rows of a member in a step.</param>
    /// <param name="options">The options.</param>
    /// <param name="dropout">The greatest share of the units that is left out.</param>
    /// <param name="seed">The seed of the fit.</param>
    /// <param name="fits">Whether initial weights are fitted to the rows.</param>
    public TabularMemberGroup(
        TabularNetworkDefinition definition, TabularMembers all, int first, long[][] training, long[][] held, TabularRows rows, TabularRows heldRows, int batch,
        TabularNetwork.Options options, double dropout, int seed, bool fits)
    {
        var device = rows.X.device;
        (_options, _rows, _heldRows, _batch, _classes, First) = (options, rows, heldRows, batch, definition.Classes, first);
        _training = training;
        _held = Index([.. held.SelectMany(places => places)], device);
        _random = [.. Enumerable.Range(first, training.Length).Select(member => new Generator(RandomStreams.Hash(RandomStreams.Hash((ulong)seed, 5), (ulong)member) >> 1, CPU))];
        Members = new TabularMembers(definition, training.Length, CPU);
        Members.Exchange(all, first, isTarget: false);
        Members.to(device);
        if (fits)
            Fit();
        (_parameters, _adam) = Optimize(Members, options.WeightDecay);
        if (Members.Table is { } table)
            _rowAdam = new RowAdam(table, beta2: Beta2);
        if (dropout > 0)
        {
            using var random = new Generator(RandomStreams.Hash(RandomStreams.Hash((ulong)seed, 6), (ulong)first) >> 1, device);
            _dropout = new DropoutPool((long)training.Length * batch * definition.HiddenSize, random, seed + first);
        }

        Members.Dropout = _dropout;
        if (TabularPasses.Serve(definition, device))
            _passes = new TabularPasses(definition, Members, _parameters, _rowAdam, batch);
    }

    /// <summary>The first member of the group.</summary>
    public int First { get; }

    public TabularMembers Members { get; }

    /// <summary>
    /// The optimiser of all weights but the vectors of keys: weights of layers as they are, the scale of the inputs six times as fast, biases and periodic functions at a tenth and without decay.
    /// </summary>
    public static (FlatParameters Parameters, Adam Adam) Optimize(TabularMembers members, double weightDecay)
    {
        var parameters = new FlatParameters(members, static (name, _) => IsWeight(name) || IsScale(name), static (name, _) => IsScale(name) ? ScaleFactor : IsWeight(name) ? 1 : SmallFactor);
        return (parameters, new Adam(parameters, Beta1, Beta2, weightDecay: weightDecay));

        static bool IsWeight(string name) => name.EndsWith(".weight", StringComparison.Ordinal);

        static bool IsScale(string name) => name == "scale";
    }

    /// <summary>The mean loss over the batch, summed over the members: each gets the gradient that it would get alone.</summary>
    /// <param name="outputs">Numbers or logits [members, batch, outputs].</param>
    /// <param name="labels">Labels of the rows of all members, one member behind the other.</param>
    /// <param name="weights">Their weights, or null.</param>
    /// <param name="classes">Number of classes; 0 for a number.</param>
    /// <param name="labelSmoothing">Share of the target spread over the classes.</param>
    public static Tensor Loss(Tensor outputs, Tensor labels, Tensor? weights, int classes, double labelSmoothing)
    {
        var share = 1.0 / outputs.shape[1];
        if (classes == 0)
        {
            var errors = outputs.flatten().sub(labels);
            return errors.dot(weights is null ? errors : errors.mul(weights)).Times(share);
        }

        var logits = outputs.view(-1, classes);
        var sum = weights is null
            ? nn.functional.cross_entropy(logits, labels, reduction: nn.Reduction.Sum, label_smoothing: labelSmoothing)
            : nn.functional.cross_entropy(logits, labels, reduction: nn.Reduction.None, label_smoothing: labelSmoothing).dot(weights);
        return sum.Times(share);
    }

    /// <summary>Draws the orders of an epoch.</summary>
    /// <param name="steps">Steps of the epoch.</param>
    /// <param name="dropout">Share of values left out.</param>
    public void BeginEpoch(int steps, double dropout)
    {
        var count = steps * _batch;
        if (_places.Length != _training.Length * count)
            _places = new long[_training.Length * count];
        for (var i = 0; i < _training.Length; i++)
            Draw(i, _places.AsSpan(i * count, count));
        if (_passes is null)
        {
            _order?.Dispose();
            _order = Index(_places, _rows.X.device);
        }

        if (_dropout is not null)
            _dropout.Share = dropout;
        Members.train();
    }

    /// <summary>Makes a step.</summary>
    /// <param name="index">Index of the step in its epoch.</param>
    /// <param name="step">Rate and decay.</param>
    /// <returns>The mean loss of the batch and the members.</returns>
    public double Step(int index, TabularStep step)
    {
        using var scope = NewDisposeScope();
        _rowAdam?.Clear();
        var loss = _passes is null
            ? Differentiate(_order!.view(Members.Count, -1).narrow(1, (long)index * _batch, _batch).flatten())
            : _passes.Step(_rows, _places, index * _batch, _dropout, _options.LabelSmoothing);
        _adam.DecayFactor = step.DecayFactor;
        _adam.Step(step.Rate);
        _rowAdam?.Step(step.Rate, _options.WeightDecay * step.DecayFactor);
        return loss / Members.Count;
    }

    /// <summary>What the members put out for the rows that they are judged by: [members, rows, outputs].</summary>
    /// <returns>The outputs; the caller disposes them.</returns>
    public Tensor Judged()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        if (_passes is not null)
            return _passes.Outputs(_heldRows, TensorMemory.Longs(_held));
        Members.eval();
        var held = _held.view(Members.Count, -1);
        var parts = new List<Tensor>();
        for (long start = 0; start < held.shape[1]; start += MostJudgedRows)
        {
            using var part = NewDisposeScope();
            var places = held.narrow(1, start, Math.Min(MostJudgedRows, held.shape[1] - start)).flatten();
            parts.Add(Members.call(Gather(_heldRows.X, places), _heldRows.Keys is null ? null : Gather(_heldRows.Keys, places)).MoveToOuterDisposeScope());
        }

        return cat(parts, 1).DetachFromDisposeScope();
    }

    public void Snapshot() => _parameters.Snapshot();

    public void Restore()
    {
        if (_parameters.HasSnapshot)
            _parameters.Restore();
    }

    /// <summary>Whether all weights are finite.</summary>
    public bool IsFinite()
    {
        using var scope = NewDisposeScope();
        return _parameters.Values.isfinite().all().cpu().item<bool>() && Members.Table?.Weight.isfinite().all().cpu().item<bool>() != false;
    }

    public void Dispose()
    {
        _order?.Dispose();
        _dropout?.Dispose();
        _rowAdam?.Dispose();
        _adam.Dispose();
        _parameters.Dispose();
        Members.Dispose();
        _held.Dispose();
        foreach (var generator in _random)
            generator.Dispose();
    }

    // Torch finds the gradients.
    private double Differentiate(Tensor places)
    {
        _parameters.ZeroGradient();
        var outputs = Members.call(Gather(_rows.X, places), _rows.Keys is null ? null : Gather(_rows.Keys, places));
        var loss = Loss(outputs, _rows.Labels.index_select(0, places), _rows.Weights?.index_select(0, places), _classes, _options.LabelSmoothing);
        loss.backward();
        _rowAdam?.Collect();
        return loss.cpu().item<float>();
    }

    private Tensor Gather(Tensor rows, Tensor places) => rows.index_select(0, places).view(Members.Count, -1, rows.shape[1]);

    private void Fit()
    {
        using var scope = NewDisposeScope();
        var count = Math.Min(FittedRows, _training.Min(places => places.Length));
        var chosen = new long[_training.Length * count];
        for (var i = 0; i < _training.Length; i++)
            Draw(i, chosen.AsSpan(i * count, count));
        using var places = Index(chosen, _rows.X.device);
        Members.FitTo(Gather(_rows.X, places), _rows.Keys is null ? null : Gather(_rows.Keys, places), _random[0]);
    }

    // Some of the rows that a member trains on, in random order.
    private void Draw(int member, Span<long> places)
    {
        using var scope = NewDisposeScope();
        var order = TensorMemory.Longs(randperm(_training[member].Length, generator: _random[member]));
        for (var i = 0; i < places.Length; i++)
            places[i] = _training[member][order[i]];
    }

    private static Tensor Index(long[] places, Device device)
    {
        using var scope = NewDisposeScope();
        return tensor(places).to(device).DetachFromDisposeScope();
    }
}
