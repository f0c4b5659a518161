using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.RandomFeatures;

/// <summary>How well a strength of the bias did.</summary>
/// <param name="Strength">c.</param>
/// <param name="Error">
/// Root of the mean squared error of rows left out, one at a time, in standard deviations of the labels; for classification, of targets −1 and 1,
/// or 0 and 1 for each class.
/// </param>
public sealed record AttentionBiasPoint(double Strength, double Error);

/// <summary>Which strengths of the bias were tried: <see cref="RandomFeatureAttention.GetDiagnostics"/>.</summary>
/// <param name="Points">The table, by strength.</param>
/// <param name="Strength">c, the one that was chosen.</param>
public sealed record AttentionBiasReport(IReadOnlyList<AttentionBiasPoint> Points, double Strength)
{
    /// <inheritdoc/>
    public bool Equals(AttentionBiasReport? other) => other is not null && Strength == other.Strength && Points.SequenceEqual(other.Points);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Strength, Points.Count);
}

/// <summary>One fit of a <see cref="RandomFeatureAttention"/>: heads are drawn or taken over, and their readout solved for.</summary>
internal sealed class RandomFeatureAttentionFit(TrainingSet data, TaskHead head, TrainingRun run, RandomFeatureAttention.Options options)
{
    private const int SearchRows = 1000;
    private const int SearchHeads = 300;
    private const int SearchElements = 1 << 21;
    private const int MostSampleRows = 5000;
    private const int SampleElements = 1 << 25;
    private const int MostBoundFeatures = 8192;

    private static readonly double[] Strengths = [0, 1, 2, 4, 8];

    private readonly ReadoutFit _readouts = new(data, head, run, options);

    public Network Run()
    {
        var features = AttentionHeads.Define(options, data.Sets, data.FeatureCount);
        using var earlier = run.Initial is { } initial ? _readouts.EarlierSums(Check(initial, features).Features) : null;
        using var weight = Weight(features);
        var rows = new FeatureRows(data, head, run, new AttentionMap(features, weight));
        using var sample = data.Sample(Math.Clamp(SampleElements / features.Features, Math.Min(500, MostSampleRows), MostSampleRows));
        var solution = Bound(_readouts.Solve(rows, sample, earlier), rows, earlier, features.Width);
        using var readout = solution.Readout;
        if (_readouts.NeedsCalibration)
            _readouts.Calibrate(rows, readout);
        var network = Build(features, weight, readout);
        _readouts.Finish(network, solution, $"{features.Heads} heads");
        return network;
    }

    private static RandomAttentionDefinition Check(Network initial, RandomAttentionDefinition features)
    {
        var earlier = (RandomAttentionDefinition)initial.Definition;
        return earlier with { Inputs = features.Inputs, Outputs = features.Outputs, HasReadout = false } == features
            ? features
            : throw new InvalidOperationException($"The option 'InitialModel' holds other heads than the options ask for: {earlier} is not {features}.");
    }

    private Tensor Weight(RandomAttentionDefinition features)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        if (run.Initial is { } initial)
            return initial.state_dict()["heads.weight"].to(run.Device, copy: true).DetachFromDisposeScope();
        using var heads = AttentionHeads.Draw(options, features, run.Random.Weights);
        var strength = options.BiasStrength ?? (options.Bias == AttentionBias.Zero ? 0 : ChooseStrength(features, heads));
        return heads.At(strength).to(run.Device, copy: true).DetachFromDisposeScope();
    }

    // v_m is √M times less than what φ_m/√M is multiplied by.
    private ReadoutSolution Bound(ReadoutSolution solution, FeatureRows rows, LeastSquaresSums? earlier, int width)
    {
        var radius = options.MaxNorm * Math.Sqrt(options.Heads);
        if (options.MaxNorm == 0 || GroupBall.Norm(solution.Readout.Coefficients, width) <= radius)
            return solution;
        if (rows.Features > MostBoundFeatures)
            throw new InvalidOperationException($"The option 'MaxNorm' takes up to {MostBoundFeatures} features, but {options.Heads} heads of {width} are {rows.Features}.");
        using var scope = NewDisposeScope();
        using var ridge = solution.Readout;
        using var sums = rows.Sum();
        if (earlier is not null)
            sums.Add(earlier);
        using var centered = sums.Center();
        var gram = centered.Gram.clone();
        gram.diagonal().Shift(solution.Penalty ?? 0);
        var (coefficients, end) = GroupBall.Solve(
            gram, centered.Moments, centered.LabelSquares.Sum(), width, radius, ridge.Coefficients, new() { GapTolerance = 1e-6, MaxIterations = 5000 });
        run.Log($"The lengths are bounded by 'MaxNorm' after {end.Iterations} steps, {end.Gap:G2} of the label's variance from the best.");
        var explained = centered.Moments.Times(2).sub(centered.Gram.mm(coefficients)).mul(coefficients).sum().cpu().item<double>();
        return solution with
        {
            Readout = new(coefficients.MoveToOuterDisposeScope(), centered.Intercept(coefficients).MoveToOuterDisposeScope()),
            TrainingLoss = Math.Max(0, centered.LabelSquares.Sum() - explained) / centered.Weight / rows.Outputs,
        };
    }

    // Ridge regression on some rows and heads at each strength, judged by leaving out one row at a time.
    private double ChooseStrength(RandomAttentionDefinition features, AttentionHeads heads)
    {
        using var sample = data.Sample(SearchRows);
        using var scope = NewDisposeScope();
        var some = Math.Clamp(SearchElements / (features.Width * sample.Features.shape[0]), 1, Math.Min(SearchHeads, features.Heads));
        var part = features with { Heads = (int)some, Outputs = (int)some * features.Width };
        var x = sample.Features.cpu();
        var y = ReadoutTargets.Of(head, sample.Labels).cpu().to(ScalarType.Float64);
        var w = sample.Weights?.cpu().to(ScalarType.Float64);
        var points = new List<AttentionBiasPoint>();
        foreach (var strength in Strengths)
        {
            run.CheckCancelled();
            using var inner = NewDisposeScope();
            var h = AttentionMap.Compute(part, x, heads.At(strength).narrow(0, 0, some)).to(ScalarType.Float64);
            using var path = RidgePath.Dual(h.mm(h.t()), y, w);
            points.Add(new(strength, Math.Sqrt(LeastError(path, y, w))));
        }

        var best = points.MinBy(point => point.Error)!;
        run.KeepDiagnostics(new AttentionBiasReport(points, best.Strength));
        run.Log($"The bias strength is {best.Strength:G4}, with an error of {best.Error:G3} of rows left out; without a bias it is {points[0].Error:G3}.");
        return best.Strength;
    }

    private static double LeastError(RidgePath path, Tensor y, Tensor? weights)
    {
        var w = weights ?? ones(y.shape[0], ScalarType.Float64);
        var total = w.sum().item<double>();
        var share = w.Times(1 / total);
        var centered = y.sub(y.t().mv(share)).mul_(w.sqrt().unsqueeze(1));
        double[] penalties = path.LargestEigenvalue == 0 ? [1] : [.. path.Penalties];
        return path.LeaveOneOut(penalties, null, 0, centered, share).sum(0L).min().item<double>() / total;
    }

    private Network Build(RandomAttentionDefinition features, Tensor weight, LinearReadout readout)
    {
        using var scope = NewDisposeScope();
        var definition = features with { HasReadout = true, Outputs = head.Outputs };
        var network = definition.Build(CPU);
        network.WriteWeights(
        [
            NamedTensor.Of("heads.weight", TensorMemory.ToFloats(weight), definition.Heads, definition.Width, definition.Width),
            NamedTensor.Of("output.weight", TensorMemory.ToFloats(readout.Coefficients.t()), head.Outputs, definition.Features),
            NamedTensor.Of("output.bias", TensorMemory.ToFloats(readout.Intercept), head.Outputs),
        ]);
        network.eval();
        foreach (var tensor in network.parameters().Concat(network.buffers()))
            tensor.DetachFromDisposeScope();
        return network;
    }
}
