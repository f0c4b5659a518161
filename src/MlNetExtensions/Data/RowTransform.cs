using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>Turns labels and weights as read into what the loss takes.</summary>
/// <param name="Head">The task.</param>
/// <param name="ClassFactors">What an example weight is multiplied by: one factor for each class, or a single one.</param>
/// <param name="IsWeighted">Whether any row weighs other than 1.</param>
/// <param name="MeanWeight">The mean of the weights before the factors.</param>
internal sealed record RowTransform(TaskHead Head, float[] ClassFactors, bool IsWeighted, double MeanWeight)
{
    /// <summary>Makes a block.</summary>
    /// <param name="weights">Example weights as read.</param>
    /// <param name="labels">Labels as read, row after row.</param>
    /// <param name="features">Features; the block takes them over.</param>
    /// <returns>The block.</returns>
    public RowBlock Make(ReadOnlySpan<float> weights, ReadOnlySpan<float> labels, Tensor features) =>
        new(features, Labels(labels), IsWeighted ? Weights(weights, labels) : null);

    /// <summary>Puts another row in a place of a block whose features were overwritten already.</summary>
    /// <param name="block">The block.</param>
    /// <param name="place">Index of the row.</param>
    /// <param name="label">Its label as read.</param>
    /// <param name="weight">Its example weight as read.</param>
    public void Put(RowBlock block, long place, ReadOnlySpan<float> label, float weight)
    {
        if (Head is MulticlassHead)
            TensorMemory.Longs(block.Labels)[(int)place] = (long)label[0];
        else
            Standardize(label, TensorMemory.Floats(block.Labels).Slice((int)place * label.Length, label.Length));
        if (block.Weights is not null)
            TensorMemory.Floats(block.Weights)[(int)place] = Weight(weight, label[0]);
    }

    private Tensor Labels(ReadOnlySpan<float> labels)
    {
        if (Head is MulticlassHead)
        {
            var classes = empty(labels.Length, ScalarType.Int64);
            var target = TensorMemory.Longs(classes);
            for (var i = 0; i < labels.Length; i++)
                target[i] = (long)labels[i];
            return classes;
        }

        var result = Head is MultiOutputRegressionHead several ? empty(labels.Length / several.Outputs, several.Outputs) : empty(labels.Length);
        Standardize(labels, TensorMemory.Floats(result));
        return result;
    }

    private void Standardize(ReadOnlySpan<float> labels, Span<float> values)
    {
        switch (Head)
        {
            case RegressionHead one:
                for (var i = 0; i < labels.Length; i++)
                    values[i] = (float)((labels[i] - one.LabelMean) / one.LabelScale);
                break;
            case MultiOutputRegressionHead several:
                var (means, scales) = (several.LabelMeans, several.LabelScales);
                for (var start = 0; start < labels.Length; start += means.Count)
                {
                    for (var k = 0; k < means.Count; k++)
                        values[start + k] = (float)((labels[start + k] - means[k]) / scales[k]);
                }

                break;
            default:
                labels.CopyTo(values);
                break;
        }
    }

    private Tensor Weights(ReadOnlySpan<float> weights, ReadOnlySpan<float> labels)
    {
        var result = empty(weights.Length);
        var values = TensorMemory.Floats(result);
        var labelWidth = labels.Length / Math.Max(1, weights.Length);
        for (var i = 0; i < weights.Length; i++)
            values[i] = Weight(weights[i], labels[i * labelWidth]);
        return result;
    }

    private float Weight(float weight, float label) => weight * ClassFactors[ClassFactors.Length == 1 ? 0 : (int)label];
}
