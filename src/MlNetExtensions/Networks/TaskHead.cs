using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Runtime;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace MlNetMlp.Networks;

/// <summary>The tasks that a network can be trained for.</summary>
public enum TaskKind
{
    /// <summary>A number for each row.</summary>
    Regression,

    /// <summary>Yes or no for each row.</summary>
    Binary,

    /// <summary>One of several classes for each row.</summary>
    Multiclass,

    /// <summary>Several numbers for each row.</summary>
    MultiOutputRegression,

    /// <summary>No labels: the method knows what it wants.</summary>
    Features,
}

/// <summary>What tasks have in common.</summary>
internal static class TaskKinds
{
    /// <summary>Whether the labels are classes.</summary>
    /// <param name="task">The task.</param>
    /// <returns>False where they are numbers.</returns>
    public static bool IsClassification(this TaskKind task) => task is TaskKind.Binary or TaskKind.Multiclass;
}

/// <summary>
/// What a network is trained for: the loss that its raw outputs are judged by, and how they become what the user sees. Methods are
/// written against this and work for every task. It is part of the model file.
/// </summary>
[JsonDerivedType(typeof(RegressionHead), "regression")]
[JsonDerivedType(typeof(BinaryHead), "binary")]
[JsonDerivedType(typeof(MulticlassHead), "multiclass")]
[JsonDerivedType(typeof(MultiOutputRegressionHead), "multiOutputRegression")]
[JsonDerivedType(typeof(QuantileRegressionHead), "quantileRegression")]
[JsonDerivedType(typeof(FeatureHead), "features")]
[JsonDerivedType(typeof(TreatmentHead), "treatment")]
public abstract record TaskHead
{
    /// <summary>Number of raw outputs that the task needs.</summary>
    [JsonIgnore]
    public abstract int Outputs { get; }

    /// <summary>Name of the measure that <see cref="Metric"/> computes.</summary>
    [JsonIgnore]
    public abstract string MetricName { get; }

    /// <summary>Mean loss of a batch, to be minimised.</summary>
    /// <param name="outputs">Raw outputs [rows, outputs].</param>
    /// <param name="labels">Labels as <see cref="Data.RowBlock.Labels"/> holds them.</param>
    /// <param name="weights">Example weights [rows] of mean one, or null.</param>
    /// <param name="labelSmoothing">Share of the target spread evenly over the classes; regression ignores it.</param>
    /// <returns>A scalar.</returns>
    public Tensor Loss(Tensor outputs, Tensor labels, Tensor? weights = null, double labelSmoothing = 0)
    {
        if (weights is null)
            return MeanLoss(outputs, labels, labelSmoothing);
        using var rows = RowLosses(outputs, labels, labelSmoothing);
        using var weighted = rows.mul(weights);
        return weighted.mean();
    }

    /// <summary>Losses of the single rows, for a task that judges by another one.</summary>
    internal Tensor LossOfRows(Tensor outputs, Tensor labels, double labelSmoothing) => RowLosses(outputs, labels, labelSmoothing);

    /// <summary>Sums over rows what <see cref="MetricName"/> measures, so that blocks of rows can be added up.</summary>
    /// <param name="outputs">Raw outputs [rows, outputs].</param>
    /// <param name="labels">Labels.</param>
    /// <returns>The sum over rows, in the unit of the loss.</returns>
    public abstract double MetricSum(Tensor outputs, Tensor labels);

    /// <summary>Turns the mean of the summed measure into the figure that is shown.</summary>
    /// <param name="mean">Mean of <see cref="MetricSum"/> over rows.</param>
    /// <returns>The figure in the user's unit.</returns>
    public virtual double Metric(double mean) => mean;

    /// <summary>Turns the raw outputs of one row into its scores, in place.</summary>
    /// <param name="outputs">Raw outputs of one row.</param>
    public abstract void Finish(Span<float> outputs);

    /// <summary>Losses of the single rows.</summary>
    /// <param name="outputs">Raw outputs [rows, outputs].</param>
    /// <param name="labels">Labels.</param>
    /// <param name="labelSmoothing">Share of the target spread evenly over the classes.</param>
    /// <returns>Losses [rows].</returns>
    protected abstract Tensor RowLosses(Tensor outputs, Tensor labels, double labelSmoothing);

    /// <summary>Mean of <see cref="RowLosses"/>, in fewer operations where there is a fused one.</summary>
    /// <param name="outputs">Raw outputs [rows, outputs].</param>
    /// <param name="labels">Labels.</param>
    /// <param name="labelSmoothing">Share of the target spread evenly over the classes.</param>
    /// <returns>A scalar.</returns>
    protected abstract Tensor MeanLoss(Tensor outputs, Tensor labels, double labelSmoothing);
}

/// <summary>Regression by squared error on standardised labels: score = output · <see cref="LabelScale"/> + <see cref="LabelMean"/>.</summary>
public sealed record RegressionHead : TaskHead
{
    /// <summary>Mean of the labels of the training rows.</summary>
    [Range(double.MinValue, double.MaxValue)]
    public required double LabelMean { get; init; }

    /// <summary>Standard deviation of the labels of the training rows, 1 where they are all the same.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public required double LabelScale { get; init; }

    /// <inheritdoc/>
    public override int Outputs => 1;

    /// <inheritdoc/>
    public override string MetricName => "RMSE";

    /// <inheritdoc/>
    public override double MetricSum(Tensor outputs, Tensor labels) =>
        functional.mse_loss(outputs.flatten(), labels, Reduction.Sum).cpu().item<float>();

    /// <inheritdoc/>
    public override double Metric(double mean) => Math.Sqrt(mean) * LabelScale;

    /// <inheritdoc/>
    public override void Finish(Span<float> outputs)
    {
        for (var i = 0; i < outputs.Length; i++)
            outputs[i] = (float)((outputs[i] * LabelScale) + LabelMean);
    }

    /// <inheritdoc/>
    protected override Tensor RowLosses(Tensor outputs, Tensor labels, double labelSmoothing) =>
        functional.mse_loss(outputs.flatten(), labels, Reduction.None);

    /// <inheritdoc/>
    protected override Tensor MeanLoss(Tensor outputs, Tensor labels, double labelSmoothing) =>
        functional.mse_loss(outputs.flatten(), labels, Reduction.Mean);
}

/// <summary>Two classes by logistic loss: score = logit, probability = 1 / (1 + exp(-score)).</summary>
public sealed record BinaryHead : TaskHead
{
    /// <inheritdoc/>
    public override int Outputs => 1;

    /// <inheritdoc/>
    public override string MetricName => "accuracy";

    /// <inheritdoc/>
    public override double MetricSum(Tensor outputs, Tensor labels) =>
        outputs.flatten().IsAbove(0).eq(labels.IsAbove(0.5)).sum(0L).cpu().item<long>();

    /// <inheritdoc/>
    public override void Finish(Span<float> outputs)
    {
        // The score of a binary classifier is the logit itself.
    }

    /// <inheritdoc/>
    protected override Tensor RowLosses(Tensor outputs, Tensor labels, double labelSmoothing) =>
        functional.binary_cross_entropy_with_logits(outputs.flatten(), Smooth(labels, labelSmoothing), reduction: Reduction.None);

    /// <inheritdoc/>
    protected override Tensor MeanLoss(Tensor outputs, Tensor labels, double labelSmoothing) =>
        functional.binary_cross_entropy_with_logits(outputs.flatten(), Smooth(labels, labelSmoothing), reduction: Reduction.Mean);

    private static Tensor Smooth(Tensor labels, double labelSmoothing) =>
        labelSmoothing == 0 ? labels : labels.Times(1 - labelSmoothing).Plus(labelSmoothing / 2);
}

/// <summary>Several classes by cross-entropy: scores = softmax of the logits.</summary>
public sealed record MulticlassHead : TaskHead
{
    /// <summary>Number of classes: the number of values that the label's key type has.</summary>
    [Range(2, 1 << 24)]
    public required int Classes { get; init; }

    /// <inheritdoc/>
    public override int Outputs => Classes;

    /// <inheritdoc/>
    public override string MetricName => "accuracy";

    /// <inheritdoc/>
    public override double MetricSum(Tensor outputs, Tensor labels) => outputs.argmax(1).eq(labels).sum(0L).cpu().item<long>();

    /// <inheritdoc/>
    public override void Finish(Span<float> outputs)
    {
        // Without taking the greatest logit away first, exp overflows where logits are large.
        TensorPrimitives.Subtract(outputs, TensorPrimitives.Max(outputs), outputs);
        TensorPrimitives.SoftMax(outputs, outputs);
    }

    /// <inheritdoc/>
    protected override Tensor RowLosses(Tensor outputs, Tensor labels, double labelSmoothing) =>
        functional.cross_entropy(outputs, labels, reduction: Reduction.None, label_smoothing: labelSmoothing);

    /// <inheritdoc/>
    protected override Tensor MeanLoss(Tensor outputs, Tensor labels, double labelSmoothing) =>
        functional.cross_entropy(outputs, labels, reduction: Reduction.Mean, label_smoothing: labelSmoothing);
}
