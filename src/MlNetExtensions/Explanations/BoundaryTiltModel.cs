using MlNetMlp.Methods;

namespace MlNetMlp.Explanations;

/// <summary>Computes the distance of each row to a binary model's boundary and to that of the nearest centroid, their ratio, and, where it is asked for, the row's mirror image.</summary>
internal sealed class BoundaryTiltModel : IBlockModel, IDisposable
{
    public const int Figures = 3;

    private readonly BoundaryTiltState _state;
    private readonly DecisionBoundaries _boundaries;
    private readonly DecisionBoundary _boundary;
    private readonly CentroidBoundary _centroids;

    /// <summary>Prepares the search.</summary>
    /// <param name="state">Options and centroids.</param>
    /// <param name="boundaries">The boundaries of a binary model.</param>
    public BoundaryTiltModel(BoundaryTiltState state, DecisionBoundaries boundaries)
    {
        (_state, _boundaries) = (state, boundaries);
        _boundary = boundaries.Between(0, 1);
        _centroids = new(state.FalseMean, state.TrueMean);
    }

    public int Inputs => _boundaries.Inputs;

    public int Outputs => Figures + (_state.Options.AddMirrorImage ? Inputs : 0);

    public bool AcceptsMissingValues => false;

    public IReadOnlyList<string>? FeatureNames => _state.SlotNames;

    public string? LabelColumnName => null;

    /// <summary>How many times nearer a row is to a boundary than to that of the nearest centroid.</summary>
    public static double Strength(double ofCentroids, double own) => Math.Abs(ofCentroids) / Math.Abs(own);

    // That no boundary was found is something to tell, and no failure.
    public int Compute(in ModelRows rows, Span<float> values)
    {
        if (_boundary.Normal is null)
            RowParts.Compute(rows, values, Inputs, Outputs, ComputePart);
        else
            ComputePart(rows, values);
        return -1;
    }

    public void Dispose() => _boundaries.Dispose();

    private void ComputePart(in ModelRows rows, Span<float> values)
    {
        var distances = new double[rows.Count];
        var moves = _state.Options.AddMirrorImage ? new float[rows.Features.Length] : [];
        _boundary.Find(rows.Features, distances, moves, []);
        for (var row = 0; row < rows.Count; row++)
        {
            var x = rows.Features.Slice(row * Inputs, Inputs);
            var told = values.Slice(row * Outputs, Outputs);
            var distance = _centroids.Distance(x);
            (told[0], told[1], told[2]) = ((float)distances[row], (float)distance, (float)Strength(distance, distances[row]));
            for (var i = 0; i < moves.Length / rows.Count; i++)
                told[Figures + i] = x[i] + (2 * moves[(row * Inputs) + i]);
        }
    }
}
