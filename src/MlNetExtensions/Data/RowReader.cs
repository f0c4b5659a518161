using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Runtime;

namespace MlNetMlp.Data;

/// <summary>The columns that a trainer reads, by name.</summary>
/// <param name="Features">Vector of numbers, or the columns of sets.</param>
/// <param name="Label">Number, Boolean, key, or vector of numbers; null for none: labels are then 0.</param>
/// <param name="Weight">Example weights, or null.</param>
/// <param name="Validation">Boolean: the row is for validation and not for training; or null.</param>
internal sealed record ColumnNames(FeatureColumns Features, string? Label, string? Weight, string? Validation);

/// <summary>
/// Reads the rows of a data view that can be trained on: a row without a label or with weight 0 is passed over and counted, a feature
/// that is not finite ends the reading with an error that says where it is.
/// </summary>
internal sealed class RowReader : IDisposable
{
    private readonly ColumnNames _names;
    private readonly bool _acceptNonFinite;
    private readonly DataViewRowCursor _cursor;
    private readonly FeatureReader _features;
    private readonly VectorReader? _readLabel;
    private readonly float[] _label;
    private readonly Func<float>? _weight;
    private readonly Func<float>? _validation;
    private readonly ValueGetter<DataViewRowId> _id;

    public RowReader(IDataView data, ColumnNames names, bool acceptNonFinite, Random? shuffle = null)
        : this(data.GetRowCursor(Columns(data.Schema, names), shuffle), names, acceptNonFinite)
    {
    }

    private RowReader(DataViewRowCursor cursor, ColumnNames names, bool acceptNonFinite)
    {
        _names = names;
        _acceptNonFinite = acceptNonFinite;
        _cursor = cursor;
        try
        {
            _features = names.Features.CreateReader(cursor, acceptNonFinite);
            _readLabel = names.Label is { } label ? VectorReader.CreateLabel(cursor, cursor.Schema[label]) : null;
            _label = new float[LabelWidth(cursor.Schema, names.Label)];
            _weight = names.Weight is { } weight ? ScalarReader.Create(cursor, cursor.Schema[weight]) : null;
            _validation = names.Validation is { } validation ? ScalarReader.Create(cursor, cursor.Schema[validation]) : null;
            _id = cursor.GetIdGetter();
        }
        catch
        {
            cursor.Dispose();
            throw;
        }
    }

    public long MissingLabels { get; private set; }

    public long ZeroWeights { get; private set; }

    public ReadOnlySpan<float> Label => _label;

    public float Weight { get; private set; } = 1;

    /// <summary>Number of the stretch of rows that this one is in: of several readers of the same rows no two read the same stretch, and none reads a later one first.</summary>
    public long Batch => _cursor.Batch;

    public bool IsValidation => _validation is not null && _validation() > 0;

    public ulong RowId
    {
        get
        {
            DataViewRowId id = default;
            _id(ref id);
            return RandomStreams.Hash(id.High, id.Low);
        }
    }

    /// <summary>Readers that share the rows between them, for threads side by side.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="names">The columns.</param>
    /// <param name="acceptNonFinite">Whether features that are not finite are read.</param>
    /// <param name="most">Number of readers at most; a view that cannot be shared gives one.</param>
    /// <returns>The readers.</returns>
    public static RowReader[] CreateSet(IDataView data, ColumnNames names, bool acceptNonFinite, int most) =>
        CursorSet.Wrap(data.GetRowCursorSet(Columns(data.Schema, names), most), cursor => new RowReader(cursor, names, acceptNonFinite));

    public static DataViewSchema.Column Find(DataViewSchema schema, string role, string name) =>
        schema.GetColumnOrNull(name) ?? throw DataErrors.MissingColumn(role, name, schema.Select(c => c.Name));

    /// <summary>How many numbers a label is.</summary>
    /// <param name="schema">The columns.</param>
    /// <param name="label">The label column; null for none.</param>
    /// <returns>The number, 1 for none.</returns>
    public static int LabelWidth(DataViewSchema schema, string? label) => label is null ? 1 : VectorReader.LabelWidth(Find(schema, "label", label));

    public bool Next(Span<float> features)
    {
        while (_cursor.MoveNext())
        {
            _readLabel?.Read(_label);
            if (Finite.IndexOfNonFinite(_label) >= 0)
            {
                if (!Array.Exists(_label, float.IsNaN))
                    throw DataErrors.NonFiniteLabel(_names.Label!, _cursor.Position, _label);
                MissingLabels++;
                continue;
            }

            if (_weight is not null)
            {
                Weight = _weight();
                if (!float.IsFinite(Weight) || Weight < 0)
                    throw DataErrors.BadWeight(_names.Weight!, _cursor.Position, Weight);
                if (Weight == 0)
                {
                    ZeroWeights++;
                    continue;
                }
            }

            if (_features.Load() > features.Length)
                throw DataErrors.LongerSet(_names.Features.Name!, _cursor.Position);
            _features.Write(features);
            if (!_acceptNonFinite && Finite.IndexOfNonFinite(features) is >= 0 and var slot)
                throw _names.Features.NonFinite(_cursor.Position, slot, _names.Features.FeatureNames(_cursor.Schema), features[slot]);
            return true;
        }

        return false;
    }

    public void Dispose() => _cursor.Dispose();

    private static DataViewSchema.Column[] Columns(DataViewSchema schema, ColumnNames names)
    {
        var others = new List<DataViewSchema.Column>();
        if (names.Label is not null)
            others.Add(Find(schema, "label", names.Label));
        if (names.Weight is not null)
            others.Add(Find(schema, "example weight", names.Weight));
        if (names.Validation is not null)
            others.Add(Find(schema, "validation", names.Validation));
        return [.. names.Features.Find(schema), .. others];
    }
}
