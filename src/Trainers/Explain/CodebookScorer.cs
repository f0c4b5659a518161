using MlNetMlp.Layers;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;
using MlNetMlp.Solvers;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace MlNetMlp.Explain;

/// <summary>
/// Scores rows through codebooks without libtorch. What leads to a part of an activation, and from it to its similarities, are programs of dense layers, whose numbers have the same bits
/// for a row alone and in any batch: a row whose codes are nearly tied has the same ones everywhere.
/// </summary>
internal sealed class CodebookScorer : IRowScorer
{
    private const int MostRows = 64;
    private const int MostSimilarities = 1 << 18;

    private readonly CodebookShape _shape;
    private readonly Site[] _sites;
    private readonly DenseProgram _last;
    private readonly int _columns;
    private readonly int _blockRows;

    /// <summary>Puts a scorer together.</summary>
    /// <param name="shape">The shape of all codebooks.</param>
    /// <param name="sites">The codebooks in their order.</param>
    /// <param name="last">What the outputs are computed by from the last codes.</param>
    /// <param name="withColumns">Whether the codes and their similarities come behind the outputs.</param>
    public CodebookScorer(CodebookShape shape, Site[] sites, DenseProgram last, bool withColumns)
    {
        (_shape, _sites, _last) = (shape, sites, last);
        _columns = withColumns ? sites.Length * shape.Groups * shape.K : 0;
        _blockRows = Math.Clamp(MostSimilarities / Math.Max(shape.NumCodes, shape.Width), 1, MostRows);
        (Inputs, Outputs) = (sites[0].Inputs, last.Outputs + (2 * _columns));
    }

    /// <inheritdoc/>
    public int Inputs { get; }

    /// <inheritdoc/>
    public int Outputs { get; }

    /// <inheritdoc/>
    public void Score(ReadOnlySpan<float> rows, Span<float> scores)
    {
        var count = scores.Length / Outputs;
        if (rows.Length != (long)count * Inputs || scores.Length != (long)count * Outputs)
            throw new ArgumentException($"There are {rows.Length} values and room for {scores.Length}, expected rows of {Inputs} and {Outputs}.", nameof(rows));
        for (var start = 0; start < count; start += _blockRows)
        {
            var length = Math.Min(_blockRows, count - start);
            ScoreBlock(rows.Slice(start * Inputs, length * Inputs), scores.Slice(start * Outputs, length * Outputs), length);
        }
    }

    private void ScoreBlock(ReadOnlySpan<float> rows, Span<float> scores, int count)
    {
        var scratch = Scratch.OfThread;
        var (width, codes) = (_shape.CodeWidth, _shape.NumCodes);
        var part = Scratch.AtLeast(ref scratch.Part, count * width);
        var slice = Scratch.AtLeast(ref scratch.Slice, count * width);
        var alike = Scratch.AtLeast(ref scratch.Alike, count * codes);
        var ids = Scratch.AtLeast(ref scratch.Ids, _shape.K);
        var best = Scratch.AtLeast(ref scratch.Best, _shape.K);
        var next = Scratch.AtLeast(ref scratch.First, count * _shape.Width);
        var other = Scratch.AtLeast(ref scratch.Second, count * _shape.Width);
        var input = rows;
        var place = _last.Outputs;
        foreach (var site in _sites)
        {
            for (var group = 0; group < _shape.Groups; group++, place += _shape.K)
            {
                if (site.ToParts[group].Inputs == site.Inputs)
                {
                    site.ToParts[group].Score(input, part);
                }
                else
                {
                    for (var row = 0; row < count; row++)
                        input.Slice((row * site.Inputs) + (group * width), width).CopyTo(slice[(row * width)..]);
                    site.ToParts[group].Score(slice, part);
                }

                site.ToSimilarities[group].Score(part, alike);
                for (var row = 0; row < count; row++)
                {
                    site.Select(_shape, group, alike.Slice(row * codes, codes), ids, best);
                    site.Combine(_shape, group, ids, next.Slice((row * _shape.Width) + (group * width), width));
                    if (_columns == 0)
                        continue;
                    var codesOfRow = scores.Slice((row * Outputs) + place, _shape.K);
                    var similarities = scores.Slice((row * Outputs) + place + _columns, _shape.K);
                    for (var i = 0; i < ids.Length; i++)
                    {
                        codesOfRow[i] = ids[i];
                        similarities[i] = ids[i] < 0 ? 0
                            : _shape.Similarity == RowSimilarity.InnerProduct ? alike[(row * codes) + ids[i]]
                            : -TensorPrimitives.Distance(part.Slice(row * width, width), site.Code(_shape, group, ids[i]));
                    }
                }
            }

            input = next;
            var free = other;
            other = next;
            next = free;
        }

        var outputs = Scratch.AtLeast(ref scratch.Outputs, count * _last.Outputs);
        _last.Score(input, outputs);
        for (var row = 0; row < count; row++)
            outputs.Slice(row * _last.Outputs, _last.Outputs).CopyTo(scores[(row * Outputs)..]);
    }

    /// <summary>The codes behind one layer.</summary>
    internal sealed class Site
    {
        private readonly ReadOnlyMemory<float> _codes;
        private readonly CodeEdit?[] _edits;
        private readonly bool[]?[] _excluded;

        /// <summary>Takes the weights of a codebook.</summary>
        /// <param name="shape">The shape.</param>
        /// <param name="name">Name of the codebook among the weights.</param>
        /// <param name="weights">The weights.</param>
        /// <param name="edits">What is done to codes.</param>
        /// <param name="inputs">Values that come before the codes.</param>
        /// <param name="readsSlices">Whether the program of a group reads its slice of these values only.</param>
        /// <param name="begin">Makes, of a new program and a group, the register of the group's part of the activation.</param>
        public Site(CodebookShape shape, string name, WeightReader weights, IReadOnlyList<CodeEdit> edits, int inputs, bool readsSlices, Func<DenseProgramBuilder, int, DenseRegister> begin)
        {
            var (groups, n, width) = (shape.Groups, shape.NumCodes, shape.CodeWidth);
            Inputs = inputs;
            var gain = shape.IsNormalized ? weights.Take($"{name}.weight", shape.Width) : default;
            var shift = shape.IsNormalized ? weights.Take($"{name}.bias", shape.Width) : default;
            _codes = weights.Take($"{name}.codes", groups, n, width);
            _edits = [.. Enumerable.Range(0, groups).Select(group => edits.LastOrDefault(edit => edit.Group == group))];
            _excluded = [.. _edits.Select(edit => edit is null ? null : Excluded(edit, n))];
            (ToParts, ToSimilarities) = (new DenseProgram[groups], new DenseProgram[groups]);
            for (var group = 0; group < groups; group++)
            {
                var builder = new DenseProgramBuilder(readsSlices ? width : inputs);
                var part = begin(builder, group);
                if (shape.IsNormalized)
                    part = builder.LayerNorm(part, gain.Span.Slice(group * width, width), shift.Span.Slice(group * width, width), (float)Codebook.Epsilon);
                ToParts[group] = builder.Build(part);
                ToSimilarities[group] = Similarities(shape, _codes.Slice(group * n * width, n * width));
            }
        }

        /// <summary>Values that come before the codes.</summary>
        public int Inputs { get; }

        /// <summary>From these values, or from the group's slice of them, to a' of each group.</summary>
        public DenseProgram[] ToParts { get; }

        /// <summary>From a' to what is compared: a'·c/‖c‖, or 2a'·c − ‖c‖².</summary>
        public DenseProgram[] ToSimilarities { get; }

        public ReadOnlySpan<float> Code(CodebookShape shape, int group, int id) => _codes.Span.Slice(((group * shape.NumCodes) + id) * shape.CodeWidth, shape.CodeWidth);

        /// <summary>The codes of a row: those that are forced, then the most similar; −1 where there are fewer than K.</summary>
        public void Select(CodebookShape shape, int group, ReadOnlySpan<float> alike, Span<int> ids, Span<float> best)
        {
            var forced = 0;
            if (_edits[group] is { } edit)
            {
                foreach (var id in edit.Force)
                    ids[forced++] = id;
                if (forced > 0 && !edit.KeepK)
                {
                    ids[forced..].Fill(-1);
                    return;
                }
            }

            if (forced < shape.K)
                Top(alike, _excluded[group], ids[forced..], best[forced..]);
        }

        public void Combine(CodebookShape shape, int group, ReadOnlySpan<int> ids, Span<float> o)
        {
            o.Clear();
            var count = 0;
            foreach (var id in ids)
            {
                if (id < 0)
                    continue;
                TensorPrimitives.Add(o, Code(shape, group, id), o);
                count++;
            }

            TensorPrimitives.Divide(o, count, o);
        }

        private static bool[] Excluded(CodeEdit edit, int codes)
        {
            var excluded = new bool[codes];
            foreach (var id in edit.Force.Concat(edit.Disable))
                excluded[id] = true;
            return excluded;
        }

        private static DenseProgram Similarities(CodebookShape shape, ReadOnlyMemory<float> codes)
        {
            var (n, width, isInner) = (shape.NumCodes, shape.CodeWidth, shape.Similarity == RowSimilarity.InnerProduct);
            var offset = new float[n];
            for (var i = 0; !isInner && i < n; i++)
                offset[i] = -TensorPrimitives.SumOfSquares(codes.Span.Slice(i * width, width));
            var builder = new DenseProgramBuilder(width);
            return builder.Build(builder.Dense(builder.Input, Map, offset, n));

            ReadOnlyMemory<float> Map()
            {
                var map = new float[n * width];
                for (var i = 0; i < n; i++)
                {
                    var code = codes.Span.Slice(i * width, width);
                    TensorPrimitives.Multiply(code, isInner ? 1 / MathF.Max(TensorPrimitives.Norm(code), (float)NearestRows.LeastNorm) : 2, map.AsSpan(i * width, width));
                }

                return map;
            }
        }

        // The greatest so far stand in order; most codes are compared with the least of them only.
        private static void Top(ReadOnlySpan<float> alike, bool[]? excluded, Span<int> ids, Span<float> best)
        {
            var (count, k) = (0, ids.Length);
            for (var id = 0; id < alike.Length; id++)
            {
                if ((count == k && !(alike[id] > best[k - 1])) || excluded?[id] == true)
                    continue;
                var place = count < k ? count++ : k - 1;
                for (; place > 0 && alike[id] > best[place - 1]; place--)
                    (ids[place], best[place]) = (ids[place - 1], best[place - 1]);
                (ids[place], best[place]) = (id, alike[id]);
            }
        }
    }

    private sealed class Scratch
    {
        [ThreadStatic]
        private static Scratch? _ofThread;

        public float[] Part = [];
        public float[] Slice = [];
        public float[] Alike = [];
        public float[] Best = [];
        public float[] First = [];
        public float[] Second = [];
        public float[] Outputs = [];
        public int[] Ids = [];

        public static Scratch OfThread => _ofThread ??= new();

        public static Span<T> AtLeast<T>(ref T[] array, int length)
        {
            if (array.Length < length)
                array = new T[length];
            return array.AsSpan(0, length);
        }
    }
}
