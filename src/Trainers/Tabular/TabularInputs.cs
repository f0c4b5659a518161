using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Tabular;

/// <summary>What the training rows say of the inputs: which features change, where their values lie, which are missing at times, and which keys there are.</summary>
internal sealed class TabularInputs
{
    /// <summary>Features are cut to this, beyond which distances of two overflow.</summary>
    public const float Far = 8e37f;

    private const float LeastDistance = 1e-36f;
    private const int RowsPerKnot = 30;
    private const int FewestKnots = 10;
    private const int MostKnots = 1000;
    private const int FewRows = 5000;
    private const int MembersOfFewRows = 8;
    private const int MembersOfManyRows = 4;

    private readonly List<int> _scaled = [];
    private readonly List<int> _pairs = [];
    private readonly List<int> _indicators = [];
    private readonly List<int> _knownKeys = [];
    private readonly List<float> _middles = [];
    private readonly List<float> _halves = [];
    private readonly List<float> _centres = [];
    private readonly List<float> _factors = [];
    private readonly List<float> _positions = [];
    private readonly List<float> _values = [];
    private readonly List<float> _known = [];
    private readonly NumericScaling _scaling;
    private readonly int _rows;
    private readonly int _knots;
    private readonly float[] _medians;

    /// <param name="rows">Rows, row after row.</param>
    /// <param name="weights">Example weights of the rows, or null for 1.</param>
    /// <param name="width">Numbers of a row.</param>
    /// <param name="layout">How a row lies; null for features alone.</param>
    /// <param name="scaling">How features are scaled.</param>
    /// <param name="checkCancelled">Is called now and then.</param>
    public TabularInputs(ReadOnlySpan<float> rows, float[]? weights, int width, RowLayout? layout, NumericScaling scaling, Action checkCancelled)
    {
        var count = rows.Length / width;
        var numbers = layout?.FeatureWidth ?? width;
        (_scaling, _rows) = (scaling, count);
        _knots = Math.Clamp(count / RowsPerKnot, FewestKnots, MostKnots);
        _medians = new float[numbers];
        var (column, shares) = (new float[count], new float[count]);
        for (var i = 0; i < numbers; i++)
        {
            checkCancelled();
            var present = 0;
            for (var row = 0; row < count; row++)
            {
                var x = rows[(row * width) + i];
                if (float.IsNaN(x))
                    continue;
                (column[present], shares[present]) = (Math.Clamp(x, -Far, Far), weights?[row] ?? 1);
                present++;
            }

            if (present > 0 && present < count)
                _indicators.Add(i);
            Array.Sort(column, shares, 0, present);
            AddNumber(i, column.AsSpan(0, present), shares.AsSpan(0, present));
        }

        var start = numbers;
        foreach (var keys in layout?.Columns ?? [])
        {
            checkCancelled();
            AddKeys(rows, width, start, keys.Width);
            start += keys.Width;
        }
    }

    public float[] Medians => _medians;

    public float[] Middles => [.. _middles];

    public float[] Halves => [.. _halves];

    public float[] Centres => [.. _centres];

    public float[] Factors => [.. _factors];

    public float[] Positions => [.. _positions];

    public float[] Values => [.. _values];

    public float[] Known => [.. _known];

    /// <summary>The network that options ask for over such inputs.</summary>
    public TabularNetworkDefinition Define(TabularNetwork.Options options, TrainingSet data, TaskHead head) => Complete(options, head, new()
    {
        Inputs = data.FeatureCount,
        Outputs = head.Outputs,
        Layout = data.Layout,
        Classes = head switch { BinaryHead => 2, MulticlassHead several => several.Classes, _ => 0 },
        Scaled = [.. _scaled],
        Pairs = [.. _pairs],
        Indicators = [.. _indicators],
        KnownKeys = [.. _knownKeys],
        Knots = _scaling == NumericScaling.Quantile ? _knots : 0,
        Members = HasMoreMembers(options, head, _rows) ? MembersOfFewRows : MembersOfManyRows,
        HiddenSize = options.HiddenSize,
        HiddenLayers = options.HiddenLayers,
        Activation = options.Activation,
        NumericScaling = options.NumericScaling,
        Frequencies = 0,
        MaxOneHot = options.MaxOneHot,
        KeyEmbeddingSize = options.KeyEmbeddingSize,
    });

    /// <summary>Whether more members, each trained for fewer epochs, make the better model: of few rows with classes. Numbers without noise ask for the epochs.</summary>
    public static bool HasMoreMembers(TabularNetwork.Options options, TaskHead head, long rows) => options.Members is null && !options.OutOfFold && head is (BinaryHead or MulticlassHead) && rows <= FewRows;

    /// <summary>A definition with all that options say.</summary>
    public static TabularNetworkDefinition Complete(TabularNetwork.Options options, TaskHead head, TabularNetworkDefinition definition) => definition with
    {
        Members = options.OutOfFold ? options.Folds : options.Members ?? definition.Members,
        HiddenSize = options.HiddenSize,
        HiddenLayers = options.HiddenLayers,
        Activation = options.Activation,
        NumericScaling = options.NumericScaling,
        Frequencies = options.NumericEmbedding == NumericEmbedding.Periodic ? options.Frequencies : 0,
        MaxOneHot = options.MaxOneHot,
        KeyEmbeddingSize = options.KeyEmbeddingSize,
        SpreadScale = !options.OutputSpread ? null : head is RegressionHead regression ? regression.LabelScale : 1,
    };

    private void AddNumber(int index, Span<float> sorted, Span<float> weights)
    {
        if (sorted.IsEmpty)
            return;
        _medians[index] = Quantile(sorted, weights, 0.5);
        var (least, greatest) = (sorted[0], sorted[^1]);
        if (least == greatest)
            return;
        var first = sorted.IndexOfAnyExcept(least);
        if (sorted[first] == greatest)
        {
            _pairs.Add(index);
            var middle = (float)(((double)least + greatest) / 2);
            _middles.Add(middle);

            // Not half of the difference, which where numbers are large would not bring both values to the same distance.
            _halves.Add(Math.Max(greatest - middle, middle - least));
            return;
        }

        _scaled.Add(index);
        switch (_scaling)
        {
            case NumericScaling.Quantile:
                AddKnots(InputKnots.AtQuantiles(sorted, weights, 1, _knots));
                break;
            case NumericScaling.Robust:
                var quartiles = (double)Quantile(sorted, weights, 0.75) - Quantile(sorted, weights, 0.25);
                AddAffine(_medians[index], quartiles > 0 ? quartiles : ((double)greatest - least) / 2);
                break;
            default:
                var (mean, deviation) = Moments(sorted, weights);
                AddAffine(mean, deviation);
                break;
        }
    }

    private void AddKnots(InputKnots knots)
    {
        var before = float.NegativeInfinity;
        foreach (var position in knots.Positions)
        {
            // The slope between two knots must be a number.
            if (position - before > LeastDistance)
                before = position;
            _positions.Add(before);
        }

        _values.AddRange(knots.Values);
    }

    private void AddAffine(double centre, double width)
    {
        var factor = (float)(1 / width);
        _centres.Add((float)centre);
        _factors.Add(float.IsFinite(factor) ? factor : 1);
    }

    private static (double Mean, double Deviation) Moments(ReadOnlySpan<float> values, ReadOnlySpan<float> weights)
    {
        double total = 0, mean = 0, squares = 0;
        for (var i = 0; i < values.Length; i++)
        {
            total += weights[i];
            var difference = values[i] - mean;
            mean += difference * (weights[i] / total);
            squares += weights[i] * difference * (values[i] - mean);
        }

        return (mean, Math.Sqrt(squares / total));
    }

    // The least value that at least the given share of the weight is not above.
    private static float Quantile(ReadOnlySpan<float> sorted, ReadOnlySpan<float> weights, double share)
    {
        double total = 0, below = 0;
        foreach (var weight in weights)
            total += weight;
        for (var i = 0; i < sorted.Length; i++)
        {
            below += weights[i];
            if (below >= share * total)
                return sorted[i];
        }

        return sorted[^1];
    }

    private void AddKeys(ReadOnlySpan<float> rows, int width, int start, int slots)
    {
        var known = new SortedSet<float>();
        for (var row = 0; row < rows.Length; row += width)
        {
            foreach (var key in rows.Slice(row + start, slots))
            {
                if (key != RowColumn.Missing)
                    known.Add(key);
            }
        }

        _knownKeys.Add(known.Count);
        _known.AddRange(known);
    }
}
