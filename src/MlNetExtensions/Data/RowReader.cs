using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Runtime;

namespace MlNetMlp.Data;

/// <summary>The columns that a trainer reads, by name.</summary>
/// <param name="Features">Vector of numbers, or the columns of sets.</param>
/// <param name="Label">Number, Boolean, key, or vector of numbers.</param>
/// <param name="Weight">Example weights, or null.</param>
/// <param name="Validation">Boolean: the row is for validation and not for training; or null.</param>
internal sealed record ColumnNames(FeatureColumns Features, string Label, string? Weight, string? Validation);

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
    private readonly VectorReader _readLabel;
    private readonly float[] _label;
    private readonly Func<float>? _weight;
    private readonly Func<float>? _validation;
    private readonly ValueGetter<DataViewRowId> _id;

    public RowReader(IDataView data, ColumnNames names, bool acceptNonFinite, Random? shuffle = null)
    {
        _names = names;
        _acceptNonFinite = acceptNonFinite;
        var features = names.Features.Find(data.Schema);
        var label = Find(data.Schema, "label", names.Label);
        var weight = names.Weight is null ? (DataViewSchema.Column?)null : Find(data.Schema, "example weight", names.Weight);
        var validation = names.Validation is null ? (DataViewSchema.Column?)null : Find(data.Schema, "validation", names.Validation);
        var columns = features.Concat(new[] { label, weight, validation }.OfType<DataViewSchema.Column>()).ToArray();

        _cursor = data.GetRowCursor(columns, shuffle);
        _features = names.Features.CreateReader(_cursor, acceptNonFinite);
        _readLabel = VectorReader.CreateLabel(_cursor, label);
        _label = new float[VectorReader.LabelWidth(label)];
        _weight = weight is { } w ? ScalarReader.Create(_cursor, w) : null;
        _validation = validation is { } v ? ScalarReader.Create(_cursor, v) : null;
        _id = _cursor.GetIdGetter();
    }

    public long MissingLabels { get; private set; }

    public long ZeroWeights { get; private set; }

    public ReadOnlySpan<float> Label => _label;

    public float Weight { get; private set; } = 1;

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

    public static DataViewSchema.Column Find(DataViewSchema schema, string role, string name) =>
        schema.GetColumnOrNull(name) ?? throw DataErrors.MissingColumn(role, name, schema.Select(c => c.Name));

    public bool Next(Span<float> features)
    {
        while (_cursor.MoveNext())
        {
            _readLabel.Read(_label);
            if (Finite.IndexOfNonFinite(_label) >= 0)
            {
                if (!Array.Exists(_label, float.IsNaN))
                    throw DataErrors.NonFiniteLabel(_names.Label, _cursor.Position, _label);
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
}
