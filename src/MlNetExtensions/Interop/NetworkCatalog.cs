using Microsoft.ML.Calibrators;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;
using MlNetMlp.Interop;

namespace Microsoft.ML;

/// <summary>ML.NET's own catalog methods for networks, where ML.NET's signatures name a sealed class that no other library can provide.</summary>
public static class NetworkCatalog
{
    /// <summary>Stops everything that runs under a context, now and later: every fit throws <see cref="OperationCanceledException"/>.</summary>
    /// <param name="mlContext">The context; it can do nothing after.</param>
    /// <remarks>To stop one training only, give its options a <see cref="CancellationToken"/>.</remarks>
    public static void CancelExecution(this MLContext mlContext)
    {
        ArgumentNullException.ThrowIfNull(mlContext);
        mlContext.CancelExecution();
    }

    /// <summary>Trains a binary network for each class against all others.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="binaryEstimator">The trainer.</param>
    /// <param name="labelColumnName">The label column, a key.</param>
    /// <param name="imputeMissingLabelsAsNegative">Whether a row without a label counts as one of no class, rather than not at all.</param>
    /// <param name="calibrator">Not used: networks give probabilities.</param>
    /// <param name="maximumCalibrationExampleCount">Not used.</param>
    /// <param name="useProbabilities">Whether the classes are compared by probability, rather than by score.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="ArgumentException">The trainer reads several columns, and ML.NET hands over single vectors here.</exception>
    public static OneVersusAllTrainer OneVersusAll(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog,
        NetworkTrainer<BinaryNetworkModel> binaryEstimator,
        string labelColumnName = DefaultColumnNames.Label,
        bool imputeMissingLabelsAsNegative = false,
        IEstimator<ISingleFeaturePredictionTransformer<ICalibrator>>? calibrator = null,
        int maximumCalibrationExampleCount = 1_000_000_000,
        bool useProbabilities = true)
    {
        ArgumentNullException.ThrowIfNull(binaryEstimator);
        binaryEstimator.CheckSingleVectors(nameof(OneVersusAll));
        return new(
            CatalogUtils.GetEnvironment(catalog),
            binaryEstimator,
            labelColumnName,
            imputeMissingLabelsAsNegative,
            (ICalibratorTrainer?)calibrator,
            maximumCalibrationExampleCount,
            useProbabilities);
    }

    /// <summary>A model like another with another score above which a row is predicted to be true.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">The model; it stays as it is.</param>
    /// <param name="threshold">The threshold, on the score; 0 is a probability of one half.</param>
    /// <returns>The other model.</returns>
    public static NetworkPredictionTransformer<BinaryNetworkModel> ChangeModelThreshold(
        this BinaryClassificationCatalog catalog, NetworkPredictionTransformer<BinaryNetworkModel> model, float threshold)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        var inner = (BinaryPredictionTransformer<BinaryNetworkModel>)model.Inner;
        return new(catalog.GetEnvironment(), catalog.ChangeModelThreshold(inner, threshold));
    }
}
