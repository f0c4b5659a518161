using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>Makes ML.NET trainers and featurisers of methods: what the catalog methods of all trainers end in, also those of other assemblies.</summary>
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

    /// <summary>Makes a trainer of forecasts: the method's network learns to predict the steps that follow a window of time series.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="method">A method of regression. Rows are windows, as <see cref="Data.TrainingSet.Series"/> says, labels the steps that follow.</param>
    /// <param name="series">What is forecast from what.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentException">The method cannot learn from windows.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static ForecastEstimator CreateTrainer(this ForecastingCatalog.Forecasters catalog, INetworkMethod method, ForecastOptions series) =>
        new(CatalogUtils.GetEnvironment(catalog), method, series);

    /// <summary>Makes a trainer of outcomes under treatments.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="method">The method.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static NetworkTrainer<TreatmentModel> CreateTrainer(this CausalInferenceTrainers catalog, ITreatmentMethod method)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new(catalog.Environment, method, new TreatmentAdapter(method));
    }

    /// <summary>Makes an estimator that trains a method's network and gives the activations before its last layer as features.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single.</param>
    /// <param name="method">The method. Its options name the label, whose type says what is learned, and the feature column.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static NetworkFeatureEstimator CreateFeaturizer(this TransformsCatalog catalog, string outputColumnName, INetworkMethod method) =>
        new(CatalogUtils.GetEnvironment(catalog), method, outputColumnName);

    /// <summary>Makes an estimator that learns features of windows of time series without labels: for each row those of the window that ends with it.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="method">A method that reads no label (<see cref="INetworkMethod.ReadsLabels"/>). Rows are windows, as <see cref="Data.TrainingSet.Series"/> says.</param>
    /// <param name="series">The series, the column to add, and how long windows are. It learns from those that <see cref="ForecastOptions.Horizon"/> rows follow.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentException">The method learns from labels, or quantiles are asked for.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static ForecastEstimator CreateFeaturizer(this TransformsCatalog catalog, INetworkMethod method, ForecastOptions series) =>
        new(CatalogUtils.GetEnvironment(catalog), method, series, givesFeatures: true);

    /// <summary>Makes an estimator that learns features from rows without a label.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single.</param>
    /// <param name="method">The method. Its options name the column that is read.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static FeatureMapEstimator CreateFeatureMap(this TransformsCatalog catalog, string outputColumnName, IFeatureMethod method) =>
        new(CatalogUtils.GetEnvironment(catalog), method, outputColumnName);

    /// <summary>Makes a converter, which puts another network in the place of a trained one.</summary>
    /// <typeparam name="TModel">The type of the model.</typeparam>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">A fitted or loaded model with a network in it, alone or in a chain, of which the last one counts.</param>
    /// <param name="conversion">The conversion.</param>
    /// <returns>The converter.</returns>
    /// <exception cref="ArgumentException">The model holds no network.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static NetworkConverter<TModel> CreateConverter<TModel>(this TransformsCatalog catalog, TModel model, INetworkConversion conversion)
        where TModel : class, ITransformer => new(CatalogUtils.GetEnvironment(catalog), model, conversion);

    /// <summary>Makes an estimator that gives the activations before the last layer of a network that is trained already.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single.</param>
    /// <param name="pretrained">A fitted or loaded model with a network in it, alone or in a chain, of which the last one counts.</param>
    /// <param name="inputColumnName">The column that the network reads; null for the one that it was trained on.</param>
    /// <param name="methodName">The method that must have trained it; null for any.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentException">The model holds no such network.</exception>
    /// <exception cref="InvalidOperationException">The network has no features to give.</exception>
    public static PretrainedFeatureEstimator CreateFeaturizer(
        this TransformsCatalog catalog, string outputColumnName, ITransformer pretrained, string? inputColumnName = null, string? methodName = null) =>
        new(CatalogUtils.GetEnvironment(catalog), outputColumnName, pretrained, inputColumnName, methodName);

    /// <summary>Makes an estimator that gives what a part of a trained network computes, such as weights that tell how it came to its scores.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">The column to add: a vector of Single.</param>
    /// <param name="pretrained">A fitted or loaded model with a network in it, alone or in a chain, of which the last one counts.</param>
    /// <param name="part">Gives the part of a network (see <see cref="TrainedNetwork.CreatePart"/>), or null where it has none.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentException">The model holds no network.</exception>
    /// <exception cref="InvalidOperationException">The network has no such part.</exception>
    public static PretrainedFeatureEstimator CreatePartFeaturizer(
        this TransformsCatalog catalog, string outputColumnName, ITransformer pretrained, Func<NetworkDefinition, NetworkDefinition?> part) =>
        new(CatalogUtils.GetEnvironment(catalog), outputColumnName, pretrained, null, null, part);

    /// <summary>Makes a trainer for multiclass classification.</summary>
    /// <inheritdoc cref="CreateTrainer(RegressionCatalog.RegressionTrainers, INetworkMethod)"/>
    public static NetworkTrainer<MulticlassNetworkModel> CreateTrainer(this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, INetworkMethod method) =>
        new(CatalogUtils.GetEnvironment(catalog), method, new MulticlassAdapter());
}
