using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Training;

/// <summary>
/// Makes logits of what least squares puts out for classes: s·f + t for two classes (Platt, "Probabilistic Outputs for Support Vector
/// Machines", 1999), s·f for several (temperature: Guo and others, "On Calibration of Modern Neural Networks", 2017).
/// </summary>
/// <param name="Scale">s, above 0.</param>
/// <param name="Shift">t, 0 for several classes.</param>
public sealed record OutputCalibration(double Scale, double Shift)
{
    private const double LeastScale = 1e-3;

    /// <summary>Finds s and t with the least logistic loss or cross-entropy.</summary>
    /// <param name="head">The task, binary or multiclass.</param>
    /// <param name="outputs">f, Float64 [rows, outputs], of rows that the readout was not fitted to, if there are any.</param>
    /// <param name="targets">Targets of the rows, as <see cref="ReadoutTargets"/> makes them.</param>
    /// <param name="weights">w, Float64 [rows]; null for 1.</param>
    /// <returns>The calibration. So that separable classes keep finite logits, one row more of each class is thought to be there.</returns>
    public static OutputCalibration Fit(TaskHead head, Tensor outputs, Tensor targets, Tensor? weights)
    {
        ArgumentNullException.ThrowIfNull(head);
        ArgumentNullException.ThrowIfNull(outputs);
        ArgumentNullException.ThrowIfNull(targets);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var isBinary = head is BinaryHead;
        var w = weights ?? ones(outputs.shape[0], ScalarType.Float64, outputs.device);
        var total = w.sum().cpu().item<double>();
        var classes = isBinary ? 2 : head.Outputs;
        var smoothing = classes / (total + classes);
        var t = targets.to(ScalarType.Float64);

        // Targets of two classes are ±1.
        var wanted = (isBinary ? t.Plus(1).Times(0.5) : t).Times(1 - smoothing).Plus(smoothing / classes);

        // With the logarithm of the scale it stays above 0.
        double[] parameters = isBinary ? [Math.Log(2), 0] : [Math.Log(4)];
        LbfgsMinimizer.Minimize(parameters, Evaluate, new() { MaxIterations = 100, GradientTolerance = 1e-9 });
        return new(Math.Max(LeastScale, Math.Exp(parameters[0])), isBinary ? parameters[1] : 0);

        double Evaluate(double[] gradient)
        {
            using var inner = NewDisposeScope();
            var scaled = outputs.Times(Math.Exp(parameters[0]));
            Tensor losses, errors;
            if (isBinary)
            {
                var logits = scaled.Plus(parameters[1]);
                losses = functional.softplus(logits).sub(logits.mul(wanted)).squeeze(1);
                errors = logits.sigmoid().sub(wanted);
                gradient[1] = errors.squeeze(1).dot(w).cpu().item<double>() / total;
            }
            else
            {
                var logs = scaled.log_softmax(1);
                losses = logs.mul(wanted).sum(1L).neg();
                errors = logs.exp().sub(wanted);
            }

            gradient[0] = errors.mul(scaled).sum(1L).dot(w).cpu().item<double>() / total;
            return losses.dot(w).cpu().item<double>() / total;
        }
    }

    /// <summary>Folds the calibration into a readout.</summary>
    /// <param name="readout">The readout, changed in place.</param>
    public void ApplyTo(LinearReadout readout)
    {
        ArgumentNullException.ThrowIfNull(readout);
        readout.Coefficients.Scale(Scale);
        readout.Intercept.Scale(Scale);
        readout.Intercept.Shift(Shift);
    }
}
