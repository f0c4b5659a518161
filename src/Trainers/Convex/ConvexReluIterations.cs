using MlNetMlp.Networks;
using MlNetMlp.Training;

namespace MlNetMlp.Convex;

/// <summary>The iterations of a fit: watched, cancelled and ended alike, whatever the program is.</summary>
/// <param name="run">The fit.</param>
/// <param name="monitor">Keeps the learning curve.</param>
/// <param name="program">The program, whose loss is divided by its rows and outputs for the curve.</param>
internal sealed class ConvexReluIterations(TrainingRun run, TrainingMonitor monitor, ConvexReluProgram program)
{
    /// <summary>Iterates until the residuals are within their tolerances, the rows held out are not served any more, or all iterations are done.</summary>
    /// <param name="most">Iterations at most.</param>
    /// <param name="patience">Iterations without a new least validation loss that end it; for the reason that is given.</param>
    /// <param name="next">One iteration.</param>
    /// <param name="judge">Loss and measure on the rows held out; null where there are none, or nothing to judge yet.</param>
    /// <param name="keep">Called where the state is the best so far, or none was judged.</param>
    /// <returns>The last iteration.</returns>
    public ConvexReluIteration Run(int most, int patience, Func<ConvexReluIteration> next, Func<(double Loss, double Metric)?> judge, Action keep)
    {
        var (last, reason) = (default(ConvexReluIteration), "All iterations are done.");
        for (var iteration = 0; iteration < most; iteration++)
        {
            if (monitor.KeepsBest)
            {
                reason = "It was cancelled.";
                break;
            }

            run.CheckCancelled();
            last = next();
            if (!double.IsFinite(last.Loss))
                throw new InvalidOperationException($"The loss is no longer finite after {iteration + 1} iterations: look for extreme values among features and labels.");
            monitor.OnLoss(last.Loss / program.TotalWeight / program.Outputs);
            monitor.OnRows(program.Rows);
            var judged = judge();
            if (monitor.OnEpoch(judged) || judged is null)
                keep();
            if (last.IsConverged || monitor.HasStalled)
            {
                reason = last.IsConverged ? "The residuals are within their tolerances." : $"The validation loss has not fallen for {patience} iterations.";
                break;
            }
        }

        monitor.Finish(reason);
        return last;
    }
}
