using System.Numerics.Tensors;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;

namespace MlNetMlp.Tabular;

/// <summary>Scores rows of a <see cref="TabularNetworkDefinition"/> without libtorch: each member is a program of dense layers over the prepared row.</summary>
internal sealed class TabularScorer : IRowScorer
{
    private const int MostRows = 64;

    [ThreadStatic]
    private static float[]? _scratch;

    private readonly TabularNetworkDefinition _definition;
    private readonly int[] _scaled;
    private readonly int[] _pairs;
    private readonly int[] _indicators;
    private readonly int[] _widths;
    private readonly ReadOnlyMemory<float> _median;
    private readonly ReadOnlyMemory<float> _middle;
    private readonly ReadOnlyMemory<float> _half;
    private readonly ReadOnlyMemory<float> _known;
    private readonly ReadOnlyMemory<float> _table;
    private readonly DenseProgram? _scaling;
    private readonly DenseProgram[] _members;
    private readonly float _temperature = 1;
    private readonly float _least;
    private readonly float _greatest;
    private readonly int _keyWidth;

    public TabularScorer(TabularNetworkDefinition definition, WeightReader weights)
    {
        _definition = definition;
        (_scaled, _pairs, _indicators) = ([.. definition.Scaled], [.. definition.Pairs], [.. definition.Indicators]);
        _widths = [.. definition.Layout?.Columns.Select(column => column.Width) ?? []];
        _keyWidth = definition.EmbeddedColumns.Count * definition.KeyEmbeddingSize;
        if (definition.Numbers > 0)
            _median = weights.Take("median", definition.Numbers);
        if (_scaled.Length > 0)
            _scaling = Scaling(weights);
        if (_pairs.Length > 0)
            (_middle, _half) = (weights.Take("middle", _pairs.Length), weights.Take("half", _pairs.Length));
        if (definition.KnownKeys.Sum(count => (long)count) is > 0 and var keys)
            _known = weights.Take("known", keys);
        if (definition.Classes > 0)
            _temperature = weights.Take("temperature", 1).Span[0];
        else if (weights.Take("range", 2).Span is var range)
            (_least, _greatest) = (range[0], range[1]);
        if (definition.TableRows > 0)
            _table = weights.Take("members.table.weight", definition.Members * definition.TableRows, definition.KeyEmbeddingSize);
        _members = [.. Enumerable.Range(0, definition.Members).Select(member => Program(member, weights))];
        weights.Finish();
    }

    public int Inputs => _definition.Inputs;

    public int Outputs => _definition.Outputs + (_definition.SpreadScale is null ? 0 : 1);

    private int RowWidth => _definition.PlainInputs + _keyWidth;

    public void Score(ReadOnlySpan<float> rows, Span<float> scores)
    {
        var count = scores.Length / Outputs;
        if (rows.Length != (long)count * Inputs || scores.Length != (long)count * Outputs)
            throw new ArgumentException($"{rows.Length} values and {scores.Length} scores are not whole rows of {Inputs} values and {Outputs} scores.", nameof(rows));
        var atOnce = Math.Min(count, MostRows);
        var (outputs, slots) = (_definition.MemberOutputs, Math.Max(1, _widths.Sum()));
        var needed = atOnce * ((2 * _scaled.Length) + RowWidth + (_definition.Members * outputs) + slots);
        var scratch = _scratch is { } kept && kept.Length >= needed ? kept : _scratch = new float[needed];
        for (var start = 0; start < count; start += atOnce)
        {
            var block = Math.Min(atOnce, count - start);
            var rest = scratch.AsSpan();
            var numbers = Take(ref rest, block * _scaled.Length);
            var scaled = Take(ref rest, block * _scaled.Length);
            var prepared = Take(ref rest, block * RowWidth);
            var logits = Take(ref rest, block * _definition.Members * outputs);
            var places = Take(ref rest, block * slots);
            Prepare(rows.Slice(start * Inputs, block * Inputs), numbers, scaled, prepared, places, slots);
            for (var member = 0; member < _members.Length; member++)
            {
                if (_keyWidth > 0)
                    FillVectors(member, prepared, places, slots);
                _members[member].Score(prepared, logits.Slice(member * block * outputs, block * outputs));
            }

            for (var row = 0; row < block; row++)
            {
                var own = logits[(row * outputs)..];
                var score = scores.Slice((start + row) * Outputs, Outputs);
                Mean(own, block * outputs, score[.._definition.Outputs]);
                if (_definition.SpreadScale is { } scale)
                    score[^1] = (float)(scale * Spread(own, block * outputs, score[..^1]));
            }
        }
    }

    private static Span<float> Take(ref Span<float> rest, int count)
    {
        var part = rest[..count];
        rest = rest[count..];
        return part;
    }

    private DenseProgram Scaling(WeightReader weights)
    {
        var builder = new DenseProgramBuilder(_scaled.Length);
        if (_definition.Knots > 0)
        {
            return builder.Build(builder.PiecewiseLinear(
                builder.Input, weights.Take("positions", _scaled.Length, _definition.Knots).Span, weights.Take("values", _scaled.Length, _definition.Knots).Span));
        }

        var scaled = builder.Affine(builder.Input, weights.Take("centre", _scaled.Length).Span, weights.Take("factor", _scaled.Length).Span);
        return builder.Build(_definition.NumericScaling == NumericScaling.Robust ? builder.Elementwise(scaled, Activation.SmoothClip) : scaled);
    }

    private DenseProgram Program(int member, WeightReader weights)
    {
        var (k, d, h, s) = (_definition.Members, _definition.LayerInputs, _definition.HiddenSize, _scaled.Length);
        var scale = Part(weights.Take("members.scale", k, 1, d));
        var activation = _definition.Activation == TabularActivation.Relu ? Activation.Relu : Activation.Silu;
        var builder = new DenseProgramBuilder(RowWidth);
        var first = Part(weights.Take("members.layers.0.weight", k, d, h));
        var bias = Part(weights.Take("members.layers.0.bias", k, 1, h)).Span;
        DenseRegister z;
        if (_definition.HasEmbedding)
        {
            // The inputs lie as [numbers and other inputs, periodic functions, vectors of keys], of which the row holds the first and the last part.
            var (plain, periodic) = (_definition.PlainInputs, PeriodicEmbedding.Sums * s);
            var cosines = builder.CosineSums(
                builder.Input,
                Radians(Part(weights.Take("members.embedding.frequency", k, _definition.Frequencies, s)).Span),
                Part(weights.Take("members.embedding.phase", k, _definition.Frequencies, s)).Span,
                Part(weights.Take("members.embedding.amplitude", k, PeriodicEmbedding.Sums, _definition.Frequencies, s)).Span,
                Part(weights.Take("members.embedding.offset", k, PeriodicEmbedding.Sums, s)).Span,
                s);
            z = builder.Dense(builder.Input, () => Columns(First(), d, [(0, plain), (plain + periodic, _keyWidth)]), bias, h);
            builder.AddDense(z, cosines, () => Columns(First(), d, [(plain, periodic)]), []);
            z = builder.Elementwise(z, activation);
        }
        else
        {
            z = builder.Dense(builder.Input, () => First(), bias, h, activation);
        }

        for (var layer = 1; layer < _definition.HiddenLayers; layer++)
        {
            var (weight, shift) = (Part(weights.Take($"members.layers.{layer}.weight", k, h, h)), Part(weights.Take($"members.layers.{layer}.bias", k, 1, h)));
            z = builder.Dense(z, () => Transposed(weight.Span, h, []), shift.Span, h, activation);
        }

        var outputs = _definition.MemberOutputs;
        var (last, end) = (Part(weights.Take("members.output.weight", k, h, outputs)), Part(weights.Take("members.output.bias", k, 1, outputs)));
        return builder.Build(builder.Dense(z, () => Transposed(last.Span, outputs, []), end.Span, outputs));

        float[] First() => Transposed(first.Span, h, scale.Span);

        ReadOnlyMemory<float> Part(ReadOnlyMemory<float> all) => all.Slice(member * (all.Length / k), all.Length / k);
    }

    private static float[] Radians(ReadOnlySpan<float> frequencies)
    {
        var turned = new float[frequencies.Length];
        TensorPrimitives.Multiply(frequencies, 2 * MathF.PI, turned);
        return turned;
    }

    // Wᵀ/√inputs, with the inputs' own factors.
    private static float[] Transposed(ReadOnlySpan<float> weight, int outputs, ReadOnlySpan<float> scale)
    {
        var inputs = weight.Length / outputs;
        var (turned, factor) = (new float[weight.Length], 1 / Math.Sqrt(inputs));
        for (var i = 0; i < inputs; i++)
        {
            for (var j = 0; j < outputs; j++)
                turned[(j * inputs) + i] = (float)(weight[(i * outputs) + j] * factor * (scale.IsEmpty ? 1 : scale[i]));
        }

        return turned;
    }

    private static float[] Columns(float[] matrix, int width, (int Start, int Count)[] parts)
    {
        var chosen = new float[matrix.Length / width * parts.Sum(part => part.Count)];
        var rest = chosen.AsSpan();
        for (var row = 0; row < matrix.Length; row += width)
        {
            foreach (var (start, count) in parts)
            {
                matrix.AsSpan(row + start, count).CopyTo(rest);
                rest = rest[count..];
            }
        }

        return chosen;
    }

    private void Prepare(ReadOnlySpan<float> rows, Span<float> numbers, Span<float> scaled, Span<float> prepared, Span<float> places, int slots)
    {
        var (count, width) = (prepared.Length / RowWidth, Inputs);
        for (var row = 0; row < count; row++)
        {
            for (var i = 0; i < _scaled.Length; i++)
                numbers[(row * _scaled.Length) + i] = Filled(rows[(row * width) + _scaled[i]], _scaled[i]);
        }

        _scaling?.Score(numbers, scaled);
        for (var row = 0; row < count; row++)
        {
            var values = rows.Slice(row * width, width);
            var target = prepared.Slice(row * RowWidth, RowWidth);
            scaled.Slice(row * _scaled.Length, _scaled.Length).CopyTo(target);
            target = target[_scaled.Length..];
            for (var i = 0; i < _pairs.Length; i++)
                target[i] = Math.Clamp((Filled(values[_pairs[i]], _pairs[i]) - _middle.Span[i]) / _half.Span[i], -1, 1);
            target = target[_pairs.Length..];
            for (var i = 0; i < _indicators.Length; i++)
                target[i] = float.IsNaN(values[_indicators[i]]) ? 1 : 0;
            target = target[_indicators.Length..];
            target.Clear();
            PrepareKeys(values[_definition.Numbers..], target, places.Slice(row * slots, slots));
        }
    }

    private float Filled(float value, int feature) => float.IsNaN(value) ? _median.Span[feature] : Math.Clamp(value, -TabularInputs.Far, TabularInputs.Far);

    private void PrepareKeys(ReadOnlySpan<float> keys, Span<float> target, Span<float> places)
    {
        var (firstKnown, firstRow, slot) = (0, 1, 0);
        for (var column = 0; column < _widths.Length; column++)
        {
            var count = _definition.KnownKeys[column];
            var known = _known.Span.Slice(firstKnown, count);
            var inputs = _definition.KeyInputs(column);
            var present = 0;
            for (var i = 0; i < _widths[column]; i++)
            {
                var place = known.BinarySearch(keys[slot + i]);
                if (count > _definition.MaxOneHot)
                    places[slot + i] = place < 0 ? 0 : firstRow + place;
                if (place < 0)
                    continue;
                present++;
                if (count == 2 && inputs == 1)
                    target[0] += place == 0 ? -1 : 1;
                else if (inputs > 0)
                    target[place]++;
            }

            if (present > 1)
                TensorPrimitives.Divide(target[..inputs], present, target[..inputs]);
            target = target[inputs..];
            (firstKnown, slot) = (firstKnown + count, slot + _widths[column]);
            if (count > _definition.MaxOneHot)
                firstRow += count;
        }
    }

    // The vectors of a column of several keys are averaged over those that are there.
    private void FillVectors(int member, Span<float> prepared, ReadOnlySpan<float> places, int slots)
    {
        var size = _definition.KeyEmbeddingSize;
        var table = _table.Span[(int)(member * _definition.TableRows * size)..];
        for (int row = 0, count = prepared.Length / RowWidth; row < count; row++)
        {
            var target = prepared.Slice((row * RowWidth) + _definition.PlainInputs, _keyWidth);
            target.Clear();
            var slot = row * slots;
            for (var column = 0; column < _widths.Length; slot += _widths[column++])
            {
                if (_definition.KnownKeys[column] <= _definition.MaxOneHot)
                    continue;
                var vector = target[..size];
                var present = 0;
                for (var i = 0; i < _widths[column]; i++)
                {
                    if (places[slot + i] is not (> 0 and var place))
                        continue;
                    TensorPrimitives.Add(vector, table.Slice((int)place * size, size), vector);
                    present++;
                }

                if (present > 1)
                    TensorPrimitives.Divide(vector, present, vector);
                target = target[size..];
            }
        }
    }

    /// <summary>The mean of the members for a row.</summary>
    /// <param name="logits">What the first member puts out for the row, and behind it the others.</param>
    /// <param name="stride">Values from member to member.</param>
    /// <param name="score">The raw outputs.</param>
    private void Mean(Span<float> logits, int stride, Span<float> score)
    {
        var (members, outputs) = (_members.Length, _definition.MemberOutputs);
        if (_definition.Classes == 0)
        {
            var sum = 0f;
            for (var member = 0; member < members; member++)
                sum += logits[member * stride];
            score[0] = Math.Clamp(sum / members, _least, _greatest);
            return;
        }

        // log Σ p over the members, from log p, so that small probabilities keep their digits.
        Span<float> greatest = outputs <= 256 ? stackalloc float[outputs] : new float[outputs];
        Span<float> sums = outputs <= 256 ? stackalloc float[outputs] : new float[outputs];
        greatest.Fill(float.NegativeInfinity);
        for (var member = 0; member < members; member++)
        {
            var own = logits.Slice(member * stride, outputs);
            TensorPrimitives.Multiply(own, _temperature, own);
            var top = TensorPrimitives.Max<float>(own);
            var total = 0f;
            foreach (var logit in own)
                total += MathF.Exp(logit - top);
            TensorPrimitives.Subtract(own, top + MathF.Log(total), own);
            TensorPrimitives.Max(greatest, own, greatest);
        }

        sums.Clear();
        for (var member = 0; member < members; member++)
        {
            for (var i = 0; i < outputs; i++)
                sums[i] += MathF.Exp(logits[(member * stride) + i] - greatest[i]);
        }

        for (var i = 0; i < outputs; i++)
            sums[i] = greatest[i] + MathF.Log(sums[i] / members);
        if (_definition.IsBinary)
            score[0] = sums[1] - sums[0];
        else
            sums.CopyTo(score);
    }

    // The deviation of the members' numbers, or of their probabilities, whose logarithms the mean has left, of the predicted class.
    private double Spread(ReadOnlySpan<float> ofMembers, int stride, ReadOnlySpan<float> score)
    {
        var predicted = _definition.Classes == 0 ? 0 : _definition.IsBinary ? (score[0] > 0 ? 1 : 0) : TensorPrimitives.IndexOfMax(score);
        double mean = 0, squares = 0;
        for (var member = 0; member < _members.Length; member++)
        {
            double said = ofMembers[(member * stride) + predicted];
            if (_definition.Classes > 0)
                said = Math.Exp(said);
            var difference = said - mean;
            mean += difference / (member + 1);
            squares += difference * (said - mean);
        }

        return Math.Sqrt(squares / _members.Length);
    }
}
