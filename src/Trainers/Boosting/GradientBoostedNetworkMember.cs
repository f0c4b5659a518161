using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace MlNetMlp.Boosting;

/// <summary>What the members of a fit have in common.</summary>
/// <param name="Data">The rows.</param>
/// <param name="Inputs">Width of what a step sees: D, or 2·D where it sees a map of each feature too.</param>
/// <param name="HeldFeatures">What a step sees of the rows that the user holds out [rows, inputs], or null.</param>
/// <param name="Outputs">K.</param>
/// <param name="Labels">Labels as the seam gives them, on the device.</param>
/// <param name="Weights">Example weights [N], or null.</param>
/// <param name="Loss">The loss.</param>
/// <param name="SampleRows">Rows that are drawn for a step; N where it is fitted to all that its member does not hold out.</param>
/// <param name="Options">The options.</param>
/// <param name="Run">The fit.</param>
internal sealed record BoostingProblem(
    TrainingSet Data, int Inputs, Tensor? HeldFeatures, int Outputs, Tensor Labels, Tensor? Weights, BoostingLoss Loss, long SampleRows, GradientBoostedNetwork.Options Options, TrainingRun Run)
{
    /// <summary>Whether each step is fitted to all rows.</summary>
    public bool TakesAllRows => SampleRows == Data.RowCount;
}

/// <summary>One boosted sum of a <see cref="GradientBoostedNetwork"/>, with random numbers of its own: F and its residuals stay in memory.</summary>
/// <param name="problem">What all members have in common.</param>
/// <param name="step">What fits h_t; the member owns it.</param>
/// <param name="f">F [N, K] to start from; the member owns it.</param>
/// <param name="heldF">F of the rows that the user holds out, or null; the member owns it.</param>
/// <param name="heldOut">Rows that this member alone holds out, ascending.</param>
/// <param name="index">Number of the member. The first has the streams of the fit, so that one member alone is the method of the paper.</param>
internal sealed class GradientBoostedNetworkMember(BoostingProblem problem, HiddenLayerLeastSquares step, Tensor f, Tensor? heldF, long[] heldOut, int index) : IDisposable
{
    private const double LeastResidual = 1e-12;
    private const double AdamRate = 0.05;

    private readonly RandomStreams? _ownRandom = index == 0
        ? null
        : new(unchecked((int)RandomStreams.Hash((ulong)problem.Run.Random.Seed, (ulong)index)), problem.Run.Device);

    private readonly Tensor? _heldRows = heldOut.Length > 0 ? tensor(heldOut).to(problem.Run.Device).DetachFromDisposeScope() : null;
    private readonly Tensor? _weights = Weights(problem, heldOut);
    private readonly List<Tensor> _parts = [];
    private Tensor? _residuals;
    private Tensor? _heldH;
    private readonly Tensor? _sample = problem.TakesAllRows ? null : empty(problem.SampleRows, ScalarType.Int64).DetachFromDisposeScope();
    private long _place;

    /// <summary>F [N, K].</summary>
    public Tensor F => f;

    /// <summary>F of the rows that the user holds out, or null.</summary>
    public Tensor? HeldF => heldF;

    /// <summary>Indices of the rows that this member holds out, or null.</summary>
    public Tensor? HeldRows => _heldRows;

    /// <summary>Whether there are no residuals to fit any more.</summary>
    public bool HasVanished { get; private set; }

    /// <summary>η·ρ_t; null where nothing was left to learn, and F stays.</summary>
    public double? StepSize { get; private set; }

    /// <summary>h_t.</summary>
    public HiddenLayerStep Step => step.ToStep();

    private RandomStreams Random => _ownRandom ?? problem.Run.Random;

    private LbfgsSettings Settings => new()
    {
        MaxIterations = problem.Options.StepIterations,
        MaxEvaluations = 3 * problem.Options.StepIterations,
        GradientTolerance = problem.Options.Tolerance,
        RelativeTolerance = 0,
    };

    /// <summary>Chooses the rows of the next step.</summary>
    public void DrawSample()
    {
        if (_sample is null)
            return;
        Random.ChooseRows(problem.Data.RowCount, heldOut, TensorMemory.Longs(_sample));
        _place = 0;
    }

    /// <summary>Takes those of a block of rows that the next step is fitted to.</summary>
    /// <param name="start">Index of the first row of the block.</param>
    /// <param name="features">Features [m, D].</param>
    /// <param name="predict">Whether h_t of the rows is kept for <see cref="Advance"/>.</param>
    public void Take(long start, Tensor features, bool predict)
    {
        using var scope = NewDisposeScope();
        if (predict && !HasVanished)
            _parts.Add(step.Predict(features).DetachFromDisposeScope());
        if (_sample is null)
        {
            step.PutRows(start, features);
            return;
        }

        var chosen = TensorMemory.Longs(_sample);
        var (first, end) = (_place, start + features.shape[0]);
        while (_place < chosen.Length && chosen[(int)_place] < end)
            _place++;
        if (_place == first)
            return;
        var places = empty(_place - first, ScalarType.Int64);
        TensorPrimitives.Subtract(chosen[(int)first..(int)_place], start, TensorMemory.Longs(places));
        step.PutRows(first, features.index_select(0, places.to(problem.Run.Device)));
    }

    /// <summary>Fits h_t to the residuals of the sample, and draws the sample of the next step.</summary>
    public void Solve()
    {
        using var scope = NewDisposeScope();
        Forget();
        _residuals = problem.Loss.Residuals(problem.Labels, f).DetachFromDisposeScope();    // R = −∂L/∂F: [N, K]
        var meanSquare = MeanSquare(_residuals, _weights);
        HasVanished = meanSquare < LeastResidual;
        if (HasVanished)
            return;
        Fit(_residuals, meanSquare);
        _heldH = problem.HeldFeatures is { } held ? step.Predict(held).DetachFromDisposeScope() : null;
        DrawSample();
    }

    /// <summary>Adds η·ρ_t·h_t to F.</summary>
    public void Advance()
    {
        using var scope = NewDisposeScope();
        StepSize = null;
        if (HasVanished)
            return;
        var h = problem.TakesAllRows ? step.PredictRows() : cat(_parts);                    // h_t(X): [N, K]
        StepSize = problem.Options.LearningRate * problem.Loss.StepSize(_residuals!, h, _weights);
        if (StepSize is not { } rho)
            return;
        f.AddScaled(h, rho);
        if (_heldH is not null)
            heldF!.AddScaled(_heldH, rho);
    }

    public void Dispose()
    {
        Forget();
        step.Dispose();
        f.Dispose();
        heldF?.Dispose();
        _heldRows?.Dispose();
        _weights?.Dispose();
        _sample?.Dispose();
        _ownRandom?.Dispose();
    }

    /// <summary>Example weights [N], 0 for rows held out; null where all are 1.</summary>
    private static Tensor? Weights(BoostingProblem problem, long[] heldOut)
    {
        using var scope = NewDisposeScope();
        if (heldOut.Length == 0)
            return problem.Weights?.alias().DetachFromDisposeScope();
        var weights = problem.Weights?.clone() ?? ones(problem.Data.RowCount, device: problem.Run.Device);
        var rows = tensor(heldOut).to(problem.Run.Device);
        return weights.index_copy_(0, rows, zeros_like(rows, dtype: weights.dtype)).DetachFromDisposeScope();
    }

    private void Fit(Tensor residuals, float meanSquare)
    {
        var (targets, weights) = (residuals, _weights);
        if (_sample is not null)
        {
            var chosen = _sample.to(problem.Run.Device);
            (targets, weights) = (residuals.index_select(0, chosen), _weights?.index_select(0, chosen));
            meanSquare = MeanSquare(targets, weights);
        }

        step.SetTargets(targets, weights);
        Initialize(step.Parameters);
        var loss = problem.Options.Solver == GradientBoostedNetworkSolver.Adam
            ? step.Descend(AdamRate, problem.Options.StepIterations, problem.Options.Tolerance, problem.Run.CheckCancelled)
            : step.Minimize(Settings, problem.Run.CheckCancelled).Value;

        // NOTE[DIFF]: the original takes whatever comes of a fit. One that is no better than h = 0 is solved again for C and c, which are
        // linear: then no step with ρ ≤ 1 can raise a squared training loss.
        if (!(loss < meanSquare / 2))
            step.SolveOutputs();
    }

    private static float MeanSquare(Tensor rows, Tensor? weights)
    {
        using var scope = NewDisposeScope();
        var squares = rows.mul(rows).sum(1);
        return (weights is null ? squares.mean() : squares.mul(weights).sum().div(weights.sum())).cpu().item<float>();
    }

    /// <summary>U(−√(f/(inputs + outputs)), √(f/(inputs + outputs))) for weights and biases of both layers.</summary>
    private void Initialize(double[] parameters)
    {
        var factor = problem.Options.Activation == GradientBoostedNetworkActivation.Logistic ? 2.0 : 6.0;
        var (d, j, k) = (problem.Inputs, problem.Options.UnitsPerStep, problem.Outputs);
        var (hidden, output) = (Math.Sqrt(factor / (d + j)), Math.Sqrt(factor / (j + k)));
        using var uniform = empty(parameters.Length, ScalarType.Float64).uniform_(-1, 1, Random.Weights);
        uniform.data<double>().CopyTo(parameters);
        for (var i = 0; i < parameters.Length; i++)
            parameters[i] *= i < (d + 1) * j ? hidden : output;
    }

    private void Forget()
    {
        _residuals?.Dispose();
        _heldH?.Dispose();
        _parts.ForEach(part => part.Dispose());
        _parts.Clear();
        (_residuals, _heldH) = (null, null);
    }
}
