using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Vision;

/// <summary>Trains the network that all methods of this shape share, whatever mixes the tokens.</summary>
internal static class MetaFormerFit
{
    /// <summary>Trains a network of images.</summary>
    /// <param name="method">Name of the method.</param>
    /// <param name="options">Its options.</param>
    /// <param name="data">The rows.</param>
    /// <param name="head">The task.</param>
    /// <param name="run">The fit.</param>
    /// <returns>The network.</returns>
    public static Network Fit(string method, MetaFormerOptions options, TrainingSet data, TaskHead head, TrainingRun run)
    {
        var definition = options.Define(options.ShapeOf(data), head.Outputs);
        return Fit(new MetaFormerShell(method, "images", definition, options.LayerScaleStart, options.DropPathOrPreset, options.DropRate, options.Augmentation), options, data, head, run);
    }

    /// <summary>Trains a network of images or sequences.</summary>
    /// <param name="shell">The network.</param>
    /// <param name="options">How it is trained.</param>
    /// <param name="data">The rows.</param>
    /// <param name="head">The task.</param>
    /// <param name="run">The fit.</param>
    /// <returns>The network.</returns>
    public static Network Fit(MetaFormerShell shell, GradientTrainedOptions options, TrainingSet data, TaskHead head, TrainingRun run)
    {
        var (definition, augmentation) = (shell.Definition, shell.Augmentation);
        try
        {
            OptionRanges.Check(definition, shell.Method);
        }
        catch (ArgumentOutOfRangeException e)
        {
            throw new InvalidOperationException($"{e.Message.Split(" (Parameter", 2)[0]} The {shell.Rows} are in the feature column '{options.FeatureColumnName}'.", e);
        }

        var network = (MetaFormerNetwork)run.Create(definition);
        if (!run.IsContinued)
        {
            network.Standardize(data.Statistics);
            network.FillLayerScale(shell.LayerScaleStart);
        }

        network.Regularize(shell.DropPath, shell.DropRate);
        var steps = new StepRandom(run.Random.Seed);
        run.Remember("steps", () => steps.StepCount, count => steps.StepCount = count);
        var image = definition.Image;
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

/// <summary>A network to train.</summary>
/// <param name="Method">Name of the method.</param>
/// <param name="Rows">What rows are, for errors.</param>
/// <param name="Definition">The network.</param>
/// <param name="LayerScaleStart">What the factors of the branches start from.</param>
/// <param name="DropPath">Probability with which the branches of the last block are left out.</param>
/// <param name="DropRate">Share of values dropped after each dense layer of the MLPs.</param>
/// <param name="Augmentation">How images are changed at random.</param>
internal sealed record MetaFormerShell(
    string Method, string Rows, MetaFormerDefinition Definition, double LayerScaleStart, double DropPath, double DropRate, ImageAugmentation Augmentation);
