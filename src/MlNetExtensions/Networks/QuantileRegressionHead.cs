using System.ComponentModel.DataAnnotations;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Networks;

/// <summary>
/// Regression of several numbers with their quantiles: the outputs are blocks of as many numbers as there are labels, first the means, then each of <see cref="Quantiles"/>. The loss
/// is the squared error of the means and the pinball loss of the quantiles, max(τ·e, (τ − 1)·e) for e = label − quantile (Koenker and Bassett, "Regression Quantiles", 1978), each
/// averaged over rows, labels and quantiles. Quantiles of a score do not cross: they are put in order, which never raises the pinball loss (Chernozhukov, Fernández-Val and Galichon,
/// "Quantile and Probability Curves without Crossing", 2010).
/// </summary>
public sealed record QuantileRegressionHead : TaskHead, IValidatableObject
{
    /// <summary>The labels, and what is said of their means.</summary>
    [Required]
    public required MultiOutputRegressionHead Mean { get; init; }

    /// <summary>τ of each quantile, in (0, 1), ascending.</summary>
    [Required]
    public required ValueList<double> Quantiles { get; init; }

    /// <inheritdoc/>
    public override int Outputs => Mean.Outputs * (1 + Quantiles.Count);

    /// <inheritdoc/>
    public override string MetricName => Mean.MetricName;

    /// <summary>What a head says of means, where it says so of several numbers.</summary>
    /// <param name="head">The head.</param>
    /// <returns>The head of the means, or null.</returns>
    public static MultiOutputRegressionHead? MeanOf(TaskHead head) => head as MultiOutputRegressionHead ?? (head as QuantileRegressionHead)?.Mean;

    /// <inheritdoc/>
    public override double MetricSum(Tensor outputs, Tensor labels)
    {
        using var means = MeansOf(outputs);
        return Mean.MetricSum(means, labels);
    }

    /// <inheritdoc/>
    public override double Metric(double mean) => Mean.Metric(mean);

    /// <inheritdoc/>
    public override void Finish(Span<float> outputs)
    {
        var (width, count) = (Mean.Outputs, Quantiles.Count);
        for (var start = 0; start < outputs.Length; start += width)
            Mean.Finish(outputs.Slice(start, width));
        Span<float> ordered = stackalloc float[count];
        for (var label = 0; label < width; label++)
        {
            for (var q = 0; q < count; q++)
                ordered[q] = outputs[((q + 1) * width) + label];
            ordered.Sort();
            for (var q = 0; q < count; q++)
                outputs[((q + 1) * width) + label] = ordered[q];
        }
    }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (QuantileFault(Quantiles) is { } fault)
            yield return new ValidationResult($"'Quantiles' {fault}");
        else if (Quantiles.Count == 0)
            yield return new ValidationResult("'Quantiles' must be one number or more");
        else if ((1L + Quantiles.Count) * Mean.Outputs > 1 << 24)
            yield return new ValidationResult($"'Quantiles' are {Quantiles.Count} of {Mean.Outputs} labels, which are more than {1 << 24} outputs");
    }

    /// <summary>What is wrong with quantiles, as the end of a sentence; null for nothing.</summary>
    internal static string? QuantileFault(ValueList<double> quantiles) =>
        quantiles.Count > MostQuantiles ? $"must be at most {MostQuantiles}, but are {quantiles.Count}"
        : quantiles.All(q => q > 0 && q < 1) && quantiles.Zip(quantiles.Skip(1)).All(pair => pair.First < pair.Second) ? null
        : $"must be greater than 0, less than 1 and in ascending order, but were {quantiles}";

    /// <inheritdoc/>
    protected override Tensor RowLosses(Tensor outputs, Tensor labels, double labelSmoothing)
    {
        using var scope = NewDisposeScope();
        var means = Mean.LossOfRows(MeansOf(outputs), labels, labelSmoothing);
        return means.Plus(Pinball(outputs, labels).mean([1L, 2L])).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override Tensor MeanLoss(Tensor outputs, Tensor labels, double labelSmoothing)
    {
        using var scope = NewDisposeScope();
        return Mean.Loss(MeansOf(outputs), labels).Plus(Pinball(outputs, labels).mean()).MoveToOuterDisposeScope();
    }

    private const int MostQuantiles = 256;

    private Tensor MeansOf(Tensor outputs) => outputs.narrow(1, 0, Mean.Outputs);

    /// <summary>τ·e + max(−e, 0), which is the pinball loss [rows, quantiles, labels].</summary>
    private Tensor Pinball(Tensor outputs, Tensor labels)
    {
        var levels = tensor([.. Quantiles.Select(q => (float)q)], [Quantiles.Count, 1], device: outputs.device);
        var errors = labels.unsqueeze(1).sub(outputs.narrow(1, Mean.Outputs, Quantiles.Count * Mean.Outputs).view(-1, Quantiles.Count, Mean.Outputs));
        return errors.mul(levels).Plus(functional.relu(errors.neg()));
    }
}
