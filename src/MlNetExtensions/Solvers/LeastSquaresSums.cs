using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Solvers;

/// <summary>
/// All that least squares has to know of rows, however many there are: the weighted sums of products of features h, labels y and 1 with each
/// other, in double precision. Sums of parts of the rows add up to those of all rows, so that a fit can go on when more rows come.
/// </summary>
/// <remarks>
/// The sums are one symmetric matrix ZᵀZ of Z = √w·[H | Y | 1], of which blocks of rows fill the upper part in panels of columns. Memory is
/// that of the matrix and of one slice of rows.
/// </remarks>
public sealed class LeastSquaresSums : IDisposable
{
    // Columns whose products are computed at once: narrower panels save more of the symmetric half, wider ones multiply faster, and multiples
    // of 24 fill the registers of the usual kernels.
    private const int PanelColumns = 96;
    private const int SliceElements = 1 << 20;

    private readonly Tensor _sums;
    private readonly Device _device;
    private Tensor? _slice;

    /// <summary>Starts with no rows.</summary>
    /// <param name="features">M, number of features, at least 1.</param>
    /// <param name="outputs">K, number of labels of a row, at least 1.</param>
    /// <param name="device">Where products are computed; null for the CPU.</param>
    public LeastSquaresSums(int features, int outputs, Device? device = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(features, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, 1);
        (Features, Outputs, _device) = (features, outputs, device ?? CPU);
        _sums = zeros(Width, Width, ScalarType.Float64, _device).DetachFromDisposeScope();
    }

    /// <summary>M, number of features.</summary>
    public int Features { get; }

    /// <summary>K, number of labels of a row.</summary>
    public int Outputs { get; }

    /// <summary>N, number of rows so far.</summary>
    public long Rows { get; private set; }

    private int Width => Features + Outputs + 1;

    /// <summary>Number of values that <see cref="ToArray"/> gives for so many features and outputs: (M + K + 1)(M + K + 2)/2.</summary>
    /// <param name="features">M.</param>
    /// <param name="outputs">K.</param>
    /// <returns>The number; a file takes 8 bytes for each.</returns>
    public static long PackedLength(int features, int outputs) => (features + outputs + 1L) * (features + outputs + 2L) / 2;

    /// <summary>Takes sums that <see cref="ToArray"/> gave.</summary>
    /// <param name="features">M.</param>
    /// <param name="outputs">K.</param>
    /// <param name="rows">N.</param>
    /// <param name="packed">The values.</param>
    /// <param name="device">Where products are computed; null for the CPU.</param>
    /// <returns>The sums.</returns>
    /// <exception cref="ArgumentException">There are more or fewer values than such sums have.</exception>
    public static LeastSquaresSums FromArray(int features, int outputs, long rows, ReadOnlySpan<double> packed, Device? device = null)
    {
        if (packed.Length != PackedLength(features, outputs))
            throw new ArgumentException($"Sums of {features} features and {outputs} outputs have {PackedLength(features, outputs)} values, not {packed.Length}.", nameof(packed));
        var sums = new LeastSquaresSums(features, outputs, device) { Rows = rows };
        for (var row = 0; row < sums.Width; row++)
        {
            var length = sums.Width - row;
            using var values = tensor(packed[..length].ToArray());
            using var target = sums._sums[row].narrow(0, row, length);
            target.copy_(values);
            packed = packed[length..];
        }

        return sums;
    }

    /// <summary>Takes rows in.</summary>
    /// <param name="features">H, Float32 or Float64 [rows, M], on any device.</param>
    /// <param name="labels">Y [rows, K].</param>
    /// <param name="weights">w [rows], at least 0; null for 1.</param>
    public void Add(Tensor features, Tensor labels, Tensor? weights = null)
    {
        ArgumentNullException.ThrowIfNull(features);
        ArgumentNullException.ThrowIfNull(labels);
        if (features.dim() != 2 || features.shape[1] != Features || labels.dim() != 2 || labels.shape[1] != Outputs || labels.shape[0] != features.shape[0])
        {
            throw new ArgumentException(
                $"Features [{string.Join(", ", features.shape)}] and labels [{string.Join(", ", labels.shape)}] are not [rows, {Features}] and [rows, {Outputs}].", nameof(features));
        }

        using var noGradient = no_grad();
        var rows = features.shape[0];
        var most = Math.Clamp(SliceElements / Width, 64, 8192);
        for (long start = 0; start < rows; start += most)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(most, rows - start);
            AddSlice(features.narrow(0, start, count), labels.narrow(0, start, count), weights?.narrow(0, start, count), most);
        }

        Rows += rows;
    }

    /// <summary>Takes in the rows of other sums of the same features and outputs.</summary>
    /// <param name="other">The other sums, which stay as they are.</param>
    public void Add(LeastSquaresSums other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if ((other.Features, other.Outputs) != (Features, Outputs))
            throw new ArgumentException($"Sums of {other.Features} features and {other.Outputs} outputs are not of {Features} and {Outputs}.", nameof(other));
        using var theirs = other._sums.to(_device);
        _sums.AddScaled(theirs);
        Rows += other.Rows;
    }

    /// <summary>
    /// The sums about the means: what remains of least squares when an intercept, which no penalty touches, has been solved for.
    /// </summary>
    /// <returns>The sums; the caller owns them.</returns>
    /// <exception cref="InvalidOperationException">There are no rows, or all of weight 0.</exception>
    public CenteredSums Center()
    {
        using var scope = NewDisposeScope();
        var last = _sums.narrow(1, Width - 1, 1);                                     // Σ w·z
        var weight = last[Width - 1, 0].cpu().item<double>();
        if (!(weight > 0))
            throw new InvalidOperationException("There are no rows of positive weight to sum over.");
        var means = last.Times(1 / weight);
        var all = _sums.triu();
        all.AddScaled(_sums.triu(1).t());
        all.AddScaled(means.mm(means.t()), -weight);
        var moments = all.narrow(0, 0, Features).narrow(1, Features, Outputs).clone();
        var squares = all.diagonal().narrow(0, Features, Outputs).cpu().data<double>().ToArray();
        return new(
            all.narrow(0, 0, Features).narrow(1, 0, Features).contiguous().MoveToOuterDisposeScope(),
            moments.MoveToOuterDisposeScope(),
            means.narrow(0, 0, Features).flatten().MoveToOuterDisposeScope(),
            means.narrow(0, Features, Outputs).flatten().MoveToOuterDisposeScope(),
            [.. squares.Select(square => Math.Max(0, square))],
            weight,
            Rows);
    }

    /// <summary>The sums of some of the features.</summary>
    /// <param name="features">Indexes of the features, at least one.</param>
    /// <returns>Other sums, of the same rows.</returns>
    public LeastSquaresSums Select(IReadOnlyList<int> features)
    {
        ArgumentNullException.ThrowIfNull(features);
        using var scope = NewDisposeScope();
        var all = _sums.triu();
        all.AddScaled(_sums.triu(1).t());
        var kept = tensor([.. features.Select(index => (long)index), .. Enumerable.Range(Features, Outputs + 1).Select(index => (long)index)], device: _device);
        var part = new LeastSquaresSums(features.Count, Outputs, _device) { Rows = Rows };
        part._sums.copy_(all.index_select(0, kept).index_select(1, kept));
        return part;
    }

    /// <summary>The sums as numbers, the upper triangle of their matrix row after row.</summary>
    /// <returns>So many values as <see cref="PackedLength"/> says.</returns>
    public double[] ToArray()
    {
        var packed = new double[PackedLength(Features, Outputs)];
        var place = 0;
        for (var row = 0; row < Width; row++)
        {
            using var scope = NewDisposeScope();
            _sums[row].narrow(0, row, Width - row).cpu().data<double>().ToArray().CopyTo(packed, place);
            place += Width - row;
        }

        return packed;
    }

    /// <summary>Releases the sums.</summary>
    public void Dispose()
    {
        _sums.Dispose();
        _slice?.Dispose();
    }

    private void AddSlice(Tensor features, Tensor labels, Tensor? weights, long capacity)
    {
        // One buffer for all slices: fresh memory of this size costs as much as a third of the products. Rows begin at whole cache lines, but not
        // at a high power of two from each other, where they would push each other out of the cache.
        var stride = (Width + 7) / 8 * 8;
        _slice ??= empty(capacity, stride % 64 == 0 ? stride + 8 : stride, ScalarType.Float64, _device).DetachFromDisposeScope();
        var z = _slice.narrow(0, 0, features.shape[0]).narrow(1, 0, Width);
        z.narrow(1, 0, Features).copy_(features);
        z.narrow(1, Features, Outputs).copy_(labels);
        z.narrow(1, Width - 1, 1).copy_(ones(1, ScalarType.Float64, _device));
        if (weights is not null)
            z.mul_(weights.to(ScalarType.Float64).to(_device).sqrt().unsqueeze(1));
        for (var column = 0; column < Width; column += PanelColumns)
        {
            using var scope = NewDisposeScope();
            var (width, height) = (Math.Min(PanelColumns, Width - column), Math.Min(column + PanelColumns, Width));
            _sums.narrow(0, 0, height).narrow(1, column, width).addmm_(z.narrow(1, 0, height).t(), z.narrow(1, column, width), 1, 1);
        }
    }
}

/// <summary>Sums of products about the means, as <see cref="LeastSquaresSums.Center"/> gives them. Tensors are Float64.</summary>
/// <param name="Gram">Σ w·(h − h̄)(h − h̄)ᵀ [M, M], symmetric.</param>
/// <param name="Moments">Σ w·(h − h̄)(y − ȳ)ᵀ [M, K].</param>
/// <param name="FeatureMeans">h̄ [M].</param>
/// <param name="LabelMeans">ȳ [K].</param>
/// <param name="LabelSquares">Σ w·(y − ȳ)² [K].</param>
/// <param name="Weight">Σ w.</param>
/// <param name="Rows">N, number of rows.</param>
public sealed record CenteredSums(
    Tensor Gram, Tensor Moments, Tensor FeatureMeans, Tensor LabelMeans, IReadOnlyList<double> LabelSquares, double Weight, long Rows) : IDisposable
{
    /// <summary>Ridge regression for one penalty, by Cholesky: for one penalty quicker than a <see cref="RidgePath"/>.</summary>
    /// <param name="penalty">α, at least 0.</param>
    /// <returns>C, Float64 [M, K], which the caller owns; null where the matrix is too near a singular one.</returns>
    public Tensor? Solve(double penalty)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(penalty);
        using var scope = NewDisposeScope();
        var matrix = Gram.clone();
        matrix.diagonal().Shift(penalty);
        var (factor, info) = linalg.cholesky_ex(matrix);
        return info.cpu().item<int>() == 0 ? cholesky_solve(Moments, factor).MoveToOuterDisposeScope() : null;
    }

    /// <summary>The intercept that goes with coefficients: ȳ − Cᵀh̄.</summary>
    /// <param name="coefficients">C [M, K].</param>
    /// <returns>Float64 [K]; the caller owns it.</returns>
    public Tensor Intercept(Tensor coefficients)
    {
        ArgumentNullException.ThrowIfNull(coefficients);
        using var fitted = coefficients.t().mv(FeatureMeans);
        return LabelMeans.sub(fitted);
    }

    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        Gram.Dispose();
        Moments.Dispose();
        FeatureMeans.Dispose();
        LabelMeans.Dispose();
    }
}
