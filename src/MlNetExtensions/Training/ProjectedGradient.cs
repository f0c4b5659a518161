using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>What the size of a perturbation is measured by.</summary>
public enum PerturbationNorm
{
    /// <summary>The length √Σδ².</summary>
    L2,

    /// <summary>The greatest |δ|.</summary>
    LInf,
}

/// <summary>
/// Moves rows to where a network's loss is greater, by projected gradient steps within a ball (Madry and others, "Towards Deep Learning Models Resistant to Adversarial Attacks", 2018).
/// </summary>
/// <param name="Norm">The norm of the ball.</param>
/// <param name="Steps">Number of steps, at least 1.</param>
/// <param name="RelativeStep">Length of a step relative to the radius.</param>
/// <param name="RandomStart">Whether it starts at a random point of the ball, and not at the row itself.</param>
/// <param name="Least">What no feature is lowered below, or null.</param>
/// <param name="Greatest">What no feature is raised above, or null.</param>
public sealed record ProjectedGradient(
    PerturbationNorm Norm, int Steps, double RelativeStep = 0.25, bool RandomStart = false, double? Least = null, double? Greatest = null)
{
    /// <summary>Moves the rows of a batch.</summary>
    /// <param name="network">The network, as it is to be attacked.</param>
    /// <param name="head">The task, whose loss is raised.</param>
    /// <param name="batch">The rows.</param>
    /// <param name="unit">What perturbations of each feature are measured in [features], at least 0; a feature of 0 stays as it is.</param>
    /// <param name="radius">Radius of the ball, at least 0; at 0 the rows stay as they are, and no random number is drawn.</param>
    /// <param name="random">Where random numbers are drawn from, on the device of the rows.</param>
    /// <returns>The moved rows [rows, features], without a gradient; the caller owns them.</returns>
    public Tensor Move(Network network, TaskHead head, RowBlock batch, Tensor unit, double radius, Generator random)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(head);
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(unit);
        if (radius == 0)
            return batch.Features.alias();
        using var scope = NewDisposeScope();
        var features = batch.Features;
        var move = RandomStart ? Project(Noise(features, random).Times(radius), radius) : zeros_like(features);
        move = WithinBox(features, move, unit);
        for (var step = 0; step < Steps; step++)
        {
            using var inner = NewDisposeScope();
            var slope = Slope(network, head, batch, features.Plus(move.mul(unit))).mul(unit);
            var direction = Direction(slope, features, random);
            var next = move.clone();
            next.AddScaled(direction, RelativeStep * radius);
            move = WithinBox(features, Project(next, radius), unit).MoveToOuterDisposeScope();
        }

        return features.Plus(move.mul(unit)).MoveToOuterDisposeScope();
    }

    /// <summary>The rows moved back into the ball.</summary>
    internal Tensor Project(Tensor move, double radius)
    {
        if (Norm == PerturbationNorm.LInf)
            return move.CutTo(-radius, radius);
        var lengths = move.Norms([1], keepDimensions: true);
        return move.mul(lengths.AtLeast(radius).reciprocal().Times(radius));
    }

    private static Tensor Slope(Network network, TaskHead head, RowBlock batch, Tensor at)
    {
        using var withGradient = enable_grad();
        var x = at.detach().requires_grad_();
        using var loss = head.Loss(network.call(x), batch.Labels);

        // A network of constants has no graph.
        return loss.requires_grad ? autograd.grad([loss], [x], allow_unused: true)[0] ?? zeros_like(at) : zeros_like(at);
    }

    // Where units are dead the slope is zero, and any direction is as good as another.
    private Tensor Direction(Tensor slope, Tensor features, Generator random)
    {
        var isFlat = slope.IsAbove(0).logical_or(slope.neg().IsAbove(0)).any(1, keepdim: true).logical_not();
        if (isFlat.any().cpu().item<bool>())
            slope = where(isFlat, Noise(features, random), slope);
        if (Norm == PerturbationNorm.LInf)
            return slope.sign();

        // The slopes of confident rows are so small that their squares are none.
        var scaled = slope.div(slope.abs().amax([1], keepdim: true));
        return scaled.div(scaled.Norms([1], keepDimensions: true));
    }

    private static Tensor Noise(Tensor like, Generator random) => rand(like.shape, device: like.device, generator: random).Times(2).Plus(-1);

    private Tensor WithinBox(Tensor features, Tensor move, Tensor unit)
    {
        if (Least is null && Greatest is null)
            return move;
        var (least, greatest) = (Least ?? double.NegativeInfinity, Greatest ?? double.PositiveInfinity);

        // A row that is outside of the box already is not moved further out, nor dragged in by more than the ball allows.
        var (low, high) = (features.CutTo(double.NegativeInfinity, least), features.CutTo(greatest, double.PositiveInfinity));
        var moved = features.Plus(move.mul(unit)).maximum(low).minimum(high);

        // 0/0 where a feature cannot be moved.
        return moved.sub(features).div(unit).nan_to_num(0, 0, 0);
    }
}
