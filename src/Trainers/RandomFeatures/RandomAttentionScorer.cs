using System.Numerics.Tensors;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;

namespace MlNetMlp.RandomFeatures;

/// <summary>
/// Scores rows of a <see cref="RandomAttentionDefinition"/> by vector code over the heads. Keys are summed in the order of their values and not
/// in that of the row, so that another order gives the same bits.
/// </summary>
internal sealed class RandomAttentionScorer : IRowScorer
{
    [ThreadStatic]
    private static Scratch? _scratch;

    private readonly RandomAttentionDefinition _definition;
    private readonly int _heads;
    private readonly int _width;

    // Laid out with the first row, so that a network that is loaded is there once until it is used.
    private readonly Lazy<float[]> _weight;        // W as [query, key, head]
    private readonly Lazy<float[]>? _output;       // V as [output, key, head]
    private readonly float[] _bias = [];

    public RandomAttentionScorer(RandomAttentionDefinition definition, WeightReader weights)
    {
        (_definition, _heads, _width) = (definition, definition.Heads, definition.Width);
        var w = weights.Take("heads.weight", _heads, _width, _width);
        _weight = new(() => HeadsLast(w.Span, 1, _width * _width));
        if (definition.HasReadout)
        {
            var v = weights.Take("output.weight", definition.Outputs, definition.Features);
            _output = new(() => HeadsLast(v.Span, definition.Outputs, _width));
            _bias = weights.Take("output.bias", definition.Outputs).ToArray();
        }

        weights.Finish();
    }

    public int Inputs => _definition.Inputs;

    public int Outputs => _definition.Outputs;

    public void Score(ReadOnlySpan<float> rows, Span<float> scores)
    {
        var count = scores.Length / Outputs;
        var width = count == 0 ? Inputs : rows.Length / count;
        if (scores.Length != count * Outputs || rows.Length != count * width || (width - _definition.KeysStart) % _definition.KeyDimension != 0)
            throw new ArgumentException($"{rows.Length} values are not {count} rows of [count, query, keys of {_definition.KeyDimension}].", nameof(rows));
        var scratch = _scratch ??= new();
        for (var row = 0; row < count; row++)
        {
            var values = rows.Slice(row * width, width);
            if (!(values[0] >= 1 && values[0] <= (width - _definition.KeysStart) / _definition.KeyDimension))
                throw new ArgumentException($"Row {row} says that it has {values[0]} keys, but there is room for {(width - _definition.KeysStart) / _definition.KeyDimension}.", nameof(rows));
            ScoreRow(values, scores.Slice(row * Outputs, Outputs), scratch);
        }
    }

    // [outer, head, inner] to [outer, inner, head].
    private float[] HeadsLast(ReadOnlySpan<float> values, int outer, int inner)
    {
        var turned = new float[values.Length];
        for (var i = 0; i < outer; i++)
        {
            for (var head = 0; head < _heads; head++)
            {
                for (var j = 0; j < inner; j++)
                    turned[(((i * inner) + j) * _heads) + head] = values[(((i * _heads) + head) * inner) + j];
            }
        }

        return turned;
    }

    private void ScoreRow(ReadOnlySpan<float> row, Span<float> scores, Scratch scratch)
    {
        var (n, d, stride) = ((int)row[0], _definition.KeyDimension, _width * _heads);
        scratch.Prepare(n, d, stride, _heads, _definition.Activation == AttentionActivation.Softmax ? n : 1);
        var keys = scratch.Keys.AsSpan(0, n * d);
        var q = scratch.Query.AsSpan(0, stride);
        var phi = scratch.Features.AsSpan(0, stride);
        for (var i = 0; i < n; i++)
            Normalize(row.Slice(_definition.KeysStart + (i * d), d), keys.Slice(i * d, d));
        var order = scratch.Sort(n);
        Query(row, order, keys, d, q);
        phi.Clear();
        if (_definition.Activation == AttentionActivation.Softmax)
            Shares(order, keys, d, q, scratch);
        for (var i = 0; i < n; i++)
        {
            var key = keys.Slice(order[i] * d, d);
            var s = scratch.Scores.AsSpan(_definition.Activation == AttentionActivation.Softmax ? i * _heads : 0, _heads);
            if (_definition.Activation != AttentionActivation.Softmax)
                Activate(key, q, s);
            for (var b = 0; b < d; b++)
                Accumulate(s, key[b], phi.Slice(b * _heads, _heads));
            Accumulate(s, 1, phi.Slice(d * _heads, _heads));
        }

        Finish(phi, 1 / (Math.Sqrt(_heads) * (_definition.Activation == AttentionActivation.Softmax ? 1 : n)), scores);
    }

    // q_m = W_mᵀx̃₀ for all heads: [key, head].
    private void Query(ReadOnlySpan<float> row, ReadOnlySpan<int> order, ReadOnlySpan<float> keys, int d, Span<float> q)
    {
        Span<float> query = d <= 256 ? stackalloc float[d] : new float[d];
        if (_definition.HasQuery)
        {
            Normalize(row.Slice(1, d), query);
        }
        else
        {
            query.Clear();
            foreach (var i in _definition.QueryMode == AttentionQueryMode.Mean ? order : [])
                TensorPrimitives.Add(query, keys.Slice(i * d, d), query);
            TensorPrimitives.Divide(query, order.Length, query);
        }

        _weight.Value.AsSpan(d * q.Length, q.Length).CopyTo(q);
        for (var a = 0; a < d; a++)
            Accumulate(_weight.Value.AsSpan(a * q.Length, q.Length), query[a], q);
    }

    // x̃₀ᵀW_m x̃ᵢ for all heads.
    private void Products(ReadOnlySpan<float> key, ReadOnlySpan<float> q, Span<float> s)
    {
        q[(key.Length * _heads)..].CopyTo(s);
        for (var b = 0; b < key.Length; b++)
            Accumulate(q.Slice(b * _heads, _heads), key[b], s);
    }

    private void Activate(ReadOnlySpan<float> key, ReadOnlySpan<float> q, Span<float> s)
    {
        Products(key, q, s);
        switch (_definition.Activation)
        {
            case AttentionActivation.Relu:
                TensorPrimitives.Max(s, 0, s);
                break;
            case AttentionActivation.Tanh:
                TensorPrimitives.Tanh(s, s);
                break;
            default:
                TensorPrimitives.Exp(s, s);
                break;
        }
    }

    // exp(s/T)/Σ exp(s/T) over the keys, for each head; the greatest goes first, so that nothing overflows.
    private void Shares(ReadOnlySpan<int> order, ReadOnlySpan<float> keys, int d, ReadOnlySpan<float> q, Scratch scratch)
    {
        var greatest = scratch.Greatest.AsSpan(0, _heads);
        var sum = scratch.Sum.AsSpan(0, _heads);
        var all = scratch.Scores;
        greatest.Fill(float.NegativeInfinity);
        sum.Clear();
        for (var i = 0; i < order.Length; i++)
        {
            var s = all.AsSpan(i * _heads, _heads);
            Products(keys.Slice(order[i] * d, d), q, s);
            TensorPrimitives.Divide(s, (float)_definition.Temperature, s);
            TensorPrimitives.Max(greatest, s, greatest);
        }

        for (var i = 0; i < order.Length; i++)
        {
            var s = all.AsSpan(i * _heads, _heads);
            TensorPrimitives.Subtract(s, greatest, s);
            TensorPrimitives.Exp(s, s);
            TensorPrimitives.Add(sum, s, sum);
        }

        for (var i = 0; i < order.Length; i++)
            TensorPrimitives.Divide(all.AsSpan(i * _heads, _heads), sum, all.AsSpan(i * _heads, _heads));
    }

    private void Finish(ReadOnlySpan<float> phi, double scale, Span<float> scores)
    {
        if (_output is not null)
        {
            for (var k = 0; k < scores.Length; k++)
                scores[k] = (float)((TensorPrimitives.Dot(_output.Value.AsSpan(k * phi.Length, phi.Length), phi) * scale) + _bias[k]);
            return;
        }

        for (var b = 0; b < _width; b++)
        {
            for (var head = 0; head < _heads; head++)
                scores[(head * _width) + b] = (float)(phi[(b * _heads) + head] * scale);
        }
    }

    private void Normalize(ReadOnlySpan<float> x, Span<float> unit)
    {
        if (_definition.Normalize == AttentionNormalization.None)
        {
            x.CopyTo(unit);
            return;
        }

        var squares = 0.0;
        foreach (var value in x)
            squares += (double)value * value;
        var length = squares > 0 ? Math.Sqrt(squares) : 1;
        for (var i = 0; i < x.Length; i++)
            unit[i] = (float)(x[i] / length);
    }

    private static void Accumulate(ReadOnlySpan<float> x, float factor, Span<float> sum) => TensorPrimitives.MultiplyAdd(x, factor, sum, sum);

    /// <summary>Memory of a thread, which grows to what the largest row has needed.</summary>
    private sealed class Scratch : IComparer<int>
    {
        private int _d;

        public float[] Keys { get; private set; } = [];

        public float[] Query { get; private set; } = [];

        public float[] Features { get; private set; } = [];

        public float[] Scores { get; private set; } = [];

        public float[] Greatest { get; private set; } = [];

        public float[] Sum { get; private set; } = [];

        private int[] Order { get; set; } = [];

        public void Prepare(int n, int d, int stride, int heads, int scored)
        {
            _d = d;
            Keys = AtLeast(Keys, n * d);
            (Query, Features) = (AtLeast(Query, stride), AtLeast(Features, stride));
            (Scores, Greatest, Sum) = (AtLeast(Scores, checked(scored * heads)), AtLeast(Greatest, heads), AtLeast(Sum, heads));
            Order = AtLeast(Order, n);
        }

        public ReadOnlySpan<int> Sort(int n)
        {
            for (var i = 0; i < n; i++)
                Order[i] = i;
            Array.Sort(Order, 0, n, this);
            return Order.AsSpan(0, n);
        }

        public int Compare(int x, int y) => Keys.AsSpan(x * _d, _d).SequenceCompareTo(Keys.AsSpan(y * _d, _d));

        private static T[] AtLeast<T>(T[] values, int length) => values.Length >= length ? values : new T[Math.Max(length, Math.Min(2 * values.Length, Array.MaxLength))];
    }
}
