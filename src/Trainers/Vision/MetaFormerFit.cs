using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Vision;

/// <summary>Trains the network that all methods of this shape share, whatever mixes the tokens.</summary>
internal static class MetaFormerFit
{
    /// <summary>Trains.</summary>
    /// <param name="method">Name of the method.</param>
    /// <param name="options">Its options.</param>
    /// <param name="data">The rows.</param>
    /// <param name="head">The task.</param>
    /// <param name="run">The fit.</param>
    /// <returns>The network.</returns>
    public static Network Fit(string method, MetaFormerOptions options, TrainingSet data, TaskHead head, TrainingRun run)
    {
        var definition = options.Define(options.ShapeOf(data), head.Outputs);
        try
        {
            OptionRanges.Check(definition, method);
        }
        catch (ArgumentOutOfRangeException e)
        {
            throw new InvalidOperationException($"{e.Message.Split(" (Parameter", 2)[0]} The images are in the feature column '{options.FeatureColumnName}'.", e);
        }

        var network = (MetaFormerNetwork)run.Create(definition);
        if (!run.IsContinued)
        {
            network.Standardize(data.Statistics);
            network.FillLayerScale(options.LayerScaleStart);
        }

        network.Regularize(options.DropPathOrPreset, options.DropRate);
        var steps = new StepRandom(run.Random.Seed);
        var (image, augmentation) = (definition.Image, options.Augmentation);
        run.Minimize(network, data, head, options.ToSettings(data.RowCount), Loss);
        return network;

        Tensor Loss(Network trained, RowBlock batch)
        {
            using var random = steps.Next();
            network.SetRandom(random);
            try
            {
                if (augmentation == ImageAugmentation.None)
                    return head.Loss(trained.call(batch.Features), batch.Labels, batch.Weights, options.LabelSmoothing);
                var images = augmentation.Change(image.ToImages(batch.Features), network.PixelMeans, random);
                if (!augmentation.Mixes)
                    return head.Loss(trained.call(image.ToRows(images)), batch.Labels, batch.Weights, options.LabelSmoothing);
                var (mixed, order, share) = augmentation.Mix(images, random);
                return MixedRows.Loss(head, trained.call(image.ToRows(mixed)), batch, order, share, options.LabelSmoothing);
            }
            finally
            {
                network.SetRandom(null);
            }
        }
    }
}
