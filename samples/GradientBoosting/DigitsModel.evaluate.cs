using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Training;

namespace GradientBoosting;

internal static partial class DigitsModel
{
    /// <summary>What to compare with: the boosted network on raw pixels.</summary>
    public static IEstimator<ITransformer> BuildShallowPipeline(MLContext ml, IProgress<TrainingProgress>? progress = null) =>
        Classify(ml, ml.MulticlassClassification.Trainers.GradientBoostedNetwork(BoostingOptions(Pixels, progress)));

    /// <summary>What to compare with: the residual MLP with its own last layer.</summary>
    public static IEstimator<ITransformer> BuildMlpPipeline(MLContext ml, IProgress<TrainingProgress>? progress = null) =>
        Classify(ml, ml.MulticlassClassification.Trainers.ScaledMlp(MlpOptions(progress)));

    public static MulticlassClassificationMetrics Evaluate(MLContext ml, ITransformer model, IDataView rows) =>
        ml.MulticlassClassification.Evaluate(model.Transform(rows), labelColumnName: Label);

    /// <summary>Checks that the saved model predicts for each row what the fitted one does, to the bit.</summary>
    /// <returns>The number of rows.</returns>
    /// <exception cref="InvalidOperationException">A prediction differs.</exception>
    public static int VerifySavedModel(MLContext ml, ITransformer fitted, IDataView rows)
    {
        float[][] expected = [.. fitted.Transform(rows).GetColumn<float[]>("Score")];
        float[][] actual = [.. ml.Data.CreateEnumerable<ModelInput>(rows, reuseRowObject: false).Select(row => Predict(row).Probabilities)];
        return expected.SelectMany(row => row).SequenceEqual(actual.SelectMany(row => row))
            ? expected.Length
            : throw new InvalidOperationException($"{ModelPath} predicts something else than the model that was saved in it.");
    }
}
