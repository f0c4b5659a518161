using MlNetMlp.Interop;
using YourOwnTrainer;

namespace Microsoft.ML;

/// <summary>What users see of the two methods, beside ML.NET's own: each has an overload of columns alone and one with all options.</summary>
public static class YourOwnTrainerCatalog
{
    /// <summary>Makes a <see cref="YourOwnTrainer.QuadraticNetwork"/> for regression.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column: numbers.</param>
    /// <param name="featureColumnName">The feature column: a vector of numbers of known size.</param>
    /// <returns>The trainer.</returns>
    public static NetworkTrainer<RegressionNetworkModel> QuadraticNetwork(this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features") =>
        catalog.QuadraticNetwork(new QuadraticNetwork.Options { LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName });

    /// <inheritdoc cref="QuadraticNetwork(RegressionCatalog.RegressionTrainers, string, string)"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options.</param>
    public static NetworkTrainer<RegressionNetworkModel> QuadraticNetwork(this RegressionCatalog.RegressionTrainers catalog, QuadraticNetwork.Options options) =>
        catalog.CreateTrainer(new QuadraticNetwork(options));

    /// <summary>Makes a <see cref="YourOwnTrainer.QuadraticNetwork"/> for binary classification.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column: Booleans.</param>
    /// <param name="featureColumnName">The feature column: a vector of numbers of known size.</param>
    /// <returns>The trainer.</returns>
    public static NetworkTrainer<BinaryNetworkModel> QuadraticNetwork(
        this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features") =>
        catalog.QuadraticNetwork(new QuadraticNetwork.Options { LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName });

    /// <inheritdoc cref="QuadraticNetwork(BinaryClassificationCatalog.BinaryClassificationTrainers, string, string)"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options.</param>
    public static NetworkTrainer<BinaryNetworkModel> QuadraticNetwork(this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, QuadraticNetwork.Options options) =>
        catalog.CreateTrainer(new QuadraticNetwork(options));

    /// <summary>Makes a <see cref="YourOwnTrainer.QuadraticNetwork"/> for multiclass classification.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column: keys.</param>
    /// <param name="featureColumnName">The feature column: a vector of numbers of known size.</param>
    /// <returns>The trainer.</returns>
    public static NetworkTrainer<MulticlassNetworkModel> QuadraticNetwork(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features") =>
        catalog.QuadraticNetwork(new QuadraticNetwork.Options { LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName });

    /// <inheritdoc cref="QuadraticNetwork(MulticlassClassificationCatalog.MulticlassClassificationTrainers, string, string)"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options.</param>
    public static NetworkTrainer<MulticlassNetworkModel> QuadraticNetwork(this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, QuadraticNetwork.Options options) =>
        catalog.CreateTrainer(new QuadraticNetwork(options));

    /// <summary>Adds <see cref="YourOwnTrainer.KMeansFeatures"/> as a column.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single with a slot for each typical row.</param>
    /// <param name="options">The options, which name the column that is read; null for the defaults.</param>
    /// <returns>The estimator.</returns>
    public static FeatureMapEstimator KMeansFeatures(this TransformsCatalog catalog, string outputColumnName, KMeansFeatures.Options? options = null) =>
        catalog.CreateFeatureMap(outputColumnName, new KMeansFeatures(options ?? new()));
}
