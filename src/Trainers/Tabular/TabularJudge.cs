using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Tabular;

/// <summary>Judges members by the rows that each of them did not train on, all together.</summary>
/// <param name="head">The task.</param>
/// <param name="classes">Number of classes; 0 for a number.</param>
/// <param name="selection">What the best epoch is chosen by.</param>
/// <param name="labels">Labels of the rows held out, those of one member behind those of another.</param>
/// <param name="weights">Their weights, or null.</param>
internal sealed class TabularJudge(TaskHead head, int classes, EpochSelection selection, Tensor labels, Tensor? weights)
{
    // Of 11 temperatures from 1/e to e.
    private const double EpochReach = 1;
    private const int EpochSteps = 5;

    private double _best = double.PositiveInfinity;

    /// <summary>Judges the outputs of an epoch.</summary>
    /// <param name="outputs">Numbers or logits [rows, outputs] of the rows held out.</param>
    /// <returns>Loss and measure, and whether the epoch is the best so far; of equal ones the later is.</returns>
    public (double Loss, double Metric, bool IsBest) Judge(Tensor outputs)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        double loss, metric, criterion;
        if (classes == 0)
        {
            var errors = outputs.squeeze(1).sub(labels);
            criterion = loss = Mean(errors.mul(errors));
            metric = head.Metric(head.MetricSum(outputs, labels) / labels.shape[0]);
        }
        else
        {
            (_, loss) = TemperatureScaling.Fit(outputs, labels, weights, EpochReach, EpochSteps);
            var right = outputs.argmax(1).eq(labels).to(ScalarType.Float64);
            metric = right.mean().cpu().item<double>();

            // Without an error the log-loss still decides.
            var error = Math.Max(1 - Mean(right), 0.5 / labels.shape[0]);
            criterion = selection switch
            {
                EpochSelection.LogLoss => loss,
                EpochSelection.ErrorRate => error,
                _ => error * loss,
            };
        }

        var isBest = selection == EpochSelection.Last || criterion <= _best;
        if (isBest)
            _best = criterion;
        return (loss, metric, isBest);
    }

    /// <summary>The inverse temperature that the outputs of the best epoch ask for.</summary>
    public double InverseTemperature(Tensor outputs) => TemperatureScaling.Fit(outputs, labels, weights).Factor;

    private double Mean(Tensor ofRows)
    {
        var values = ofRows.to(ScalarType.Float64);
        var mean = weights is null ? values.mean() : values.dot(weights.to(ScalarType.Float64)).div(weights.to(ScalarType.Float64).sum());
        return mean.cpu().item<double>();
    }
}
