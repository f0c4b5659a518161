using System.Runtime.CompilerServices;
using MlNetMlp.Interop;
using MlNetMlp.Vision;

namespace Microsoft.ML;

/// <summary>Catalog methods that make features of images with <see cref="MlNetMlp.Vision.MetaFormer"/> networks.</summary>
public static class MetaFormerFeaturesCatalog
{
    /// <summary>
    /// Trains a <see cref="MlNetMlp.Vision.MetaFormer"/> on a label and adds the mean of its last tokens as features, for a linear trainer or any other to learn from.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single with as many slots as tokens of the last stage have values.</param>
    /// <param name="inputColumnName">The column of images, or of their pixels as vectors of numbers of known size; null for <paramref name="outputColumnName"/>.</param>
    /// <param name="labelColumnName">
    /// The label column, whose type says what is learned: a number or a vector of numbers regression, Boolean binary and a key multiclass classification.
    /// </param>
    /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
    /// <param name="preset">Sizes of the network.</param>
    /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
    public static NetworkFeatureEstimator MetaFormerFeatures(
        this TransformsCatalog catalog, string outputColumnName, string? inputColumnName = null, string labelColumnName = "Label",
        string? exampleWeightColumnName = null, MetaFormerPreset preset = MetaFormerPreset.Small28, int epochs = 30) =>
        catalog.MetaFormerFeatures(outputColumnName, new MetaFormer.Options
        {
            FeatureColumnName = inputColumnName ?? outputColumnName, LabelColumnName = labelColumnName,
            ExampleWeightColumnName = exampleWeightColumnName, Preset = preset, Epochs = epochs,
        });

    /// <inheritdoc cref="MetaFormerFeatures(TransformsCatalog, string, string?, string, string?, MetaFormerPreset, int)"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single with as many slots as tokens of the last stage have values.</param>
    /// <param name="options">The options; they also name the columns that are read.</param>
    [OverloadResolutionPriority(1)]
    public static NetworkFeatureEstimator MetaFormerFeatures(this TransformsCatalog catalog, string outputColumnName, MetaFormer.Options options) =>
        catalog.CreateFeaturizer(outputColumnName, new MetaFormer(options));

    /// <summary>Adds the mean of the last tokens of a network that is trained already as features.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single with as many slots as tokens of the last stage have values.</param>
    /// <param name="pretrained">A fitted or loaded model with a <see cref="MlNetMlp.Vision.MetaFormer"/> in it, alone or in a chain, of which the last network counts.</param>
    /// <param name="inputColumnName">The column that the network reads; null for the one that it was trained on.</param>
    /// <returns>The estimator; fitting it learns nothing.</returns>
    /// <exception cref="ArgumentException">The model holds no network, or another method's.</exception>
    public static PretrainedFeatureEstimator MetaFormerFeatures(
        this TransformsCatalog catalog, string outputColumnName, ITransformer pretrained, string? inputColumnName = null) =>
        catalog.CreateFeaturizer(outputColumnName, pretrained, inputColumnName, nameof(MetaFormer));
}
