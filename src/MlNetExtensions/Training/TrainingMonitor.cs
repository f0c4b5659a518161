using System.Diagnostics;
using MlNetMlp.Networks;

namespace MlNetMlp.Training;

/// <summary>Keeps the learning curve of a training, tells of its progress and says when the validation loss has stopped falling.</summary>
internal sealed class TrainingMonitor(TrainingObserver observer, TaskHead head, int epochs, long rowsPerEpoch, int patience)
{
    private static readonly TimeSpan ReportInterval = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(2);

    private readonly List<LearningCurvePoint> _points = [];
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private TimeSpan _lastReport;
    private TimeSpan _lastLog = -LogInterval;
    private double _epochLoss;
    private long _epochRows;
    private long _rows;

    public long Step { get; private set; }

    public int Epoch => _points.Count + 1;

    public int BestEpoch { get; private set; }

    public double BestLoss { get; private set; } = double.PositiveInfinity;

    public bool HasStalled => patience > 0 && BestEpoch > 0 && _points.Count - BestEpoch >= patience;

    public void OnStep(double loss, long rows)
    {
        Step++;
        _epochLoss += loss * rows;
        _epochRows += rows;
        _rows += rows;
        if (_clock.Elapsed - _lastReport >= ReportInterval)
            Report(isEndOfEpoch: false);
    }

    /// <summary>Notes the end of an epoch.</summary>
    /// <param name="validation">Loss and measure on the rows held out, or null.</param>
    /// <returns>Whether the weights are the best so far.</returns>
    public bool OnEpoch((double Loss, double Metric)? validation)
    {
        _points.Add(new(Epoch, _epochLoss / Math.Max(1, _epochRows), validation?.Loss, validation?.Metric));
        var isBest = validation is { } held && held.Loss < BestLoss;
        if (isBest)
            (BestLoss, BestEpoch) = (validation!.Value.Loss, _points.Count);
        Report(isEndOfEpoch: true);
        (_epochLoss, _epochRows) = (0, 0);
        return isBest;
    }

    public LearningCurve Finish(string reason)
    {
        var best = BestEpoch > 0 ? BestEpoch : _points.Count;
        observer.Log($"Training ended after {_points.Count} epochs and {_clock.Elapsed.TotalSeconds:F1} s: {reason}{(BestEpoch > 0 ? $" The weights of epoch {best} are kept." : "")}");
        return new LearningCurve { Points = [.. _points], MetricName = head.MetricName, BestEpoch = best, StopReason = reason };
    }

    private void Report(bool isEndOfEpoch)
    {
        var elapsed = _clock.Elapsed;
        var rowsPerSecond = _rows / Math.Max(1e-9, elapsed.TotalSeconds);
        var last = _points.Count > 0 ? _points[^1] : null;
        var progress = new TrainingProgress
        {
            Epoch = isEndOfEpoch ? _points.Count : Epoch,
            Epochs = epochs,
            Step = Step,
            TrainingLoss = _epochLoss / Math.Max(1, _epochRows),
            ValidationLoss = last?.ValidationLoss,
            Metric = last?.Metric,
            MetricName = head.MetricName,
            RowsPerSecond = rowsPerSecond,
            Elapsed = elapsed,
            Remaining = TimeSpan.FromSeconds(Math.Min(1e9, Math.Max(0, ((double)epochs * rowsPerEpoch) - _rows) / Math.Max(1e-9, rowsPerSecond))),
            BestEpoch = BestEpoch,
            BestLoss = BestEpoch > 0 ? BestLoss : null,
            IsEndOfEpoch = isEndOfEpoch,
        };
        observer.Progress?.Report(progress);
        _lastReport = elapsed;
        if (elapsed - _lastLog >= LogInterval)
        {
            observer.Log(progress.ToString());
            _lastLog = elapsed;
        }
    }
}
