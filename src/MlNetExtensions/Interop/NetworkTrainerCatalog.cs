using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Methods;

namespace MlNetMlp.Interop;

/// <summary>Makes ML.NET trainers of methods: what the catalog methods of all trainers end in, also those of other assemblies.</summary>
/// <example>
/// <code>
/// public static NetworkTrainer&lt;RegressionNetworkModel&gt; MyMethod(this RegressionCatalog.RegressionTrainers catalog, MyMethod.Options options) =>
///     catalog.CreateTrainer(new MyMethod(options));
/// </code>
/// </example>
public static class NetworkTrainerCatalog
{
    /// <summary>Makes a trainer for regression.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="method">The method.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static NetworkTrainer<RegressionNetworkModel> CreateTrainer(this RegressionCatalog.RegressionTrainers catalog, INetworkMethod method) =>
        new(CatalogUtils.GetEnvironment(catalog), method, new RegressionAdapter());

    /// <summary>Makes a trainer for regression of several numbers at once: its label and its score are vectors.</summary>
    /// <inheritdoc cref="CreateTrainer(RegressionCatalog.RegressionTrainers, INetworkMethod)"/>
    public static NetworkTrainer<MultiOutputRegressionNetworkModel> CreateMultiOutputTrainer(this RegressionCatalog.RegressionTrainers catalog, INetworkMethod method) =>
        new(CatalogUtils.GetEnvironment(catalog), method, new MultiOutputRegressionAdapter());

    /// <summary>Makes a trainer for binary classification.</summary>
    /// <inheritdoc cref="CreateTrainer(RegressionCatalog.RegressionTrainers, INetworkMethod)"/>
    public static NetworkTrainer<BinaryNetworkModel> CreateTrainer(this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, INetworkMethod method) =>
        new(CatalogUtils.GetEnvironment(catalog), method, new BinaryAdapter());

    /// <summary>Makes a trainer for multiclass classification.</summary>
    /// <inheritdoc cref="CreateTrainer(RegressionCatalog.RegressionTrainers, INetworkMethod)"/>
    public static NetworkTrainer<MulticlassNetworkModel> CreateTrainer(this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, INetworkMethod method) =>
        new(CatalogUtils.GetEnvironment(catalog), method, new MulticlassAdapter());
}
