using System.ComponentModel.DataAnnotations;
using MlNetMlp.Runtime;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Networks;

/// <summary>
/// Regression of several numbers by the squared error on standardised labels, averaged over rows and columns: score of column k =
/// output k · <see cref="LabelScales"/>[k] + <see cref="LabelMeans"/>[k]. With one column it is <see cref="RegressionHead"/>.
/// </summary>
public sealed record MultiOutputRegressionHead : TaskHead, IValidatableObject
{
    private readonly double[] _means = [];
    private readonly double[] _scales = [];
    private readonly string[]? _names;

    /// <summary>Mean of each label column over the training rows.</summary>
    public required IReadOnlyList<double> LabelMeans
    {
        get => _means;
        init => _means = [.. value];
    }

    /// <summary>Standard deviation of each label column over the training rows, 1 where its labels are all the same.</summary>
    public required IReadOnlyList<double> LabelScales
    {
        get => _scales;
        init => _scales = [.. value];
    }

    /// <summary>Names of the label columns, where the label names its slots.</summary>
    public IReadOnlyList<string>? LabelNames
    {
        get => _names;
        init => _names = value is null ? null : [.. value];
    }

    /// <inheritdoc/>
    public override int Outputs => _means.Length;

    /// <inheritdoc/>
    public override string MetricName => "RMSE";

    /// <inheritdoc/>
    public override double MetricSum(Tensor outputs, Tensor labels)
    {
        using var errors = outputs - labels;
        using var squares = errors.mul(errors);
        using var sums = squares.sum(0L);
        using var onHost = sums.cpu();
        var values = TensorMemory.Floats(onHost);
        double sum = 0;
        for (var k = 0; k < Outputs; k++)
            sum += values[k] * _scales[k] * _scales[k];
        return sum / Outputs;
    }

    /// <inheritdoc/>
    public override double Metric(double mean) => Math.Sqrt(mean);

    /// <inheritdoc/>
    public override void Finish(Span<float> outputs)
    {
        for (var k = 0; k < outputs.Length; k++)
            outputs[k] = (float)((outputs[k] * _scales[k]) + _means[k]);
    }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Outputs == 0 || !_means.All(double.IsFinite))
            yield return new ValidationResult("'LabelMeans' must be one finite number or more");
        if (_scales.Length != Outputs || !_scales.All(scale => double.IsFinite(scale) && scale > 0))
            yield return new ValidationResult($"'LabelScales' must be {Outputs} finite numbers greater than 0");
        if (_names is not null && (_names.Length != Outputs || _names.Contains(null)))
            yield return new ValidationResult($"'LabelNames' must be {Outputs} names");
    }

    /// <inheritdoc/>
    public bool Equals(MultiOutputRegressionHead? other) => other is not null && _means.SequenceEqual(other._means) && _scales.SequenceEqual(other._scales)
        && (_names is null ? other._names is null : other._names is not null && _names.SequenceEqual(other._names));

    /// <inheritdoc/>
    public override int GetHashCode() => _means.Aggregate(_means.Length, (hash, mean) => HashCode.Combine(hash, mean));

    /// <inheritdoc/>
    public override string ToString() => $"{nameof(MultiOutputRegressionHead)} {{ Outputs = {Outputs} }}";

    /// <inheritdoc/>
    protected override Tensor RowLosses(Tensor outputs, Tensor labels, double labelSmoothing)
    {
        using var losses = functional.mse_loss(outputs, labels, Reduction.None);
        return losses.mean([1]);
    }

    /// <inheritdoc/>
    protected override Tensor MeanLoss(Tensor outputs, Tensor labels, double labelSmoothing) =>
        functional.mse_loss(outputs, labels, Reduction.Mean);
}
