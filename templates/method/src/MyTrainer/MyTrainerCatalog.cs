using MlNetMlp.Interop;
using MyTrainerLibrary;

namespace Microsoft.ML;

/// <summary>What users see beside ML.NET's own trainers: each has an overload of columns alone and one with all options.</summary>
public static class MyTrainerCatalog
{
    /// <summary>Makes a <see cref="MyTrainerLibrary.MyTrainer"/> for regression.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column: numbers.</param>
    /// <param name="featureColumnName">The feature column: a vector of numbers of known size.</param>
    /// <returns>The trainer.</returns>
    public static NetworkTrainer<RegressionNetworkModel> MyTrainer(this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features") =>
        catalog.MyTrainer(new MyTrainer.Options { LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName });

    /// <inheritdoc cref="MyTrainer(RegressionCatalog.RegressionTrainers, string, string)"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options.</param>
    public static NetworkTrainer<RegressionNetworkModel> MyTrainer(this RegressionCatalog.RegressionTrainers catalog, MyTrainer.Options options) =>
        catalog.CreateTrainer(new MyTrainer(options));

    /// <summary>Makes a <see cref="MyTrainerLibrary.MyTrainer"/> for binary classification.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column: Booleans.</param>
    /// <param name="featureColumnName">The feature column: a vector of numbers of known size.</param>
    /// <returns>The trainer.</returns>
    public static NetworkTrainer<BinaryNetworkModel> MyTrainer(
        this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features") =>
        catalog.MyTrainer(new MyTrainer.Options { LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName });

    /// <inheritdoc cref="MyTrainer(BinaryClassificationCatalog.BinaryClassificationTrainers, string, string)"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options.</param>
    public static NetworkTrainer<BinaryNetworkModel> MyTrainer(this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, MyTrainer.Options options) =>
        catalog.CreateTrainer(new MyTrainer(options));

    /// <summary>Makes a <see cref="MyTrainerLibrary.MyTrainer"/> for multiclass classification.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">The label column: keys.</param>
    /// <param name="featureColumnName">The feature column: a vector of numbers of known size.</param>
    /// <returns>The trainer.</returns>
    public static NetworkTrainer<MulticlassNetworkModel> MyTrainer(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features") =>
        catalog.MyTrainer(new MyTrainer.Options { LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName });

    /// <inheritdoc cref="MyTrainer(MulticlassClassificationCatalog.MulticlassClassificationTrainers, string, string)"/>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">The options.</param>
    public static NetworkTrainer<MulticlassNetworkModel> MyTrainer(this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, MyTrainer.Options options) =>
        catalog.CreateTrainer(new MyTrainer(options));
}
