using System.Globalization;

namespace MlNetMlp.Training;

/// <summary>Where a training is. Reported at the start, at the end of each epoch, and between steps every half second.</summary>
public sealed record TrainingProgress
{
    /// <summary>The first report of a fit, before the data are read.</summary>
    internal static TrainingProgress Reading { get; } = new()
    {
        Epoch = 0,
        Epochs = 0,
        Step = 0,
        TrainingLoss = 0,
        MetricName = "",
        RowsPerSecond = 0,
        Elapsed = TimeSpan.Zero,
        Remaining = TimeSpan.Zero,
        BestEpoch = 0,
        IsEndOfEpoch = false,
    };

    /// <summary>The epoch under way or just ended, from 1; 0 in the first report, while the data are read.</summary>
    public required int Epoch { get; init; }

    /// <summary>Number of epochs planned; early stopping may end sooner.</summary>
    public required int Epochs { get; init; }

    /// <summary>What an epoch is called: "epoch", or "step" where the network grows step by step.</summary>
    public string EpochName { get; init; } = "epoch";

    /// <summary>Number of optimiser steps done.</summary>
    public required long Step { get; init; }

    /// <summary>Mean training loss of the epoch so far.</summary>
    public required double TrainingLoss { get; init; }

    /// <summary>Loss on the rows held out after the last whole epoch; null where there are none yet.</summary>
    public double? ValidationLoss { get; init; }

    /// <summary>The task's measure on the rows held out (accuracy, RMSE …); null where there is none yet.</summary>
    public double? Metric { get; init; }

    /// <summary>Name of <see cref="Metric"/>.</summary>
    public required string MetricName { get; init; }

    /// <summary>Training rows per second since the start.</summary>
    public required double RowsPerSecond { get; init; }

    /// <summary>Time since the start.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>Time until all planned epochs are done, at the pace so far.</summary>
    public required TimeSpan Remaining { get; init; }

    /// <summary>The epoch with the least validation loss so far, 0 where there is none.</summary>
    public required int BestEpoch { get; init; }

    /// <summary>The least validation loss so far.</summary>
    public double? BestLoss { get; init; }

    /// <summary>Whether an epoch has just ended.</summary>
    public required bool IsEndOfEpoch { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Epoch == 0 ? "reading the data" : string.Create(CultureInfo.InvariantCulture,
        $"{EpochName} {Epoch}/{Epochs}{(EpochName == "step" ? "" : $", step {Step}")}, training loss {TrainingLoss:G4}{(ValidationLoss is { } v ? $", validation loss {v:G4}" : "")}"
        + $"{(Metric is { } m ? $", {MetricName} {m:G4}" : "")}{(BestEpoch > 0 ? $", best {EpochName} {BestEpoch}" : "")}, {RowsPerSecond:N0} rows/s, {Remaining.TotalSeconds:F0} s left at most");
}
