using System.Diagnostics;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;

namespace MlNetMlp.Training;

/// <summary>
/// Keeps the learning curve of a training, tells of its progress and says when the validation loss has stopped falling. What an epoch is, the
/// method decides: a pass over the rows, or a step of boosting. Made by <see cref="TrainingRun.Watch"/>.
/// </summary>
public sealed class TrainingMonitor
{
    private static readonly TimeSpan ReportInterval = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(2);

    private readonly TrainingObserver _observer;
    private readonly TaskHead _head;
    private readonly long _rowsPerEpoch;
    private readonly int _patience;
    private readonly string _epochName;
    private readonly Action<LearningCurve> _finished;
    private readonly List<LearningCurvePoint> _points;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private TimeSpan _lastReport;
    private TimeSpan _lastLog = -LogInterval;
    private double _epochLoss;
    private long _epochRows;
    private long _rows;
    private bool _isJudged;
    private LearningCurvePoint? _start;

    internal TrainingMonitor(
        TrainingObserver observer, TaskHead head, int epochs, long rowsPerEpoch, int patience, string epochName, LearningCurvePoint? start,
        IEnumerable<LearningCurvePoint> earlier, Action<LearningCurve> finished)
    {
        (_observer, _head, Epochs, _rowsPerEpoch, _patience, _finished) = (observer, head, epochs, rowsPerEpoch, patience, finished);
        (_epochName, _start, _points) = (epochName, start, [.. earlier]);
        BestEpoch = _points.Count;
    }

    /// <summary>Number of epochs planned, which a method may change that trains against the clock.</summary>
    public int Epochs { get; set; }

    /// <summary>Number of optimiser steps done.</summary>
    public long Step { get; private set; }

    /// <summary>The epoch under way, from 1.</summary>
    public int Epoch => _points.Count + 1;

    /// <summary>The epoch with the least validation loss so far; the last epoch of an earlier model, or 0, where there is none yet.</summary>
    public int BestEpoch { get; private set; }

    /// <summary>The least validation loss so far.</summary>
    public double BestLoss { get; private set; } = double.PositiveInfinity;

    /// <summary>Whether any state of the network was judged by rows held out, so that <see cref="BestEpoch"/> means something.</summary>
    public bool IsJudged => _isJudged;

    /// <summary>Whether the validation loss has not fallen for as many epochs as patience allows.</summary>
    public bool HasStalled => _patience > 0 && _isJudged && _points.Count - BestEpoch >= _patience;

    /// <summary>Whether the user has cancelled the training and wants the best of it: then it ends as if all were done.</summary>
    public bool KeepsBest => _observer.KeepBestWhenCancelled && _observer.Cancellation.IsCancellationRequested && Step > 0;

    /// <summary>Tells how good the network is before the first epoch of this training, where that is a state to go back to.</summary>
    /// <param name="trainingLoss">Mean loss of the training rows.</param>
    /// <param name="validation">Loss and measure on the rows held out, or null.</param>
    public void OnStart(double trainingLoss, (double Loss, double Metric)? validation)
    {
        if (_points.Count == 0)
            _start = new(0, trainingLoss, validation?.Loss, validation?.Metric);
        if (validation is { } held)
            (BestLoss, _isJudged) = (held.Loss, true);
    }

    /// <summary>Notes the end of an optimiser step.</summary>
    /// <param name="loss">Mean loss of the rows of the step.</param>
    /// <param name="rows">Number of rows of the step.</param>
    public void OnStep(double loss, long rows)
    {
        Step++;
        _epochLoss += loss * rows;
        _epochRows += rows;
        _rows += rows;
        if (_clock.Elapsed - _lastReport >= ReportInterval)
            Report(isEndOfEpoch: false);
    }

    /// <summary>Notes rows gone through in a pass whose loss is known only at its end: see <see cref="OnLoss"/>.</summary>
    /// <param name="rows">Number of rows.</param>
    public void OnRows(long rows)
    {
        Step++;
        _rows += rows;
        if (_clock.Elapsed - _lastReport >= ReportInterval)
            Report(isEndOfEpoch: false);
    }

    /// <summary>Notes the loss of all rows of the epoch under way.</summary>
    /// <param name="loss">Mean loss.</param>
    public void OnLoss(double loss) => (_epochLoss, _epochRows) = (loss, 1);

    /// <summary>Notes the end of an epoch.</summary>
    /// <param name="validation">Loss and measure on the rows held out, or null.</param>
    /// <param name="isBest">Whether the weights are the best so far, where the method judges them by more than the loss; null to go by it.</param>
    /// <returns>Whether the weights are the best so far.</returns>
    public bool OnEpoch((double Loss, double Metric)? validation, bool? isBest = null)
    {
        _points.Add(new(Epoch, _epochLoss / Math.Max(1, _epochRows), validation?.Loss, validation?.Metric));
        isBest = validation is { } held && (isBest ?? held.Loss < BestLoss);
        if (isBest == true)
            (BestLoss, BestEpoch, _isJudged) = (validation!.Value.Loss, _points.Count, true);
        Report(isEndOfEpoch: true);
        (_epochLoss, _epochRows) = (0, 0);
        return isBest == true;
    }

    /// <summary>What a checkpoint keeps of it; setting it goes on from there.</summary>
    internal MonitorState State
    {
        get => new()
        {
            Step = Step, Rows = _rows, Start = _start, Points = [.. _points], BestEpoch = BestEpoch, BestLoss = double.IsFinite(BestLoss) ? BestLoss : null, IsJudged = _isJudged,
        };
        set
        {
            (Step, _rows, _start, _isJudged) = (value.Step, value.Rows, value.Start, value.IsJudged);
            (BestEpoch, BestLoss) = (value.BestEpoch, value.BestLoss ?? double.PositiveInfinity);
            _points.Clear();
            _points.AddRange(value.Points);
        }
    }

    /// <summary>Notes the end of the training.</summary>
    /// <param name="reason">Why it ended, as a sentence.</param>
    /// <returns>The losses, epoch by epoch.</returns>
    public LearningCurve Finish(string reason)
    {
        var best = _isJudged ? BestEpoch : _points.Count;
        _observer.Log($"Training ended after {_points.Count} {_epochName}s and {_clock.Elapsed.TotalSeconds:F1} s: {reason}{(_isJudged ? $" The weights of {_epochName} {best} are kept." : "")}");
        var curve = new LearningCurve { Start = _start, Points = [.. _points], MetricName = _head.MetricName, BestEpoch = best, StopReason = reason };
        _finished(curve);
        return curve;
    }

    private void Report(bool isEndOfEpoch)
    {
        var elapsed = _clock.Elapsed;
        var rowsPerSecond = _rows / Math.Max(1e-9, elapsed.TotalSeconds);
        var last = _points.Count > 0 ? _points[^1] : null;
        var progress = new TrainingProgress
        {
            Epoch = isEndOfEpoch ? _points.Count : Epoch,
            Epochs = Epochs,
            EpochName = _epochName,
            Step = Step,
            TrainingLoss = _epochLoss / Math.Max(1, _epochRows),
            ValidationLoss = last?.ValidationLoss,
            Metric = last?.Metric,
            MetricName = _head.MetricName,
            RowsPerSecond = rowsPerSecond,
            Elapsed = elapsed,
            Remaining = TimeSpan.FromSeconds(Math.Min(1e9, Math.Max(0, ((double)Epochs * _rowsPerEpoch) - _rows) / Math.Max(1e-9, rowsPerSecond))),
            BestEpoch = _isJudged ? BestEpoch : 0,
            BestLoss = _isJudged ? BestLoss : null,
            IsEndOfEpoch = isEndOfEpoch,
        };
        _observer.Progress?.Report(progress);
        _lastReport = elapsed;
        if (elapsed - _lastLog >= LogInterval)
        {
            _observer.Log(progress.ToString());
            _lastLog = elapsed;
        }
    }
}

/// <summary>What a <see cref="TrainingMonitor"/> knows at the end of an epoch.</summary>
internal sealed record MonitorState
{
    public required long Step { get; init; }

    public required long Rows { get; init; }

    public required LearningCurvePoint? Start { get; init; }

    public required IReadOnlyList<LearningCurvePoint> Points { get; init; }

    public required int BestEpoch { get; init; }

    public required double? BestLoss { get; init; }

    public required bool IsJudged { get; init; }

    /// <summary>Refuses what no training comes to.</summary>
    /// <exception cref="ModelFormatException">Its numbers contradict each other.</exception>
    public void Check()
    {
        if (Points.Count == 0 || Points.Contains(null!) || Step < 0 || Rows < 0 || BestEpoch < 0 || BestEpoch > Points.Count || (IsJudged && BestLoss is null))
            throw new ModelFormatException("Its header tells of a course that no training has.");
    }
}
