using System.Runtime.CompilerServices;
using MlNetMlp.Interop;

namespace Microsoft.ML;

/// <summary>Catalog methods that make features with <see cref="MlNetMlp.Tabular.ScaledMlp"/> networks.</summary>
public static class ScaledMlpFeaturesCatalog
{
    /// <summary>
    /// Trains a <see cref="MlNetMlp.Tabular.ScaledMlp"/> on a label and adds the W activations before its last layer as features, for a linear
    /// trainer or any other to learn from.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single with W slots.</param>
    /// <param name="inputColumnName">The column of features: a vector of numbers of known size; null for <paramref name="outputColumnName"/>.</param>
    /// <param name="labelColumnName">
    /// The label column, whose type says what is learned: a number or a vector of numbers regression, Boolean binary and a key multiclass
    /// classification.
    /// </param>
    /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
    /// <param name="width">W, units of a layer and number of features, in [8, 65536].</param>
    /// <param name="blocks">L, number of residual blocks, in [1, 64].</param>
    /// <param name="epochs">Most passes over the rows, at least 1; early stopping may end sooner.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
    /// <remarks>
    /// Rows that the features were trained on look easier to the trainer behind them than new rows are. Where that matters, train the features
    /// on other rows, save the model and load it with
    /// <see cref="ScaledMlpFeatures(TransformsCatalog, string, ITransformer, string?)"/>.
    /// </remarks>
    public static NetworkFeatureEstimator ScaledMlpFeatures(
        this TransformsCatalog catalog, string outputColumnName, string? inputColumnName = null, string labelColumnName = "Label",
        string? exampleWeightColumnName = null, int width = 128, int blocks = 2, int epochs = 100) =>
        catalog.ScaledMlpFeatures(outputColumnName, new MlNetMlp.Tabular.ScaledMlp.Options
        {
            FeatureColumnName = inputColumnName ?? outputColumnName, LabelColumnName = labelColumnName,
            ExampleWeightColumnName = exampleWeightColumnName, Width = width, Blocks = blocks, Epochs = epochs,
        });

    /// <inheritdoc cref="ScaledMlpFeatures(TransformsCatalog, string, string?, string, string?, int, int, int)"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single with W slots.</param>
    /// <param name="options">The options; they also name the columns that are read.</param>
    [OverloadResolutionPriority(1)]
    public static NetworkFeatureEstimator ScaledMlpFeatures(
        this TransformsCatalog catalog, string outputColumnName, MlNetMlp.Tabular.ScaledMlp.Options options) =>
        catalog.CreateFeaturizer(outputColumnName, new MlNetMlp.Tabular.ScaledMlp(options));

    /// <summary>Adds the activations before the last layer of a <see cref="MlNetMlp.Tabular.ScaledMlp"/> that is trained already as features.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single with W slots.</param>
    /// <param name="pretrained">A fitted or loaded model with such a network in it, alone or in a chain, of which the last one counts.</param>
    /// <param name="inputColumnName">The column that the network reads; null for the one that it was trained on.</param>
    /// <returns>The estimator; fitting it learns nothing.</returns>
    /// <exception cref="ArgumentException">The model holds no network, or another method's.</exception>
    public static PretrainedFeatureEstimator ScaledMlpFeatures(
        this TransformsCatalog catalog, string outputColumnName, ITransformer pretrained, string? inputColumnName = null) =>
        catalog.CreateFeaturizer(outputColumnName, pretrained, inputColumnName, nameof(MlNetMlp.Tabular.ScaledMlp));
}
