namespace MlNetMlp.Training;

/// <summary>The losses of a training, epoch by epoch. It is kept in the model and its file.</summary>
public sealed record LearningCurve
{
    /// <summary>A training without epochs.</summary>
    public static LearningCurve Empty { get; } = new() { Points = [], MetricName = "", BestEpoch = 0, StopReason = "" };

    /// <summary>The losses before the first epoch, where the network is worth something then, as the constant that boosting starts from; else null.</summary>
    public LearningCurvePoint? Start { get; init; }

    /// <summary>One point for each epoch.</summary>
    public required IReadOnlyList<LearningCurvePoint> Points { get; init; }

    /// <summary>What <see cref="LearningCurvePoint.Metric"/> measures.</summary>
    public required string MetricName { get; init; }

    /// <summary>The epoch whose weights the model has, from 1; 0 where no epoch was completed.</summary>
    public required int BestEpoch { get; init; }

    /// <summary>Why training ended.</summary>
    public required string StopReason { get; init; }

    /// <inheritdoc/>
    public bool Equals(LearningCurve? other) => other is not null && BestEpoch == other.BestEpoch && StopReason == other.StopReason
        && MetricName == other.MetricName && Start == other.Start && Points.SequenceEqual(other.Points);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Points.Count, BestEpoch, StopReason, MetricName);
}

/// <summary>
/// The losses after an epoch: squared error on standardised labels for regression, logistic loss for binary and cross-entropy for multiclass
/// classification, unless the method has a loss of its own.
/// </summary>
/// <param name="Epoch">The epoch, from 1; 0 before the first.</param>
/// <param name="TrainingLoss">Mean loss of the batches during the epoch.</param>
/// <param name="ValidationLoss">Loss on the rows held out after the epoch, or null.</param>
/// <param name="Metric">The task's measure on the rows held out after the epoch, or null.</param>
public sealed record LearningCurvePoint(int Epoch, double TrainingLoss, double? ValidationLoss, double? Metric);
