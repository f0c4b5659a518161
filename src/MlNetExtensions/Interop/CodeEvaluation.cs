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
    // What stands before the place of a code in its group's list, in the name of a slot.
    private const string Place = ".#";

    /// <summary>
    /// Tells of each code that a model adds to data how many rows it stands for, which ones most, and of what classes they are; how many codes are never used; and which codes find rows that
    /// one looks for.
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
            _found = [.. _sites.Select(_ => new Code?[(int)key.Count])];
            _similarities = view.Schema.GetColumnOrNull(options.CodesColumnName + "Similarity");
            if (_similarities?.Type is not VectorDataViewType { ItemType: NumberDataViewType } vector || vector.Size != _siteOf.Length || vector.ItemType.RawType != typeof(float))
                _similarities = null;
            _label = options.LabelColumnName is { } label ? RowReader.Find(view.Schema, "label", label) : null;
            _classes = _label is { } classes ? Classes(classes) : [];
            _predicate = options.PredicateColumnName is { } name ? RowReader.Find(view.Schema, "predicate", name) : null;
            if (_predicate is { } wanted && wanted.Type is not BooleanDataViewType)
                throw DataErrors.WrongType("predicate", wanted.Name, "Boolean", DataErrors.Describe(wanted.Type));
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
            var label = _label is { } classes ? ScalarReader.Create(cursor, classes) : null;
            var isWanted = _predicate is { } wanted ? cursor.GetGetter<bool>(wanted) : null;
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
                var group = label?.Invoke() ?? float.NaN;
                for (var slot = 0; slot < current.Length; slot++)
                {
                    ids.Add((int)current[slot] - 1);
                    if (current[slot] == 0)
                        continue;
                    var code = _found[_siteOf[slot]][current[slot] - 1] ??= new(_classes.Count);

                    // Without similarities, a code that comes first in a row's list stands for the row more than one that comes later.
                    code.Add(row, float.IsNaN(group) ? -1 : (int)group, similarities is null ? -slot : alike[slot], _options.TopRows);
                }

                if (isWanted is null)
                    continue;
                var value = false;
                isWanted(ref value);
                predicate!.Add(value);
            }

            if (row == 0)
                throw new InvalidOperationException("There are no rows to evaluate codes in.");
            CodeSite[] sites = [.. _sites.Select((name, site) => new CodeSite(name, _found[site].Length, _found[site].Count(code => code is not null)))];
            return new([.. ids], _siteOf, sites, [.. _sites.SelectMany(Statistics)], predicate);
        }

        private IEnumerable<CodeStatistics> Statistics(string site, int index) => _found[index]
            .Select((code, id) => (code, id))
            .Where(pair => pair.code is not null)
            .OrderByDescending(pair => pair.code!.Count)
            .Select(pair => pair.code!.Describe(site, pair.id, _classes));

        private static IReadOnlyList<string> Classes(DataViewSchema.Column label) => label.Type switch
        {
            BooleanDataViewType => ["false", "true"],
            KeyDataViewType { Count: > 0 and <= RowLayout.MostKeys } key =>
                KeyNames.Of(label, (int)key.Count) ?? [.. Enumerable.Range(1, (int)key.Count).Select(number => number.ToString(CultureInfo.InvariantCulture))],
            _ => throw DataErrors.WrongType("label", label.Name, "a key of known count or Boolean", DataErrors.Describe(label.Type)),
        };
    }

    /// <summary>What is known of a code so far.</summary>
    private sealed class Code(int classes)
    {
        private readonly long[] _classes = new long[classes];
        private readonly PriorityQueue<long, (float Similarity, long Order)> _top = new();

        public long Count { get; private set; }

        public void Add(long row, int label, float similarity, int topRows)
        {
            Count++;
            if (label >= 0)
                _classes[label]++;
            if (topRows == 0)
                return;

            // The least similar of the rows kept is the first to go; of equal ones, the last.
            if (_top.Count < topRows)
                _top.Enqueue(row, (similarity, -row));
            else
                _top.EnqueueDequeue(row, (similarity, -row));
        }

        public CodeStatistics Describe(string site, int id, IReadOnlyList<string> names)
        {
            long[] top = [.. _top.UnorderedItems.OrderByDescending(item => item.Priority).Select(item => item.Element)];
            var total = _classes.Sum();
            if (total == 0)
                return new(site, id, Count, top, null, double.NaN, double.NaN);
            var most = Array.IndexOf(_classes, _classes.Max());
            var entropy = -_classes.Where(count => count > 0).Sum(count => (double)count / total * Math.Log2((double)count / total));
            return new(site, id, Count, top, names[most], (double)_classes[most] / total, Math.Abs(entropy));
        }
    }
}
