using System.Runtime.CompilerServices;

namespace MlNetMlp.Scoring;

/// <summary>Piecewise-linear functions of the slots of a row, each between the same number of knots.</summary>
internal sealed unsafe class KnotTable
{
    private readonly float[] _positions;
    private readonly float[] _values;
    private readonly float[] _slopes;
    private readonly int _width;
    private readonly int _knots;

    /// <param name="positions">[width, knots], non-decreasing in each row.</param>
    /// <param name="values">[width, knots].</param>
    /// <param name="width">Slots of a row.</param>
    /// <param name="knots">Knots of a slot, at least 3.</param>
    public KnotTable(ReadOnlySpan<float> positions, ReadOnlySpan<float> values, int width, int knots)
    {
        (_positions, _values, _slopes, _width, _knots) = (positions.ToArray(), values.ToArray(), new float[positions.Length], width, knots);
        for (int i = 0; i + 1 < _slopes.Length; i++)
        {
            float distance = positions[i + 1] - positions[i];
            _slopes[i] = distance > 0 ? (values[i + 1] - values[i]) / distance : 0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(float* x, int xStride, float* y, int yStride, int rows)
    {
        int padded = AlignedFloats.Pad(_width);
        for (int row = 0; row < rows; row++, x += xStride, y += yStride)
        {
            for (int i = 0; i < _width; i++)
                y[i] = Map(x[i], i * _knots);
            for (int i = _width; i < padded; i++)
                y[i] = 0;
        }
    }

    private float Map(float x, int first)
    {
        // The last inner knot that is not above x begins the piece; without one the first knot does.
        int low = first, high = first + _knots - 1;
        while (high - low > 1)
        {
            int middle = (low + high) >>> 1;
            if (_positions[middle] > x)
                high = middle;
            else
                low = middle;
        }

        float width = _positions[low + 1] - _positions[low];
        float distance = Math.Max(x - _positions[low], 0);
        return _values[low] + ((distance < width ? distance : width) * _slopes[low]);
    }
}
