using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.RandomFeatures;

/// <summary>Tries scales and widths of a random layer on a few thousand rows: ridge regression, judged by leaving out one row at a time.</summary>
internal sealed class BandwidthSweep : IDisposable
{
    public const int SampleRows = 5000;

    private const int SearchUnits = 300;
    private const int WidestUnits = 2000;
    private const double SaturationMargin = 1e-3;
    private const double DeadDeviation = 1e-6;

    private readonly TrainingRun _run;
    private readonly RandomLayer _layer;
    private readonly Func<RidgeReadout, FeatureBlock, (double Penalty, double? Error, double? StandardError)> _choose;
    private readonly Tensor _features;
    private readonly Tensor _targets;
    private readonly Tensor _labels;
    private readonly Tensor? _weights;

    /// <summary>Takes the rows.</summary>
    /// <param name="head">The task.</param>
    /// <param name="run">The device.</param>
    /// <param name="sample">Rows drawn at random.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="choose">Chooses α, given the solutions and the rows, and tells the mean squared error of rows left out where it knows it.</param>
    public BandwidthSweep(
        TaskHead head, TrainingRun run, RowBlock sample, RandomLayer layer,
        Func<RidgeReadout, FeatureBlock, (double Penalty, double? Error, double? StandardError)> choose)
    {
        (_run, _layer, _choose) = (run, layer, choose);
        using var scope = NewDisposeScope();
        _features = sample.Features.to(run.Device, copy: true).DetachFromDisposeScope();
        _labels = sample.Labels.to(run.Device, copy: true).DetachFromDisposeScope();
        _targets = ReadoutTargets.Of(head, _labels).DetachFromDisposeScope();
        _weights = sample.Weights?.to(run.Device).to(ScalarType.Float64, copy: true).DetachFromDisposeScope();
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
        var chosen = scale ?? BandwidthReport.Choose([.. points.Where(point => point.Units == judged)], ReadoutSolver.GreatestNorm).Scale;
        if (!allWidths || !grid.Contains(chosen))
        {
            points.RemoveAll(point => point.Scale == chosen);
            points.AddRange(Measure(chosen, [.. widths.Append(search).Distinct().Order()]));
        }

        return new([.. points.OrderBy(point => point.Scale).ThenBy(point => point.Units)], chosen);
    }

    public void Dispose()
    {
        _features.Dispose();
        _labels.Dispose();
        _targets.Dispose();
        _weights?.Dispose();
    }

    private List<BandwidthPoint> Measure(double scale, int[] widths)
    {
        _run.CheckCancelled();
        var points = new List<BandwidthPoint>();
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var map = _layer.Map(scale, _run.Device, widths[^1]);
        var h = map.Map(_features);
        using var all = new LeastSquaresSums(widths[^1], (int)_targets.shape[1], _run.Device);
        all.Add(h, _targets, _weights);
        var (saturated, dead) = Shape(h);
        foreach (var width in widths)
        {
            _run.CheckCancelled();
            using var inner = NewDisposeScope();
            using var some = width == widths[^1] ? null : all.Select([.. Enumerable.Range(0, width)]);
            using var ridge = RidgeReadout.Primal(some ?? all);
            using var rows = new FeatureBlock(h.narrow(1, 0, width), _targets.alias(), _labels.alias(), _weights?.alias());
            var (path, (penalty, known, spread)) = (ridge.Path, _choose(ridge, rows));
            var (mean, error) = known is { } m && spread is { } e ? (m, e) : ridge.LeaveOneOut(rows, [penalty]).Select(point => (point.Mean, point.StandardError)).Single();
            points.Add(new(
                scale, width, Math.Sqrt(path.ResidualSquares(penalty) / ridge.TotalWeight / _targets.shape[1]), Math.Sqrt(mean), error, path.CoefficientNorm(penalty),
                path.Rank, saturated, dead, path.LargestEigenvalue > 0 ? penalty / path.LargestEigenvalue : 0));
        }

        return points;
    }

    // Shares of outputs at a bound and of units that never change.
    private (double Saturated, double Dead) Shape(Tensor h)
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
        return (Share(far), Share(dead));

        static double Share(Tensor flags) => flags.to(ScalarType.Float32).mean().cpu().item<float>();
    }
}
