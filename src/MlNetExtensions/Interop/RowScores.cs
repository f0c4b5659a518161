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
    /// <param name="network">The network.</param>
    /// <returns>The scores of the row that is current at the time.</returns>
    public static RowScores Of(DataViewRow input, FeatureColumns features, TrainedNetwork network) =>
        (input as ScoredRow)?.Scores ?? new ComputedScores(input, features, network);

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
    public static void Compute(TrainedNetwork network, ReadOnlySpan<float> features, Span<float> scores, long row, string featureColumn)
    {
        if (!network.AcceptsMissingValues && Finite.IndexOfNonFinite(features) is >= 0 and var slot)
            throw DataErrors.NonFiniteFeature(featureColumn, row, slot, network.FeatureNames?[slot], features[slot]);
        if (network.Score(features, scores) >= 0)
            throw DataErrors.NonFiniteScore(row);
    }

    /// <summary>Makes a getter of all scores.</summary>
    /// <returns>The getter.</returns>
    public ValueGetter<VBuffer<float>> VectorGetter() => (ref VBuffer<float> value) => Put(Current, ref value);
}

/// <summary>Scores each row when it is first asked for, as a prediction engine does.</summary>
internal sealed class ComputedScores(DataViewRow input, FeatureColumns columns, TrainedNetwork network) : RowScores
{
    private readonly FeatureReader _reader = columns.CreateReader(input, network.AcceptsMissingValues);
    private float[] _features = new float[network.Inputs];
    private readonly float[] _scores = new float[network.Outputs];
    private long _position = -1;

    public override ReadOnlySpan<float> Current
    {
        get
        {
            if (_position != input.Position || _position < 0)
            {
                var width = _reader.Load();
                if (width > _features.Length)
                    _features = new float[width];
                _reader.Write(_features);
                Compute(network, _features, _scores, input.Position, columns.Name);
                _position = input.Position;
            }

            return _scores;
        }
    }
}
