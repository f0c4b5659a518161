using System.Numerics.Tensors;
using MlNetMlp.Layers;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Training;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace MlNetMlp.Tabular;

/// <summary>Members that are trained without torch's graph, by <see cref="BatchedDensePasses"/>: rows in, gradients of all weights out.</summary>
internal sealed class TabularPasses
{
    private readonly TabularMembers _members;
    private readonly RowAdam? _rowAdam;
    private readonly BatchedDensePasses _passes;
    private readonly int _classes;
    private readonly int _batch;
    private readonly int[] _slots;
    private readonly int _allSlots;
    private readonly int _keyWidth;
    private readonly long[] _keys;
    private readonly long[] _index;
    private readonly float[] _vectors;

    /// <param name="definition">The whole network.</param>
    /// <param name="members">The members.</param>
    /// <param name="parameters">Their weights.</param>
    /// <param name="rowAdam">What gets the gradients of the vectors of keys; null where no keys have vectors.</param>
    /// <param name="batch">Rows of a member in a step.</param>
    public TabularPasses(TabularNetworkDefinition definition, TabularMembers members, FlatParameters parameters, RowAdam? rowAdam, int batch)
    {
        (_members, _rowAdam, _batch, _classes, _keyWidth) = (members, rowAdam, batch, definition.Classes, definition.KeyEmbeddingSize);
        _slots = [.. definition.EmbeddedColumns.Select(column => definition.Layout!.Columns[column].Width)];
        _allSlots = _slots.Sum();
        (_keys, _index, _vectors) = (new long[batch * _allSlots], new long[batch * _allSlots], new float[batch * _allSlots * _keyWidth]);
        _passes = new BatchedDensePasses(parameters, members.Layers, members.InputScale, members.Embedding, definition.PlainInputs, ActivationOf(definition)!.Value, batch);
    }

    /// <summary>Whether they serve such a network.</summary>
    public static bool Serve(TabularNetworkDefinition definition, Device device) => ActivationOf(definition) is { } activation && BatchedDensePasses.Serve(activation, device);

    /// <summary>The loss of a row, and its gradient.</summary>
    /// <param name="outputs">The number, or logits.</param>
    /// <param name="label">The label.</param>
    /// <param name="share">What the loss is multiplied by.</param>
    /// <param name="labelSmoothing">Share of the target spread over the classes.</param>
    /// <param name="gradient">Room for the gradient.</param>
    /// <returns>The loss.</returns>
    public static double Loss(ReadOnlySpan<float> outputs, double label, double share, double labelSmoothing, Span<float> gradient)
    {
        if (outputs.Length == 1)
        {
            var error = outputs[0] - label;
            gradient[0] = (float)(2 * share * error);
            return share * error * error;
        }

        var (most, smooth) = (TensorPrimitives.Max(outputs), labelSmoothing / outputs.Length);
        TensorPrimitives.Subtract(outputs, most, gradient);
        var mean = TensorPrimitives.Sum(gradient) / (double)outputs.Length;
        var logit = (double)gradient[(int)label];
        TensorPrimitives.Exp(gradient, gradient);
        var sum = TensorPrimitives.Sum(gradient);
        TensorPrimitives.Multiply(gradient, (float)(share / sum), gradient);
        TensorPrimitives.Add(gradient, (float)(-share * smooth), gradient);
        gradient[(int)label] -= (float)(share * (1 - labelSmoothing));
        return share * (Math.Log(sum) - ((1 - labelSmoothing) * logit) - (labelSmoothing * mean));
    }

    /// <summary>Finds the gradients of a step.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="order">For one member behind the other the places of the rows of an epoch.</param>
    /// <param name="first">Where the batch begins in the order of a member.</param>
    /// <param name="dropout">What is left out; null for nothing.</param>
    /// <param name="labelSmoothing">Share of the target spread over the classes.</param>
    /// <returns>The mean loss over the batch, summed over the members.</returns>
    public double Step(TabularRows rows, long[] order, int first, DropoutPool? dropout, double labelSmoothing)
    {
        var numbers = _classes == 0 ? TensorMemory.Floats(rows.Labels) : [];
        var labels = _classes == 0 ? [] : TensorMemory.Longs(rows.Labels);
        var weights = rows.Weights is null ? [] : TensorMemory.Floats(rows.Weights);
        _passes.DrawMasks(dropout, _batch);
        var (loss, outputs) = (0.0, _passes.Outputs);
        for (var member = 0; member < _members.Count; member++)
        {
            var places = order.AsSpan((member * (order.Length / _members.Count)) + first, _batch);
            SetInputs(member, rows, places);
            var raw = _passes.Forward(member, _batch);
            var gradient = _passes.OutputGradient(_batch);
            for (var i = 0; i < places.Length; i++)
            {
                var place = (int)places[i];
                var share = (weights.IsEmpty ? 1.0 : weights[place]) / _batch;
                loss += Loss(raw.Slice(i * outputs, outputs), _classes == 0 ? numbers[place] : labels[place], share, labelSmoothing, gradient.Slice(i * outputs, outputs));
            }

            _passes.Backward(member, _batch);
            AddKeyGradients();
        }

        return loss;
    }

    /// <summary>What members put out without dropout.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="order">For one member behind the other the places of its rows.</param>
    /// <returns>Numbers or logits [members, rows of a member, outputs]; the caller disposes them.</returns>
    public Tensor Outputs(TabularRows rows, ReadOnlySpan<long> order)
    {
        var (count, outputs) = (order.Length / _members.Count, _passes.Outputs);
        var all = empty(_members.Count, count, outputs).DetachFromDisposeScope();
        var target = TensorMemory.Floats(all);
        _passes.DrawMasks(null, _batch);
        for (var member = 0; member < _members.Count; member++)
        {
            for (var start = 0; start < count; start += _batch)
            {
                var places = order.Slice((member * count) + start, Math.Min(_batch, count - start));
                SetInputs(member, rows, places);
                _passes.Forward(member, places.Length).CopyTo(target[(((member * count) + start) * outputs)..]);
            }
        }

        return all;
    }

    // [numbers, room for their periodic functions, vectors of keys]; those of a column of several keys are averaged over those that are there.
    private void SetInputs(int member, TabularRows rows, ReadOnlySpan<long> places)
    {
        _passes.SetInputs(rows.X, places);
        if (rows.Keys is null || _members.Table is not { } table)
            return;
        var count = places.Length * _allSlots;
        TensorMemory.CopyRows(rows.Keys, places, _keys);
        TensorPrimitives.Add(_keys.AsSpan(0, count), member * (table.Rows / _members.Count), _index);
        table.CopyRows(_index.AsSpan(0, count), _vectors);
        for (var i = 0; i < places.Length; i++)
        {
            var target = _passes.Input(i)[^(_slots.Length * _keyWidth)..];
            for (int column = 0, slot = i * _allSlots; column < _slots.Length; slot += _slots[column++])
            {
                var mean = target.Slice(column * _keyWidth, _keyWidth);
                _vectors.AsSpan(slot * _keyWidth, _keyWidth).CopyTo(mean);
                for (var other = slot + 1; other < slot + _slots[column]; other++)
                    TensorPrimitives.Add(mean, _vectors.AsSpan(other * _keyWidth, _keyWidth), mean);
                if (Present(_keys.AsSpan(slot, _slots[column])) is > 1 and var present)
                    TensorPrimitives.Divide(mean, present, mean);
            }
        }
    }

    // For the rows whose inputs were set last.
    private void AddKeyGradients()
    {
        if (_allSlots == 0 || _rowAdam is null)
            return;
        Span<float> part = stackalloc float[_keyWidth];
        for (var i = 0; i < _batch; i++)
        {
            var given = _passes.InputGradient(i)[^(_slots.Length * _keyWidth)..];
            for (int column = 0, slot = i * _allSlots; column < _slots.Length; slot += _slots[column++])
            {
                var present = Math.Max(1, Present(_keys.AsSpan(slot, _slots[column])));
                TensorPrimitives.Divide(given.Slice(column * _keyWidth, _keyWidth), present, part);
                foreach (var row in _index.AsSpan(slot, _slots[column]))
                    _rowAdam.Add(row, part);
            }
        }
    }

    private static int Present(Span<long> keys) => keys.Length - keys.Count(0L);

    private static Activation? ActivationOf(TabularNetworkDefinition definition) => definition.Activation switch
    {
        TabularActivation.Silu => Activation.Silu,
        TabularActivation.Relu => Activation.Relu,
        _ => null,
    };
}
