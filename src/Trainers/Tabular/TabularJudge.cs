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

    /// <summary>Judges the outputs of an epoch.</summary>
    /// <param name="outputs">Numbers or logits [rows, outputs] of the rows held out.</param>
    /// <returns>Loss and measure, and what the best epoch is chosen by: the less, the better.</returns>
    public (double Loss, double Metric, double Criterion) Judge(Tensor outputs)
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

        return (loss, metric, criterion);
    }

    /// <summary>What several members say of each row together: the mean of numbers, or of probabilities as its logarithm.</summary>
    /// <param name="outputs">Numbers or logits [members of a row, rows, outputs].</param>
    public Tensor Together(Tensor outputs) => classes == 0
        ? outputs.mean([0L])
        : outputs.Times(InverseTemperature(outputs)).log_softmax(2).logsumexp(0);

    /// <summary>The inverse temperature that logits ask for.</summary>
    /// <param name="outputs">Logits [members of a row, rows, outputs].</param>
    public double InverseTemperature(Tensor outputs)
    {
        using var scope = NewDisposeScope();
        var several = outputs.shape[0];
        return TemperatureScaling.Fit(outputs.flatten(0, 1), labels.repeat(several), weights?.repeat(several)).Factor;
    }

    private double Mean(Tensor ofRows)
    {
        var values = ofRows.to(ScalarType.Float64);
        var mean = weights is null ? values.mean() : values.dot(weights.to(ScalarType.Float64)).div(weights.to(ScalarType.Float64).sum());
        return mean.cpu().item<double>();
    }
}
