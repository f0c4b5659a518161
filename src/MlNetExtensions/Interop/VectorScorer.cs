using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Methods;

namespace MlNetMlp.Interop;

/// <summary>Scores one vector at a time, for those tools of ML.NET that hand over vectors and not rows. Each caller has its own.</summary>
internal sealed class VectorScorer
{
    private const string Name = "Features";

    private static readonly FeatureColumns Columns = new(Name);

    private readonly TrainedNetwork _network;
    private readonly SetPacker? _packer;
    private readonly float[] _scores;
    private readonly DataViewRowId[] _ids = new DataViewRowId[1];
    private float[] _features;
    private float[] _values = [];

    public VectorScorer(TrainedNetwork network)
    {
        if (network.Layout is not null || network.Sets is { Context.Count: > 0 } or { CountColumnName: not null })
            throw new InvalidOperationException("The model reads several columns of a row, so it cannot be used where single vectors are scored.");
        if (network.Sets is { } sets)
        {
            _packer = new(Name, sets, network.AcceptsMissingValues);
        }

        (_network, _features, _scores) = (network, new float[network.Inputs], new float[network.ScoredOutputs]);
    }

    public ReadOnlySpan<float> Score(in VBuffer<float> source)
    {
        if (_packer is null)
        {
            if (source.Length != _features.Length)
                throw DataErrors.WidthMismatch(Name, _features.Length, source.Length);
            source.CopyTo(_features);
        }
        else
        {
            if (_values.Length < source.Length)
                _values = new float[source.Length];
            source.CopyTo(_values);
            var width = _packer.Pack(_values.AsSpan(0, source.Length), null, row: 0);
            if (width > _features.Length)
                _features = new float[width];
            _packer.Write(_features);
        }

        RowScores.Compute(_network, new(_features, [], _ids), _scores, position: 0, Columns);
        return _scores.AsSpan(0, _network.Outputs);
    }
}
