using MlNetMlp.Data;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// Ridge regression of targets on the features of all training rows, with an intercept that no penalty touches: solved at once for any
/// penalty.
/// </summary>
public abstract class RidgeReadout : IDisposable
{
    private const int ChunkElements = 1 << 19;

    private const int LeastChunkRows = 64;

    private protected RidgeReadout(RidgePath path) => Path = path;

    /// <summary>Residuals, degrees of freedom and cross-validation for every penalty.</summary>
    public RidgePath Path { get; }

    /// <summary>Prepares the solution from sums of products; its cost is M³.</summary>
    /// <param name="sums">The sums, which stay as they are.</param>
    /// <returns>The regression; the caller owns it.</returns>
    public static RidgeReadout Primal(LeastSquaresSums sums)
    {
        ArgumentNullException.ThrowIfNull(sums);
        return new PrimalRidge(sums.Center());
    }

    /// <summary>
    /// Prepares the solution from the products of rows with each other, for fewer rows than features: its cost is N³, and features are made a
    /// few at a time, so that memory is N² and not N·M.
    /// </summary>
    /// <param name="rows">The rows, which have to fit the memory.</param>
    /// <returns>The regression; the caller owns it.</returns>
    public static RidgeReadout Dual(FeatureRows rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return DualRidge.Of(rows);
    }

    /// <summary>Σ w, the weight of all rows.</summary>
    public abstract double TotalWeight { get; }

    /// <summary>Solves for one penalty.</summary>
    /// <param name="penalty">α, at least 0; at 0 the solution of least norm.</param>
    /// <returns>The readout; the caller owns it.</returns>
    public abstract LinearReadout Solve(double penalty);

    /// <summary>Chooses the penalty with the least error of rows when each alone is left out.</summary>
    /// <param name="sample">Some of the rows that were fitted to, drawn at random; <see cref="Dual"/> takes all rows in their place.</param>
    /// <param name="featureNoise">Deviation of the error that each feature of a new row is computed with: it adds (featureNoise·‖C‖)² to the squared error.</param>
    /// <param name="greatestNorm">Penalties with a greater ‖C‖ are refused, unless all have.</param>
    /// <returns>α, the mean squared error of rows left out, and the standard error of that mean.</returns>
    public (double Penalty, double Mean, double StandardError) LeastError(
        FeatureBlock sample, double featureNoise = 0, double greatestNorm = double.PositiveInfinity)
    {
        ArgumentNullException.ThrowIfNull(sample);
        var outputs = sample.Targets.shape[1];
        return LeaveOneOut(sample, Path.LargestEigenvalue == 0 ? [1.0] : Path.Allowed(greatestNorm))
            .MinBy(point => point.Mean + (Math.Pow(featureNoise * Path.CoefficientNorm(point.Penalty), 2) / outputs));
    }

    /// <summary>The mean squared error of rows when each alone is left out, and the standard error of that mean, for each penalty.</summary>
    /// <param name="sample">Some of the rows that were fitted to; <see cref="Dual"/> takes all rows in their place.</param>
    /// <param name="penalties">α, each above 0.</param>
    /// <returns>The errors, in the order of the penalties.</returns>
    public IReadOnlyList<(double Penalty, double Mean, double StandardError)> LeaveOneOut(FeatureBlock sample, IEnumerable<double> penalties)
    {
        ArgumentNullException.ThrowIfNull(sample);
        ArgumentNullException.ThrowIfNull(penalties);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var candidates = penalties.ToArray();
        var (sum, squares, products) = (new double[candidates.Length], new double[candidates.Length], new double[candidates.Length]);
        var (weight, weightSquares) = (0.0, 0.0);

        // A few rows at a time: fresh memory for large tensors costs more than what is done with it.
        var count = CountRows(sample);
        var most = (int)Math.Min(count, Math.Max(LeastChunkRows, ChunkElements / (Path.Size + (candidates.Length * sample.Targets.shape[1]))));
        for (long first = 0; first < count; first += most)
        {
            using var inner = NewDisposeScope();
            var (features, labels, weights) = Rows(sample, first, Math.Min(most, count - first));
            var errors = Path.LeaveOneOut(candidates, features, first, labels, weights.Times(1 / TotalWeight));
            Add(sum, errors.sum(0L));
            Add(squares, errors.mul(errors).sum(0L));
            Add(products, weights.unsqueeze(0).mm(errors).squeeze(0));
            weight += weights.sum().cpu().item<double>();
            weightSquares += weights.dot(weights).cpu().item<double>();
        }

        return
        [
            .. candidates.Select((penalty, i) =>
            {
                // Errors are weighted already: Σ (wᵢ·eᵢ² − wᵢ·mean)².
                var mean = sum[i] / weight;
                var spread = squares[i] - (2 * mean * products[i]) + (mean * mean * weightSquares);
                return (penalty, mean, Math.Sqrt(Math.Max(0, spread)) / weight);
            }),
        ];

        static void Add(double[] target, Tensor values)
        {
            var added = values.cpu().data<double>().ToArray();
            for (var i = 0; i < target.Length; i++)
                target[i] += added[i];
        }
    }

    /// <summary>Releases what was prepared.</summary>
    public void Dispose()
    {
        Path.Dispose();
        Release();
        GC.SuppressFinalize(this);
    }

    private protected abstract long CountRows(FeatureBlock sample);

    // Features, labels and weights of rows, the first two about their means and times the roots of the weights.
    private protected abstract (Tensor? Features, Tensor Labels, Tensor Weights) Rows(FeatureBlock sample, long first, long count);

    private protected abstract void Release();
}

internal sealed class PrimalRidge(CenteredSums sums) : RidgeReadout(RidgePath.Primal(sums))
{
    public override double TotalWeight => sums.Weight;

    public override LinearReadout Solve(double penalty)
    {
        var coefficients = Path.Solve(penalty);
        return new(coefficients, sums.Intercept(coefficients));
    }

    private protected override long CountRows(FeatureBlock sample) => sample.Features.shape[0];

    private protected override (Tensor? Features, Tensor Labels, Tensor Weights) Rows(FeatureBlock sample, long first, long count)
    {
        var weights = sample.Weights?.narrow(0, first, count) ?? ones(count, ScalarType.Float64, sample.Features.device);
        var roots = weights.sqrt().unsqueeze(1);
        return (Centered(sample.Features, sums.FeatureMeans), Centered(sample.Targets, sums.LabelMeans), weights);

        Tensor Centered(Tensor values, Tensor means) => values.narrow(0, first, count).to(ScalarType.Float64, copy: true).sub_(means).mul_(roots);
    }

    private protected override void Release() => sums.Dispose();
}

internal sealed class DualRidge : RidgeReadout
{
    private const int ChunkElements = 1 << 22;

    private readonly FeatureRows _rows;
    private readonly Tensor _features;
    private readonly Tensor _share;
    private readonly Tensor _labelMeans;
    private readonly Tensor _labels;
    private readonly Tensor _weights;

    private DualRidge(FeatureRows rows, Tensor features, Tensor labels, Tensor weights, RidgePath path)
        : base(path)
    {
        (_rows, _features) = (rows, features);
        TotalWeight = weights.sum().cpu().item<double>();
        _share = weights.Times(1 / TotalWeight).DetachFromDisposeScope();
        _labelMeans = labels.t().mv(_share).DetachFromDisposeScope();
        _labels = labels.sub(_labelMeans).mul_(weights.sqrt().unsqueeze(1)).DetachFromDisposeScope();
        _weights = weights.alias().DetachFromDisposeScope();
    }

    public static DualRidge Of(FeatureRows rows)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var all = rows.Data.All();
        var x = all.Features.to(rows.Run.Device, copy: true);
        var y = ReadoutTargets.Of(rows.Head, all.Labels).to(rows.Run.Device).to(ScalarType.Float64);
        var w = all.Weights is { } weights
            ? weights.to(rows.Run.Device).to(ScalarType.Float64).Times(rows.Data.MeanWeight)
            : ones(all.Rows, ScalarType.Float64, rows.Run.Device);
        var kernel = zeros(all.Rows, all.Rows, ScalarType.Float64, rows.Run.Device);
        foreach (var (_, features) in Chunks(rows, x))
            kernel.addmm_(features, features.t(), 1, 1);
        return new(rows, x.DetachFromDisposeScope(), y, w, RidgePath.Dual(kernel, y, w));
    }

    public override double TotalWeight { get; }

    public override LinearReadout Solve(double penalty)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var v = Path.Solve(penalty);
        var coefficients = empty(_rows.Features, v.shape[1], ScalarType.Float64, v.device);
        var intercept = _labelMeans.clone();
        foreach (var (first, features) in Chunks(_rows, _features))
        {
            var part = features.t().mm(v);
            coefficients.narrow(0, first, part.shape[0]).copy_(part);
            intercept.AddScaled(part.t().mv(features.t().mv(_share)), -1);
        }

        return new(coefficients.MoveToOuterDisposeScope(), intercept.MoveToOuterDisposeScope());
    }

    private protected override void Release()
    {
        _features.Dispose();
        _share.Dispose();
        _labelMeans.Dispose();
        _labels.Dispose();
        _weights.Dispose();
    }

    private protected override long CountRows(FeatureBlock sample) => _weights.shape[0];

    private protected override (Tensor? Features, Tensor Labels, Tensor Weights) Rows(FeatureBlock sample, long first, long count) =>
        (null, _labels.narrow(0, first, count), _weights.narrow(0, first, count));

    // The features of all rows, a few columns at a time, in double precision.
    private static IEnumerable<(int First, Tensor Features)> Chunks(FeatureRows rows, Tensor x)
    {
        var most = (int)Math.Max(16, ChunkElements / x.shape[0]);
        for (var first = 0; first < rows.Features; first += most)
        {
            rows.Run.CheckCancelled();
            using var part = rows.Map.Map(x, first, Math.Min(most, rows.Features - first)).DetachFromDisposeScope();
            using var doubles = part.to(ScalarType.Float64).DetachFromDisposeScope();
            yield return (first, doubles);
        }
    }
}
