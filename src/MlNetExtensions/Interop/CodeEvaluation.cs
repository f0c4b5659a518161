using System.Globalization;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Options;

namespace Microsoft.ML;

/// <summary>Tells what the codes of a model stand for.</summary>
public static class CodeEvaluation
{
    // What stands before the place of a code in its group's list, in the name of a slot, and before the position in a sequence.
    private const string Place = ".#";
    private const char Position = '@';

    /// <summary>
    /// Tells of each code that a model adds to data how many rows it stands for, which ones most, and of what classes they are; how many codes are never used; and which codes find rows that
    /// one looks for. Where each position of a row has codes of its own, as tokens of sequences have, these positions count.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">A fitted or loaded model, alone or in a chain, that adds a column of codes.</param>
    /// <param name="data">The data.</param>
    /// <param name="options">The columns; null for the defaults.</param>
    /// <returns>The report.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range, or a column is missing or of a type that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">There are no rows.</exception>
    public static CodeReport EvaluateCodes(this ModelOperationsCatalog catalog, ITransformer model, IDataView data, CodeEvaluationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(data);
        options ??= new();
        OptionRanges.Check(options, nameof(EvaluateCodes));
        return new Reading(model.Transform(data), options).Run();
    }

    private sealed class Reading
    {
        private readonly IDataView _view;
        private readonly CodeEvaluationOptions _options;
        private readonly DataViewSchema.Column _codes;
        private readonly DataViewSchema.Column? _similarities;
        private readonly DataViewSchema.Column? _label;
        private readonly DataViewSchema.Column? _predicate;
        private readonly IReadOnlyList<string> _classes;
        private readonly string[] _sites;
        private readonly int[] _siteOf;
        private readonly int[] _positionOf;
        private readonly int _positions;
        private readonly Code?[][] _found;

        public Reading(IDataView view, CodeEvaluationOptions options)
        {
            (_view, _options) = (view, options);
            _codes = RowReader.Find(view.Schema, "codes", options.CodesColumnName);
            if ((_codes.Type as VectorDataViewType)?.Size == 0 || VectorReader.ItemType(_codes.Type) is not KeyDataViewType { Count: > 0 and <= RowLayout.MostKeys, RawType: var raw } key || raw != typeof(uint))
                throw DataErrors.WrongType("codes", _codes.Name, "a vector of keys of known size and count, such as a network of codes adds", DataErrors.Describe(_codes.Type));
            var slots = SlotNames.Get(_codes) ?? [.. Enumerable.Repeat(_codes.Name, (_codes.Type as VectorDataViewType)?.Size ?? 1)];
            string[] named = [.. slots.Select(slot => slot.LastIndexOf(Place, StringComparison.Ordinal) is >= 0 and var end ? slot[..end] : slot)];
            _sites = [.. named.Distinct()];
            _siteOf = [.. named.Select(name => Array.IndexOf(_sites, name))];
            _positionOf = [.. slots.Select(PositionOf)];
            _positions = _positionOf.Max() + 1;
            _found = [.. _sites.Select(_ => new Code?[(int)key.Count])];
            _similarities = view.Schema.GetColumnOrNull(options.CodesColumnName + "Similarity");
            if (_similarities?.Type is not VectorDataViewType { ItemType: NumberDataViewType } vector || vector.Size != _siteOf.Length || vector.ItemType.RawType != typeof(float))
                _similarities = null;
            _label = options.LabelColumnName is { } label ? RowReader.Find(view.Schema, "label", label) : null;
            _classes = _label is { } classes ? Classes(classes) : [];
            _predicate = options.PredicateColumnName is { } name ? RowReader.Find(view.Schema, "predicate", name) : null;
            if (_predicate is { } wanted && (VectorReader.ItemType(wanted.Type) is not BooleanDataViewType || !Fits(wanted)))
                throw DataErrors.WrongType("predicate", wanted.Name, "Boolean" + OrOfPositions, DataErrors.Describe(wanted.Type));
        }

        public CodeReport Run()
        {
            var (ids, predicate) = (new List<int>(), _predicate is null ? null : new List<bool>());
            var (keys, similar) = (new VBuffer<uint>(), new VBuffer<float>());
            var (current, alike) = (new uint[_siteOf.Length], new float[_siteOf.Length]);
            DataViewSchema.Column?[] read = [_codes, _similarities, _label, _predicate];
            using var cursor = _view.GetRowCursor(read.OfType<DataViewSchema.Column>());
            var one = _codes.Type is VectorDataViewType ? null : cursor.GetGetter<uint>(_codes);
            var many = one is null ? cursor.GetGetter<VBuffer<uint>>(_codes) : null;
            var similarities = _similarities is { } column ? cursor.GetGetter<VBuffer<float>>(column) : null;
            var (labels, values) = (new float[_positions], new float[_positions]);
            Array.Fill(labels, float.NaN);
            var label = _label is { } classes ? ReaderOf(cursor, classes) : null;
            var isWanted = _predicate is { } wanted ? ReaderOf(cursor, wanted) : null;
            long row = 0;
            for (; cursor.MoveNext(); row++)
            {
                if (one is not null)
                    one(ref current[0]);
                many?.Invoke(ref keys);
                if (many is not null)
                    keys.CopyTo(current);
                similarities?.Invoke(ref similar);
                if (similarities is not null)
                    similar.CopyTo(alike);
                label?.Invoke(labels);
                for (var slot = 0; slot < current.Length; slot++)
                {
                    ids.Add((int)current[slot] - 1);
                    if (current[slot] == 0)
                        continue;
                    var code = _found[_siteOf[slot]][current[slot] - 1] ??= new(_classes.Count);

                    // Without similarities, a code that comes first in a row's list stands for the row more than one that comes later.
                    var group = labels[_positionOf[slot]];
                    code.Add((row * _positions) + _positionOf[slot], float.IsNaN(group) ? -1 : (int)group, similarities is null ? -slot : alike[slot], _options.TopRows);
                }

                if (isWanted is null)
                    continue;
                isWanted(values);
                predicate!.AddRange(values.Select(value => value > 0));
            }

            if (row == 0)
                throw new InvalidOperationException("There are no rows to evaluate codes in.");
            CodeSite[] sites = [.. _sites.Select((name, site) => new CodeSite(name, _found[site].Length, _found[site].Count(code => code is not null)))];
            return new([.. ids], _siteOf, _positionOf, sites, [.. _sites.SelectMany(Statistics)], predicate);
        }

        private IEnumerable<CodeStatistics> Statistics(string site, int index) => _found[index]
            .Select((code, id) => (code, id))
            .Where(pair => pair.code is not null)
            .OrderByDescending(pair => pair.code!.Count)
            .Select(pair => pair.code!.Describe(site, pair.id, _classes, _positions));

        private string OrOfPositions => _positions == 1 ? "" : $", or a vector of such for {_positions} positions";

        private static int PositionOf(string slot) =>
            slot.LastIndexOf(Position) is >= 0 and var at && slot.LastIndexOf(Place, StringComparison.Ordinal) is >= 0 and var place && place < at
                && int.TryParse(slot.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var position) && position <= RowLayout.MostKeys
                ? position
                : 0;

        // A value for each position, or one that holds for all of them.
        private bool Fits(DataViewSchema.Column column) => column.Type is not VectorDataViewType vector || (_positions > 1 && (!vector.IsKnownSize || vector.Size == _positions));

        /// <summary>Makes what reads the values of the current row at all positions: classes, or 0 and 1; NaN where one is missing.</summary>
        private static Action<float[]> ReaderOf(DataViewRow row, DataViewSchema.Column column)
        {
            if (column.Type is not VectorDataViewType { ItemType: var item })
            {
                var one = ScalarReader.Create(row, column);
                return values => Array.Fill(values, one());
            }

            var many = VectorReader.Create(row, column);
            float[] read = [];
            return values =>
            {
                var length = many.Load();
                if (read.Length < length)
                    read = new float[length];
                many.Write(read.AsSpan(0, length));

                // Keys count from 1 in a vector, and 0 is a missing one.
                for (var position = 0; position < values.Length; position++)
                    values[position] = position >= length || (item is KeyDataViewType && read[position] == 0) ? float.NaN : item is KeyDataViewType ? read[position] - 1 : read[position];
            };
        }

        private IReadOnlyList<string> Classes(DataViewSchema.Column label) => (Fits(label) ? VectorReader.ItemType(label.Type) : label.Type) switch
        {
            BooleanDataViewType => ["false", "true"],
            KeyDataViewType { Count: > 0 and <= RowLayout.MostKeys } key =>
                KeyNames.Of(label, (int)key.Count) ?? [.. Enumerable.Range(1, (int)key.Count).Select(number => number.ToString(CultureInfo.InvariantCulture))],
            _ => throw DataErrors.WrongType("label", label.Name, "a key of known count or Boolean" + OrOfPositions, DataErrors.Describe(label.Type)),
        };
    }

    /// <summary>What is known of a code so far.</summary>
    private sealed class Code(int classes)
    {
        private readonly long[] _classes = new long[classes];
        private readonly PriorityQueue<long, (float Similarity, long Order)> _top = new();

        public long Count { get; private set; }

        public void Add(long place, int label, float similarity, int topRows)
        {
            Count++;
            if (label >= 0)
                _classes[label]++;
            if (topRows == 0)
                return;

            // The least similar of the places kept is the first to go; of equal ones, the last.
            if (_top.Count < topRows)
                _top.Enqueue(place, (similarity, -place));
            else
                _top.EnqueueDequeue(place, (similarity, -place));
        }

        public CodeStatistics Describe(string site, int id, IReadOnlyList<string> names, int positions)
        {
            long[] places = [.. _top.UnorderedItems.OrderByDescending(item => item.Priority).Select(item => item.Element)];
            long[] top = [.. places.Select(place => place / positions)];
            int[] at = [.. places.Select(place => (int)(place % positions))];
            var total = _classes.Sum();
            if (total == 0)
                return new(site, id, Count, top, at, null, double.NaN, double.NaN);
            var most = Array.IndexOf(_classes, _classes.Max());
            var entropy = -_classes.Where(count => count > 0).Sum(count => (double)count / total * Math.Log2((double)count / total));
            return new(site, id, Count, top, at, names[most], (double)_classes[most] / total, Math.Abs(entropy));
        }
    }
}
