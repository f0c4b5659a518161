using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.RandomFeatures;

/// <summary>One fit of a <see cref="RandomFeatureNetwork"/>: a layer is drawn or taken over, and its readout solved for.</summary>
internal sealed class RandomFeatureNetworkFit(TrainingSet data, TaskHead head, TrainingRun run, RandomFeatureNetwork.Options options)
{
    private readonly ReadoutFit _readouts = new(data, head, run, options);

    public Network Run()
    {
        using var earlier = EarlierSums(out var layer);
        using var sample = data.Sample(BandwidthSweep.SampleRows);
        var scale = 1.0;
        if (layer is null)
            (layer, scale) = DrawLayer(sample);
        using var map = layer.Map(scale, run.Device);
        var rows = new FeatureRows(data, head, run, map);
        var solution = _readouts.Solve(rows, sample, earlier, options.L1 > 0 ? SparseUnits : null);
        using var readout = solution.Readout;
        if (_readouts.Kept is { } kept)
            layer = layer.Select(kept);
        if (_readouts.NeedsCalibration)
        {
            using var left = layer.Map(scale, run.Device);
            _readouts.Calibrate(new FeatureRows(data, head, run, left), readout);
        }

        var network = Build(layer, scale, readout);
        _readouts.Finish(network, solution, $"{layer.Units} units");
        return network;
    }

    /// <summary>The scales that are tried.</summary>
    internal static IReadOnlyList<double> Grid(RandomFeatureNetwork.Options options)
    {
        var steps = options.ScaleGridSize;

        // Powers of two, so that doubled scales are exactly that.
        var octaves = Math.Log2(options.LargestScale / options.SmallestScale);
        return [.. Enumerable.Range(0, steps).Select(i => options.SmallestScale * Math.Pow(2, steps == 1 ? 0 : octaves * i / (steps - 1)))];
    }

    private (RandomLayer Layer, double Scale) DrawLayer(RowBlock sample)
    {
        var layer = RandomLayer.Draw(options, options.HiddenUnits, data.Statistics, sample.Features, run.Random.Weights);
        var given = options.WeightScale ?? RandomLayer.FixedScale(options);
        if (given is { } scale && !options.Diagnose)
            return (layer, scale);
        using var sweep = new BandwidthSweep(head, run, sample, layer, (ridge, rows) => ReadoutSolver.Choose(ReadoutFit.Settings(options), ridge, rows));
        var report = sweep.Run(RandomLayer.FixedScale(options) is { } only ? [only] : Grid(options), given, allWidths: false);
        run.KeepDiagnostics(report);
        run.Log($"The weight scale is {report.Scale:G4}{(given is null ? $", the smallest of {options.ScaleGridSize} whose error is within one standard error of the least" : "")}.");
        foreach (var finding in report.Findings)
            run.Log(finding);
        return (layer, report.Scale);
    }

    // The lasso chooses the units; ridge regression on them then undoes its shrinkage.
    private int[] SparseUnits(LeastSquaresSums sums)
    {
        using var scope = NewDisposeScope();
        using var centered = sums.Center();
        var penalty = options.L1 * GroupLasso.LeastEmptyPenalty(centered.Moments);
        var (coefficients, result) = GroupLasso.Solve(
            centered.Gram, centered.Moments, centered.LabelSquares.Sum(), penalty, settings: new() { GapTolerance = 1e-5, MaxIterations = 20_000 });
        var norms = coefficients.Norms([1]).cpu().data<double>().ToArray();
        int[] kept = [.. Enumerable.Range(0, norms.Length).Where(unit => norms[unit] > 0)];
        run.Log($"{kept.Length} of {norms.Length} units are left by the penalty 'L1' after {result.Iterations} steps.");
        return kept.Length > 0 ? kept : [Array.IndexOf(norms, norms.Max())];
    }

    private Network Build(RandomLayer layer, double scale, LinearReadout readout)
    {
        var (weight, bias) = layer.At(scale);
        using var columns = readout.Coefficients.t();
        var builder = new HiddenLayerBuilder(layer.Inputs, layer.Units, layer.Activation, new double[head.Outputs], 1, layer.Standardization);
        builder.Add(new(weight, bias, TensorMemory.ToFloats(columns), TensorMemory.ToFloats(readout.Intercept)), 1);
        return builder.Build(1);
    }

    private LeastSquaresSums? EarlierSums(out RandomLayer? layer)
    {
        layer = null;
        if (run.Initial is not { } initial)
            return null;
        layer = RandomLayer.From(initial);
        var sums = _readouts.EarlierSums(layer?.Units);
        if (layer is not null && layer.Activation != options.Activation.ToActivation())
            throw new InvalidOperationException($"The option 'InitialModel' holds units of {layer.Activation}, but the option 'Activation' is {options.Activation}.");
        return sums;
    }
}
