using MlNetMlp.Convex;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Convex;

/// <summary>A small convex program with numbers of its own, in double precision.</summary>
internal sealed class ConvexProblem : IDisposable
{
    public ConvexProblem(
        int n = 17, int d = 3, int p = 6, int c = 2, ConvexReluLoss loss = ConvexReluLoss.Squared, double beta = 0.5, bool weighted = false, ulong seed = 1,
        bool smooth = false, bool hasConstantPattern = false)
    {
        X = Normal(seed, n, d);
        using (var ones = torch.ones(n, dtype: ScalarType.Float64))
            X[.., d - 1].copy_(ones);
        Gates = ConvexReluPatterns.Of(X, Normal(seed + 1, d, 4 * p), p);
        if (hasConstantPattern)
            Gates = ConvexReluPatterns.Distinct(cat([torch.ones(n, 1, ScalarType.Float64), Gates], 1), p);
        Targets = smooth ? X.mm(Normal(seed + 5, d, c)).sin() : Normal(seed + 2, n, c);
        if (loss != ConvexReluLoss.Squared)
            Targets = Targets.sign();
        Weights = weighted ? Normal(seed + 3, n).abs().Plus(0.2) : null;
        (Loss, Beta) = (ConvexReluLossFunction.Of(loss), beta);
        Program = new(X, Gates, Targets, Weights, Loss, beta, coneScale: 1);
    }

    public Tensor X { get; }

    public Tensor Gates { get; }

    public Tensor Targets { get; }

    public Tensor? Weights { get; }

    public ConvexReluLossFunction Loss { get; }

    public double Beta { get; }

    public ConvexReluProgram Program { get; }

    public static Tensor Normal(ulong seed, params long[] shape) => Support.TestData.Normal(seed, shape).to(ScalarType.Float64);

    /// <summary>Solves a program until nothing changes any more.</summary>
    public static ConvexReluAdmm Solve(
        ConvexReluProgram program, double rho = 1, double dualStep = 1, int most = 10_000, double tolerance = 1e-6, Tensor? initial = null)
    {
        // Operations are too small for more than one thread.
        using var threads = TorchThreads.Limit(1);
        using var step = new ConvexReluRowFactor(program);
        var admm = new ConvexReluAdmm(program, step, new(rho, dualStep, tolerance, tolerance), initial);
        while (!admm.Next().IsConverged && admm.Iterations < most)
        {
        }

        Assert.True(admm.Iterations < most, "not converged");
        return admm;
    }

    /// <summary>F and G, dense, on u in the order (feature, group, pattern), for one output.</summary>
    public (Tensor F, Tensor G) Dense()
    {
        var root = (Weights is null ? ones(X.shape[0], dtype: ScalarType.Float64) : Weights.sqrt()).unsqueeze(1);
        var (n, d, p) = (X.shape[0], X.shape[1], Gates.shape[1]);
        var signs = Gates.Times(2).Plus(-1);
        var f = zeros([n, d, 2, p], ScalarType.Float64);
        var g = zeros([n, 2, p, d, 2, p], ScalarType.Float64);
        for (var i = 0; i < p; i++)
        {
            var gated = X.mul(root).mul(Gates[.., i].unsqueeze(1));
            var signed = X.mul(root).mul(signs[.., i].unsqueeze(1));
            f[.., .., 0, i].copy_(gated);
            f[.., .., 1, i].copy_(gated.neg());
            for (var group = 0; group < 2; group++)
                g[.., group, i, .., group, i].copy_(signed);
        }

        return (f.view(n, -1), g.view(n * 2 * p, -1));
    }

    public void Dispose() => Program.Dispose();
}
