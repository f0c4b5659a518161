using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.RandomFeatures;

/// <summary>Tries scales and widths of a random layer on a few thousand rows: ridge regression on some of them, judged by the others.</summary>
internal sealed class BandwidthSweep : IDisposable
{
    public const int SampleRows = 5000;

    /// <summary>Length of the coefficients from which on Single precision in scoring is not enough.</summary>
    public const double GreatestNorm = 1e6;

    /// <summary>Relative error of a number in Single precision.</summary>
    public const double Rounding = 6e-8;

    private const int SearchUnits = 300;
    private const int WidestUnits = 2000;
    private const double SaturationMargin = 1e-3;
    private const double DeadDeviation = 1e-6;

    private readonly TrainingRun _run;
    private readonly RandomLayer _layer;
    private readonly Func<RidgePath, double, double> _penalty;
    private readonly Part _train;
    private readonly Part _held;

    /// <summary>Takes the rows.</summary>
    /// <param name="data">All rows; those held out judge where there are some, else a quarter of the sample.</param>
    /// <param name="head">The task.</param>
    /// <param name="run">The device.</param>
    /// <param name="sample">Rows drawn at random.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="penalty">Chooses α, given the solutions and the root of the mean square of the features.</param>
    public BandwidthSweep(TrainingSet data, TaskHead head, TrainingRun run, RowBlock sample, RandomLayer layer, Func<RidgePath, double, double> penalty)
    {
        (_run, _layer, _penalty) = (run, layer, penalty);
        using var scope = NewDisposeScope();
        var rows = arange(sample.Rows, ScalarType.Int64);
        var isHeld = data.Validation is null ? arange(sample.Rows, ScalarType.Int64).fmod(tensor(4L)).eq(tensor(3L)) : zeros(sample.Rows, ScalarType.Bool);
        if (data.Validation is null && sample.Rows < 4)
            isHeld = zeros(sample.Rows, ScalarType.Bool);
        _train = Part.Of(head, run.Device, sample, rows.masked_select(isHeld.logical_not()));
        _held = data.Validation is { } held ? Part.Of(head, run.Device, held, Spread(held.Rows)) : Part.Of(head, run.Device, sample, rows.masked_select(isHeld));
    }

    /// <summary>Searches the grid with few units, and then tries the scale in all widths.</summary>
    /// <param name="grid">Scales, in rising order.</param>
    /// <param name="scale">The scale that is given, or null to choose one.</param>
    /// <param name="allWidths">Whether all scales are tried in all widths.</param>
    /// <returns>The table and the scale.</returns>
    public BandwidthReport Run(IReadOnlyList<double> grid, double? scale, bool allWidths)
    {
        var most = Math.Min(_layer.Units, allWidths ? _layer.Units : WidestUnits);
        int[] widths = [.. new[] { most / 8, most / 4, most / 2, most }.Where(width => width > 0).Distinct()];
        var search = Math.Min(_layer.Units, SearchUnits);
        var points = grid.SelectMany(s => Measure(s, allWidths ? widths : [search])).ToList();
        var judged = allWidths ? widths[^1] : search;
        var chosen = scale ?? BandwidthReport.Choose([.. points.Where(point => point.Units == judged)], GreatestNorm).Scale;
        if (!allWidths || !grid.Contains(chosen))
        {
            points.RemoveAll(point => point.Scale == chosen);
            points.AddRange(Measure(chosen, [.. widths.Append(search).Distinct().Order()]));
        }

        return new([.. points.OrderBy(point => point.Scale).ThenBy(point => point.Units)], chosen);
    }

    public void Dispose()
    {
        _train.Dispose();
        _held.Dispose();
    }

    private List<BandwidthPoint> Measure(double scale, int[] widths)
    {
        _run.CheckCancelled();
        var points = new List<BandwidthPoint>();
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var map = _layer.Map(scale, _run.Device, widths[^1]);
        var (h, held) = (map.Map(_train.Features), map.Map(_held.Rows > 0 ? _held.Features : _train.Features));
        using var all = new LeastSquaresSums(widths[^1], (int)_train.Targets.shape[1], _run.Device);
        all.Add(h, _train.Targets, _train.Weights);
        var (saturated, dead, size) = Shape(h);
        foreach (var width in widths)
        {
            using var some = width == widths[^1] ? null : all.Select([.. Enumerable.Range(0, width)]);
            using var ridge = RidgeReadout.Primal(some ?? all);
            var path = ridge.Path;
            var penalty = _penalty(path, size);
            using var readout = ridge.Solve(penalty);
            var (mean, error) = SquaredError(readout, held.narrow(1, 0, width), _held.Rows > 0 ? _held : _train);
            points.Add(new(
                scale, width, Math.Sqrt(path.ResidualSquares(penalty) / ridge.TotalWeight / _train.Outputs), Math.Sqrt(mean), error, path.CoefficientNorm(penalty),
                path.Rank, saturated, dead, path.LargestEigenvalue > 0 ? penalty / path.LargestEigenvalue : 0));
        }

        return points;
    }

    // The mean squared error of a value, and the standard error of that mean.
    private static (double Mean, double Error) SquaredError(LinearReadout readout, Tensor features, Part rows)
    {
        using var scope = NewDisposeScope();
        var difference = readout.Predict(features).sub(rows.Targets);
        var squares = difference.mul(difference).mean([1L]);
        var share = rows.Weights is { } w ? w.div(w.sum()) : ones(rows.Rows, ScalarType.Float64, squares.device).Times(1.0 / rows.Rows);
        var mean = squares.dot(share).cpu().item<double>();
        var spread = squares.Plus(-mean).mul(share);
        return (mean, Math.Sqrt(spread.mul(spread).sum().cpu().item<double>()));
    }

    // Shares of outputs at a bound and of units that never change, and the root of the mean square of all outputs.
    private (double Saturated, double Dead, double Size) Shape(Tensor h)
    {
        using var scope = NewDisposeScope();
        var far = _layer.Activation switch
        {
            Activation.Tanh => h.abs().IsAbove(1 - SaturationMargin),
            Activation.Sigmoid => h.Times(2).Plus(-1).abs().IsAbove(1 - SaturationMargin),
            Activation.Gaussian => h.neg().IsAbove(-SaturationMargin),
            _ => zeros_like(h, ScalarType.Bool),
        };
        var dead = h.std(0L, unbiased: false).neg().IsAbove(-DeadDeviation);
        return (Share(far), Share(dead), Math.Sqrt(h.mul(h).mean().cpu().item<float>()));

        static double Share(Tensor flags) => flags.to(ScalarType.Float32).mean().cpu().item<float>();
    }

    // At most so many rows as the sample has, evenly over all of them.
    private static Tensor Spread(long rows)
    {
        var count = Math.Min(rows, SampleRows);
        return tensor([.. Enumerable.Range(0, (int)count).Select(i => i * rows / count)]);
    }

    private sealed record Part(Tensor Features, Tensor Targets, Tensor? Weights) : IDisposable
    {
        public long Rows => Features.shape[0];

        public int Outputs => (int)Targets.shape[1];

        public static Part Of(TaskHead head, Device device, RowBlock rows, Tensor indexes)
        {
            using var scope = NewDisposeScope();
            var index = indexes.to(rows.Features.device);
            var labels = rows.Labels.index_select(0, index).to(device);
            return new(
                rows.Features.index_select(0, index).to(device).DetachFromDisposeScope(),
                ReadoutTargets.Of(head, labels).DetachFromDisposeScope(),
                rows.Weights?.index_select(0, index).to(device).to(ScalarType.Float64).DetachFromDisposeScope());
        }

        public void Dispose()
        {
            Features.Dispose();
            Targets.Dispose();
            Weights?.Dispose();
        }
    }
}
