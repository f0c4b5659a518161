using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Data;

/// <summary>Turns labels and weights as read into what the loss takes.</summary>
/// <param name="Head">The task.</param>
/// <param name="ClassFactors">What an example weight is multiplied by: one factor for each class, or a single one.</param>
/// <param name="IsWeighted">Whether any row weighs other than 1.</param>
internal sealed record RowTransform(TaskHead Head, float[] ClassFactors, bool IsWeighted)
{
    /// <summary>Makes a block.</summary>
    /// <param name="weights">Example weights as read.</param>
    /// <param name="labels">Labels as read.</param>
    /// <param name="features">Features; the block takes them over.</param>
    /// <returns>The block.</returns>
    public RowBlock Make(ReadOnlySpan<float> weights, ReadOnlySpan<float> labels, Tensor features) =>
        new(features, Labels(labels), IsWeighted ? Weights(weights, labels) : null);

    /// <summary>Puts another row in a place of a block whose features were overwritten already.</summary>
    /// <param name="block">The block.</param>
    /// <param name="place">Index of the row.</param>
    /// <param name="label">Its label as read.</param>
    /// <param name="weight">Its example weight as read.</param>
    public void Put(RowBlock block, long place, float label, float weight)
    {
        if (Head is MulticlassHead)
            TensorMemory.Longs(block.Labels)[(int)place] = (long)label;
        else
            TensorMemory.Floats(block.Labels)[(int)place] = Label(label);
        if (block.Weights is not null)
            TensorMemory.Floats(block.Weights)[(int)place] = Weight(weight, label);
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

        var result = empty(labels.Length);
        var values = TensorMemory.Floats(result);
        for (var i = 0; i < labels.Length; i++)
            values[i] = Label(labels[i]);
        return result;
    }

    private Tensor Weights(ReadOnlySpan<float> weights, ReadOnlySpan<float> labels)
    {
        var result = empty(weights.Length);
        var values = TensorMemory.Floats(result);
        for (var i = 0; i < weights.Length; i++)
            values[i] = Weight(weights[i], labels[i]);
        return result;
    }

    private float Label(float label) =>
        Head is RegressionHead regression ? (float)((label - regression.LabelMean) / regression.LabelScale) : label;

    private float Weight(float weight, float label) => weight * ClassFactors[ClassFactors.Length == 1 ? 0 : (int)label];
}
