using MlNetMlp.Data;
using MlNetMlp.Runtime;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace MlNetMlp.Explanations;

/// <summary>Tells the tilt of a model's boundaries on labelled rows.</summary>
internal sealed class BoundaryTiltEvaluation
{
    // Values of the rows that go together: what they are multiplied with stays in the cache.
    private const int BlockValues = 1 << 17;

    private readonly LabeledRows _rows;
    private readonly DecisionBoundaries _boundaries;
    private readonly BoundaryTiltEvaluationOptions _options;
    private readonly int[][] _members;
    private readonly double[][] _means;
    private readonly double[] _squares;

    /// <summary>Finds the centroids.</summary>
    /// <param name="rows">The rows, whose labels are classes of the model.</param>
    /// <param name="boundaries">The model's boundaries.</param>
    /// <param name="options">The options.</param>
    public BoundaryTiltEvaluation(LabeledRows rows, DecisionBoundaries boundaries, BoundaryTiltEvaluationOptions options)
    {
        (_rows, _boundaries, _options) = (rows, boundaries, options);
        var classes = rows.Labels.Select((label, row) => (Class: (int)label, Row: row)).ToLookup(entry => entry.Class, entry => entry.Row);
        _members = [.. Enumerable.Range(0, boundaries.Classes).Select(i => classes[i].ToArray())];
        _means = [.. _members.Select(Mean)];
        _squares = [.. _members.Select((members, i) => Squares(members, _means[i]))];
    }

    private int Width => _boundaries.Inputs;

    public BoundaryTiltReport Run()
    {
        var error = ErrorRate();
        if (_boundaries.Classes == 2)
            return new(_rows.Labels.Length, error, TiltOf(0, 1), null);
        var pairs = new BoundaryTilt?[_boundaries.Classes][];
        for (var i = 0; i < pairs.Length; i++)
        {
            // Seen from the other class margins, distances and the line between the means have the other sign, and all figures are the same.
            pairs[i] = new BoundaryTilt?[pairs.Length];
            for (var j = 0; j < i; j++)
                pairs[i][j] = pairs[j][i] = _members[i].Length > 0 && _members[j].Length > 0 ? TiltOf(j, i) : null;
        }

        return new(_rows.Labels.Length, error, null, pairs);
    }

    private double ErrorRate()
    {
        var wrong = 0L;
        int[] all = [.. Enumerable.Range(0, _rows.Labels.Length)];
        foreach (var (features, rows) in Blocks(all))
        {
            var predicted = new int[rows.Length];
            _boundaries.Predict(features, predicted);
            for (var i = 0; i < rows.Length; i++)
                wrong += predicted[i] == (int)_rows.Labels[rows[i]] ? 0 : 1;
        }

        return (double)wrong / all.Length;
    }

    private BoundaryTilt TiltOf(int first, int second)
    {
        var centroids = new CentroidBoundary(_means[first], _means[second]);
        var boundary = _boundaries.Between(first, second);
        var (normal, strength, local) = boundary.Normal is { } same ? (same, centroids.Strength(same), null) : Look(boundary, centroids, first, second);
        var ratio = VarianceRatio(centroids.TiltDirection(normal), first, second);
        var type = strength < _options.LittleStrength ? BoundaryTiltType.Type0 : ratio < _options.FlatVarianceRatio ? BoundaryTiltType.Type2 : BoundaryTiltType.Type1;
        return new(centroids.AngleDegrees(normal), strength, ratio, type, local);
    }

    private (double[] Normal, double? Strength, LocalBoundaryTilt Local) Look(DecisionBoundary boundary, CentroidBoundary centroids, int first, int second)
    {
        var (normal, own, ofCentroids) = (new double[Width], 0.0, 0.0);
        var (angles, strengths, rows, found) = (new List<double>(), new List<double>(), 0, new int[2]);
        foreach (var (side, label) in new[] { (0, first), (1, second) })
        {
            var members = Spread(_members[label], _options.RowsPerClass);
            var (sum, sides, sumOwn, sumOfCentroids) = (new double[Width], 0, 0.0, 0.0);
            rows += members.Length;
            foreach (var (features, block) in Blocks(members))
            {
                var (distances, normals) = (new double[block.Length], new float[block.Length * Width]);
                boundary.Find(features, distances, [], normals);
                for (var i = 0; i < block.Length; i++)
                {
                    double[] direction = [.. normals.AsSpan(i * Width, Width).ToArray().Select(value => (double)value)];
                    if (direction.All(double.IsFinite))
                    {
                        angles.Add(centroids.AngleDegrees(direction));
                        TensorPrimitives.Add<double>(sum, direction, sum);
                        sides++;
                    }

                    if (double.IsNaN(distances[i]))
                        continue;
                    var distance = centroids.Distance(features.AsSpan(i * Width, Width));
                    found[side]++;
                    sumOwn += distances[i];
                    sumOfCentroids += distance;
                    strengths.Add(BoundaryTiltModel.Strength(distance, distances[i]));
                }
            }

            var sign = side == 0 ? -1 : 1;
            own += sign * sumOwn / found[side];
            ofCentroids += sign * sumOfCentroids / found[side];
            for (var i = 0; i < Width && sides > 0; i++)
                normal[i] += sum[i] / sides;
        }

        // Without any row found on one side both sums are NaN.
        double? strength = own > 0 && ofCentroids > 0 ? ofCentroids / own : null;
        return (normal, strength, new(
            rows, rows - found.Sum(), DistributionSummary.Of(angles), DistributionSummary.Of(strengths.Where(value => !double.IsNaN(value)))));
    }

    private double? VarianceRatio(double[]? direction, int first, int second)
    {
        var squares = (_squares[first] + _squares[second]) / Width;
        if (direction is null || !(squares > 0))
            return null;
        var along = 0.0;
        foreach (var label in new[] { first, second })
        {
            foreach (var (features, rows) in Blocks(_members[label]))
            {
                for (var i = 0; i < rows.Length; i++)
                {
                    var projection = -TensorPrimitives.Dot<double>(direction, _means[label]) + LinearBoundary.Score(direction, 0, features.AsSpan(i * Width, Width));
                    along += projection * projection;
                }
            }
        }

        return along / squares;
    }

    private double[] Mean(int[] members)
    {
        var sum = new double[Width];
        foreach (var (features, rows) in Blocks(members))
        {
            for (var i = 0; i < features.Length; i++)
                sum[i % Width] += features[i];
        }

        return members.Length == 0 ? sum : [.. sum.Select(value => value / members.Length)];
    }

    private double Squares(int[] members, double[] mean)
    {
        var sum = 0.0;
        foreach (var (features, rows) in Blocks(members))
        {
            for (var i = 0; i < features.Length; i++)
                sum += Math.Pow(features[i] - mean[i % Width], 2);
        }

        return sum;
    }

    private static int[] Spread(int[] members, int most) =>
        members.Length <= most ? members : [.. Enumerable.Range(0, most).Select(i => members[(long)i * members.Length / most])];

    private IEnumerable<(float[] Features, int[] Rows)> Blocks(int[] members)
    {
        foreach (var rows in members.Chunk(Math.Max(1, BlockValues / Width)))
        {
            var features = new float[rows.Length * Width];
            for (var i = 0; i < rows.Length; i++)
                Copy(rows[i], features.AsSpan(i * Width, Width));
            yield return (features, rows);
        }
    }

    private unsafe void Copy(int row, Span<float> room) =>
        new Span<float>(TensorMemory.Address(_rows.Features) + ((long)row * Width), Width).CopyTo(room);
}
