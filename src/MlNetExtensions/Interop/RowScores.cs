using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;

namespace MlNetMlp.Interop;

/// <summary>The scores of the current row, wherever they come from.</summary>
internal abstract class RowScores
{
    /// <summary>One value for each output of the network.</summary>
    public abstract ReadOnlySpan<float> Current { get; }

    /// <summary>The scores that a row brings along, or else those that are computed of its features.</summary>
    /// <param name="input">The row.</param>
    /// <param name="features">The columns that its features come from.</param>
    /// <param name="model">What scores it.</param>
    /// <returns>The scores of the row that is current at the time.</returns>
    public static RowScores Of(DataViewRow input, FeatureColumns features, IBlockModel model) =>
        (input as ScoredRow)?.Scores ?? new ComputedScores(input, features, model);

    /// <summary>Copies scores into a vector of a data view.</summary>
    /// <param name="scores">The scores of a row.</param>
    /// <param name="value">The vector.</param>
    public static void Put(ReadOnlySpan<float> scores, ref VBuffer<float> value)
    {
        var editor = VBufferEditor.Create(ref value, scores.Length);
        scores.CopyTo(editor.Values);
        value = editor.Commit();
    }

    /// <summary>Scores one row and refuses features and scores that are not finite.</summary>
    public static void Compute(IBlockModel model, in ModelRows row, Span<float> scores, long position, FeatureColumns columns)
    {
        if (!model.AcceptsMissingValues && Finite.IndexOfNonFinite(row.Features) is >= 0 and var slot)
            throw columns.NonFinite(position, slot, model.FeatureNames, row.Features[slot]);
        if (model.Compute(row, scores) >= 0)
            throw DataErrors.NonFiniteScore(position);
    }

    /// <summary>Makes a getter of some of the numbers, which stand one behind the other.</summary>
    /// <param name="start">The first.</param>
    /// <param name="count">How many.</param>
    /// <returns>The getter.</returns>
    public ValueGetter<VBuffer<float>> VectorGetter(int start, int count) => (ref VBuffer<float> value) => Put(Current.Slice(start, count), ref value);

    /// <summary>Makes a getter of keys.</summary>
    /// <param name="start">The first; numbers from 0 are keys, −1 is a missing one.</param>
    /// <param name="count">How many.</param>
    /// <returns>The getter.</returns>
    public ValueGetter<VBuffer<uint>> KeyGetter(int start, int count) => (ref VBuffer<uint> value) =>
    {
        var editor = VBufferEditor.Create(ref value, count);
        var numbers = Current.Slice(start, count);
        for (var i = 0; i < count; i++)
            editor.Values[i] = (uint)((int)numbers[i] + 1);
        value = editor.Commit();
    };
}

/// <summary>Scores each row when it is first asked for, as a prediction engine does.</summary>
internal sealed class ComputedScores : RowScores
{
    private readonly DataViewRow _input;
    private readonly FeatureColumns _columns;
    private readonly IBlockModel _model;
    private readonly FeatureReader _reader;
    private readonly Func<float>? _label;
    private readonly ValueGetter<DataViewRowId> _id;
    private readonly float[] _labels;
    private readonly DataViewRowId[] _ids = new DataViewRowId[1];
    private readonly float[] _scores;
    private float[] _features;
    private long _position = -1;

    public ComputedScores(DataViewRow input, FeatureColumns columns, IBlockModel model)
    {
        (_input, _columns, _model) = (input, columns, model);
        _reader = columns.CreateReader(input, model.AcceptsMissingValues);
        _label = model.LabelColumnName is { } label ? ScalarReader.Create(input, RowReader.Find(input.Schema, "label", label)) : null;
        (_labels, _features, _scores) = (_label is null ? [] : new float[1], new float[model.Inputs], new float[model.Outputs]);
        _id = input.GetIdGetter();
    }

    public override ReadOnlySpan<float> Current
    {
        get
        {
            if (_position != _input.Position || _position < 0)
            {
                var width = _reader.Load();
                if (width > _features.Length)
                    _features = new float[width];
                _reader.Write(_features);
                if (_label is not null)
                    _labels[0] = _label();
                _id(ref _ids[0]);
                Compute(_model, new(_features, _labels, _ids), _scores, _input.Position, _columns);
                _position = _input.Position;
            }

            return _scores;
        }
    }
}
